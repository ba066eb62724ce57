"""What words can single out or count in a scene without being misread."""

from __future__ import annotations

from collections import Counter

from pumice.world.scene import Item, Scene
from pumice.world.vocabulary import CARD, COLOURS, DIE, EDGES, LOOKALIKES, NAMES, PLACES, WHITE


def label(item: Item) -> str:
    """Colour and name, "red cup". A card is white with a coloured number, so its colour is never spoken of."""
    return item.name if item.kind == CARD else f"{item.colour} {item.name}"


def unique(scene: Scene) -> list[tuple[str, Item]]:
    """Every item that words after "the" can single out, with the shortest such words, in reading order.

    The name alone if nothing else has it, else colour and name if nothing else has both.
    """
    names = Counter(item.name for item in scene.items)
    labels = Counter(label(item) for item in scene.items)
    return [
        (item.name if names[item.name] == 1 else label(item), item)
        for item in scene.items
        if names[item.name] == 1 or labels[label(item)] == 1
    ]


def clear_places(scene: Scene) -> list[int]:
    """The cells whose names cannot be misread.

    "At the top" may mean the middle of the upper row or the whole row, so it is clear only while the rest of that
    row is empty. Corners and the centre are always clear.
    """
    taken = {item.cell for item in scene.items}
    return [cell for cell in range(len(PLACES)) if not taken & (set(EDGES.get(cell, ())) - {cell})]


def name_counts(scene: Scene) -> Counter[str]:
    """How many there are of each name in sight, without names that something else could be taken for."""
    return Counter(item.name for item in scene.items if _no_lookalike(scene, item.name))


def colour_counts(scene: Scene) -> Counter[str]:
    """How many things there are of each colour in sight, without the colour that a card's number has."""
    doubtful = {item.colour for item in scene.items if item.kind == CARD}
    return Counter(item.colour for item in scene.items if item.colour in COLOURS and item.colour not in doubtful)


def absent_names(scene: Scene) -> list[str]:
    """Names of nothing in sight, without those that something in sight could be taken for."""
    present = {item.name for item in scene.items}
    return [name for name in NAMES if name not in present and _no_lookalike(scene, name)]


def absent_colours(scene: Scene) -> list[str]:
    """Colours that nothing in sight has."""
    present = {item.colour for item in scene.items}
    return [colour for colour in COLOURS if colour not in present]


def absent_labels(scene: Scene) -> tuple[list[str], list[str]]:
    """Colour and name of things not in sight: those of a name that is in sight, and those of a colour that is."""
    present = {label(item) for item in scene.items}
    names = [item.name for item in scene.items if item.kind != CARD]
    colours = [item.colour for item in scene.items if item.kind != CARD]
    others = [name for name in absent_names(scene) if name != CARD]
    near = {f"{colour} {name}" for name in names for colour in possible_colours(name)} - present
    far = {f"{colour} {name}" for name in others for colour in colours if colour in possible_colours(name)}
    return sorted(near), sorted(far)


def possible_colours(name: str) -> tuple[str, ...]:
    """The colours that a thing of this name can have: white is for dice only."""
    return (*COLOURS, WHITE) if name == DIE else tuple(COLOURS)


def _no_lookalike(scene: Scene, name: str) -> bool:
    return not any(item.name in LOOKALIKES.get(name, ()) for item in scene.items)
