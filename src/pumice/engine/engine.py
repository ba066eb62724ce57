"""Ask a model about pictures.

    engine = Engine.load()
    print(engine.ask(Conversation.ask("What is this?", (Image("cat.jpg"),))).text)

Follow-up questions encode neither picture nor history again: KV caches and image features are kept by content.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import torch
from torch import Tensor

from pumice.checkpoint.hub import BUNDLED
from pumice.checkpoint.load import Arithmetic, Guess, load_checkpoint
from pumice.engine.answer import Activity, Answer, Sight
from pumice.engine.answering import Answering
from pumice.engine.decode import Runner
from pumice.engine.dtype import choose_dtype
from pumice.engine.guide import Guides
from pumice.engine.looking import Look, look
from pumice.engine.memory import FeatureMemory, PrefixMemory
from pumice.engine.room import refuse_too_long, room_after
from pumice.engine.scheduler import Scheduler
from pumice.engine.stream import Stream
from pumice.errors import UsageError
from pumice.images.fetch import FetchPolicy
from pumice.model.device import choose_device
from pumice.model.llava import Llava
from pumice.options import SamplingOptions, Writing
from pumice.processor import Inputs, Processor
from pumice.prompts.conversation import Asked, Conversation
from pumice.prompts.encode import stopping
from pumice.quantize.plan import Plan

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: Pictures from public addresses; a policy of one's own can allow more, None nothing.
GUARDED = FetchPolicy()
#: What is remembered of earlier conversations and pictures: so many bytes, but of a small model no more than so many
#: full contexts.
KV_BYTES, FEATURE_BYTES = 2 << 30, 256 << 20
CONTEXTS = 8


class _Own(TypedDict, total=False):
    """What an engine may be told that its checkpoint does not say.

    fetch: which URLs pictures may come from. writing: what becomes of writing in pictures. kv_8bit: keys and values
    are remembered as int8. kv_bytes: the most bytes of them that are remembered of earlier conversations; None for a
    few full contexts, but at most 2 GiB.
    """

    fetch: FetchPolicy | None
    kv_8bit: bool
    kv_bytes: int | None
    writing: Writing


class Engine:
    """A model, its processor and what they remember. Any thread may ask; the model makes one token at a time."""

    def __init__(
        self,
        model: Llava,
        processor: Processor,
        *,
        name: str = "model",
        warnings: tuple[str, ...] = (),
        end_ids: Sequence[int] = (),
        **own: Unpack[_Own],
    ) -> None:
        """end_ids: tokens that end an answer besides the tokenizer's and the template's own. own: fetch, writing,
        kv_8bit, kv_bytes; of these, the attributes ``fetch`` and ``writing`` may be set at any time.
        """
        self.model = model.eval()
        self.runner = Runner(self.model, kv_8bit=own.get("kv_8bit", False))
        self.processor = processor
        self.name = name
        self.warnings = warnings
        self.fetch = own.get("fetch", GUARDED)
        self.writing: Writing = own.get("writing", "read")
        self._features = FeatureMemory(self._usual_feature_bytes())
        kv_bytes = own.get("kv_bytes")
        self._prefixes = PrefixMemory(self._usual_kv_bytes() if kv_bytes is None else kv_bytes)
        self._scheduler = Scheduler(self.runner, self._prefixes, self._features_from)
        stop_ids, self._stop_texts = stopping(processor.template, processor.tokenizer)
        self._stop_ids = stop_ids.union(end_ids)
        self._guides = Guides(processor.tokenizer, self._stop_ids)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        base: str | Path | None = None,
        vision_tower: str | Path | None = None,
        template: str | Guess | None = None,
        device: str = "auto",
        dtype: str = "auto",
        offline: bool = False,
        quantization: Plan | None = None,
        **own: Unpack[_Own],
    ) -> Engine:
        """Load a folder or a hub name; None is the bundled model.

        base: the language model that a LoRA or a projector-only folder belongs to. template: instead of the one
        that the checkpoint names. quantization: which layers become integers. own: as for the engine itself.
        Raises: ModelError, MemoryLimitError, UsageError.
        """
        place = choose_device(device)
        found = load_checkpoint(
            BUNDLED if model is None else model,
            base=base,
            vision_tower=vision_tower,
            template=template,
            dtype=choose_dtype(dtype, place),
            how=Arithmetic(quantization, torch.float32 if place.type == "cpu" else None),
            device=place,
            offline=offline,
        )
        name = "pumice-tiny" if model is None else str(model)
        return cls(
            found.model,
            found.processor,
            name=name,
            warnings=found.warnings,
            end_ids=found.description.generation.end_ids,
            **own,
        )

    def _usual_kv_bytes(self) -> int:
        some = self.runner.new_cache(1)
        context = some.nbytes // some.capacity * self.model.config.language.max_positions
        return min(KV_BYTES, CONTEXTS * context)

    def _usual_feature_bytes(self) -> int:
        language = self.model.config.language
        return min(FEATURE_BYTES, CONTEXTS * language.max_positions * language.hidden_size * self.model.dtype.itemsize)

    def sees(self, width: int, height: int, *, alone: bool = True) -> Sight:
        """What the model makes of a picture of ``width`` by ``height`` pixels. Raises UsageError if it sees none.

        alone: whether it is the only one of its conversation.
        """
        return Sight.of(self.processor.geometry, width, height, alone=alone)

    def look(self, conversation: Conversation) -> list[Look]:
        """What the last answer of ``conversation`` looked at, one for each picture; it is read again for this.

        Raises: UsageError without a picture, or without an answer at the end.
        """
        processor = self.processor
        return look(self.model, processor(conversation, fetch=self.fetch), processor.geometry)

    @property
    def most(self) -> int:
        """How many requests are answered together; the others wait."""
        return self._scheduler.most

    @most.setter
    def most(self, count: int) -> None:
        self._scheduler.most = count

    def ask(self, conversation: Asked, options: SamplingOptions | None = None) -> Answer:
        """Answer the conversation's last question."""
        return self.stream(conversation, options).whole()

    def stream(self, conversation: Asked, options: SamplingOptions | None = None) -> Stream:
        """Answer the last question piece by piece. Pictures are read, and errors raised, before this returns."""
        options = options or SamplingOptions()
        answering = self._begin(conversation, options)
        warn = self.writing == "warn"
        review = partial(self._compared, conversation, options, answering.inputs.hashes) if warn else None
        return Stream(self._scheduler, self._scheduler.submit(answering), review)

    def turn(self) -> bool:
        """One step for all streams at once, for a server that waits for none in particular; whether there is more."""
        return self._scheduler.turn()

    @property
    def activity(self) -> Activity:
        """What it is doing now. May be read from any thread; the figures are of about the same moment."""
        prefixes, features = self._prefixes, self._features
        return Activity(
            waiting=self._scheduler.waiting,
            answering=self._scheduler.under_way,
            turns=self._scheduler.turns,
            hits={"prefix": prefixes.hits, "image": features.hits},
            misses={"prefix": prefixes.misses, "image": features.misses},
            bytes={"prefix": prefixes.nbytes, "image": features.nbytes},
        )

    def batch(
        self, conversations: Sequence[Asked], options: SamplingOptions | None = None, *, size: int = 8
    ) -> list[Answer]:
        """Answer several conversations, ``size`` at a time; each answer equals that of ``ask``."""
        if size < 1:
            raise UsageError(f"size, the number of questions answered together, must be at least 1, found {size}")
        answers: list[Answer] = []
        under_way: deque[Stream] = deque()
        try:
            for conversation in conversations:
                if len(under_way) == size:
                    answers.append(under_way[0].whole())
                    under_way.popleft()
                under_way.append(self.stream(conversation, options))
            answers += [stream.whole() for stream in under_way]
        finally:  # after an error, nobody wants the rest
            for stream in under_way:
                stream.cancel()
        return answers

    def _compared(
        self, conversation: Asked, options: SamplingOptions, hashes: tuple[str, ...], answer: Answer
    ) -> Answer:
        """Asks again with writing painted over, if there is any. ``hashes`` are those of the pictures as they are."""
        if answer.finish_reason == "cancelled":
            return answer
        again = self._begin(conversation, replace(options, seed=answer.seed), hide_writing=True)
        if again.inputs.hashes == hashes:
            return answer
        other = Stream(self._scheduler, self._scheduler.submit(again)).whole()
        return replace(answer, changed_by_writing=other.text != answer.text)

    def _begin(self, conversation: Asked, options: SamplingOptions, *, hide_writing: bool = False) -> Answering:
        started = time.monotonic()
        limit = self.model.config.language.max_positions
        refuse_too_long(conversation, self.processor.tokenizer, limit)
        hide_writing = hide_writing or self.writing == "hide"
        inputs = self.processor(conversation, fetch=self.fetch, hide_writing=hide_writing)
        room = room_after(inputs, limit)
        guide = None
        if options.schema is not None:
            guide = self._guides.guide(options.schema, min(options.max_tokens, room))
        tokenizer = self.processor.tokenizer
        return Answering(inputs, options, tokenizer, self._stop_ids, self._stop_texts, room, started, guide=guide)

    def _features_from(self, inputs: Inputs, start: int) -> Tensor | None:
        """Features [n, D] of the image positions from ``start`` on."""
        wanted = sum(1 for token in inputs.ids[start:] if token < 0)
        if not wanted:
            return None
        rows: list[Tensor] = []
        have = 0
        for index in reversed(range(len(inputs.grids))):
            if have < wanted:
                rows.insert(0, self._encode(inputs, index))
                have += inputs.grids[index].tokens
        return torch.cat(rows)[have - wanted :]

    @torch.inference_mode()
    def _encode(self, inputs: Inputs, index: int) -> Tensor:
        fingerprint = inputs.hashes[index]
        features = self._features.get(fingerprint)
        if features is None:
            tiles = torch.from_numpy(inputs.tiles[index]).to(self.model.device)
            features = self.model.features([tiles], [inputs.grids[index]])
            self._features.put(fingerprint, features)
        return features
