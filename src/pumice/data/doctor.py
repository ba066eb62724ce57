"""Checks a data set as training would read it, and does not stop at the first fault."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pumice.data.faults import Fault, Finding
from pumice.data.leaks import Evaluation, Known, questions_of
from pumice.data.parsing import Raw, parse
from pumice.data.pictures import Seen, look
from pumice.data.records import Record, as_record, record_id, refusals
from pumice.data.rules import doubtful, image_names, said
from pumice.errors import UsageError
from pumice.images.grid import plan
from pumice.processor import Inputs, Picture, Processor
from pumice.prompts.encode import IGNORE

_NO_TILES = np.empty((0, 3, 0, 0), np.float32)  # lengths need none, and to make them takes most of the time
_AHEAD = 64  # records whose pictures are decoded in the meantime
_MOST_THREADS = 8


@dataclass(frozen=True)
class Task:
    """What is to be checked, and as what.

    records, images: as for training. processor: of the model that will be trained. max_tokens: the longest row.
    evaluation: what must not be learned. samples: how many records are kept to be shown, drawn with ``seed``.
    """

    records: Path
    images: Path
    processor: Processor
    max_tokens: int
    evaluation: Evaluation | None = None
    samples: int = 12
    seed: int = 0


@dataclass
class Summary:
    """Of a data set so far.

    counts: findings by kind. tokens, learned: of each record that can be encoded, all and those that it teaches.
    sizes: of each picture, (width, height). samples: records to be shown.
    """

    records: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    tokens: list[int] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    samples: list[Record] = field(default_factory=list)


class Doctor:
    """One examination. ``summary`` is complete once ``findings`` has run to its end."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._specials = tuple(task.processor.tokenizer.specials)
        self._opened: dict[str, Future[Seen]] = {}
        self._seen: dict[str, Seen] = {}
        self._ids: dict[str, str] = {}
        self._contents: dict[bytes, str] = {}
        self._rng = random.Random(task.seed)
        self.summary = Summary()

    def findings(self, watch: Callable[[int], object] = lambda _: None) -> Iterator[Finding]:
        """Every fault, in the file's order. watch: is told how many characters have been dealt with.

        Raises: UsageError if the file cannot be read at all.
        """
        with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
            for raw in self._ahead(pool):
                name = record_id(raw.value) if isinstance(raw.value, dict) else ""
                for fault in self._faults(raw, name):
                    self.summary.counts[fault.kind] += 1
                    yield Finding(fault, self._task.records, raw.line, name)
                watch(raw.end)

    def _ahead(self, pool: ThreadPoolExecutor) -> Iterator[Raw]:
        """The values of the file; their pictures are decoded by other threads until it is their turn."""
        waiting: deque[Raw] = deque()
        for raw in parse(self._task.records):
            for name in _pictures(raw.value):
                if name not in self._seen and name not in self._opened:
                    self._opened[name] = pool.submit(look, name, self._task.images)
            waiting.append(raw)
            if len(waiting) > _AHEAD:
                yield waiting.popleft()
        yield from waiting

    def _faults(self, raw: Raw, name: str) -> Iterator[Fault]:
        refused = list(refusals(raw))
        yield from refused
        value, place = raw.value, raw.place(self._task.records)
        if not isinstance(value, dict):
            return
        self.summary.records += 1
        if name and name in self._ids:
            yield Fault("duplicate-id", f"{self._ids[name]} has the id {name!r}, too")
        self._ids.setdefault(name, place)
        # What is wrong with a picture is said of every record that has it, what is doubtful once.
        new = [each for each in _pictures(value) if each not in self._seen]
        pictures = {each: self._look(each) for each in _pictures(value)}
        told = [(each, fault) for each, seen in pictures.items() for fault in seen.faults]
        yield from (fault for each, fault in told if each in new or fault.severity == "error")
        if any(fault.kind != "encoding" for fault in refused):
            return
        yield from doubtful(value, self._specials)
        known = [Known(each, pictures[each].hash) for each in _pictures(value)]
        yield from self._repeated(value, known, place)
        if self._task.evaluation is not None:
            yield from self._task.evaluation.leaks(known, questions_of(value))
        if all(seen.size is not None for seen in pictures.values()):
            record = as_record(value, self._task.images, place)
            yield from self._encoded(record, [pictures[each] for each in _pictures(value)])

    def _look(self, name: str) -> Seen:
        if name not in self._seen:
            seen = self._seen[name] = self._opened.pop(name).result()
            if seen.size is not None:
                self.summary.sizes.append(seen.size)
        return self._seen[name]

    def _repeated(self, value: Mapping[str, object], pictures: Sequence[Known], place: str) -> Iterator[Fault]:
        content = json.dumps([[each.key for each in pictures], said(value)]).encode()
        first = self._contents.setdefault(hashlib.sha256(content).digest(), place)
        if first != place:
            yield Fault("duplicate-record", f"{first} has the same pictures and words")

    def _encoded(self, record: Record, pictures: Sequence[Seen]) -> Iterator[Fault]:
        try:
            inputs = self._inputs(record, pictures)
        except UsageError as error:
            yield Fault("cannot-encode", str(error))
            return
        learned = sum(label != IGNORE for label in inputs.labels)
        room = self._task.max_tokens
        if len(inputs.ids) > room:
            lost = sum(label != IGNORE for label in inputs.labels[room:])
            yield Fault(
                "too-long",
                f"{len(inputs.ids)} tokens, {inputs.image_tokens} of them pictures, and room for {room}: "
                f"{lost} of {learned} tokens of answers would be cut",
            )
        if not learned:
            yield Fault("no-supervised", "no token of it is supervised")
        self.summary.tokens.append(len(inputs.ids))
        self.summary.learned.append(learned)
        self._keep(record)

    def _inputs(self, record: Record, pictures: Sequence[Seen]) -> Inputs:
        """As the processor would make them, without the tiles."""
        how = self._task.processor.preprocessing
        if how is None and pictures:
            raise UsageError("this model has no vision tower and cannot look at pictures")
        sizes = [(seen.hash, seen.size) for seen in pictures if seen.size is not None]
        alone = len(sizes) == 1
        seen = [Picture(_NO_TILES, plan(*size, how, alone=alone), name) for name, size in sizes if how is not None]
        return self._task.processor.encode(record.conversation, seen)

    def _keep(self, record: Record) -> None:
        """Every record that can be encoded has the same chance to be among the samples."""
        samples, count = self.summary.samples, len(self.summary.tokens)
        if len(samples) < self._task.samples:
            samples.append(record)
        elif (place := self._rng.randrange(count)) < len(samples):
            samples[place] = record


def _pictures(value: object) -> list[str]:
    return (image_names(value) or []) if isinstance(value, dict) else []
