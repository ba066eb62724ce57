"""Sources of rows: anything with a length that gives row ``index``, the same one each time."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pumice.data.fitting import fit
from pumice.data.packing import Row, pack
from pumice.data.records import Record
from pumice.errors import PumiceError, UsageError
from pumice.model.config import LlavaConfig
from pumice.processor import Inputs, Processor
from pumice.prompts.conversation import Conversation
from pumice.train.grounding import ground
from pumice.train.recipe import Recipe, WorldData
from pumice.world.draw import draw_scene
from pumice.world.records import caption_conversations, multi_turn, qa_conversations
from pumice.world.scene import Scene, Split, make_scene

_CHECK = "pumice data doctor finds every fault of a file before training"


def row_limit(recipe: Recipe, model: LlavaConfig) -> int:
    """The most tokens that a row of records may have."""
    return recipe.max_tokens or model.language.max_positions


@dataclass(frozen=True)
class RecordRows:
    """Rows of records, None for one of which ``limit`` tokens leave nothing to learn; 0 is no limit.

    together: how many records about one picture can share a row, each learned as if it stood alone; those of a picture
    are dealt out in turn. The limit is each record's.
    """

    records: list[Record]
    processor: Processor
    limit: int = 0
    together: int = 1

    @cached_property
    def _groups(self) -> list[list[int]]:
        """Numbers of the records in each row; a row stands where its first record does."""
        if self.together == 1:
            return [[number] for number in range(len(self.records))]
        alike: dict[object, list[int]] = {}
        for number, record in enumerate(self.records):
            picture = _only_picture(record.conversation)
            alike.setdefault(number if picture is None else picture, []).append(number)
        dealt = [
            numbers[place :: math.ceil(len(numbers) / self.together)]
            for numbers in alike.values()
            for place in range(math.ceil(len(numbers) / self.together))
        ]
        return sorted(dealt)

    def __len__(self) -> int:
        return len(self._groups)

    def size(self, index: int) -> int:
        """About how long row ``index`` is, in characters: four of them make a token."""
        conversations = [self.records[number].conversation for number in self._groups[index]]
        how = self.processor.preprocessing
        picture = 0 if how is None else 4 * how.side**2
        words = sum(len(turn.text) for each in conversations for turn in each.turns)
        return words + picture * sum(1 for _ in conversations[0].images())

    def __getitem__(self, index: int) -> Row | None:
        records = [self.records[number] for number in self._groups[index]]
        pictures = None
        kept: list[Inputs] = []
        cut = 0
        for record in records:
            try:
                if pictures is None:
                    pictures = self.processor.see_all(record.conversation)
                fitted = fit(self.processor, record.conversation, self.limit, pictures)
                if fitted.inputs is not None:
                    pack([fitted.inputs])
                    kept.append(fitted.inputs)
                    cut += fitted.cut
            except PumiceError as error:
                hint = f"{error.hint}; {_CHECK}" if error.hint else _CHECK
                raise type(error)(f"{record.where}: {error}", hint=hint) from error
        return replace(pack(kept), cut=cut) if kept else None


def _only_picture(conversation: Conversation) -> Path | None:
    """The file of a conversation's one picture, if it stands in front of everything."""
    pictures = [*conversation.images()]
    if len(pictures) != 1 or conversation.turns[0].parts[:1] != (pictures[0],):
        return None
    return pictures[0].source if isinstance(pictures[0].source, Path) else None


@dataclass(frozen=True)
class MixedRows:
    """Several sources with their weights: of 0.5 an epoch has half the rows, drawn anew each time; of 2 all, twice.

    Its length is that of an epoch; its rows are those of all parts, one part after the other.
    Raises: UsageError for a weight that leaves nothing of its part.
    """

    parts: tuple[RecordRows, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        for part, weight, count in zip(self.parts, self.weights, self._counts(), strict=True):
            if not count:
                raise UsageError(f"files: a weight of {weight:g} leaves none of {len(part)} records to an epoch")

    def __len__(self) -> int:
        return sum(self._counts())

    def __getitem__(self, index: int) -> Row | None:
        part, place = self._place(index)
        return part[place]

    def size(self, index: int) -> int:
        """About how long row ``index`` is (RecordRows.size)."""
        part, place = self._place(index)
        return part.size(place)

    def epoch(self, number: int, seed: int) -> ChosenRows:
        """The rows of epoch ``number``, still in the order of the parts."""
        chosen: list[int] = []
        begin = 0
        for place, (part, count) in enumerate(zip(self.parts, self._counts(), strict=True)):
            passes, rest = divmod(count, len(part))
            whole = range(begin, begin + len(part))
            chosen += [*whole] * passes + random.Random(f"mixture:{seed}:{number}:{place}").sample(whole, rest)
            begin += len(part)
        return ChosenRows(self, tuple(chosen))

    def _place(self, index: int) -> tuple[RecordRows, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)

    def _counts(self) -> list[int]:
        return [round(weight * len(part)) for part, weight in zip(self.parts, self.weights, strict=True)]


@dataclass(frozen=True)
class ChosenRows:
    """The rows of ``source`` with the numbers ``chosen``."""

    source: MixedRows
    chosen: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> Row | None:
        return self.source[self.chosen[index]]

    def size(self, index: int) -> int:
        return self.source.size(self.chosen[index])


@dataclass(frozen=True)
class WorldRows:
    """One row a scene: captions of it, or questions about it, that share the picture.

    grounded: rows say what their words speak of. split: the sequence that the scenes are of.
    """

    data: WorldData
    processor: Processor
    sizes: tuple[int, ...]
    grounded: bool = False
    split: Split = "train"

    def __len__(self) -> int:
        return self.data.scenes

    def size(self, index: int) -> int:
        """How many things there are to speak of."""
        return len(make_scene(self.split, self.data.first + index).items)

    def __getitem__(self, index: int) -> Row:
        scene, conversations = self.conversations(index)
        picture = self.processor.see(next(conversations[0].images()).source)
        row = pack([self.processor.encode(each, [picture]) for each in conversations])
        return ground(row, scene, self.processor.tokenizer) if self.grounded else row

    def conversations(self, index: int) -> tuple[Scene, list[Conversation]]:
        """The scene of row ``index`` and what is said about it, each time with the same picture in front."""
        scene = make_scene(self.split, self.data.first + index)
        rng = random.Random(f"rows:{scene.index}")
        drawing = draw_scene(scene, rng.choice(self.sizes))
        if self.data.task == "caption":
            conversations = caption_conversations(scene, drawing, rng, self.data.captions)
        else:
            asked = qa_conversations(scene, drawing, rng, detail=self.data.details, favoured=self.data.favoured)
            conversations = asked[: self.data.questions]
            if rng.random() < self.data.several_turns:
                conversations.append(multi_turn(scene, drawing, rng))
        return scene, conversations
