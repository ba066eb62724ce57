"""Prompts: pumice's own, and those that replace them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pumice.annotations.categories import coco as coco_words
from pumice.annotations.scene import Scene, Thing
from pumice.boxes import has_area, written_boxes
from pumice.datagen import prompting
from pumice.datagen.context import context
from pumice.datagen.parsing import parse
from pumice.datagen.prompting import PromptSet, messages
from pumice.datagen.samples import Draft, Kind
from pumice.errors import UsageError
from pumice.paid.request import Request

OWN = Path(prompting.__file__).with_name("prompts")
SCENE = Scene(
    "1", "1.jpg", 640, 480, ("A dog runs.",), (Thing("dog", (0.1, 0.2, 0.3, 0.4)),), closed=frozenset({"dog", "cat"})
)
EXAMPLES: dict[Kind, int] = {
    "conversation": 2, "detail": 3, "reasoning": 3, "negatives": 2, "counting": 2, "position": 2,
}  # fmt: skip


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


def test_there_is_a_prompt_for_every_kind_that_takes_words() -> None:
    prompts = PromptSet.load()
    assert {kind: len(prompt.examples) for kind, prompt in prompts.prompts.items()} == EXAMPLES
    assert re.fullmatch(r"[0-9a-f]{12}", prompts.version)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_request_is_system_examples_scene(kind: Kind) -> None:
    prompts = PromptSet.load()
    asked = messages(SCENE, kind, prompts)
    assert asked is not None
    assert [each["role"] for each in asked] == ["system", *["user", "assistant"] * EXAMPLES[kind], "user"]
    assert asked[-1]["content"] == context(SCENE, kind)
    assert Request("teacher", asked).key == Request("teacher", asked).key


def test_nothing_is_asked_where_there_is_nothing_to_say() -> None:
    prompts = PromptSet.load()
    assert messages(Scene("1", "1.jpg", 9, 9, (), ()), "conversation", prompts) is None
    assert messages(SCENE, "grounding", prompts) is None


@pytest.mark.parametrize("kind", EXAMPLES)
def test_worked_examples_are_true_and_formatted_like_real_contexts(kind: Kind) -> None:
    for example in PromptSet.load().prompts[kind].examples:
        draft = parse(kind, example.reply)
        assert isinstance(draft, Draft)
        boxes = list(written_boxes(example.told))
        assert bool(boxes) == (kind != "conversation") and all(has_area(box) and max(box) <= 1 for box in boxes)
        lines = [line.partition(": [") for line in example.told.split("\n") if ": [" in line]
        assert all(re.fullmatch(r"(\d\.\d{3}, ){3}\d\.\d{3}\]", rest) for _, _, rest in lines)
        # Whatever an answer names is in what the teacher was told, or said there to be absent.
        told = {name for mention in coco_words().mentions(example.told) for name in mention.categories}
        told |= {name for name, _, _ in lines} | set(example.told.rpartition("picture: ")[2].split(", "))
        for each in draft.exchanges:
            for mention in coco_words().mentions(each.answer):
                assert mention.loose or told & set(mention.categories), (mention.word, each.answer)
                count = sum(name in mention.categories for name, _, _ in lines)
                if mention.number and not mention.loose and count and kind != "negatives":
                    assert mention.number <= count, (mention.word, each.answer)


def test_a_folder_replaces_the_kinds_it_has(tmp_path: Path) -> None:
    own = PromptSet.load()
    write(tmp_path / "conversation", system_message="Talk.", x_caps="A dog.", x_conv="Q: What?\nA: A dog.")
    replaced = PromptSet.load(tmp_path)
    assert replaced.prompts["conversation"].system == "Talk."
    assert [each.told for each in replaced.prompts["conversation"].examples] == ["A dog."]
    assert replaced.prompts["detail"] == own.prompts["detail"]
    assert replaced.version != own.version


def test_the_originals_folder_names_are_known(tmp_path: Path) -> None:
    write(tmp_path / "detail_description", system_message="Describe.", x_caps="A dog.", x_conv="A dog sleeps.")
    write(tmp_path / "complex_reasoning", system_message="Reason.")
    prompts = PromptSet.load(tmp_path).prompts
    assert (prompts["detail"].system, prompts["reasoning"].system) == ("Describe.", "Reason.")


def test_the_version_is_that_of_the_words(tmp_path: Path) -> None:
    shutil.copytree(OWN, tmp_path / "copy")
    version = PromptSet.load().version
    assert PromptSet.load(tmp_path / "copy").version == version
    for file in sorted((tmp_path / "copy").rglob("*.txt"))[::5]:
        text = file.read_text(encoding="utf-8")
        file.write_text("\ufeff" + text.replace("\n", "\r\n") + "\n\n", encoding="utf-8")
        assert PromptSet.load(tmp_path / "copy").version == version  # an editor's habits are no other words
        file.write_text(text[::-1].replace("e", "o", 1)[::-1], encoding="utf-8")
        assert PromptSet.load(tmp_path / "copy").version != version
        file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x_caps": "A dog.", "x_conv": "Q: What?\nA: A dog."}, "has no system_message.txt"),
        ({"system_message": "Talk.", "x_caps": "A dog."}, "x_conv.txt is missing"),
        ({"system_message": " \n"}, "is empty"),
        ({"system_message": "Talk.", "x_caps": "A dog.", "x_conv": "A dog."}, "a reply that would be refused"),
    ],
)
def test_prompts_that_cannot_work_are_refused_before_anything_is_paid(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    write(tmp_path / "conversation", **files)
    with pytest.raises(UsageError, match=message):
        PromptSet.load(tmp_path)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found no folder"):
        PromptSet.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="has no prompts"):
        PromptSet.load(tmp_path)
    (write(tmp_path / "detail") / "system_message.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UsageError, match="is not UTF-8"):
        PromptSet.load(tmp_path)
