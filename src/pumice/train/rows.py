"""Sources of rows: anything with a length that gives row ``index``, the same one each time."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pumice.data.packing import Row, pack
from pumice.data.records import Record
from pumice.errors import PumiceError
from pumice.processor import Processor
from pumice.prompts.conversation import Conversation
from pumice.train.grounding import ground
from pumice.train.recipe import WorldData
from pumice.world.draw import draw_scene
from pumice.world.records import caption_conversations, multi_turn, qa_conversations
from pumice.world.scene import Scene, Split, make_scene


@dataclass(frozen=True)
class RecordRows:
    """One row a record."""

    records: list[Record]
    processor: Processor

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Row:
        record = self.records[index]
        try:
            return pack([self.processor(record.conversation)])
        except PumiceError as error:
            raise type(error)(f"{record.where}: {error}", hint=error.hint) from error


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
