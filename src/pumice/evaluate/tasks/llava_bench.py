"""LLaVA-Bench (In-the-Wild): 60 open questions about 24 pictures, reviewed by a judge beside a reference answer.

The figure is 100 x the mean of the model's marks / the mean of the reference's (reference/llava.md, section 7.3).
What is scored are reviews: those of ``evaluate.judge``, or a file of the original's ``eval_gpt_review_bench.py``.
Several files in a folder are several runs of the judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate.formula import Formula, average, mean
from pumice.evaluate.predictions import Record, read_answers, read_records
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.judged import Reading, in_words, runs_of, with_spread
from pumice.evaluate.scoring.marks import Pair, review_pair
from pumice.evaluate.scoring.matching import match
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.evaluate.verdicts import Verdict, carrying, from_record, said

_SOURCE = "https://huggingface.co/datasets/liuhaotian/llava-bench-in-the-wild"
QUESTIONS = File(("questions.jsonl",), "the questions", _SOURCE)
CONTEXTS = File(("context.jsonl",), "what the pictures show, in words for the judge", _SOURCE)
REFERENCES = File(("answers_gpt4.jsonl",), "the reference answers", _SOURCE)
RULES = File(("rule.json",), "the original's words to the judge, in place of ours", "LLaVA's llava/eval/table")
_PICTURES = File(("images",), "the pictures", _SOURCE)
CATEGORIES = ("conv", "detail", "complex")
PREFIX = "llava_bench_"
# What the original's parse_score gives for a review that it cannot read; there, it enters the means.
_UNREAD: Pair = (-1.0, -1.0)


def read_llava_bench(path: Path) -> tuple[Answer, ...]:
    """Reviews, of one run or (a folder) of several; or answers that no judge has seen yet.

    Raises: UsageError for a folder without reviews, and as ``read_answers``.
    """
    if path.is_dir():
        runs = [records for each in sorted(path.glob("*.jsonl")) if _is_review(records := read_records(each))]
        if not runs:
            raise UsageError(f"{path} has no reviews: expected files of JSON lines with 'content' or 'tuple'")
        return _merged(runs)
    records = read_records(path)
    return _merged([records]) if _is_review(records) else read_answers(path, texts=("text", "answer", "prediction"))


def _is_review(records: Sequence[Record]) -> bool:
    return bool(records) and bool({"tuple", "content", "run"} & set(records[0]))


def _merged(runs: Sequence[Sequence[Record]]) -> tuple[Answer, ...]:
    """One answer for each question, with the verdicts of all runs; a line that names its run has the last word on
    it."""
    verdicts: dict[str, dict[int, Verdict]] = {}
    for run, records in enumerate(runs, 1):
        for number, record in enumerate(records, 1):
            name = original.text(record, "question_id", f"review {number}")
            verdict = from_record(record, name, run)
            verdicts.setdefault(name, {})[verdict.run] = verdict
    return tuple(carrying(Answer(name, ""), list(found.values())) for name, found in verdicts.items())


def _questions(folder: Path) -> Iterator[Question]:
    return original.questions(QUESTIONS.find(folder), original.pictures(folder, _PICTURES.names))


def _score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    runs = runs_of(answers, "LLaVA-Bench", "a file of reviews")
    asked = {question.id: question for question in _questions(folder)} if QUESTIONS.all(folder) else {}
    reading = Reading(lambda verdict: _pair(verdict, profile), None if profile == "official" else _UNREAD)
    matched = match(
        asked or [answer.question_id for answer in answers], answers, lambda answer: answer.question_id, "LLaVA-Bench"
    )
    rows = [_row(name, answer, asked.get(name), reading, runs) for name, answer in matched.pairs]
    metrics = [Metric("overall", _ratio(runs))]
    metrics += [Metric(name, _ratio(runs, name)) for name in CATEGORIES if any(row.group == name for row in rows)]
    metrics += [Metric(f"run {run}", _ratio([run])) for run in runs if len(runs) > 1]
    for whose in ("model", "reference"):
        metrics.append(Metric(f"marks of the {whose}", 10 * average([mean(f"{whose} {run}") for run in runs])))
    notes, about = matched.notes("are left out"), reading.notes()
    if not asked:
        about += ("Without questions.jsonl every question counts as a picture of its own.",)
    scored = Scored("llava-bench", profile, "overall", tuple(rows), tuple(metrics), matched.missing, notes, about)
    return with_spread(scored, runs)


def _ratio(runs: Sequence[int], group: str | None = None) -> Formula:
    """The ratio of means of each run; of several runs the mean of the ratios."""
    return 100 * average([mean(f"model {run}", group) / mean(f"reference {run}", group) for run in runs])


def _row(
    name: str, answer: Answer | None, question: Question | None, reading: Reading[Pair], runs: Sequence[int]
) -> Row:
    values: dict[str, float] = {}
    for run, (reference, model) in reading.marks(answer, runs).items():
        values |= {f"reference {run}": reference, f"model {run}": model}
    verdicts = [] if answer is None else list(said(answer).values())
    category = question.category if question is not None else verdicts[0].category if verdicts else ""
    return Row(
        question_id=name,
        cluster=name if question is None else question.image_key,
        values=values,
        group=category.removeprefix(PREFIX),
        asked="" if question is None else question.prompt,
        answer="" if answer is None else answer.text,
        note=in_words(answer),
    )


def _pair(verdict: Verdict, profile: str) -> Pair | None:
    """The marks of the reference and of the model, as the profile reads them.

    official and llava take what the original's tool had read (``tuple``) if the line has it; official looks into the
    words once more where that was nothing.
    """
    noted = verdict.scores if verdict.scores is not None and len(verdict.scores) == 2 else None
    if noted is not None and (profile == "llava" or not verdict.content):
        return None if noted == _UNREAD else (noted[0], noted[1])
    if noted is not None and profile == "official" and min(noted) >= 0:
        return noted[0], noted[1]
    return review_pair(verdict.content, profile)


LLAVA_BENCH = Task(
    name="llava-bench",
    title="LLaVA-Bench (In-the-Wild)",
    folder="llava-bench-in-the-wild",
    files=(QUESTIONS, CONTEXTS, REFERENCES, RULES, _PICTURES),
    questions=_questions,
    answers=read_llava_bench,
    score=_score,
    default_profile="official",
    published={"7B": 65.4, "13B": 72.5},
    max_tokens=1024,
)
