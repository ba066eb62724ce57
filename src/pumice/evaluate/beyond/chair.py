"""CHAIR: which things a description speaks of that the picture does not show (Rohrbach et al. 2018).

A thing is there if somebody drew a box around it or if one of the picture's own captions speaks of it. CHAIR_i is the
share of mentions of things that are not there, CHAIR_s that of descriptions with at least one, and recall says how much
of what is there was mentioned: a model that says little makes few mistakes.

Names are looked up in our own list (``annotations.categories``), not in CHAIR's, and read with more care: "train
station" mentions no train, and a word that may stand for several categories ("glass", "vehicle") is never held against
a description. Figures come out close to those with CHAIR's own list, but are not the same; docs/evaluation.md says how
close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pumice.annotations.categories import Mention, vocabulary_for
from pumice.annotations.scene import Scene
from pumice.evaluate.beyond.offline import offline_task
from pumice.evaluate.beyond.scenes import FILES, gallery
from pumice.evaluate.formula import mean, total
from pumice.evaluate.predictions import read_answers
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.scoring.matching import match
from pumice.evaluate.statistic import Metric, Row, Scored
from pumice.evaluate.task import Profile
from pumice.prompts.conversation import Conversation, Image

PROMPT = "Please describe this image in detail."
_METRICS = (
    Metric("CHAIR_i", 100 * (total("invented") / total("mentions")), smaller_is_better=True),
    Metric("CHAIR_s", 100 * mean("any_invented"), smaller_is_better=True),
    Metric("recall", 100 * (total("found") / total("there"))),
    Metric("mentions per description", mean("mentions"), scale=10),
)


def questions(folder: Path) -> Iterator[Question]:
    """One of each picture whose things were all marked."""
    shown = gallery(folder)
    for scene in _closed(shown.scenes):
        yield Question(scene.id, Conversation.ask(PROMPT, (Image(shown.picture(scene)),)), scene.image)


def answers(path: Path) -> Sequence[Answer]:
    """Files of answers, and of captions as COCO's tools write them: ``[{"image_id": 1, "caption": "..."}]``."""
    return read_answers(path, ids=("question_id", "image_id", "id"), texts=("caption", "text", "answer", "prediction"))


def score(given: Sequence[Answer], folder: Path, profile: Profile) -> Scored:
    """CHAIR_i, CHAIR_s, and recall."""
    shown = gallery(folder)
    scenes = {scene.id: scene for scene in _closed(shown.scenes)}
    matched = match(scenes, given, lambda answer: _key(answer.question_id, scenes), "the described pictures")
    rows = tuple(_row(scenes[name], answer) for name, answer in matched.pairs)
    notes = matched.notes("are left out")
    return Scored("chair", profile, "CHAIR_i", rows, _METRICS, matched.missing, notes, shown.notes)


def shown_in(scene: Scene) -> frozenset[str]:
    """The categories that a description may speak of: of its things, and those that its captions surely mention."""
    names = {thing.category for thing in scene.things}
    for caption in scene.captions:
        names.update(mention.category for mention in _mentions(scene, caption))
    return frozenset(names & scene.closed)


def invented(scene: Scene, text: str) -> tuple[list[Mention], list[Mention]]:
    """All mentions of things that the source's annotators looked for, and those of them that are not there."""
    there = shown_in(scene)
    made = _mentions(scene, text)
    return made, [mention for mention in made if mention.category not in there]


def _mentions(scene: Scene, text: str) -> list[Mention]:
    """Of one category each, whose absence would be known; what may mean something else is passed over."""
    return [
        mention
        for mention in vocabulary_for(scene).mentions(text)
        if not mention.loose and len(mention.categories) == 1 and mention.category in scene.closed
    ]


def _closed(scenes: Sequence[Scene]) -> Iterator[Scene]:
    return (scene for scene in scenes if scene.closed)


def _key(name: str, scenes: dict[str, Scene]) -> str:
    """The scene that an id means, which may be a number with or without COCO's leading zeros."""
    return name if name in scenes else name.lstrip("0")


def _row(scene: Scene, answer: Answer | None) -> Row:
    if answer is None:
        return Row(scene.id, scene.image, {}, asked=PROMPT, note="no answer")
    made, wrong = invented(scene, answer.text)
    there = shown_in(scene)
    found = {mention.category for mention in made} & there
    values = {"invented": len(wrong), "mentions": len(made), "any_invented": bool(wrong), "found": len(found)}
    words = ", ".join(dict.fromkeys(f"{each.word} ({each.category})" for each in wrong))
    return Row(
        question_id=scene.id,
        cluster=scene.image,
        values={name: float(value) for name, value in values.items()} | {"there": float(len(there))},
        correct=not wrong,
        asked=PROMPT,
        answer=answer.text,
        expected=", ".join(sorted(there)),
        note=f"not there: {words}" if wrong else "",
    )


TASK = replace(offline_task("chair", "CHAIR", questions, score, files=FILES), answers=answers, max_tokens=512)
