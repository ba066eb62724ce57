"""Scenes as training data: conversations, LLaVA's JSON with PNG pictures, annotations, and plain text."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Collection, Iterator
from operator import itemgetter
from pathlib import Path

from PIL.Image import Image as PilImage

from pumice.prompts.conversation import Conversation, Image
from pumice.world.captions import captions
from pumice.world.draw import draw_scene
from pumice.world.questions import ask_about
from pumice.world.referents import label
from pumice.world.scene import Scene, Split, make_scene
from pumice.world.wording import QA, caption, describe

CORPUS_CAPTIONS = 3
PICTURE_SIDE = 336  # pixels of a written PNG: the side of LLaVA-1.5's vision tower

CAPTION_PROMPTS = (
    "Describe the picture briefly.",
    "Describe the image in one sentence.",
    "Give a short description of the picture.",
    "What does the picture show?",
    "Write a caption for the image.",
    "Summarise what is in the image.",
)


def caption_conversations(scene: Scene, image: PilImage, rng: random.Random, count: int) -> list[Conversation]:
    """The picture, a request for a description, and a caption, ``count`` times: records of the first training stage."""
    prompt = rng.choice(CAPTION_PROMPTS)
    return [Conversation.ask(prompt, (Image(image),)).then_answer(text) for text in captions(scene, rng, count)]


def qa_conversations(
    scene: Scene, image: PilImage, rng: random.Random, *, detail: float = 1.0, favoured: Collection[str] = ()
) -> list[Conversation]:
    """Every question about the scene as a conversation of its own, with the picture in front.

    The kinds take turns, so that the first few hold as many different kinds as the scene allows. detail: the share of
    scenes that are described in detail; such an answer has as many words as ten others. favoured: kinds whose questions
    all come before the second of any other kind.
    """
    picture = (Image(image),)
    asked: Counter[str] = Counter()
    rounds: list[tuple[int, QA]] = []
    found = ask_about(scene, rng)
    brief = rng.random() >= detail
    for qa in found:
        if brief and qa.kind == "detail":
            continue
        rounds.append((0 if qa.kind in favoured else asked[qa.kind], qa))
        asked[qa.kind] += 1
    rounds.sort(key=itemgetter(0))
    return [Conversation.ask(qa.question, picture).then_answer(qa.answer) for _, qa in rounds]


def multi_turn(scene: Scene, image: PilImage, rng: random.Random) -> Conversation:
    """One conversation of two to four questions about one picture, which stands in front of the first."""
    first, *others = ask_about(scene, rng)[: rng.randint(2, 4)]
    conversation = Conversation.ask(first.question, (Image(image),)).then_answer(first.answer)
    for qa in others:
        conversation = conversation.then_ask(qa.question).then_answer(qa.answer)
    return conversation


def write_llava_json(folder: Path, split: Split, start: int, count: int, *, side: int = PICTURE_SIDE) -> Path:
    """Write ``count`` scenes from number ``start`` as a data set in LLaVA's format; returns the JSON file.

    The folder gets ``images/*.png`` (``side`` x ``side`` pixels), ``records.json`` (one multi-turn conversation for
    each picture; ``image`` is relative to ``images``) and ``annotations.jsonl`` with one line for each picture:
    ``{"id", "image", "width", "height", "captions": [short, long], "instances": [{"category", "bbox"}]}``, boxes as
    fractions (x0, y0, x1, y1); the keys are those of LLaVA's own table of COCO captions and boxes. Existing files of
    these names are replaced.
    """
    pictures = folder / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    records = []
    with (folder / "annotations.jsonl").open("w", encoding="utf-8") as annotations:
        for index in range(start, start + count):
            scene = make_scene(split, index)
            name = f"{split}_{index:07d}.png"
            image = draw_scene(scene, side)
            image.save(pictures / name, compress_level=1)
            records.append(_llava_record(name, multi_turn(scene, image, _rng("records", scene))))
            annotations.write(json.dumps(_annotation(name, scene, side)) + "\n")
    path = folder / "records.json"
    path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return path


def corpus(count: int) -> Iterator[str]:
    """Every text of the first ``count`` training scenes: prompts, questions, answers, captions, descriptions."""
    yield from CAPTION_PROMPTS
    for index in range(count):
        scene = make_scene("train", index)
        yield from captions(scene, _rng("captions", scene), CORPUS_CAPTIONS)
        for qa in ask_about(scene, _rng("corpus", scene)):
            yield qa.question
            yield qa.answer


def _rng(purpose: str, scene: Scene) -> random.Random:
    return random.Random(f"{purpose}:{scene.split}:{scene.index}")


def _llava_record(name: str, conversation: Conversation) -> dict[str, object]:
    turns = [
        {"from": "human" if turn.role == "user" else "gpt", "value": ("<image>\n" if index == 0 else "") + turn.text}
        for index, turn in enumerate(conversation.turns)
    ]
    return {"id": Path(name).stem, "image": name, "conversations": turns}


def _annotation(name: str, scene: Scene, side: int) -> dict[str, object]:
    instances = [{"category": label(item), "bbox": [round(edge, 3) for edge in item.box]} for item in scene.items]
    said = [caption(scene), describe(scene, _rng("annotation", scene))]
    return {
        "id": Path(name).stem,
        "image": name,
        "width": side,
        "height": side,
        "captions": said,
        "instances": instances,
    }
