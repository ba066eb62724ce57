"""What a judge said: kept on disk, one line for each question and run, and carried by answers to their scorer.

    file = VerdictFile(Path("verdicts.jsonl"))
    file.add(Verdict("7", run=1, key=request.key, content="8 7", judge="gpt-4-0613"))
    with_verdicts(answers, file, runs=3)[0].meta["verdicts"]    # what a scorer reads by said(answer)

A verdict is kept as the judge worded it. What it means is decided when it is scored, as the profiles read differently.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from pumice.errors import UsageError
from pumice.evaluate.questions import JSON, Answer
from pumice.files import unreadable


@dataclass(frozen=True)
class Verdict:
    """One answer of a judge.

    run: 1 for the first time that the judge was asked about a question, 2 for the second. key: of the request, so
    that a verdict on other words, or by other rules, is not taken for this one. category: the benchmark's kind of
    question. content: the judge's words; "" if there are none, and then ``error`` says why. tries: how often it was
    asked until it could be read. cost: in USD, None where it is not known. scores: as somebody else's tool read the
    words, if it said so. about: of the answer's text, as ``text_key``; "" if nobody noted it.
    """

    question_id: str
    run: int = 1
    key: str = ""
    category: str = ""
    judge: str = ""
    content: str = ""
    error: str = ""
    tries: int = 1
    cost: float | None = None
    scores: tuple[float, ...] | None = None
    about: str = ""


class VerdictFile:
    """JSON lines that only grow; of several verdicts on one question and run the last counts."""

    def __init__(self, path: Path) -> None:
        """Reads what is there. A last line that a crash cut off is taken away: its answer is asked again.

        Raises: UsageError for a file that is none of verdicts.
        """
        self.path = path
        self._verdicts: dict[tuple[str, int], Verdict] = {}
        for line in self._whole_lines():
            verdict = _read(line, path)
            self._verdicts[verdict.question_id, verdict.run] = verdict

    @property
    def runs(self) -> int:
        """How often the judge was asked about the question that it was asked about most."""
        return max((run for _, run in self._verdicts), default=0)

    def find(self, question_id: str, run: int) -> Verdict | None:
        """What is known of a question in a run."""
        return self._verdicts.get((question_id, run))

    def settled(self, question_id: str, run: int, key: str) -> bool:
        """Whether there is a verdict on exactly this request; one that failed is asked again."""
        verdict = self.find(question_id, run)
        return verdict is not None and verdict.key == key and not verdict.error

    def add(self, verdict: Verdict) -> None:
        """Keeps a verdict. Raises UsageError if the disk refuses."""
        self._verdicts[verdict.question_id, verdict.run] = verdict
        told = {name: value for name, value in asdict(verdict).items() if value not in ("", None)}
        line = json.dumps(told) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab", buffering=0) as file:
                file.write(line.encode())  # in one piece: a line of another process is before it or behind it
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be written: {error.strerror or error}", hint="check the free space, start again"
            ) from error

    def _whole_lines(self) -> list[str]:
        try:
            data = self.path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if len(whole) < len(data):
                os.truncate(self.path, len(whole))
            return whole.decode("utf-8").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unreadable(self.path, error, "the verdicts") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path} is no file of verdicts: {error}") from error


def name_of(answer: Answer) -> str:
    """What a verdict on an answer is kept under: the question, and which time it was asked if the file says so."""
    turn = answer.meta.get("round_id")
    return f"{answer.question_id} round {turn}" if turn else answer.question_id


def text_key(text: str) -> str:
    """Tells an answer from others to the same question."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def with_verdicts(answers: Sequence[Answer], file: VerdictFile, runs: int) -> tuple[Answer, ...]:
    """The answers, each with what the judge said of these very words in every run; all others as they are."""
    told = []
    for answer in answers:
        found = [file.find(name_of(answer), run) for run in range(1, runs + 1)]
        verdicts = [each for each in found if each is not None and each.about in ("", text_key(answer.text))]
        told.append(carrying(answer, verdicts) if verdicts else answer)
    return tuple(told)


def carrying(answer: Answer, verdicts: Sequence[Verdict]) -> Answer:
    """An answer with verdicts in its ``meta``."""
    written: list[JSON] = [
        cast(JSON, {**asdict(each), "scores": None if each.scores is None else list(each.scores)}) for each in verdicts
    ]
    return replace(answer, meta={**answer.meta, "verdicts": written})


def said(answer: Answer) -> dict[int, Verdict]:
    """The verdicts that an answer carries, by run."""
    written = answer.meta.get("verdicts")
    if not isinstance(written, Sequence) or isinstance(written, str):
        return {}
    verdicts = [_verdict(each) for each in written if isinstance(each, Mapping)]
    return {verdict.run: verdict for verdict in verdicts}


def from_record(record: Mapping[str, JSON], question_id: str, run: int) -> Verdict:
    """A line of a review by anyone: ``content`` and ``tuple`` as the original writes them, or one of ours."""
    return _verdict({**record, "question_id": question_id, "run": record.get("run", run)})


def _read(line: str, path: Path) -> Verdict:
    try:
        value = json.loads(line)
        if isinstance(value, dict) and "question_id" in value:
            return _verdict(value)
    except json.JSONDecodeError:
        pass
    raise UsageError(
        f"{path} is no file of verdicts: expected JSON lines with 'question_id', found {line[:60]!r}",
        hint="name another file for the judge's verdicts",
    )


def _verdict(value: Mapping[str, JSON]) -> Verdict:
    run, tries, cost = value.get("run"), value.get("tries"), value.get("cost")
    return Verdict(
        question_id=_text(value.get("question_id")),
        run=run if isinstance(run, int) else 1,
        key=_text(value.get("key")),
        category=_text(value.get("category")),
        judge=_text(value.get("judge")),
        content=_text(value.get("content")),
        error=_text(value.get("error")),
        tries=tries if isinstance(tries, int) else 1,
        cost=float(cost) if isinstance(cost, int | float) else None,
        about=_text(value.get("about")),
        scores=_scores(value.get("scores", value.get("tuple", value.get("score")))),
    )


def _scores(value: JSON) -> tuple[float, ...] | None:
    numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if not numbers or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers):
        return None
    return tuple(float(cast(float, each)) for each in numbers)


def _text(value: JSON) -> str:
    return "" if value is None else str(value)
