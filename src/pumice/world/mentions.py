"""Which things of a scene a text speaks of, and where in the text it does."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pumice.world.scene import Scene
from pumice.world.vocabulary import CARD, COLOURS, NAMES, PLACES, WHITE, plural

_SPELLED = {name: name for name in NAMES} | {plural(name): name for name in NAMES} | {"thing": "", "things": ""}
_PLACED = {place[1:]: cell for cell, place in enumerate(PLACES)}  # a place may begin a sentence
_PLACED |= {place.replace("centre", "center"): cell for place, cell in _PLACED.items()}


def _any_of(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_MENTION = re.compile(
    rf"\b(?:(?P<colour>{'|'.join((*COLOURS, WHITE))}) )?(?P<name>{_any_of(_SPELLED)})\b"
    rf"|\b[AaOoIi](?P<place>{_any_of(_PLACED)})\b"
)


@dataclass(frozen=True)
class Mention:
    """Words that end before character ``end``, and the cells of the things they mean: none if nothing is there."""

    end: int
    cells: frozenset[int]


def mentions(scene: Scene, text: str) -> list[Mention]:
    """All mentions, in order: names with or without a colour, "things", and places of the grid.

    Where nothing of the name has the colour, the others of that name are meant: what was asked is in them.
    """
    return [Mention(found.end(), _meant(scene, found)) for found in _MENTION.finditer(text)]


def _meant(scene: Scene, found: re.Match[str]) -> frozenset[int]:
    if found["place"] is not None:
        return frozenset({_PLACED[found["place"]]} & {item.cell for item in scene.items})
    name = _SPELLED[found["name"]]
    named = [item for item in scene.items if not name or item.name == name]
    # A card's number has its colour, the card has none.
    coloured = [item for item in named if found["colour"] in (None, item.colour if item.kind != CARD else "")]
    meant = coloured if coloured or not name else named
    return frozenset(item.cell for item in meant)
