"""A record as the model will see it: its pictures' tiles, and its text with what is learned marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from PIL.Image import Image as PilImage

from pumice.data.records import Record
from pumice.images.restore import as_pictures
from pumice.processor import Processor
from pumice.prompts.encode import IGNORE, IMAGE_ID
from pumice.prompts.tokenizer import Tokenizer
from pumice.prompts.tokens import text_of


@dataclass(frozen=True)
class Span:
    """Neighbouring tokens as text. kind: ``given``, ``learned``, or the place of a ``picture``."""

    text: str
    kind: str


@dataclass(frozen=True)
class Sample:
    """where: file and line. tiles: of all pictures, in order. tokens: how many the model reads."""

    id: str
    where: str
    tiles: tuple[PilImage, ...]
    spans: tuple[Span, ...]
    tokens: int


def as_seen(record: Record, processor: Processor) -> Sample:
    """Read the record's pictures and encode its words, as training does, and turn both back.

    Raises: ImageError, UsageError: the record cannot be read.
    """
    inputs = processor(record.conversation)
    how = processor.preprocessing
    tiles = [] if how is None else [tile for each in inputs.tiles for tile in as_pictures(each, how)]
    spans = _spans(inputs.ids, inputs.labels, processor.tokenizer)
    return Sample(record.id, record.where, tuple(tiles), tuple(spans), len(inputs.ids))


def _spans(ids: Sequence[int], labels: Sequence[int], tokenizer: Tokenizer) -> list[Span]:
    names = {index: name for name, index in tokenizer.specials.items()}

    def kind(pair: tuple[int, int]) -> str:
        return "picture" if pair[0] == IMAGE_ID else "given" if pair[1] == IGNORE else "learned"

    spans = []
    for which, pairs in groupby(zip(ids, labels, strict=True), kind):
        group = [index for index, _ in pairs]
        if which == "picture":
            spans.append(Span(f"[picture: {len(group)} tokens]", which))
        else:
            # A special token adds no bytes to a text; here its name shows that it is there.
            pieces = (tokenizer.token_bytes(index) or names.get(index, "").encode() for index in group)
            spans.append(Span(text_of(pieces, drop_space=False), which))
    return spans
