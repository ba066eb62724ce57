"""MMBench and MMBench-CN: multiple choice, every question asked once for each rotation of its options.

The rows of the table are the rotations (``scoring.circular``), so a model is simply asked all rows. Prompts, and the
columns of what is uploaded, as in the original's ``model_vqa_mmbench.py`` and ``convert_mmbench_for_submission.py``
(reference/llava.md, section 7.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pumice.errors import UsageError
from pumice.evaluate import sheets
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import read_answers
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.circular import Rotation, circular_rows
from pumice.evaluate.scoring.matching import match
from pumice.evaluate.statistic import Metric, Scored
from pumice.evaluate.task import LETTER, File, Profile, Task
from pumice.evaluate.tasks.mmbench_table import LETTERS, Entry, columns, entries, entry, illustrated
from pumice.evaluate.verdicts import said
from pumice.prompts.conversation import Conversation, Image

LETTER_CN = "请直接回答选项字母。"
_SOURCE = "https://github.com/open-compass/MMBench (the file that ends in .tsv)"
_WHAT = "the questions with their pictures"
ENGLISH = File(
    (
        *("mmbench_dev_20230712.tsv", "mmbench_dev_en*.tsv", "MMBench_DEV_EN*.tsv"),
        *("mmbench_test_2*.tsv", "mmbench_test_en*.tsv", "MMBench_TEST_EN*.tsv"),
    ),
    _WHAT,
    _SOURCE,
)
CHINESE = File(
    (
        *("mmbench_dev_cn_20231003.tsv", "mmbench_dev_cn*.tsv", "MMBench_DEV_CN*.tsv"),
        *("mmbench_test_cn*.tsv", "MMBench_TEST_CN*.tsv"),
    ),
    _WHAT,
    _SOURCE,
)
_IDS = ("index", "question_id", "id")
# Not "answer": in a table that is the right one.
_TEXTS = ("prediction", "text", "response", "output", "pred")
# Left out of what is uploaded, and where the prediction stands in it.
_NOT_UPLOADED = ("hint", "category", "source", "image", "comment", "l2-category")
_PREDICTION_AT = 6


def read_mmbench(path: Path) -> tuple[Answer, ...]:
    """Answers from an upload (XLSX, TSV), from the original's JSON lines, or from an own run."""
    return read_answers(path, ids=_IDS, texts=_TEXTS)


def _questions(file: File, ending: str) -> Callable[[Path], Iterator[Question]]:
    def questions(folder: Path) -> Iterator[Question]:
        for row, picture in illustrated(file.find(folder)):
            lines = [row.question, *(f"{letter}. {text}" for letter, text in row.options.items()), ending]
            yield Question(
                id=str(row.index),
                conversation=Conversation.ask("\n".join(lines), (Image(picture),)),
                image_key=row.cluster,
                options=tuple(row.options.values()),
                category=row.cells.get("category", ""),
                id_is_number=True,
            )

    return questions


def _score(name: str, file: File) -> Callable[[Sequence[Answer], Path, Profile], Scored]:
    def score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
        rows = table_rows(answers, file, folder)
        rotations, notes, missing = _rotations(rows, answers, name)
        found, left_out = circular_rows(rotations, profile)
        if left_out:
            notes += (f"{left_out} questions without their first rotation are left out, as {profile} does.",)
        unread = sum(1 for turn in rotations if turn.text and turn.letter(profile) is None)
        if unread:
            fate = "are drawn by lot, as lmms-eval does" if profile == "lmms-eval" else "count as wrong"
            notes += (f"{unread} of {len(rotations)} answers name no option that the rules recognise and {fate}.",)
        if not all(row.cluster for row in rows):
            notes += ("Without the benchmark's table every question counts as a picture of its own.",)
        abilities = sorted({turn.ability for turn in rotations if turn.ability})
        categories = sorted({row.group for row in found if row.group} - set(abilities))
        metrics = [
            Metric("accuracy", 100 * mean("right")),
            Metric("vanilla", 100 * mean("first")),
            *(Metric(each, 100 * mean(each)) for each in abilities),
            *(Metric(each, 100 * mean("right", each)) for each in categories),
        ]
        return Scored(name, profile, "accuracy", tuple(found), tuple(metrics), missing, notes)

    return score


