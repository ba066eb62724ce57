"""What things are for, and where they usually stand: the knowledge behind the offline teacher's reasoning."""

from __future__ import annotations

from typing import NamedTuple


class Use(NamedTuple):
    """What one could do: ``can`` follows "something you could", ``why`` gives the reason after "because"."""

    can: str
    why: str
    categories: tuple[str, ...]


USES: tuple[Use, ...] = (
    Use("keep the rain off with", "its cloth keeps water away", ("umbrella",)),
    Use("tell the time with", "it shows the hours", ("clock",)),
    Use("cut bread with", "it has a blade", ("knife",)),
    Use("eat soup with", "it holds liquid and is easy to lift", ("spoon",)),
    Use("call somebody with", "it connects to other phones", ("cell phone",)),
    Use("read a story in", "its pages are printed", ("book",)),
    Use("put flowers into", "it holds water and stems", ("vase",)),
    Use("keep food cold in", "it cools what is inside", ("refrigerator",)),
    Use("warm up a meal in", "it heats food", ("microwave", "oven")),
    Use("brush your teeth with", "its bristles clean", ("toothbrush",)),
    Use("dry your hair with", "it blows warm air", ("hair drier",)),
    Use("cut paper with", "two blades close on each other", ("scissors",)),
    Use("write an email on", "it has keys and a screen", ("laptop",)),
    Use("put out a fire with water from", "fire fighters connect their hoses to it", ("fire hydrant",)),
    Use("carry clothes to a hotel in", "it is made for packing", ("suitcase", "backpack")),
    Use("hit a ball with", "it is made for striking", ("tennis racket", "baseball bat")),
    Use("ride a wave on", "it floats and can be steered", ("surfboard",)),
    Use("ride home on", "it has two wheels and a saddle", ("bicycle", "motorcycle")),
    Use("cross a lake in", "it floats and keeps the water out", ("boat",)),
    Use("fly to another country in", "it carries passengers through the air", ("airplane",)),
    Use("travel on rails in", "it runs on rails", ("train",)),
    Use("wash your hands in", "it has running water", ("sink",)),
    Use("sleep in at night", "it is made for lying down", ("bed",)),
    Use("wear around the neck with a shirt", "it belongs to formal dress", ("tie",)),
    Use("pay for parking at", "it takes money for the place", ("parking meter",)),
    Use("throw for a dog to fetch", "it flies far and is easy to bite", ("frisbee",)),
    Use("let fly in the wind on a string", "the wind carries it", ("kite",)),
)


class Setting(NamedTuple):
    """A kind of place; two of ``signs`` in one picture speak for it."""

    name: str
    signs: tuple[str, ...]


SETTINGS: tuple[Setting, ...] = (
    Setting("a kitchen", ("oven", "refrigerator", "microwave", "toaster", "sink")),
    Setting("a bathroom", ("toilet", "sink", "toothbrush", "hair drier")),
    Setting("a living room", ("couch", "tv", "remote", "vase")),
    Setting("an office or a study", ("laptop", "keyboard", "mouse", "book")),
    Setting(
        "a street with traffic", ("car", "bus", "truck", "traffic light", "stop sign", "parking meter", "motorcycle")
    ),
    Setting("a pasture or a farm", ("cow", "sheep", "horse")),
    Setting("a place where people eat", ("dining table", "fork", "knife", "wine glass", "spoon", "pizza", "cake")),
    Setting("a baseball game", ("baseball bat", "baseball glove", "sports ball")),
    Setting("a tennis court", ("tennis racket", "sports ball")),
    Setting("a ski slope", ("skis", "snowboard")),
    Setting("the African savanna or a zoo", ("zebra", "giraffe", "elephant")),
)

#: What no picture tells, with the part of an answer that says so.
UNKNOWABLE: tuple[tuple[str, str], ...] = (
    ("What was happening just before this {picture} was taken?", "what happened before"),
    ("On which day of the week was this {picture} taken?", "on which day it was taken"),
    ("Who took this {picture}?", "who took it"),
    ("What is going to happen next?", "what comes next"),
    ("In which town was this {picture} taken?", "in which town it was taken"),
    ("How much did everything here cost?", "what anything cost"),
)
