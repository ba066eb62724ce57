"""Phrases about regions: the offline teacher asks for their boxes and says what is where."""

from __future__ import annotations

from pumice.annotations.scene import Region, Scene
from pumice.boxes import iou, written_boxes
from pumice.datagen.rules.write import write
from pumice.datagen.samples import KINDS

REGIONS = (
    Region("a parked white car.", (0.05, 0.4, 0.25, 0.6)),
    Region("the clock is green", (0.75, 0.05, 0.95, 0.25)),
    Region("man in a grey shirt", (0.72, 0.7, 0.92, 0.98)),
    Region("a shoe", (0.1, 0.1, 0.11, 0.12)),
    Region("a window", (0.1, 0.1, 0.2, 0.2)),
    Region("A window", (0.3, 0.1, 0.4, 0.2)),
    Region("a STUPID sign there", (0.4, 0.4, 0.6, 0.6)),
)
SCENE = Scene("s", "s.jpg", None, None, (), (), regions=REGIONS)
TOLD = {"a parked white car": 0, "the clock is green": 1, "man in a grey shirt": 2}


def test_phrases_make_samples() -> None:
    written = {kind for kind in KINDS if write(SCENE, kind, 0) is not None}
    assert written == {"conversation", "detail", "grounding"}


def test_boxes_are_the_phrases_own() -> None:
    """Phrases that stand for two boxes, for a speck, or in coarse words are passed over."""
    draft = write(SCENE, "grounding", 0)
    assert draft is not None and len(draft.exchanges) == len(TOLD)
    for each in draft.exchanges:
        phrase = next(words for words in TOLD if words in each.question)
        assert iou(next(written_boxes(each.answer)), REGIONS[TOLD[phrase]].box) > 0.9


def test_phrases_are_told_with_their_places() -> None:
    detail, conversation = write(SCENE, "detail", 0), write(SCENE, "conversation", 0)
    assert detail is not None and "On the left: a parked white car." in detail.exchanges[0].answer
    assert "At the top right: the clock is green." in detail.exchanges[0].answer
    assert conversation is not None
    told = {each.answer: each.question for each in conversation.exchanges}
    assert "at the bottom right" in told["Man in a grey shirt."]
