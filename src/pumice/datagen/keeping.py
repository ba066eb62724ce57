"""Keeps what was made: takes scenes in order, leaves out what was said before, writes, counts, and commits.

Whatever ends the process, the folder holds everything up to the last commit and nothing by halves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType

from pumice.datagen.folder import (
    GROWING,
    PROVENANCE,
    RECORDS,
    REJECTIONS,
    TIMES,
    keep_picture,
    read_progress,
    sweep,
    write_progress,
)
from pumice.datagen.gates.duplicates import Duplicates
from pumice.datagen.pipeline import Attempt, Made, Outcome, record, sample_of
from pumice.datagen.plan import Plan
from pumice.datagen.samples import Draft, Json, Sample
from pumice.datagen.tally import Tally
from pumice.datagen.teacher import Reply
from pumice.datagen.writing import GrowingFiles

_EVERY_S = 1.0  # between two commits: what a killed process has to do again


class Keeper:
    """The output of a run, from where an earlier process left it. A context manager; leaving it commits."""

    def __init__(self, folder: Path, plan: Plan, watch: Callable[[Tally], object]) -> None:
        """folder: opened by ``folder.opened``. watch: told after every scene. Raises: UsageError for damaged files."""
        self.progress, self.tally = read_progress(folder)
        self.tally.seed = plan.seed
        self._folder = folder
        self._watch = watch
        self._files: GrowingFiles | None = None
        self._earlier = Duplicates() if plan.distinct else None
        self._committed = time.monotonic()

    def __enter__(self) -> Keeper:
        if not self.progress.finished:
            sweep(self._folder)
            self._files = GrowingFiles(self._folder, GROWING, self.progress.lengths, lists=(RECORDS,))
            self._remember()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._files is not None:
            with self._files:
                self._commit(finished=self.progress.finished)

    def take(self, made: Made) -> None:
        """What was made of the next scene."""
        assert self._files is not None
        if made.picture is not None:
            keep_picture(self._folder, made.image, made.picture)
        made = replace(made, outcomes=tuple(self._distinct(outcome) for outcome in made.outcomes))
        for outcome in made.outcomes:
            self._write(self._files, outcome)
        if made.missing:
            lost = {"scene": made.scene, "image": made.image, "reason": "missing-picture"}
            self._files.add(REJECTIONS, json.dumps(lost))
        self.tally.add(made)
        self.progress = replace(self.progress, scenes=self.progress.scenes + 1)
        self._watch(self.tally)
        if time.monotonic() - self._committed > _EVERY_S:
            self._commit(finished=False)

    def finish(self) -> None:
        """There is nothing more to come."""
        self.progress = replace(self.progress, finished=True)

    def _remember(self) -> None:
        """The samples of earlier processes: what follows must differ from them, too."""
        if self._earlier is not None and self.tally.samples:
            with (self._folder / RECORDS).open(encoding="utf-8") as lines:
                for line in islice(lines, 1, 1 + self.tally.samples):
                    self._earlier.seen(sample_of(json.loads(line.rstrip(",\n"))))

    def _distinct(self, outcome: Outcome) -> Outcome:
        sample = outcome.sample
        rejection = None if sample is None or self._earlier is None else self._earlier.seen(sample)
        if sample is None or rejection is None:
            return outcome
        origin = sample.provenance
        draft = Draft(sample.kind, sample.exchanges)
        reply = Reply(draft, origin.time, origin.tokens_in, origin.tokens_out, origin.cost, outcome.request)
        return Outcome(outcome.order, None, (*outcome.attempts, Attempt(rejection, reply)))

    def _commit(self, *, finished: bool) -> None:
        assert self._files is not None
        self.progress = replace(self.progress, lengths=self._files.commit(), finished=finished)
        write_progress(self._folder, self.progress, self.tally)
        self._committed = time.monotonic()

    @staticmethod
    def _write(files: GrowingFiles, outcome: Outcome) -> None:
        for number, attempt in enumerate(outcome.attempts):
            files.add(REJECTIONS, json.dumps(_rejection(outcome, attempt, number)))
        sample = outcome.sample
        if sample is not None:
            files.add(RECORDS, json.dumps(record(sample), ensure_ascii=False))
            files.add(PROVENANCE, json.dumps(_origin(outcome, sample), ensure_ascii=False))
            files.add(TIMES, json.dumps({"id": sample.id, "time": sample.provenance.time}))


def _origin(outcome: Outcome, sample: Sample) -> dict[str, Json]:
    """Everything about where a sample came from but the time, which differs between runs that are otherwise equal."""
    origin = sample.provenance
    return {
        "id": sample.id,
        "scene": outcome.order.scene,
        "image": sample.image,
        "kind": sample.kind,
        "teacher": origin.teacher,
        "parameters": dict(origin.parameters),
        "prompt_version": origin.prompt_version,
        "annotation_ids": list(origin.annotation_ids),
        "attempt": len(outcome.attempts) + 1,
        "request": outcome.request,
        "tokens_in": origin.tokens_in,
        "tokens_out": origin.tokens_out,
        "cost": origin.cost,
        "checks": [dict(each) for each in origin.checks],
    }


def _rejection(outcome: Outcome, attempt: Attempt, number: int) -> dict[str, Json]:
    reply = attempt.reply
    said: list[Json] = [{"question": each.question, "answer": each.answer} for each in attempt.exchanges]
    return {
        "id": outcome.order.id,
        "scene": outcome.order.scene,
        "kind": outcome.order.kind,
        "attempt": number + 1,
        "given_up": outcome.sample is None and number + 1 == len(outcome.attempts),
        "reason": attempt.rejection.reason,
        "detail": attempt.rejection.detail,
        "request": reply.request,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "cost": reply.cost,
        "exchanges": said,
        "checks": [claim.as_json() for claim in attempt.claims],
    }
