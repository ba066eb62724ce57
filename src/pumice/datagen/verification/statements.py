"""What a sentence says about a picture, as values that know no picture yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.annotations.numbers import Bound
from pumice.datagen.verification.lexicon import Direction
from pumice.datagen.verification.sentences import Noun

RelationName: TypeAlias = Literal["left", "right", "above", "below"]
Measure: TypeAlias = Literal["area", "width", "height"]


@dataclass(frozen=True)
class Existence:
    """There is such a thing. part: of the picture only, as in "a dog on the couch": its absence says nothing."""

    noun: Noun
    part: bool = False


@dataclass(frozen=True)
class Count:
    """There are so many. nouns: one, or several of one category ("a man and two women").

    whole: of the whole picture, so that there are no others; else others may be there.
    """

    nouns: tuple[Noun, ...]
    number: int
    bound: Bound
    whole: bool


@dataclass(frozen=True)
class Colour:
    """It has these colours. surface: its surface has, which may be a part of it."""

    noun: Noun
    colours: tuple[str, ...]
    surface: bool = False


@dataclass(frozen=True)
class Place:
    """One of ``nouns`` (the sentence does not say clearly which) is in this part of the picture."""

    nouns: tuple[Noun, ...]
    where: Direction
    corner: bool = False


@dataclass(frozen=True)
class Relation:
    """One of ``nouns`` is to the left of, to the right of, above, or below ``other``, as the viewer sees it."""

    nouns: tuple[Noun, ...]
    relation: RelationName
    other: Noun


@dataclass(frozen=True)
class Size:
    """It is larger (or ``smaller``) than ``other``, or than every other of ``among``; than everything if None."""

    noun: Noun
    measure: Measure
    smaller: bool
    other: Noun | None = None
    among: Noun | None = None


Content: TypeAlias = Existence | Count | Colour | Place | Relation | Size


@dataclass(frozen=True)
class Statement:
    """Something said, or ``denied`` ("is not red"). firm: as a fact, rather than as a guess or a rule."""

    content: Content
    denied: bool = False
    firm: bool = True
