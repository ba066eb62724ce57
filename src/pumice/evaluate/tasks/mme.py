"""MME: 2,374 yes/no questions in 14 subtasks, two to a picture.

A subtask's score is accuracy plus acc+, the share of pictures with both questions right: at most 200. Perception sums
ten subtasks (2,000; the paper's column), cognition four (800).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from pumice.errors import UsageError
from pumice.evaluate.formula import Formula, mean
from pumice.evaluate.predictions import read_answers
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.matching import pair
from pumice.evaluate.scoring.yes_no import mme_label
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.files import unreadable

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
_SUBTASKS = (*PERCEPTION, *COGNITION)
_Key: TypeAlias = tuple[str, str, str]  # subtask, picture, question
_ASKED_FOR = "Please answer yes or no."
_SITE = "https://github.com/BradyFU/Awesome-Multimodal-Large-Language-Models/tree/Evaluation"
_QUESTIONS = File(("llava_mme.jsonl", "questions*.jsonl"), "the original's questions", original.ZIP)
_RELEASE = "MME_Benchmark_release_version"
_TRUTH = File(
    tuple(
        f"{place}{name}.txt"
        for place in ("eval_tool/Your_Results/", "Your_Results/", "ground_truth/", "")
        for name in _SUBTASKS
    )
    + tuple(f"{_RELEASE}/{name}" for name in _SUBTASKS)
    + tuple(f"{_RELEASE}/MME_Benchmark/{name}" for name in _SUBTASKS),
    "the right answers (eval_tool.zip, or the pictures' own folders)",
    _SITE,
)


@dataclass(frozen=True)
class Item:
    """A question with its answer. image: the file's name, without its folder. pair: number of its picture."""

    subtask: str
    image: str
    asked: str
    yes: bool
    pair: int

    @property
    def key(self) -> tuple[str, str, str]:
        """Subtask, picture, question: without endings and without the words that ask for a yes or no."""
        return self.subtask, _stem(self.image), plain(self.asked)

    @property
    def name(self) -> str:
        """As the original's files name picture and question."""
        return f"{self.subtask}/{self.image}"


def questions(folder: Path) -> Iterator[Question]:
    """The original's question file if it is there, else the same prompts from the benchmark's own files."""
    images = original.pictures(folder, (_RELEASE,))
    if _QUESTIONS.all(folder):
        for question in original.questions(_QUESTIONS.find(folder), images):
            # Some subtasks keep their pictures in a folder "images" of their own; a picture has one name all the same.
            yield replace(question, image_key=question.image_key.replace("/images/", "/"))
        return
    for item in _truth(folder):
        inner = images / item.subtask / "images"
        picture = (inner if inner.is_dir() else images / item.subtask) / item.image
        prompt = f"{plain(item.asked)}\n{SHORT}"
        yield Question(item.name, original.ask(prompt, picture), item.name, category=item.subtask)


def answers(path: Path) -> tuple[Answer, ...]:
    """Of the original's format, or the official tool's: a folder with a text file for each subtask, or one such file.

    Its lines hold picture, question, right answer and answer, between tabs. VLMEvalKit's tables have the same in
    columns.
    """
    found = [each for name in _SUBTASKS if (each := path / f"{name}.txt").is_file()]
    if found or path.suffix == ".txt":
        return tuple(answer for each in found or [path] for answer in _lines(each))
    return tuple(map(_of_table, read_answers(path)))


