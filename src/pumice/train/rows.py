"""Sources of rows: anything with a length that gives row ``index``, the same one each time."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from pumice.data.fitting import fit
from pumice.data.packing import Row, pack
from pumice.data.records import Record
from pumice.errors import PumiceError
from pumice.processor import Processor
from pumice.train.grounding import ground
from pumice.train.recipe import WorldData
from pumice.world.draw import draw_scene
from pumice.world.records import caption_conversations, multi_turn, qa_conversations
from pumice.world.scene import make_scene


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
            return fitted.inputs and replace(pack([fitted.inputs]), cut=fitted.cut)
        except PumiceError as error:
            raise type(error)(f"{record.where}: {error}", hint=error.hint) from error


@dataclass(frozen=True)
class WorldRows:
    """One row a scene: captions of it, or questions about it, that share the picture.

    grounded: rows say what their words speak of.
    """

    data: WorldData
    processor: Processor
    sizes: tuple[int, ...]
    grounded: bool = False

    def __len__(self) -> int:
        return self.data.scenes

    def __getitem__(self, index: int) -> Row:
        scene = make_scene("train", self.data.first + index)
        rng = random.Random(f"rows:{scene.index}")
        drawing = draw_scene(scene, rng.choice(self.sizes))
        if self.data.task == "caption":
            conversations = caption_conversations(scene, drawing, rng, self.data.captions)
        else:
            asked = qa_conversations(scene, drawing, rng, detail=self.data.details, favoured=self.data.favoured)
            conversations = asked[: self.data.questions]
            if rng.random() < self.data.several_turns:
                conversations.append(multi_turn(scene, drawing, rng))
        picture = self.processor.see(drawing)
        row = pack([self.processor.encode(each, [picture]) for each in conversations])
        return ground(row, scene, self.processor.tokenizer) if self.grounded else row
