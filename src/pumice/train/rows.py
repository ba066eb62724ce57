"""Sources of rows: anything with a length that gives row ``index``, the same one each time."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from pumice.data.fitting import fit
from pumice.data.packing import Row, pack
from pumice.data.records import Record
from pumice.errors import PumiceError, UsageError
from pumice.model.config import LlavaConfig
from pumice.processor import Processor
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
    """One row a record, None for one of which ``limit`` tokens leave nothing to learn; 0 is no limit."""

    records: list[Record]
    processor: Processor
    limit: int = 0

    def __len__(self) -> int:
        return len(self.records)

    def size(self, index: int) -> int:
        """About how long row ``index`` is, in characters: four of them make a token."""
        conversation = self.records[index].conversation
        how = self.processor.preprocessing
        picture = 0 if how is None else 4 * how.side**2
        return sum(len(turn.text) for turn in conversation.turns) + picture * sum(1 for _ in conversation.images())

    def __getitem__(self, index: int) -> Row | None:
        record = self.records[index]
        try:
            fitted = fit(self.processor, record.conversation, self.limit)
            return None if fitted.inputs is None else replace(pack([fitted.inputs]), cut=fitted.cut)
        except PumiceError as error:
            hint = f"{error.hint}; {_CHECK}" if error.hint else _CHECK
            raise type(error)(f"{record.where}: {error}", hint=hint) from error


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
