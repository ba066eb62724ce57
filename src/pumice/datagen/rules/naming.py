"""How the offline teacher names things, numbers and places."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pumice.annotations.categories import plural
from pumice.boxes import Box

#: Categories with another name in speech.
_SPOKEN = {"tv": "TV", "hair drier": "hair dryer", "potted plant": "potted plant", "donut": "doughnut"}
_SEVERAL = {"person": "people", "tv": "TVs", "hair drier": "hair dryers", "donut": "doughnuts"}
#: Nobody says how many there are: they come in pairs, or are eaten in portions.
UNCOUNTED = frozenset({"skis", "scissors", "broccoli"})

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
HERE = ("", "", " in the picture", " in the image", " in the photo", " in this picture", " in this image")
PICTURE = ("picture", "image", "photo", "scene")


def one(category: str) -> str:
    """The name of one."""
    return _SPOKEN.get(category, category)


def several(category: str) -> str:
    """The name of several."""
    return _SEVERAL.get(category) or plural(category)


def a(category: str) -> str:
    """With an article: "an apple", "a pair of skis"."""
    if category in ("skis", "scissors"):
        return f"a pair of {category}"
    if category in UNCOUNTED:
        return category
    words = one(category)
    return f"{'an' if words[0].lower() in 'aeio' or words.startswith('umb') else 'a'} {words}"


def number(count: int) -> str:
    """In words up to twelve."""
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def counted(category: str, count: int) -> str:
    """ "one dog", "three dogs"."""
    return f"{number(count)} {one(category) if count == 1 else several(category)}"


def there_are(category: str, count: int) -> str:
    """Without a full stop: "There is one dog"."""
    verb = "is" if count == 1 else "are"
    return f"There {verb} {counted(category, count)}"


def the(category: str, count: int = 1) -> str:
    """ "the dog", "the dogs"."""
    return f"the {one(category) if count == 1 and category not in UNCOUNTED else several(category)}"


def joined(parts: Sequence[str], word: str = "and") -> str:
    """As a list in a sentence."""
    if len(parts) < 3:
        return f" {word} ".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def say(rng: random.Random, ways: Sequence[str], **parts: str) -> str:
    """One of the ways, filled in and with a capital; ``{here}`` and ``{picture}`` vary, too."""
    words = rng.choice(ways).format(here=rng.choice(HERE), picture=rng.choice(PICTURE), **parts)
    return f"{words[0].upper()}{words[1:]}"


def box_text(box: Box) -> str:
    """LLaVA's notation: shares of the sides, two decimals."""
    return f"[{', '.join(f'{edge:.2f}' for edge in box)}]"
