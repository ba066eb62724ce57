"""POPE: is there a ... in the image? Half the objects are not, drawn at random, from the most frequent ones, or from
those that are mostly seen together with what is there.

What is reported is the mean F1 of the three files. The original numbers their questions together, 10,000,000 apart.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from pumice.errors import UsageError
from pumice.evaluate.formula import Formula, average, count, mean, total
from pumice.evaluate.predictions import answer_files, read_answers, read_records
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.matching import Matched, pair
from pumice.evaluate.scoring.yes_no import pope_label
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import SHORT, File, Profile, Task
from pumice.evaluate.tasks import original
from pumice.evaluate.tasks.brought import Words, paired, words

#: In the order of the original's question file, where each begins 10,000,000 after the one before.
CATEGORIES = ("adversarial", "random", "popular")
_APART = 10_000_000
_SITE = "https://github.com/AoiDragon/POPE at e3e39262c85a6a83f26cf5094022a782cb0df58d, folder output/coco"
_QUESTIONS = File(("llava_pope_test.jsonl", "questions*.jsonl"), "the original's questions", original.ZIP)
_FILES = {
    category: File(
        (*(f"{place}coco_pope_{category}.json" for place in ("coco/", "", "output/coco/")), f"*_pope_{category}.json"),
        f"{category} questions",
        _SITE,
    )
    for category in CATEGORIES
}
_UNREAD = "neither yes nor no"
_Key: TypeAlias = tuple[str, str]  # category, number
_IMAGES = ("val2014", "images", "coco/val2014")


@dataclass(frozen=True)
class Item:
    """A question with its label. number: in its own file, as ``question_id`` there."""

    category: str
    number: str
    image: str
    asked: str
    yes: bool

    @property
    def key(self) -> tuple[str, str]:
        """No two questions share it."""
        return self.category, self.number


def questions(folder: Path) -> Iterator[Question]:
    """The original's question file if it is there, else the same from POPE's own, numbered as in the original's."""
    images = original.pictures(folder, _IMAGES)
    if _QUESTIONS.all(folder):
        yield from original.questions(_QUESTIONS.find(folder), images)
        return
    places: Counter[str] = Counter()
    for item in _items(folder):
        places[item.category] += 1
        yield Question(
            id=_number(item.category, places[item.category]),
            conversation=original.ask(f"{item.asked}\n{SHORT}", images / item.image),
            image_key=item.image,
            category=item.category,
            id_is_number=True,
        )


def answers(path: Path) -> tuple[Answer, ...]:
    """Of the original's format; POPE's own, a file for each category (``{"question": ..., "answer": ...}`` in the order
    of the questions); or a folder of such files, with the category in their names. Or the harnesses', in which a row
    may be to several categories at once."""
    found: list[Answer] = []
    for each in answer_files(path):
        named = [category for category in CATEGORIES if category in each.name]
        usual = named[0] if len(named) == 1 else ""
        for answer in read_answers(each):
            several = str(answer.meta.get("category") or usual).split(",")
            found += [replace(answer, meta={**answer.meta, "category": name.strip()}) for name in several]
    return tuple(found)


