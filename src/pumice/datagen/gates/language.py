"""The language of what a teacher wrote, by py3langid: 140 languages, 5 MB, no network."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Protocol

from pumice.errors import UsageError

#: Shorter texts could be of any language ("Yes, two.").
_SHORTEST = 25
_DOUBT = 0.01  # the least share of probability that the expected language must have
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]*")


class _Identifier(Protocol):
    def rank(self, instance: str) -> list[tuple[str, float]]: ...


def foreign(text: str, expected: str = "en") -> str | None:
    """The first sentence that is in no way in the ``expected`` language (ISO 639-1); None if all may be.

    Raises: UsageError if py3langid is not installed.
    """
    for sentence in _sentences(text):
        scores = dict(_identifier().rank(sentence))
        if scores.get(expected, 0.0) < _DOUBT:
            return sentence
    return None


def _sentences(text: str) -> list[str]:
    """Sentences, short ones together with the next."""
    found: list[str] = []
    held = ""
    for sentence in _SENTENCE.findall(text):
        held = f"{held} {sentence.strip()}".strip()
        if _letters(held) >= _SHORTEST:
            found.append(held)
            held = ""
    return found


def _letters(text: str) -> int:
    """Letters, where one of Chinese, Japanese or Korean says as much as three of an alphabet."""
    return sum(3 if "\u2e80" <= letter <= "\ud7af" else 1 for letter in text if letter.isalpha())


@lru_cache(maxsize=1)
def _identifier() -> _Identifier:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError("to tell languages apart needs py3langid", hint="pip install 'pumice[datagen]'") from error
    identifier: _Identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    return identifier
