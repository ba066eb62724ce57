"""The one door from a conversation to tensors: command line, servers, training and evaluation all pass here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pumice.errors import NoVisionError
from pumice.images.config import Preprocessing
from pumice.images.grid import Grid, seen_once
from pumice.images.load import content_hash, load_image
from pumice.images.preprocess import preprocess
from pumice.images.writing import without_writing
from pumice.prompts.conversation import Asked, Rendered
from pumice.prompts.encode import IMAGE_ID, encode
from pumice.prompts.templates import Template, read_prompt, render
from pumice.prompts.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pumice.images.fetch import FetchPolicy

Tiles: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Inputs:
    """What the model needs of one conversation.

    ids: token ids [L], ``IMAGE_ID`` at every image position. labels: the same length, ``IGNORE`` where nothing is
    supervised. tiles: per picture float32 [t, 3, S, S]. grids: per picture, how its features are laid out.
    hashes: per picture, a fingerprint of its pixels, for caches.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    tiles: tuple[Tiles, ...] = ()
    grids: tuple[Grid, ...] = ()
    hashes: tuple[str, ...] = ()

    @property
    def image_tokens(self) -> int:
        """How many of the ids are image positions."""
        return sum(grid.tokens for grid in self.grids)


@dataclass(frozen=True)
class Picture:
    """One picture as the model will see it."""

    tiles: Tiles
    grid: Grid
    hash: str


@dataclass(frozen=True)
class Processor:
    """A checkpoint's own way to read: tokenizer, template and picture geometry.

    preprocessing: None for a text-only model. image_wrap: special tokens around every picture (some LLaVA v1 models).
    """

    tokenizer: Tokenizer
    template: Template
    preprocessing: Preprocessing | None
    image_wrap: tuple[str, str] | None = None

    def __call__(self, conversation: Asked, *, fetch: FetchPolicy | None = None, hide_writing: bool = False) -> Inputs:
        """Read the pictures and encode the words. An open last question is followed by the assistant's cue.

        hide_writing: what looks like writing in a picture is painted over first.
        Raises: ImageError for a picture that cannot be read, NoVisionError for a picture without a vision tower.
        """
        pictures = self.see_all(conversation, fetch=fetch, hide_writing=hide_writing)
        return self.encode(conversation, pictures)

    @property
    def geometry(self) -> Preprocessing:
        """How pictures are cut. Raises NoVisionError for a text-only model."""
        if self.preprocessing is None:
            raise NoVisionError(
                "this model has no vision tower and cannot look at pictures",
                hint="leave the picture out, or choose a LLaVA model with -m",
            )
        return self.preprocessing

    def see_all(
        self, conversation: Asked, *, fetch: FetchPolicy | None = None, hide_writing: bool = False
    ) -> list[Picture]:
        """Load all pictures of a conversation and cut them into tiles, in reading order."""
        images = list(conversation.images())
        alone = len(images) == 1
        return [
            self.see(each.source, fetch=fetch, alone=alone, overview=each.overview, hide_writing=hide_writing)
            for each in images
        ]

    def see(
        self,
        source: object,
        *,
        fetch: FetchPolicy | None = None,
        alone: bool = True,
        overview: bool = False,
        hide_writing: bool = False,
    ) -> Picture:
        """Load one picture and cut it into tiles; some models look closer at one that is ``alone``, or at all but
        an ``overview``."""
        how = self.geometry
        image = load_image(source, fetch=fetch)  # type: ignore[arg-type]
        if hide_writing:
            image = without_writing(image)
        tiles, grid = preprocess(image, how, alone=alone, overview=overview)
        once = seen_once(how, alone=alone, overview=overview)
        return Picture(tiles, grid, content_hash(image) + "-once" * once)

    def encode(self, conversation: Asked, pictures: Sequence[Picture]) -> Inputs:
        """Ids and labels of a conversation whose pictures are read already, in reading order.

        A prompt that came rendered is read as it is, whatever the template; nothing of it is supervised.
        """
        if isinstance(conversation, Rendered):
            pieces = read_prompt(conversation.prompt)
        else:
            pieces = render(self.template, conversation)
        counts = [picture.grid.tokens for picture in pictures]
        encoded = encode(pieces, self.tokenizer, counts, image_wrap=self.image_wrap)
        inputs = Inputs(
            ids=tuple(encoded.ids),
            labels=tuple(encoded.labels),
            tiles=tuple(picture.tiles for picture in pictures),
            grids=tuple(picture.grid for picture in pictures),
            hashes=tuple(picture.hash for picture in pictures),
        )
        assert inputs.ids.count(IMAGE_ID) == inputs.image_tokens
        return inputs
