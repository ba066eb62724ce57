"""Files of the harnesses, which number questions in their own way or not at all, beside the official ones."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TypeAlias

import pytest

from benchmark_files import SHORT, Labelled, write_gqa, write_json, write_lines, write_mme, write_pope, write_scienceqa
from pumice.evaluate import sheets
from pumice.evaluate.questions import Answer
from pumice.evaluate.scoring.matching import pair
from pumice.evaluate.tasks import gqa, mme, pope, scienceqa
from pumice.evaluate.tasks.brought import paired, words, words_of
from pumice.evaluate.tasks.seed_bench import SEED_BENCH

Row: TypeAlias = dict[str, object]
THINGS = ("dog", "cat", "car", "tv")


def table(path: Path, rows: list[Row]) -> Path:
    """As VLMEvalKit writes it."""
    cells = [[value if isinstance(value, int) else str(value or "") for value in row.values()] for row in rows]
    sheets.write_workbook(path, list(rows[0]), cells)
    return path


def said(image: str, asked: str) -> str:
    """The same to the same question, as a greedy model; often wrong."""
    return ("Yes", "No", "Yes, it is")[zlib.crc32(f"{image}{asked}".encode()) % 3]


def asked_in(category: str) -> list[Labelled]:
    """What is there is asked for in every category, what is not in its own; some things in two."""
    absent = {"random": "bus", "popular": "cup", "adversarial": "cup"}[category]
    pictures = 5 if category == "random" else 6
    return [
        (f"COCO_val2014_{picture:012d}.jpg", f"Is there a {thing} in the image?", label)
        for picture in range(pictures)
        for each in THINGS
        for thing, label in ((each, "yes"), (f"{each} {absent}", "no"))
    ]


ORDER = ("adversarial", "popular", "random")  # lmms-eval's
ITEMS = {category: asked_in(category) for category in ORDER}


@pytest.fixture
def pope_folder(tmp_path: Path) -> Path:
    return write_pope(tmp_path / "pope", ITEMS)


def samples(*, document: bool = True, pictures: bool = True) -> list[Row]:
    """What lmms-eval logs; its versions leave out more or less."""
    rows: list[Row] = []
    for category in ORDER:
        for number, (image, asked, label) in enumerate(ITEMS[category], 1):
            doc = {"question_id": str(number), "question": asked, "answer": label, "category": category}
            doc |= {"image_source": image.removesuffix(".jpg")} if pictures else {}
            metric = {"question_id": str(number), "prediction": "?", "ground_truth": label, "score": 1.0}
            row = {"doc_id": len(rows), "target": label, "input": asked + SHORT, "pope_accuracy": metric}
            rows.append({**row, "filtered_resps": [said(image, asked)], **({"doc": doc} if document else {})})
    return rows


def merged() -> list[Row]:
    """VLMEvalKit's table: a question that several categories ask stands there once."""
    found: dict[Labelled, list[str]] = {}
    for category in ORDER:
        for item in ITEMS[category]:
            found.setdefault(item, []).append(category)
    return [
        {
            **{"index": index, "question": asked, "answer": label.capitalize(), "category": ",".join(categories)},
            "prediction": said(image, asked),
        }
        for index, ((image, asked, label), categories) in enumerate(found.items())
    ]


@pytest.mark.parametrize("shape", ["documents", "no pictures", "no documents", "table"])
@pytest.mark.parametrize("profile", ["llava", "lmms-eval", "vlmevalkit"])
def test_pope(pope_folder: Path, tmp_path: Path, shape: str, profile: str) -> None:
    offsets = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}
    ours = [
        Answer(str(offsets[category] + number), said(image, asked), asked + SHORT)
        for category in ORDER
        for number, (image, asked, _) in enumerate(ITEMS[category], 1)
    ]
    if shape == "table":
        path = table(tmp_path / "model_POPE.xlsx", merged())
    else:
        rows = samples(document=shape != "no documents", pictures=shape == "documents")
        path = write_lines(tmp_path / "x_samples_pope.jsonl", rows)
    known = pope.TASK.require(profile)
    expected = pope.score(ours, pope_folder, known)
    scored = pope.score(pope.answers(path), pope_folder, known)
    assert (scored.missing, scored.notes) == (0, expected.notes)
    for metric in expected.metrics:
        assert scored.value(metric.name) == pytest.approx(expected.value(metric.name)), metric.name


