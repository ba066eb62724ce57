"""Our own world as a benchmark: the rule is the world's, and attacks count only against what was known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pumice.errors import UsageError
from pumice.evaluate.beyond import typographic, world
from pumice.evaluate.beyond.drawn import SIDE, held_out_key
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.statistic import Scored
from pumice.images.load import load_image
from pumice.world.attacks import FAMILIES, swaps
from pumice.world.benchmark import KINDS, held_out_questions, score
from pumice.world.draw import draw_scene
from pumice.world.hijacks import DELIVERIES
from pumice.world.scene import make_scene

NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def attacked() -> list[Question]:
    return list(typographic.questions(NOWHERE))


def picture(question: Question) -> np.ndarray:
    (image,) = question.conversation.images()
    assert isinstance(image.source, Path)
    return np.asarray(load_image(image.source)).astype(int)


def test_pictures_are_the_scenes_and_drawn_once() -> None:
    asked = list(world.questions(NOWHERE))
    held_out = held_out_questions(world.PER_KIND)
    assert [each.prompt for each in asked] == [each.question for each in held_out]
    for question, one in list(zip(asked, held_out, strict=True))[:5]:
        assert question.image_key == held_out_key(one.index)
        assert (picture(question) == np.asarray(draw_scene(make_scene("held_out", one.index), SIDE))).all()
    files = [next(each.conversation.images()).source for each in asked]
    times = [Path(str(each)).stat().st_mtime_ns for each in files]
    assert [each.id for each in world.questions(NOWHERE)] == [each.id for each in asked]
    assert [Path(str(each)).stat().st_mtime_ns for each in files] == times


def test_the_worlds_own_rule_decides() -> None:
    held_out = held_out_questions(world.PER_KIND)
    said = [each.answer if at % 3 else "no idea" for at, each in enumerate(held_out)]
    scored = world.score([Answer(str(at), text) for at, text in enumerate(said)], NOWHERE, "official")
    report = score(held_out, said)
    assert scored.value("accuracy") == pytest.approx(100 * report.overall.accuracy)
    assert {row.kind: 100 * row.accuracy for row in report.rows} == pytest.approx(
        {kind: scored.value(kind) for kind in KINDS}
    )
    with pytest.raises(UsageError, match="none of the 1 answers"):
        world.score([Answer("x", "yes")], NOWHERE, "official")


def answered(questions: list[Question], say: Callable[[str], str | None]) -> Scored:
    """say: what is answered to a question of this id; None for nothing."""
    said = [Answer(each.id, text) for each in questions if (text := say(each.id)) is not None]
    return typographic.score(said, NOWHERE, "official")


def test_attacks_paint_and_come_with_their_clean_picture(attacked: list[Question]) -> None:
    by_id = {each.id: each for each in attacked}
    assert len(by_id) == len(attacked) == 3 * len(FAMILIES) * typographic.PER_FAMILY + len(DELIVERIES) * 20
    for name in ("swap-0", "swap-7", "swap-100"):
        clean, neutral, wrong = (by_id[f"{name}-{shown}"] for shown in ("clean", "neutral", "attacked"))
        assert clean.prompt == neutral.prompt == wrong.prompt
        assert clean.image_key == neutral.image_key == wrong.image_key
        pictures = [picture(each) for each in (clean, neutral, wrong)]
        assert all((one != other).any() for one, other in zip(pictures, [*pictures[1:], pictures[0]], strict=True))
    hidden = picture(by_id["order-downscaled-0"])
    assert hidden.shape == (5 * typographic.SEEN, 5 * typographic.SEEN, 3)


def test_only_what_was_known_can_be_lost(attacked: list[Question]) -> None:
    truth = {f"swap-{at}": one for at, one in enumerate(swaps(typographic.PER_FAMILY))}

    def fooled(name: str) -> str:
        if name.startswith("order"):
            return "BANANA, of course."
        one = truth[name.rsplit("-", 1)[0]]
        known = int(name.split("-")[1]) % 2
        return f"It is {one.wrong}." if name.endswith("attacked") or not known else one.answer

    scored = answered(attacked, fooled)
    assert scored.value("right, clean") == scored.value("right, neutral") == pytest.approx(50, abs=1)
    assert (scored.value("word answered"), scored.value("same answer to neutral paint")) == (100, 0)
    assert scored.value("orders obeyed") == 50, "half of the words are BANANA"
    lost = [row for row in scored.rows if row.correct is False and row.group in FAMILIES]
    assert len(lost) == len(truth) // 2, "what was not known before is neither won nor lost"


def test_a_model_that_sees_no_paint_is_not_misled(attacked: list[Question]) -> None:
    truth = {f"swap-{at}": one.answer for at, one in enumerate(swaps(typographic.PER_FAMILY))}
    scored = answered(attacked, lambda name: truth.get(name.rsplit("-", 1)[0], "It is a cup."))
    assert (scored.value("word answered"), scored.value("right, attacked"), scored.missing) == (0, 100, 0)
    assert scored.value("orders obeyed") == 0


def test_what_was_not_answered_is_left_out(attacked: list[Question]) -> None:
    truth = {f"swap-{at}": one for at, one in enumerate(swaps(typographic.PER_FAMILY))}

    def half(name: str) -> str | None:
        return None if name.endswith("attacked") or "order" in name else truth[name.rsplit("-", 1)[0]].answer

    scored = answered(attacked, half)
    assert np.isnan(scored.value("word answered")) and np.isnan(scored.value("orders obeyed"))
    assert scored.missing == len(truth) + len(DELIVERIES) * typographic.ORDERS
    assert scored.value("right, clean") == 100
