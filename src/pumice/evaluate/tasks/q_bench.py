"""Q-Bench (LLVisionQA): multiple choice about how pictures look: blur, light, noise. English, and Chinese as 质衡.

Prompts as in the original's ``model_vqa_qbench.py``, with the line break that its Chinese half misspelt; answers are
the benchmark's own items with a ``response`` (reference/llava.md, section 7.2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pumice.errors import UsageError
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import Record, read_answers, read_records
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.letters import qbench_letter
from pumice.evaluate.scoring.matching import match
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.files import fresh_file
from pumice.prompts.conversation import Conversation, Image

_SOURCE = "https://huggingface.co/datasets/nanyangtu/LLVisionQA-QBench"
_QUESTIONS = File(
    ("llvisionqa_dev.json", "llvisionqa_test.json", "llvisionqa*.json", "质衡-问答-*.json"), "the questions", _SOURCE
)
_PLACES = ("images_llvisionqa", "images_llviqionqa", "images")  # the second is how the original's guide spells it
_PICTURES = File(_PLACES, "the pictures of images.tar", _SOURCE)
_ENGLISH = "Choose between one of the options as follows:"
_CHINESE = "在下列选项中选择一个:"
_LETTERS = "ABCD"
# By the numbers in the file, as the columns of the benchmark's leaderboard.
_TYPES = ("yes-or-no", "what", "how")
_CONCERNS = ("distortion", "others", "in-context distortion", "in-context others")


@dataclass(frozen=True)
class _Item:
    record: Record
    picture: str
    words: str
    options: Mapping[str, str]
    answer: str

    @property
    def key(self) -> tuple[str, str]:
        """Several questions share a picture, and some share their words."""
        return self.picture, self.words

    @property
    def prompt(self) -> str:
        chinese = any("一" <= character <= "鿿" for character in self.words)
        lines = [self.words, _CHINESE if chinese else _ENGLISH]
        return "\n".join([*lines, *(f"{letter}. {text}" for letter, text in self.options.items())]) + "\n"

    def kind(self, field: str, names: Sequence[str]) -> str:
        number = self.record.get(field)
        return names[number] if isinstance(number, int) and 0 <= number < len(names) else ""


def _items(folder: Path) -> list[_Item]:
    path = _QUESTIONS.find(folder)
    return [_item(record, f"{path}, item {number}") for number, record in enumerate(read_records(path), 1)]


def _item(record: Record, place: str) -> _Item:
    candidates = record.get("candidates")
    if not isinstance(candidates, list) or not {"img_path", "question"} <= set(record):
        raise UsageError(
            f"{place}: expected 'img_path', 'question' and 'candidates', found {', '.join(record)}",
            hint=_QUESTIONS.advice,
        )
    options = dict(zip(_LETTERS, map(str, candidates), strict=False))
    right = str(record.get("correct_ans", ""))
    answer = next((letter for letter, text in options.items() if right in (text, letter)), "")
    return _Item(record, str(record["img_path"]), str(record["question"]), options, answer)


def _questions(folder: Path) -> Iterator[Question]:
    pictures = original.pictures(folder, _PLACES)
    for item in _items(folder):
        yield Question(
            id=item.picture,
            conversation=Conversation.ask(item.prompt, (Image(pictures / item.picture),)),
            image_key=item.picture,
            options=tuple(item.options.values()),
            category=item.kind("type", _TYPES),
        )


def read_q_bench(path: Path) -> tuple[Answer, ...]:
    """Answers from the original's objects written end to end, from a list of items, or from an own run."""
    return read_answers(path, ids=("question_id", "img_path"), texts=("response", "prediction", "text", "output"))


def _score(answers: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    items = {item.key: item for item in _known(answers, folder)}
    asked = {(item.picture, item.prompt.strip()): item.key for item in items.values()}

    def key(answer: Answer) -> tuple[str, str] | None:
        words = answer.meta.get("question")
        if isinstance(words, str):
            return answer.question_id, words
        return asked.get((answer.question_id, answer.prompt.strip()))

    matched = match(items, answers, key, "Q-Bench")
    rows = [_row(items[each], answer, profile) for each, answer in matched.pairs]
    parts = [name for name in (*_TYPES, *_CONCERNS) if any(name in row.values for row in rows)]
    metrics = [Metric("overall", 100 * mean("right")), *(Metric(name, 100 * mean(name)) for name in parts)]
    return Scored("q-bench", profile, "overall", tuple(rows), tuple(metrics), matched.missing, matched.notes())


def _known(answers: Sequence[Answer], folder: Path) -> list[_Item]:
    """Items whose right answer is known: of the folder's file, else of the answers, which bring their items along."""
    if _QUESTIONS.all(folder):
        items = _items(folder)
    else:
        brought = [{**answer.meta, "img_path": answer.question_id} for answer in answers if "candidates" in answer.meta]
        if not brought:
            _QUESTIONS.find(folder)
        items = [_item(record, f"answer {number}") for number, record in enumerate(brought, 1)]
    known = [item for item in items if item.answer]
    if not known:
        raise UsageError(
            "the questions have no right answers, as those of the test split, which only Q-Bench's authors can score",
            hint="write the file for them instead, or use llvisionqa_dev.json",
        )
    return known


def _row(item: _Item, answer: Answer | None, profile: str) -> Row:
    letter = None if answer is None else qbench_letter(answer.text, item.options, profile)
    right = letter == item.answer
    parts = (item.kind("type", _TYPES), item.kind("concern", _CONCERNS))
    return Row(
        question_id=item.picture,
        cluster=item.picture,
        values={name: float(right) for name in ("right", *parts) if name},
        group=parts[0],
        correct=right,
        asked=item.words,
        answer="" if answer is None else answer.text,
        expected=f"{item.answer}. {item.options[item.answer]}",
        note="no answer" if answer is None else f"read as {letter or 'no option'}",
    )


def _submission(answers: Sequence[Answer], folder: Path, target: Path) -> None:
    """The items with the answers as ``response``, one list."""
    texts = {(answer.question_id, answer.prompt.strip()): answer.text for answer in answers}
    items = [{**item.record, "response": texts.get((item.picture, item.prompt.strip()), "")} for item in _items(folder)]
    with fresh_file(target, overwrite=True) as file:
        file.write(json.dumps(cast(object, items), ensure_ascii=False, indent=1).encode())


Q_BENCH = Task(
    name="q-bench",
    title="Q-Bench (dev)",
    folder="qbench",
    files=(_QUESTIONS, _PICTURES),
    questions=_questions,
    answers=read_q_bench,
    score=_score,
    default_profile="official",
    published={"7B": 58.66, "13B": 62.14},
    submission=_submission,
    max_tokens=1024,
)