MME = {
    "color": [
        *[("1.jpg", "Is it red?", "yes"), ("1.jpg", "Is it blue?", "no")],
        *[("2.png", "Is it red?", "yes"), ("2.png", "Is it blue?", "no")],
    ],
    "code_reasoning": [("0001.png", "Is it 1?", "yes"), ("0001.png", "Is it 2?", "no")],
}


@pytest.mark.parametrize(
    ("named", "alone"), [("{image}", False), ("{subtask}/{image}", False), ("images/{n}.jpg", True)]
)
def test_mme_of_vlmevalkit(tmp_path: Path, named: str, alone: bool) -> None:
    folder = write_mme(tmp_path / "MME", MME)
    rows: list[Row] = []
    for subtask, items in MME.items():
        for place, (image, asked, label) in enumerate(items):
            path = named.format(image=image, subtask=subtask, n=f"{subtask}-{place // 2}")
            rows.append(
                {
                    **{"index": len(rows), "image_path": path, "question": f"{asked} Please answer yes or no."},
                    **{"answer": label.capitalize(), "category": subtask},
                    "prediction": "Yes" if image == "1.jpg" else label,
                }
            )
    scored = mme.score(mme.answers(table(tmp_path / "model_MME.xlsx", rows)), folder, "vlmevalkit")
    assert (scored.value("color"), scored.value("cognition"), scored.missing) == (75.0 + 50.0, 200.0, 0)
    assert any("brings along" in note for note in scored.notes) == alone


def test_mme_of_lmms_eval_without_documents(tmp_path: Path) -> None:
    folder = write_mme(tmp_path / "MME", MME)
    rows: list[Row] = [
        {
            **{"doc_id": 0, "target": label, "input": asked + SHORT, "filtered_resps": [label]},
            "mme_percetion_score": {"question_id": f"{subtask}/{image}", "category": subtask, "score": 1.0},
        }
        for subtask, items in MME.items()
        for image, asked, label in items
    ]
    scored = mme.score(mme.answers(write_lines(tmp_path / "x.jsonl", rows)), folder, "lmms-eval")
    assert (scored.value("color"), scored.value("cognition"), scored.missing) == (200.0, 200.0, 0)


def test_gqa_by_words(tmp_path: Path) -> None:
    asked = {
        f"2013{n:05d}": (f"n{n}", ("Is it red?", "What is it?")[n % 2], ("yes", "cat", "no")[n % 3]) for n in range(12)
    }
    folder = write_gqa(tmp_path / "gqa", asked)
    rows: list[Row] = [
        {"index": n, "question": words, "answer": right, "prediction": right if n % 4 else "dog"}
        for n, (_, words, right) in enumerate(asked.values())
    ]
    scored = gqa.score(gqa.TASK.answers(table(tmp_path / "x.xlsx", rows)), folder, "vlmevalkit")
    assert (scored.value(), scored.missing) == (75.0, 0)


def problems() -> dict[str, Row]:
    """Numbered 0 to 23 with gaps, so that a table's own index is mostly the number of another problem."""
    return {
        str(2 * n): {
            **{"question": ("Which?", "Who?")[n % 2], "choices": ["a", "b", f"c{n % 4}"], "answer": n % 3},
            "image": "image.png" if n % 2 else None,
        }
        for n in range(12)
    }


def chosen(name: str, problem: Row) -> str:
    return "ABC"[int(str(problem["answer"]))] if int(name) % 3 else "C"


