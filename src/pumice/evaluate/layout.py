"""Where the files of a run are.

OUT/pope.result.json          figures, intervals, and how they are computed
OUT/pope/answers.jsonl        answers in the original's format, in the order of the questions
OUT/pope/answers.1-of-2.jsonl those of one part, until all parts are there
OUT/pope/errors.jsonl         questions without an answer, and why (errors.1-of-2.jsonl for a part)
OUT/pope/run.json             what the answers were made with
OUT/pope/rows.jsonl           what each question contributes to the figures
OUT/pope.blind/...            the same for a control
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

RESULT = ".result.json"


@dataclass(frozen=True)
class Shard:
    """One part of a benchmark's questions: contiguous, as the original's ``--chunk-idx``. index: from 0."""

    index: int = 0
    count: int = 1

    def slice(self, questions: int) -> slice:
        """Which of so many questions: as ``--num-chunks`` cut them, each part but the last ones of ceil(n / count)."""
        length = -(-questions // self.count)
        return slice(self.index * length, (self.index + 1) * length)


#: All questions.
WHOLE = Shard()


@dataclass(frozen=True)
class Place:
    """One benchmark in a run's folder. control: "blind", "shuffled", or "" for the real questions."""

    folder: Path
    task: str
    control: str = ""

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.task}.{self.control}" if self.control else self.task

    @property
    def result(self) -> Path:
        """Figures."""
        return self.folder / f"{self.name}{RESULT}"

    @property
    def run(self) -> Path:
        """What the answers were made with."""
        return self.folder / self.name / "run.json"

    @property
    def rows(self) -> Path:
        """What each question contributes."""
        return self.folder / self.name / "rows.jsonl"

    @property
    def verdicts(self) -> Path:
        """What a judge said."""
        return self.folder / self.name / "verdicts.jsonl"

    @property
    def ledger(self) -> Path:
        """What a judge has cost; of the whole folder."""
        return self.folder / "judge.sqlite"

    @property
    def merged(self) -> Path:
        """All answers."""
        return self.answers(WHOLE)

    def answers(self, shard: Shard) -> Path:
        """Those of one part; of the only one, all."""
        return self._part("answers", shard)

    def errors(self, shard: Shard) -> Path:
        """Questions that one part has no answers to."""
        return self._part("errors", shard)

    def _part(self, what: str, shard: Shard) -> Path:
        part = "" if shard.count == 1 else f".{shard.index + 1}-of-{shard.count}"
        return self.folder / self.name / f"{what}{part}.jsonl"
