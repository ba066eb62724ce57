"""Which captions may be repeated as they stand: whole sentences in decent words that the boxes do not contradict."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

from pumice.annotations.scene import Scene
from pumice.datagen.rules.naming import sentence
from pumice.datagen.samples import Exchange
from pumice.datagen.verification.claims import refused
from pumice.datagen.verification.verify import verify

_WORDS = range(5, 31)
_SHOUTED = 0.5  # share of capitals among letters; names and "TV" stay far below


def told_captions(scene: Scene) -> list[str]:
    """What people wrote, as sentences; each must hold by the boxes and by the other captions."""
    told: list[str] = []
    for number, caption in enumerate(scene.captions):
        words = " ".join(caption.split()).rstrip(" .,;")
        text = sentence(words) if words else ""
        others = (*scene.captions[:number], *scene.captions[number + 1 :])
        if proper(text, _WORDS) and text not in told and holds(replace(scene, captions=others, caption_ids=()), text):
            told.append(text)
    return told


def proper(text: str, lengths: range) -> bool:
    """Whether the words may be repeated: not in capitals, in plain letters, of such a number, and none is vulgar."""
    words = re.findall(r"[a-z]+", text.lower())
    letters = [letter for letter in text if letter.isalpha()]
    shouted = sum(map(str.isupper, letters)) > _SHOUTED * len(letters)
    return len(text.split()) in lengths and text.isascii() and not shouted and vulgar_words().isdisjoint(words)


def holds(scene: Scene, text: str) -> bool:
    """Whether verification has nothing against the words."""
    return refused(verify(scene, [Exchange("", text)]), "strict") is None


@lru_cache(maxsize=1)
def vulgar_words() -> frozenset[str]:
    """Insults and coarse words; a caption with one of them is left out."""
    lines = (files(__package__) / "vulgar.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
