"""Pictures that a typed line names: dropped on the window, or written among the words.

A terminal turns a dropped file into text, each in its own way: with backslashes before spaces, in quotes, or as a
``file://`` address. A word that ends like a picture's name is meant as one; whether it is one, the loader says.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import url2pathname

#: How names of pictures end, those of formats we explain and refuse included. A broken picture has only its name.
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")

_QUOTED = r"'[^'\n]+'|\"[^\"\n]+\""
# A backslash is part of a path on Windows; elsewhere it keeps a space from ending the word.
_WORD = r"[^\s'\"]+" if os.name == "nt" else r"(?:\\.|[^\s'\"\\])+"
_PIECE = re.compile(f"({_QUOTED})|({_WORD})")
_AROUND = "()[]{}<>,;:!?."
_SENTENCE_ENDS = (".", "?", "!", ":")


@dataclass(frozen=True)
class Mention:
    """A picture's ``source`` and the stretch of the line that names it."""

    source: str
    begin: int
    end: int


def find_mentions(line: str) -> list[Mention]:
    """Files and web addresses in ``line`` whose names end like pictures', in order."""
    found = []
    for piece in _PIECE.finditer(line):
        begin, end = piece.span()
        if piece[1]:
            word = piece[1][1:-1]
        else:
            bare = piece[2]
            begin += len(bare) - len(bare.lstrip(_AROUND[:-1]))  # a path may begin with a dot
            end -= len(bare) - len(bare.rstrip(_AROUND))
            word = line[begin:end] if os.name == "nt" else re.sub(r"\\(.)", r"\1", line[begin:end])
        if _is_named_like_one(word):
            found.append(Mention(_as_source(word), begin, end))
    return found


def without_mentions(line: str, mentions: list[Mention], earlier: int) -> str:
    """The question that is left. ``earlier``: pictures that the conversation has already.

    A name that stands before the question or behind it is taken out; within a sentence, words for it take its place.
    """
    several = earlier + len(mentions) > 1
    pieces: list[str] = []
    at = 0
    for number, each in enumerate(mentions, start=earlier + 1):
        before = line[at : each.begin]
        told = (pieces and "".join(pieces).strip()) or before.strip()
        inside = bool(told) and not (before.rstrip() or told).endswith(_SENTENCE_ENDS)
        pieces.append(before)
        if inside:
            pieces.append(f"picture {number}" if several else "the picture")
        at = each.end
    rest = line[at:]
    text = "".join([*pieces, rest])
    only_names = not re.sub(r"picture \d+|the picture|\W", "", text)
    return "" if only_names else " ".join(text.split(" ")).strip()


def _is_named_like_one(word: str) -> bool:
    name = (urlsplit(word).path if "://" in word else word).replace("\\", "/").rpartition("/")[2]
    return "*" not in name and name.lower().endswith(ENDINGS) and not name.lower().startswith(ENDINGS)


def _as_source(word: str) -> str:
    if word.lower().startswith("file://"):
        return url2pathname(urlsplit(word).path)
    return os.path.expanduser(word) if word.startswith("~") else word
