"""CHAIR: mentions are counted by hand here; what a picture's own people say is never invented."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cocos import Pictured, write_coco
from pumice.evaluate.beyond import chair
from pumice.evaluate.questions import Answer

DOG = Pictured(
    397133,
    (100, 80),
    [("dog", (10, 10, 30, 30), False), ("dining table", (0, 40, 90, 40), False)],
    ["A man looks at his puppy.", "Two people and a dog."],
)
SKI = Pictured(7, (100, 80), [("skis", (10, 10, 30, 30), False), ("person", (5, 5, 60, 60), True)], ["Snow."])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco"), [DOG, SKI])


def test_by_hand(folder: Path) -> None:
    said = {
        "397133": "A woman and a dog by the sofa. The dog looks at a cat; two cats sit beside the table tennis ball.",
        "7": "A skier on a pair of skis.",
    }
    scored = chair.score([Answer(name, text) for name, text in said.items()], folder, "official")
    first, second = scored.rows
    # woman, dog, dog; cat, cats, a ball. A sofa is no category here; a woman is a person, of whom the captions speak.
    assert first.values == {"mentions": 6, "invented": 3, "any_invented": 1, "found": 2, "there": 3}
    assert first.expected == "dining table, dog, person"
    assert "cat (cat)" in first.note and first.correct is False
    assert second.values == {"mentions": 2, "invented": 0, "any_invented": 0, "found": 2, "there": 2}
    assert scored.value("CHAIR_i") == pytest.approx(100 * 3 / 8)
    assert scored.value("CHAIR_s") == 50
    assert scored.value("recall") == 80


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A person plays with dogs.", ["person", "dog"]),
        ("People sit; a puppy sleeps.", ["person", "dog"]),
        ("A hot dog.", []),
        ("A cat's bowl", ["cat"]),
        ("a dining room", []),
        ("nothing", []),
    ],
)
def test_what_counts_as_a_mention(folder: Path, text: str, words: list[str]) -> None:
    (row, _) = chair.score([Answer("397133", text)], folder, "official").rows
    assert row.values["mentions"] == len(words), row


def test_captions_files_of_cocos_tools(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text(json.dumps([{"image_id": 397133, "caption": "A dog."}, {"image_id": 7, "caption": "Skis"}]))
    scored = chair.score(chair.answers(path), folder, "official")
    assert (scored.missing, scored.value("CHAIR_i"), scored.value("recall")) == (0, 0, 40)
    zeros = chair.score([Answer("000000397133", "A dog.")], folder, "official")
    assert zeros.missing == 1 and zeros.value("recall") == pytest.approx(100 / 3), "the other one is left out"
    assert any("left out" in note for note in zeros.notes)
    strange = chair.score([Answer(name, "A dog.") for name in ("7", "²", "1" * 5000)], folder, "official")
    assert strange.missing == 1 and "2 answers are to none" in " ".join(strange.notes)


def test_real_captions_invent_nothing(published: Path, tmp_path: Path) -> None:
    """COCO's own: as descriptions of their pictures they score 0, as descriptions of others they do not."""
    shared = published.parent / "coco"
    if not shared.is_dir():
        pytest.skip(f"no slice of COCO in {shared}")
    for name in ("captions", "instances"):
        shutil.copy(shared / f"{name}_val2017.json", tmp_path)
    listed = json.loads((shared / "captions_val2017.json").read_text(encoding="utf-8"))["annotations"]
    captions: dict[str, str] = {}
    for each in listed:
        captions[str(each["image_id"])] = f"{captions.get(str(each['image_id']), '')} {each['caption']}"
    own = chair.score([Answer(name, text) for name, text in captions.items()], tmp_path, "official")
    assert (own.value("CHAIR_i"), own.value("CHAIR_s")) == (0, 0)
    assert own.value("recall") > 40
    names = list(captions)
    exchanged = [Answer(name, captions[names[(at + 31) % len(names)]]) for at, name in enumerate(names)]
    other = chair.score(exchanged, tmp_path, "official")
    assert other.value("CHAIR_i") > 40 and other.value("recall") < own.value("recall") / 2
