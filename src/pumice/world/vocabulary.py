"""The words of the synthetic world: what can stand in a picture, and how it is named."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Rgb: TypeAlias = tuple[int, int, int]
Kind: TypeAlias = Literal["shape", "object", "die", "sign", "card"]

COLOURS: dict[str, Rgb] = {
    "red": (214, 32, 40),
    "green": (38, 150, 60),
    "blue": (30, 84, 210),
    "yellow": (246, 208, 20),
    "orange": (245, 130, 16),
    "purple": (124, 48, 170),
    "pink": (248, 132, 188),
    "brown": (124, 76, 38),
}
# Only dice can be white: anything else would be lost on the light backgrounds.
WHITE = "white"
WHITE_RGB: Rgb = (252, 251, 246)
INK: Rgb = (34, 34, 38)
GREY: Rgb = (92, 88, 86)
PAPER: Rgb = (250, 250, 250)

# Width over height of the drawn thing; the longer side takes the item's size.
SHAPES: dict[str, float] = {
    "circle": 1.0,
    "square": 1.0,
    "triangle": 1.1,
    "star": 1.05,
    "heart": 1.08,
    "diamond": 0.78,
}
OBJECTS: dict[str, float] = {
    "apple": 0.92,
    "boat": 1.0,
    "book": 1.3,
    "car": 1.75,
    "chair": 0.68,
    "clock": 0.88,
    "cup": 1.15,
    "fish": 1.65,
    "hat": 1.5,
    "house": 1.0,
    "key": 2.3,
    "lamp": 0.72,
    "tree": 0.75,
    "umbrella": 0.95,
}
DIE, SIGN, CARD = "die", "sign", "card"
NAMES: tuple[str, ...] = (*SHAPES, *OBJECTS, DIE, SIGN, CARD)

IRREGULAR_PLURALS: dict[str, str] = {"die": "dice", "fish": "fish"}

WORDS: tuple[str, ...] = (
    "BANK", "BAR", "BOOKS", "BUS", "CAFE", "CASH", "CLUB", "COLD", "DOOR", "EXIT",
    "FIRE", "FOOD", "FREE", "GAS", "GIFT", "GO", "HELP", "HOTEL", "ICE", "INFO",
    "KEYS", "LEFT", "LIFT", "MAPS", "MENU", "MILK", "MUSIC", "NO", "OPEN", "PARK",
    "POST", "PULL", "PUSH", "RIGHT", "SALE", "SHOP", "SLOW", "STOP", "TAXI", "TEA",
    "TOURS", "WAIT", "WATER", "YES", "ZOO",
)  # fmt: skip

# Cells of the 3 x 3 grid in reading order: the phrase after a verb, and the short form.
PLACES: tuple[str, ...] = (
    "at the top left",
    "at the top",
    "at the top right",
    "on the left",
    "in the centre",
    "on the right",
    "at the bottom left",
    "at the bottom",
    "at the bottom right",
)
SHORT_PLACES: tuple[str, ...] = (
    "top left",
    "top",
    "top right",
    "left",
    "centre",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
# "At the top" alone can be read as the whole upper row; such a place is asked about only if its row or column agrees.
EDGES: dict[int, tuple[int, int, int]] = {1: (0, 1, 2), 3: (0, 3, 6), 5: (2, 5, 8), 7: (6, 7, 8)}

# What a person might also call by the name: such things are never counted, nor their absence asserted.
LOOKALIKES: dict[str, frozenset[str]] = {
    "circle": frozenset({"clock"}),
    "square": frozenset({"die", "sign", "card"}),
}


class Affordance(NamedTuple):
    """What something is good for. ``doubtful`` names might count too, so nothing is asked while one is in sight."""

    name: str
    can: str
    ability: str
    doubtful: frozenset[str] = frozenset()


# ``can`` follows "something you could", ``ability`` follows "the apple can" or "nothing here can".
AFFORDANCES: tuple[Affordance, ...] = (
    Affordance("apple", "eat", "be eaten", frozenset({"fish"})),
    Affordance("house", "live in", "be lived in", frozenset({"boat"})),
    Affordance("car", "drive on a road", "be driven on a road"),
    Affordance("boat", "sail across a lake", "be sailed across a lake"),
    Affordance("hat", "wear on your head", "be worn on the head"),
    Affordance("book", "read a story in", "be read as a story"),
    Affordance("key", "open a locked door with", "open a locked door"),
    Affordance("cup", "drink tea from", "hold a drink"),
    Affordance("clock", "tell the time with", "tell the time"),
    Affordance("umbrella", "keep the rain off with", "keep the rain off", frozenset({"hat", "house", "car", "tree"})),
    Affordance("chair", "sit on at a table", "be sat on at a table"),
    Affordance("lamp", "light a room with", "light a room"),
    Affordance("fish", "catch with a rod", "be caught with a rod"),
    Affordance("tree", "climb in a forest", "be climbed in a forest"),
)


def plural(name: str) -> str:
    """The name of several: "cups", "dice", "fish"."""
    return IRREGULAR_PLURALS.get(name, f"{name}s")


def article(words: str) -> str:
    """The words with "a" or "an" in front. Every word of this world that starts with a vowel takes "an"."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def join(parts: list[str]) -> str:
    """One, two or more parts as an English list without a comma before the last "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
