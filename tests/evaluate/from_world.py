"""Small benchmarks in the official formats, with pictures and questions of the bundled model's own world."""

from __future__ import annotations

import base64
import csv
import io
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL.Image import Image

import benchmark_files as files
from pumice.world.draw import draw_scene
from pumice.world.questions import ask_about
from pumice.world.scene import make_scene
from pumice.world.wording import QA

#: A multiple of 3, so that POPE's files are of the same size.
SCENES = 9
SIDE = 112
TASKS = ("pope", "mme", "gqa", "vqav2", "vizwiz", "textvqa", "scienceqa", "mmbench")


def write(folder: Path) -> Path:
    """All of ``TASKS``, each where the original keeps it."""
    for write_one in (_pope, _mme, _gqa, _vqav2, _vizwiz, _textvqa, _scienceqa, _mmbench):
        write_one(folder)
    return folder


def _asked(*kinds: str) -> Iterator[tuple[int, list[QA]]]:
    """Of each scene, two questions of these kinds, without the world's own wish for a short answer."""
    for index in range(SCENES):
        found = ask_about(make_scene("held_out", index), random.Random(index))
        plain = [
            replace(each, question=each.question.splitlines()[0], answer=_short(each))
            for each in found
            if each.kind in kinds
        ]
        yield index, plain[:2]


def _short(asked: QA) -> str:
    """The word that counts: of a yes or no that, of a number its digits."""
    number = re.search(r"\d+", asked.answer)
    return _label(asked.answer) if asked.kind == "yes_no" else number.group() if number else asked.answer


def _picture(index: int) -> Image:
    return draw_scene(make_scene("held_out", index), SIDE)


def _pictures(folder: Path, name: str = "{}.jpg") -> None:
    folder.mkdir(parents=True)
    for index in range(SCENES):
        _picture(index).save(folder / name.format(index), quality=95)


def _label(answer: str) -> str:
    return "yes" if answer.lower().startswith("yes") else "no"


def _pope(folder: Path) -> None:
    _pictures(folder / "pope" / "val2014")
    items = [(f"{index}.jpg", each.question, each.answer) for index, found in _asked("yes_no") for each in found]
    categories = ("adversarial", "popular", "random")
    files.write_pope(folder / "pope", {name: items[place::3] for place, name in enumerate(categories)})


def _mme(folder: Path) -> None:
    subtasks: dict[str, list[files.Labelled]] = {"existence": [], "count": []}
    for index, found in _asked("yes_no"):
        if len(found) == 2:
            subtask = ("existence", "count")[index % 2]
            subtasks[subtask] += [(f"{index}.jpg", each.question, each.answer) for each in found]
    files.write_mme(folder / "MME", subtasks)
    for subtask in subtasks:
        _pictures(folder / "MME" / "MME_Benchmark_release_version" / subtask)


def _gqa(folder: Path) -> None:
    _pictures(folder / "gqa" / "data" / "images")
    found = [(index, each) for index, some in _asked("colour", "count") for each in some]
    questions = {
        f"{index}{place}": (str(index), each.question, each.answer) for place, (index, each) in enumerate(found)
    }
    files.write_gqa(folder / "gqa", questions)


def _vqav2(folder: Path) -> None:
    _pictures(folder / "vqav2" / "val2014", "COCO_val2014_{:012}.jpg")
    found = [(index, each) for index, some in _asked("count", "yes_no") for each in some]
    rows = [(place, index, each.question, [each.answer] * 10) for place, (index, each) in enumerate(found)]
    files.write_vqav2(folder / "vqav2", rows)


def _vizwiz(folder: Path) -> None:
    _pictures(folder / "vizwiz" / "val")
    found = [(index, some[0]) for index, some in _asked("objects") if some]
    files.write_vizwiz(
        folder / "vizwiz", [(f"{index}.jpg", each.question, [each.answer] * 10) for index, each in found]
    )


def _textvqa(folder: Path) -> None:
    _pictures(folder / "textvqa" / "train_images")
    found = [(index, each) for index, some in _asked("reading", "dice_sum", "count") for each in some]
    rows = [(str(index), each.question, [each.answer] * 10, ["STOP", str(index)]) for index, each in found]
    files.write_textvqa(folder / "textvqa", rows)


def _scienceqa(folder: Path) -> None:
    problems: dict[str, dict[str, object]] = {}
    for index, found in _asked("yes_no"):
        for place, each in enumerate(found):
            name = f"{index}{place}"
            problem = {"question": each.question, "choices": ["yes", "no"], "answer": int(each.answer == "no")}
            problems[name] = {**problem, "image": None if index == 0 else "image.png"}
            if index:
                picture = folder / "scienceqa" / "images" / "test" / name / "image.png"
                picture.parent.mkdir(parents=True)
                _picture(index).save(picture)
    files.write_scienceqa(folder / "scienceqa", problems)


def _mmbench(folder: Path) -> None:
    """Each question twice, its options turned round, as rows 1,000,000 apart."""
    path = folder / "mmbench" / "mmbench_dev_20230712.tsv"
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "l2-category"])
        for index, found in _asked("yes_no"):
            written = io.BytesIO()
            _picture(index).save(written, "PNG")
            image = base64.b64encode(written.getvalue()).decode()
            for turn, (first, second) in enumerate((("yes", "no"), ("no", "yes"))):
                right = "A" if found[0].answer == first else "B"
                row = [index + 1_000_000 * turn, found[0].question, "", first, second, "", ""]
                table.writerow([*row, right, f"kind {index % 2}", image, "seeing"])