def test_scienceqa_of_vlmevalkit_has_an_index_of_its_own(tmp_path: Path) -> None:
    folder = write_scienceqa(tmp_path / "scienceqa", problems())
    ours = [Answer(name, chosen(name, each)) for name, each in problems().items() if each["image"]]
    rows: list[Row] = []
    for name, each in problems().items():
        if each["image"]:
            options = dict(zip("ABC", list(each["choices"]), strict=True))  # type: ignore[call-overload]
            right = "ABC"[int(str(each["answer"]))]
            row = {"index": len(rows), "question": each["question"], **options, "D": "", "answer": right}
            rows.append({**row, "prediction": chosen(name, each)})
    scored = scienceqa.score(scienceqa.answers(table(tmp_path / "x.xlsx", rows)), folder, "vlmevalkit")
    expected = scienceqa.score(ours, folder, "vlmevalkit")
    assert (scored.value(), scored.missing) == (expected.value(), 6)
    assert 0 < scored.value() < 100


def test_scienceqa_of_lmms_eval_has_no_number(tmp_path: Path) -> None:
    folder = write_scienceqa(tmp_path / "scienceqa", problems())
    rows: list[Row] = [
        {
            **{"doc_id": n, "doc": {key: value for key, value in each.items() if key != "image"}},
            "filtered_resps": [chosen(name, each)],
        }
        for n, (name, each) in enumerate(problems().items())
    ]
    expected = scienceqa.score([Answer(name, chosen(name, each)) for name, each in problems().items()], folder, "llava")
    scored = scienceqa.score(scienceqa.answers(write_lines(tmp_path / "x.jsonl", rows)), folder, "llava")
    assert (scored.value("accuracy"), scored.missing) == (expected.value("accuracy"), 0)
    assert 0 < scored.value("accuracy") < 100


def test_seed_bench_by_words(tmp_path: Path) -> None:
    items: list[Row] = [
        {
            **{"question_id": str(n + 3), "question": ("How many?", "What?")[n % 2], "answer": "ABCD"[n % 4]},
            **{"choice_a": "one", "choice_b": "2", "choice_c": f"x{n % 3}", "choice_d": "None"},
            **{"data_type": "image", "question_type_id": 5, "data_id": f"p{n}"},
        }
        for n in range(12)
    ]
    write_json(tmp_path / "SEED-Bench.json", {"questions": items})
    rows: list[Row] = [
        {
            **{"index": n, "question": each["question"], "A": "one", "B": 2, "C": each["choice_c"], "D": "None"},
            **{"answer": each["answer"], "prediction": each["answer"] if n % 3 else "D"},
        }
        for n, each in enumerate(items)
    ]
    scored = SEED_BENCH.score(SEED_BENCH.answers(table(tmp_path / "x.xlsx", rows)), tmp_path, "vlmevalkit")
    assert scored.value() == pytest.approx(100 * (8 + 1) / 12)
    assert scored.missing == 0


def row(name: str, asked: str | None, right: str = "yes") -> Answer:
    return Answer(name, "x", meta={} if asked is None else {"question": asked, "answer": right})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([row("1", None), row("2", None)], ["1", "2"]),
        ([row("1", "How?"), row("2", "Is it?")], ["2", "1"]),  # the words win over the number
        ([row("1", "IS  it?"), row("2", "How?")], ["1", "2"]),
        ([row("7", "Is it?"), row("1", "Is it?")], ["3", "1"]),  # two questions in the same words, one with its number
        ([row("1", "Is it?"), row("1", "Is it?")], ["1", "3"]),
        ([row("1", "Is it?"), row("1", "Is it?"), row("3", "Is it?"), row("1", "Is it?")], ["1", "1", "3", "1"]),
        ([row("2", "How?", "no")], ["2"]),  # another right answer, but no other question
        ([row("1", "How?", "no"), row("2", "Why?")], [None, None]),
    ],
)
def test_whose_words_a_row_has(given: list[Answer], meant: list[str | None]) -> None:
    known = {"1": words("Is it?", "yes"), "2": words("How?", "yes"), "3": words("Is it?", "yes")}
    keyed = paired(known, given, lambda answer: answer.question_id, lambda each: words_of(each, "question", "answer"))
    assert [key for key, _ in keyed] == meant
    if any(meant):
        assert pair(known, keyed, "this").missing == 3 - len(set(meant) - {None})