def _submission(file: File) -> Callable[[Sequence[Answer], Path, Path], None]:
    def submission(answers: Sequence[Answer], folder: Path, target: Path) -> None:
        path = file.find(folder)
        names = [name for name in columns(sheets.records(path)) if name not in _NOT_UPLOADED]
        texts = {place[0]: answer.text for answer in answers if (place := place_of(answer)) is not None}

        def cells(row: Entry) -> list[str | int]:
            cells = [row.index if name == "index" else row.cells[name] for name in names]
            return [*cells[:_PREDICTION_AT], texts.get(row.index, ""), *cells[_PREDICTION_AT:]]

        header = [*names[:_PREDICTION_AT], "prediction", *names[_PREDICTION_AT:]]
        sheets.write_workbook(target, header, map(cells, entries(path)))

    return submission


def table_rows(answers: Sequence[Answer], file: File, folder: Path) -> list[Entry]:
    """The rows whose right answer is known: of the folder's table, else as the answers brought them along.

    An upload has the right answers beside the predictions. Raises UsageError if there are none anywhere.
    """
    tables = file.all(folder)
    brought: Iterable[Entry] = ()
    if not tables:
        if not any("answer" in answer.meta for answer in answers):
            file.find(folder)
        brought = (_brought(answer) for answer in answers if place_of(answer) is not None)
    rows = [row for row in (entries(tables[0]) if tables else brought) if row.answer]
    if not rows:
        raise UsageError(
            "the table has no right answers, as that of a test split, which only the benchmark's server can score",
            hint="write the file for the server instead, or use the dev split",
        )
    return rows


def _rotations(
    rows: Sequence[Entry], answers: Sequence[Answer], name: str
) -> tuple[list[Rotation], tuple[str, ...], int]:
    """Every row, as often as the original's runner turned it, with its answer; what to say; how many lack one."""
    turned = any(_turn(answer) for answer in answers)
    table = {row.index: row for row in rows}
    keys = [(row.index, turn) for row in rows for turn in range(len(row.options) if turned else 1)]
    matched = match(keys, answers, place_of, name)
    rotations = []
    for (index, turn), answer in matched.pairs:
        row = table[index]
        options, original = shown_to(answer, row.options)
        rotations.append(
            Rotation(
                index=index,
                turn=turn,
                options=options,
                expected=row.answer,
                text=None if answer is None else answer.text,
                cluster=row.cluster,
                asked=row.question,
                category=row.cells.get("category", ""),
                ability=row.ability,
                original=original,
                extracted="" if answer is None else _extracted(answer),
            )
        )
    notes = matched.notes()
    empty = sum(turn.text == "" for turn in rotations)
    if empty:
        notes += (f"{empty} of {len(rotations)} answers are empty and count as wrong.",)
    return rotations, notes, matched.missing + empty


def _extracted(answer: Answer) -> str:
    """What a judge made of the answer, if one was asked."""
    return next((verdict.content for verdict in said(answer).values()), "")


def _brought(answer: Answer) -> Entry:
    cells = {name: "" if value is None else str(value) for name, value in answer.meta.items()}
    return entry({**cells, "index": answer.question_id}, "the file of answers")


def _turn(answer: Answer) -> int:
    turn = answer.meta.get("round_id", 0)
    return turn if isinstance(turn, int) else 0


def place_of(answer: Answer) -> tuple[int, int] | None:
    """The row that an answer is to, and which turn of its options; None if the answer does not say."""
    try:
        return int(float(answer.question_id)), _turn(answer)
    except (ValueError, OverflowError):
        return None


def shown_to(answer: Answer | None, options: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str] | None]:
    """The options as they were shown, and which letter of the table each stands for, if the answer's line says so."""
    texts, letters = (None, None) if answer is None else (answer.meta.get("options"), answer.meta.get("option_char"))
    if not isinstance(texts, list) or not isinstance(letters, list) or len(texts) != len(letters):
        return options, None
    return dict(zip(LETTERS, map(str, texts), strict=False)), dict(zip(LETTERS, map(str, letters), strict=False))


def _task(name: str, title: str, file: File, ending: str, published: Mapping[str, float]) -> Task:
    """One of the two languages. ending: what asks for a letter."""
    return Task(
        name=name,
        title=title,
        folder=name.replace("-", "_"),
        files=(file,),
        questions=_questions(file, ending),
        answers=read_mmbench,
        score=_score(name, file),
        default_profile="official",
        published=published,
        submission=_submission(file),
        max_tokens=1024,
    )


MMBENCH = _task("mmbench", "MMBench", ENGLISH, LETTER, {"7B": 64.3, "13B": 67.7})
MMBENCH_CN = _task("mmbench-cn", "MMBench-CN", CHINESE, LETTER_CN, {"7B": 58.3, "13B": 63.6})
