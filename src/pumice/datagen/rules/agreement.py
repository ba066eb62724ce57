"""Whether captions and boxes say the same number, and whether two captions do."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pumice.annotations.categories import Mention, Vocabulary, plural, vocabulary_for
from pumice.annotations.numbers import NUMBERS
from pumice.annotations.scene import Scene
from pumice.annotations.tokens import word_set
from pumice.datagen.rules.naming import UNCOUNTED

_MANY = 3  # "several" of two would be odd
_SEVERAL = word_set(
    """
    several few many multiple various numerous countless bunch crowd herd flock group row stack pile lots lot
    """
)
_TWO = word_set("couple pair")
_KNOWN = word_set("the this that these those his her its their other same")
_ABOUT = 0.3  # by how much of itself "about ten" may be wrong


@dataclass(frozen=True)
class _Amount:
    """How many of something a caption speaks of. fewest: at least; exact: just so many, if it says a number."""

    fewest: int
    exact: int | None = None


def disputed(scene: Scene) -> frozenset[str]:
    """Categories with boxes of which some caption gives another number; of these no number is told."""
    words = vocabulary_for(scene)
    found: set[str] = set()
    for caption in scene.captions:
        mentions = words.mentions(caption)
        told = _told(caption, mentions)
        for mention in mentions:
            present = [name for name in mention.categories if scene.named(name)]
            boxes = sum(len(scene.named(name)) for name in present)
            if not present or (len(present) == 1 and told.get(present[0]) == boxes):
                continue
            if _differs(_amount(caption, mention), mention, boxes, len(present)):
                found.update(present)
        found.update(name for name, fewest in told.items() if 0 < len(scene.named(name)) < fewest)
    return frozenset(found) - UNCOUNTED


def agree(one: str, other: str, words: Vocabulary) -> bool:
    """Whether two captions may stand side by side: neither gives another number of what both speak of."""
    ours, theirs = (_by_word(text, words.mentions(text), parts=True) for text in (one, other))
    return not any(_apart(ours[name], theirs[name]) for name in ours.keys() & theirs.keys())


def _differs(amount: _Amount, mention: Mention, boxes: int, kinds: int) -> bool:
    if amount.exact is None:
        return boxes < amount.fewest
    if mention.bound == "about":
        return abs(amount.exact - boxes) > max(1, round(_ABOUT * boxes))
    if mention.narrow:
        return boxes < amount.exact  # two of three people are women
    return boxes != amount.exact or kinds > 1


def _told(caption: str, mentions: Sequence[Mention]) -> dict[str, int]:
    """How many of a category at least: words for parts of it add up, two words for all of it mean the same things."""
    whole, parts = (_by_word(caption, mentions, parts=narrow) for narrow in (False, True))
    found = {name: amount.fewest for name, amount in whole.items()}
    sums: dict[str, int] = defaultdict(int)
    for mention in {each.word: each for each in mentions if each.narrow and len(each.categories) == 1}.values():
        sums[mention.category] += parts[mention.word].fewest
    return found | {name: max(total, found.get(name, 0)) for name, total in sums.items()}


def _by_word(caption: str, mentions: Sequence[Mention], *, parts: bool) -> dict[str, _Amount]:
    """Amounts by category; ``parts``: and by the word where it means a part of one, so that no man is a woman."""
    words: dict[str, tuple[str, _Amount]] = {}
    for mention in mentions:
        if (mention.narrow and not parts) or len(mention.categories) > 1:
            continue
        amount = _amount(caption, mention)
        if mention.word in words:
            earlier = words[mention.word][1]
            more = 1 if _before(caption, mention)[-1:] == ["another"] else amount.fewest
            amount = _Amount(earlier.fewest + more, earlier.exact or amount.exact)
        words[mention.word] = (mention.word if mention.narrow else mention.category, amount)
    found: dict[str, _Amount] = {}
    for name, amount in words.values():
        known = found.get(name, amount)
        found[name] = _Amount(max(known.fewest, amount.fewest), known.exact or amount.exact)
    return found


def _apart(one: _Amount, other: _Amount) -> bool:
    if one.exact is not None and other.exact is not None:
        return one.exact != other.exact
    few, many = sorted((one.fewest, other.fewest))
    return few == 1 < many


def _amount(caption: str, mention: Mention) -> _Amount:
    before = _before(caption, mention)
    several = not _SEVERAL.isdisjoint(before)
    if mention.number is not None and not several and (mention.number > 1 or mention.bound == "exact"):
        said = any(word in NUMBERS or word in _TWO or word.isdigit() for word in before)
        fewest = 1 if mention.bound == "about" else mention.number
        return _Amount(fewest, mention.number if said else None)
    head, _, last = mention.word.partition(" of ")
    either = plural(mention.word) == mention.word  # "someone", "luggage"
    if (last.endswith("s") and head in _SEVERAL) or (mention.plural and several and not either):
        return _Amount(_MANY)
    if mention.plural and not either:
        return _Amount(2)
    return _Amount(0 if not _KNOWN.isdisjoint(before[-2:]) else 2 if before[-1:] == ["another"] else 1)


def _before(caption: str, mention: Mention) -> list[str]:
    return re.findall(r"\w+", caption[: mention.start].lower())[-3:]