def score(given: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """F1, accuracy, precision, recall and how often yes was said, for each category; and their mean, or, in the
    harnesses' profiles, that of all questions together."""
    items = {item.key: item for item in _items(folder)}
    matched = _match(items, given, folder)
    rows = tuple(_row(items[key], answer, profile) for key, answer in matched.pairs)
    categories = [category for category in CATEGORIES if any(row.group == category for row in rows)]
    metrics = []
    for name, formula in _FORMULAS.items():
        each = [formula(category) for category in categories]
        pooled = profile in ("lmms-eval", "vlmevalkit")
        metrics.append(Metric(name, 100 * (formula(None) if pooled else average(each))))
        metrics += [Metric(f"{name} {category}", 100 * part) for category, part in zip(categories, each, strict=True)]
    other = sum(row.note == _UNREAD for row in rows)
    notes = matched.notes()
    if other:
        notes += (f"{other} answers are neither yes nor no.",)
    elsewhere = sum(answer is not None and _asks_other(answer, items[key]) for key, answer in matched.pairs)
    if elsewhere:
        notes += (f"{elsewhere} answers repeat another question than the one in their place: is their order POPE's?",)
    if len(categories) < len(CATEGORIES):
        notes += (f"Only of {', '.join(categories)}: the other files of POPE are not there.",)
    return Scored("pope", profile, "F1", rows, tuple(metrics), matched.missing, notes)


def _f1(group: str | None) -> Formula:
    # lmms-eval leaves answers that are neither out of recall, so it needs its own misses ("fn").
    twice = 2 * total("tp", group)
    return twice / (twice + total("fp", group) + total("fn", group))


_FORMULAS: Mapping[str, Callable[[str | None], Formula]] = {
    "F1": _f1,
    "accuracy": lambda group: mean("right", group),
    "precision": lambda group: total("tp", group) / (total("tp", group) + total("fp", group)),
    "recall": lambda group: total("tp", group) / (total("tp", group) + total("fn", group)),
    "yes": lambda group: total("yes", group) / count("yes", group),
}


def _row(item: Item, answer: Answer | None, profile: Profile) -> Row:
    label = "other" if answer is None else pope_label(answer.text, profile)
    yes, no = label == "yes", label == "no"
    # What is neither is no "yes"; lmms-eval does not count it as a missed one either.
    missed = item.yes and (no if profile == "lmms-eval" and answer is not None else not yes)
    right = yes if item.yes else no
    values = {"tp": yes and item.yes, "fp": yes and not item.yes, "fn": missed, "right": right}
    said_yes = item.yes if profile == "lmms-eval" else yes  # lmms-eval's yes_ratio is that of the labels
    return Row(
        question_id=item.number,
        cluster=item.image,
        values={name: float(value) for name, value in values.items()} | {"yes": float(said_yes)},
        group=item.category,
        correct=right,
        asked=item.asked,
        answer="" if answer is None else answer.text,
        expected="yes" if item.yes else "no",
        note="no answer" if answer is None else _UNREAD if label == "other" else "",
    )


def _asks_other(answer: Answer, item: Item) -> bool:
    asked = answer.meta.get("question") or answer.prompt
    return isinstance(asked, str) and bool(asked) and item.asked not in asked


def _match(items: Mapping[_Key, Item], given: Sequence[Answer], folder: Path) -> Matched[_Key]:
    """By category and number, by what a harness repeats of the question, or by the order within a category where
    answers have no numbers."""
    numbered = _numbers(items, folder)
    categories = {category for category, _ in items}
    told = any(answer.meta.get("category") in categories for answer in given)
    orders: dict[str, Iterator[_Key]] = {}

    def key_of(answer: Answer) -> _Key | None:
        category = str(answer.meta.get("category") or "")
        named = (category, answer.question_id)
        if answer.question_id:
            return named if named in items else numbered.get(answer.question_id)
        if category not in categories:
            category = _only(categories)
        return next(orders.setdefault(category, iter([key for key in items if key[0] == category])), None)

    known = {key: words(item.asked, key[not told], "yes" if item.yes else "no") for key, item in items.items()}
    keyed = paired(known, given, key_of, lambda answer: _words_of(answer, told))
    return pair(items, keyed, "POPE")


def _words_of(answer: Answer, told: bool) -> Words | None:
    """What a harness repeats: question, category (without it the number, if none is told), and right answer."""
    row = answer.meta
    asked, right = row.get("question") or answer.prompt.split("\n")[0], row.get("answer") or row.get("ground_truth")
    if not isinstance(asked, str) or not asked or not isinstance(right, str):
        return None
    return words(asked, str(row.get("category")) if told else answer.question_id, right)


def _numbers(items: Mapping[_Key, Item], folder: Path) -> dict[str, _Key]:
    """From the original's numbers to questions here: by picture and words if its question file is there and of the same
    edition, else by their place in the category, which is what its own tool goes by."""
    places: dict[str, list[_Key]] = defaultdict(list)
    for key in items:
        places[key[0]].append(key)
    usual = {_number(name, place): key for name, keys in places.items() for place, key in enumerate(keys, 1)}
    if not _QUESTIONS.all(folder):
        return usual
    asked: dict[str, list[Question]] = defaultdict(list)
    for question in original.questions(_QUESTIONS.find(folder), folder):
        asked[question.category].append(question)
    found: dict[str, _Key] = {}
    for category, keys in places.items():
        known = {(items[key].image, items[key].asked): key for key in keys}
        names = [(each.image_key, each.prompt.split("\n")[0]) for each in asked[category]]
        same = len(set(names)) == len(names) and known.keys() >= set(names)
        meant = [known[name] for name in names] if same else keys
        found |= zip([each.id for each in asked[category]], meant, strict=False)
    return found


def _number(category: str, place: int) -> str:
    return str(CATEGORIES.index(category) * _APART + place)


def _only(categories: Collection[str]) -> str:
    if len(categories) == 1:
        return next(iter(categories))
    raise UsageError(
        "the answers have no question_id, and nothing says which of POPE's files they are to",
        hint="put the category into the file's name, such as answers_random.jsonl, and give the folder of all three",
    )


def _items(folder: Path) -> Iterable[Item]:
    found = [category for category in CATEGORIES if _FILES[category].all(folder)]
    for category in found or CATEGORIES[1:2]:  # if there is none, the error names the first of the paper's table
        path = _FILES[category].find(folder)
        records = read_records(path)
        numbers = Counter(str(record.get("question_id")) for record in records)
        for place, record in enumerate(records, 1):
            where = f"{path}, line {place}"
            number = original.text(record, "question_id", where)
            label = original.text(record, "label", where).strip().lower()
            if label not in ("yes", "no") or numbers[number] > 1:
                raise UsageError(f"{where}: expected an id of its own and a label yes or no, found {dict(record)}")
            yield Item(
                category,
                number,
                original.text(record, "image", where),
                original.text(record, "text", where),
                label == "yes",
            )


TASK = Task(
    name="pope",
    title="POPE",
    folder="pope",
    files=(_QUESTIONS, *_FILES.values()),
    questions=questions,
    answers=answers,
    score=score,
    published={"7B": 85.9, "13B": 85.9},
)