def score(given: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """Perception, cognition and the subtasks. Right answers are the folder's; if it has none, those of the answers."""
    own = _own(given)
    items = _truth(folder) if _TRUTH.all(folder) or not own else own
    keyed = list(_keyed(items, given))
    alone = bool(own) and items is not own and not any(key for key, _ in keyed)
    if alone:
        items, keyed = own, list(_keyed(own, given))
    by_key = {item.key: item for item in items}
    matched = pair(by_key, keyed, "MME")
    labels = {key: None if answer is None else mme_label(answer.text, profile) for key, answer in matched.pairs}
    right = {key: label == ("yes" if by_key[key].yes else "no") for key, label in labels.items()}
    pairs: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for key, item in by_key.items():
        pairs[item.subtask, item.pair].append(right[key])
    rows = []
    for key, answer in matched.pairs:
        item = by_key[key]
        values = {"right": float(right[key])}
        both = pairs.pop((item.subtask, item.pair), None)
        if both is not None:  # once for each picture
            values["both"] = float(all(both))
        rows.append(_row(item, answer, values, labels[key]))
    other = sum(label == "other" for label in labels.values())
    notes = matched.notes()
    if other:
        notes += (f"{other} answers are neither yes nor no, and wrong.",)
    if alone:
        notes += ("No picture is named as in the folder: the right answers are those that the file brings along.",)
    present = {item.subtask for item in items}
    absent = [name for name in _SUBTASKS if name not in present]
    if absent:
        notes += (f"Without {', '.join(absent)}: the sums are those of the rest.",)
    return Scored("mme", profile, _headline(present), tuple(rows), _metrics(present), matched.missing, notes)


def plain(question: str) -> str:
    """A question without what any tool puts around it."""
    return question.replace(original.PICTURE, "").replace(SHORT, "").replace(_ASKED_FOR, "").strip()


def _headline(present: set[str]) -> str:
    return "perception" if present & set(PERCEPTION) else "cognition"


def _metrics(present: set[str]) -> tuple[Metric, ...]:
    metrics = []
    for name, subtasks in (("perception", PERCEPTION), ("cognition", COGNITION)):
        scores = [_score_of(each) for each in subtasks if each in present]
        if scores:
            first, *others = scores
            metrics.append(Metric(name, sum(others, first), 200.0 * len(scores)))
    metrics += [Metric(each, _score_of(each), 200.0) for each in _SUBTASKS if each in present]
    return tuple(metrics)


def _score_of(subtask: str) -> Formula:
    return 100 * mean("right", subtask) + 100 * mean("both", subtask)


def _row(item: Item, answer: Answer | None, values: Mapping[str, float], label: str | None) -> Row:
    return Row(
        question_id=item.name,
        cluster=item.name,
        values=values,
        group=item.subtask,
        correct=values["right"] == 1.0,
        asked=plain(item.asked),
        answer="" if answer is None else answer.text,
        expected="yes" if item.yes else "no",
        note="no answer" if answer is None else "neither yes nor no" if label == "other" else "",
    )


def _keyed(items: Sequence[Item], given: Sequence[Answer]) -> Iterator[tuple[_Key | None, Answer]]:
    """Answers with their questions: by the prompt; without one, by the order of those that name the same picture."""
    known = {item.key for item in items}
    of_picture: dict[tuple[str, str], list[_Key]] = defaultdict(list)
    for item in items:
        of_picture[item.key[:2]].append(item.key)
    waiting = {picture: iter(keys) for picture, keys in of_picture.items()}
    for answer in given:
        name = PurePosixPath(answer.question_id)
        picture = name.parts[0] if len(name.parts) > 1 else "", _stem(name.name)
        key = (*picture, plain(answer.prompt))
        if answer.prompt:
            # Somebody else's words around the question do not hide it.
            within = [each for each in of_picture[picture] if each[2] in answer.prompt]
            yield key if key in known else max(within, key=lambda each: len(each[2]), default=None), answer
        else:
            yield next(waiting.get(picture, iter(())), None), answer


def _stem(name: str) -> str:
    # The original's converter: all that precedes the first dot, because texts and pictures end differently.
    return name.split(".", maxsplit=1)[0]


def _of_table(answer: Answer) -> Answer:
    """A row of VLMEvalKit's, whose index is its own, named as in the official tool's files; others as they are."""
    row = answer.meta
    subtask, image, asked = (row.get(name) for name in ("category", "image_path", "question"))
    if answer.prompt or subtask not in _SUBTASKS or not isinstance(asked, str):
        return answer
    name = PurePosixPath(str(image or answer.question_id)).name
    return Answer(f"{subtask}/{name}", answer.text, asked, {**row, "truth": row.get("answer")})


def _own(given: Sequence[Answer]) -> list[Item]:
    """The right answers that the official tool's files, and VLMEvalKit's, carry beside the answers."""
    items = []
    places: dict[str, int] = defaultdict(int)
    for answer in given:
        subtask, _, image = answer.question_id.partition("/")
        truth = answer.meta.get("truth")
        if isinstance(truth, str):
            items.append(Item(subtask, image, answer.prompt, _is_yes(truth, answer.question_id), places[subtask] // 2))
            places[subtask] += 1
    return items


def _lines(path: Path) -> Iterator[Answer]:
    for number, cells in enumerate(_cells(path), 1):
        if len(cells) != 4:
            raise UsageError(
                f"{path}, line {number}: expected picture, question, right answer and answer between tabs, "
                f"found {len(cells)} columns"
            )
        image, asked, truth, said = cells
        yield Answer(f"{path.stem}/{image}", said, asked, {"truth": truth})


def _truth(folder: Path) -> list[Item]:
    first = _TRUTH.find(folder)
    if first.is_dir():
        return list(_release(first.parent))
    return [
        Item(name, cells[0], cells[1], _is_yes(cells[2], f"{path}, line {number + 1}"), number // 2)
        for name in _SUBTASKS
        if (path := first.parent / f"{name}.txt").is_file()
        for number, cells in enumerate(_cells(path, 3))
    ]


def _release(folder: Path) -> Iterator[Item]:
    """From the benchmark's own folders: a text file for each picture, with a line for each question."""
    for name in _SUBTASKS:
        texts = folder / name / "questions_answers_YN"
        texts = texts if texts.is_dir() else folder / name
        images = folder / name / "images"
        pictures = {
            _stem(each.name): each.name for each in (images if images.is_dir() else folder / name).glob("*.[jp]*g")
        }
        for place, path in enumerate(sorted(texts.glob("*.txt"))):
            for number, cells in enumerate(_cells(path, 2), 1):
                image = pictures.get(_stem(path.name), f"{path.stem}.jpg")
                yield Item(name, image, cells[0], _is_yes(cells[1], f"{path}, line {number}"), place)


def _cells(path: Path, least: int = 1) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # answers may hold other ends of lines
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    rows = [line.split("\t") for line in lines if line.strip()]
    for number, row in enumerate(rows, 1):
        if len(row) < least:
            raise UsageError(f"{path}, line {number}: expected {least} columns between tabs, found {len(row)}")
    return rows


def _is_yes(truth: str, place: str) -> bool:
    word = truth.strip().lower()
    if word not in ("yes", "no"):
        raise UsageError(f"{place}: expected Yes or No as the right answer, found {truth!r}")
    return word == "yes"


TASK = Task(
    name="mme",
    title="MME",
    folder="MME",
    files=(_QUESTIONS, _TRUTH),
    questions=questions,
    answers=answers,
    score=score,
    published={"7B": 1510.7, "13B": 1531.3},
)
