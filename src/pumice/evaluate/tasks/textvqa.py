"""TextVQA: 5,000 questions about what is written in pictures (val, 0.5.1), answered by ten people each.

The paper's prompt holds the words that an OCR system found; without them LLaVA-1.5-7B has 46 in place of 58.2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pumice.errors import UsageError
from pumice.evaluate.formula import mean
from pumice.evaluate.predictions import IDS, Record, read_answers, read_object
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.matching import match
from pumice.evaluate.scoring.vqa import textvqa_accuracy
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, File, Profile, Task
from pumice.evaluate.tasks import original

_SITE = "https://textvqa.org/dataset"
_TOKENS = "Reference OCR token:"
_QUESTIONS = File(
    ("llava_textvqa_val_v051_ocr.jsonl", "questions*.jsonl"), "the original's questions, with words found", original.ZIP
)
_TRUTH = File(("TextVQA_0.5.1_val.json", "TextVQA_*_val.json"), "questions and people's answers", _SITE)
_OCR = File(("TextVQA_Rosetta_OCR_v0.2_val.json", "TextVQA_Rosetta_OCR_*_val.json"), "the words found", _SITE)
_Key: TypeAlias = tuple[str, str]  # picture, question in small letters
_IMAGES = ("train_images", "train_val_images/train_images", "images")


def questions(folder: Path) -> Iterator[Question]:
    """The original's question file if it is there, else the same prompts from the benchmark's own files."""
    images = original.pictures(folder, _IMAGES)
    if _QUESTIONS.all(folder):
        yield from original.questions(_QUESTIONS.find(folder), images)
        return
    truth = _data(_TRUTH.find(folder))
    path = _OCR.find(folder)
    words = {original.text(each, "image_id", str(path)): _words(each, str(path)) for each in _data(path)}
    for record in truth:
        name = original.text(record, "image_id", str(_TRUTH.find(folder)))
        question = original.text(record, "question", name).capitalize()
        prompt = f"{question}\n{_TOKENS} {', '.join(words.get(name, []))}\n{SHORT}"
        yield Question(name, original.ask(prompt, images / f"{name}.jpg"), f"{name}.jpg")


def answers(path: Path) -> tuple[Answer, ...]:
    """Of the original's format, or TextVQA's own, where the questions are numbered."""
    return read_answers(path, (*IDS, "image_id"))


def score(given: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Soft accuracy: over all questions; in the original's profile over the lines of the file, as its script has it."""
    path = _TRUTH.find(folder)
    truth = {_key(record, str(path)): record for record in _data(path)}
    key_of = _key_of(truth)
    matched = match(truth, given, key_of, "TextVQA")
    if profile == "llava":
        keyed = [(key_of(answer), answer) for answer in given]
        rows = [_row(truth[key], answer, profile) for key, answer in keyed if key is not None and key in truth]
        notes = matched.notes("are left out", "count again")
    else:
        rows = [_row(truth[key], answer, profile) for key, answer in matched.pairs]
        notes = matched.notes()
    metrics = (Metric("accuracy", 100 * mean("accuracy")),)
    return Scored("textvqa", profile, "accuracy", tuple(rows), metrics, matched.missing, notes)


def question_of(prompt: str) -> str:
    """The question within a prompt, in small letters: before or after the words found, or in the older form
    ``OCR tokens: ... Question: ... Short answer:``. A prompt of one line is the question."""
    prompt = prompt.replace(original.PICTURE, "").strip()
    if prompt.startswith("OCR tokens: ") and "Question: " in prompt:
        return prompt.split("Question: ", 1)[1].split(" Short answer:", maxsplit=1)[0].lower()
    lines = prompt.split("\n")
    return lines[1 if len(lines) > 1 and lines[0].startswith(_TOKENS) else 0].lower()


def _key(record: Record, place: str) -> _Key:
    return original.text(record, "image_id", place), original.text(record, "question", place).lower()


def _key_of(truth: Mapping[_Key, Record]) -> Callable[[Answer], _Key | None]:
    """An answer is to (picture, question) if it tells its prompt, else to a question's number, else to a picture that
    only one question is about."""
    by_name: dict[str, list[_Key]] = defaultdict(list)
    for key, record in truth.items():
        for name in {str(record.get("question_id")), key[0]}:
            by_name[name].append(key)

    def key_of(answer: Answer) -> _Key | None:
        key = (answer.question_id, question_of(answer.prompt))
        if key in truth:
            return key
        found = by_name.get(answer.question_id, [])
        # Somebody else's words around the question do not hide it.
        within = [each for each in found if answer.prompt and each[1] in answer.prompt.lower()]
        return max(within, key=lambda each: len(each[1])) if within else found[0] if len(found) == 1 else None

    return key_of


def _row(truth: Record, answer: Answer | None, profile: Profile) -> Row:
    image = str(truth["image_id"])
    people = original.texts(truth, "answers", f"the annotation of {image}")
    return Row(
        question_id=str(truth.get("question_id", image)),
        cluster=f"{image}.jpg",
        values={"accuracy": 0.0 if answer is None else textvqa_accuracy(answer.text, people, profile)},
        asked=str(truth["question"]),
        answer="" if answer is None else answer.text,
        expected=", ".join(dict.fromkeys(people)),
        note="no answer" if answer is None else "",
    )


def _data(path: Path) -> list[Record]:
    found = read_object(path).get("data")
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise UsageError(f"{path}: expected a list 'data'", hint=f"get it from {_SITE}")
    return [each for each in found if isinstance(each, Mapping)]


def _words(record: Record, place: str) -> list[str]:
    return original.texts(record, "ocr_tokens", place)


TASK = Task(
    name="textvqa",
    title="TextVQA",
    folder="textvqa",
    files=(_QUESTIONS, _TRUTH, _OCR),
    questions=questions,
    answers=answers,
    score=score,
    published={"7B": 58.2, "13B": 61.3},
)
