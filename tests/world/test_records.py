"""Records: conversations, files on disk, and the texts for a tokenizer."""

from __future__ import annotations

import json
import random
from pathlib import Path

from PIL import Image as Pil

from pumice.prompts.conversation import Image
from pumice.world.draw import draw_scene
from pumice.world.questions import IN_DETAIL, ask_about, caption
from pumice.world.records import caption_conversations, corpus, multi_turn, qa_conversations, write_llava_json
from pumice.world.scene import make_scene


def test_conversations_start_with_the_picture() -> None:
    scene = make_scene("train", 5)
    picture = draw_scene(scene, 96)
    single = qa_conversations(scene, picture, random.Random(1))
    asked = {qa.question: qa for qa in ask_about(scene, random.Random(1))}
    assert sorted(one.turns[0].text for one in single) == sorted(asked)
    assert all(asked[one.turns[0].text].answer == one.turns[1].text for one in single)
    kinds = [asked[one.turns[0].text].kind for one in single]
    assert len(set(kinds[: len(set(kinds))])) == len(set(kinds)), "every kind comes once before any comes twice"
    [short, other] = caption_conversations(scene, picture, random.Random(3), 2)
    assert short.turns[1].text == caption(scene) != other.turns[1].text
    long = multi_turn(scene, picture, random.Random(2))
    assert len(long.turns) in (4, 6, 8)
    for conversation in (*single, short, other, long):
        first = conversation.turns[0].parts[0]
        assert isinstance(first, Image) and first.source is picture
        assert len(list(conversation.images())) == 1


def test_favoured_kinds_come_first() -> None:
    """All their questions stand before the second of any other kind."""
    for index in range(12):
        scene = make_scene("train", index)
        kind_of = {qa.question: qa.kind for qa in ask_about(scene, random.Random(index))}
        single = qa_conversations(scene, draw_scene(scene, 96), random.Random(index), favoured=("yes_no", "reading"))
        kinds = [kind_of[one.turns[0].text] for one in single]
        assert sorted(kinds) == sorted(kind_of.values())
        others = [kind for kind in kinds if kind not in ("yes_no", "reading")]
        second = next((at for at, kind in enumerate(kinds) if kind in others and kind in kinds[:at]), len(kinds))
        assert not {"yes_no", "reading"} & set(kinds[second:])


def test_only_a_share_of_scenes_is_described_in_detail() -> None:
    def described(share: float) -> int:
        found = 0
        for index in range(40):
            scene = make_scene("train", index)
            single = qa_conversations(scene, draw_scene(scene, 96), random.Random(index), detail=share)
            asked = {one.turns[0].text for one in single}
            found += any(question in asked for question in IN_DETAIL)
        return found

    assert described(1.0) == 40
    assert described(0.0) == 0
    assert 5 <= described(0.5) <= 35


def test_files_in_llavas_format(tmp_path: Path) -> None:
    path = write_llava_json(tmp_path / "set", "held_out", 7, 3, side=112)
    records = json.loads(path.read_text(encoding="utf-8"))
    lines = (path.parent / "annotations.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(records) == len(lines) == 3
    for index, record, line in zip((7, 8, 9), records, map(json.loads, lines), strict=True):
        scene = make_scene("held_out", index)
        with Pil.open(path.parent / "images" / record["image"]) as picture:
            assert picture.convert("RGB").tobytes() == draw_scene(scene, 112).tobytes()
        turns = record["conversations"]
        assert [turn["from"] for turn in turns] == ["human", "gpt"] * (len(turns) // 2)
        assert turns[0]["value"].startswith("<image>\n")
        assert sum("<image>" in turn["value"] for turn in turns) == 1
        assert (line["id"], line["image"], line["width"]) == (record["id"], record["image"], 112)
        assert line["captions"][0] == caption(scene)
        assert len(line["instances"]) == len(scene.items)
        for instance, item in zip(line["instances"], scene.items, strict=True):
            assert instance["category"].endswith(item.name)
            assert instance["bbox"] == [round(edge, 3) for edge in item.box]
    assert len({record["id"] for record in records}) == 3


def test_the_corpus_is_of_training_scenes_and_stable() -> None:
    texts = list(corpus(20))
    assert texts == list(corpus(20))
    assert all(caption(make_scene("train", index)) in texts for index in range(20))
    assert len(texts) > 20 * 2 * 11
