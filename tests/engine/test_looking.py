"""What an answer looked at: the model's own attention, laid out over its pictures."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tiny
from pumice.engine.engine import Engine
from pumice.engine.looking import Look, _weights
from pumice.errors import UsageError
from pumice.images.config import Merge
from pumice.model.language import Attention, View
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image
from pumice.world.draw import draw_scene
from pumice.world.questions import ask_about
from pumice.world.scene import make_scene
from pumice.world.wording import box_text


def heat(found: Look) -> float:
    return float(found.base.sum() + (0 if found.mosaic is None else found.mosaic.sum()))


@pytest.mark.parametrize("changes", [{}, {"kv_heads": 1}, {"sliding_window": 5}], ids=["grouped", "single", "window"])
def test_weights_are_those_that_mix_values(changes: dict[str, Any]) -> None:
    made = tiny.model(3, sees=False, speak=tiny.language(**changes)).language
    attention = made.layers[0].self_attn
    assert isinstance(attention, Attention)
    x = torch.randn(1, 12, made.config.hidden_size)
    view = View(made.config, torch.arange(12)[None], None, None, x.dtype)
    asking = [3, 7, 11]
    with torch.inference_mode():
        weights = _weights(attention, x, view, asking)
        value = attention.v_proj(x).unflatten(-1, attention.split).transpose(1, 2)[0]
        mixed = weights @ value.repeat_interleave(len(weights) // len(value), dim=0)  # [H, m, E]
        expected = attention(x, view)[0, asking]
        assert torch.allclose(attention.o_proj(mixed.transpose(0, 1).flatten(1)), expected, atol=1e-5)


@pytest.mark.parametrize("merge", ["flat", "spatial", "spatial_unpad"])
def test_every_patch_has_its_place(merge: Merge) -> None:
    engine = Engine(tiny.model(1), tiny.processor(mode="anyres", merge=merge))
    said = Conversation.ask("Both?", (Image(tiny.picture(1, (90, 40))), Image(tiny.picture(2, (30, 60)))))
    first, second = engine.look(said.then_answer("A red cup."))
    assert first.mosaic is not None and second.mosaic is not None
    side = tiny.SIDE // tiny.PATCH
    assert first.mosaic.shape == (first.grid.rows * side, first.grid.columns * side)
    assert second.mosaic.shape == (second.grid.rows * side, second.grid.columns * side)
    total = heat(first) + heat(second)
    assert 0 < total <= 1 + 1e-5
    if merge != "spatial_unpad":  # where line ends are looked at as well
        assert total == pytest.approx(1, abs=1e-5)


def test_the_last_answer_counts() -> None:
    engine = tiny.engine()
    said = tiny.question("What?", 1).then_answer("A red cup.")
    (first,) = engine.look(said)
    (other,) = engine.look(said.then_ask("And now?").then_answer("Nothing."))
    assert heat(first) == pytest.approx(1, abs=1e-5)
    assert not np.allclose(first.base, other.base)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (lambda: tiny.question("What?").then_answer("A cup."), "without a picture"),
        (lambda: tiny.question("What?", 1).then_answer(""), "an empty answer"),
    ],
)
def test_nothing_to_look_at(said: Callable[[], Conversation], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        tiny.engine().look(said())


def test_the_bundled_model_looks_at_what_it_names() -> None:
    """Asked for the box of a thing, most of its attention is on that thing, which covers little of the picture."""
    engine, inside, area, seen = Engine.load(offline=True), 0.0, 0.0, 0
    for index in range(40):
        scene = make_scene("held_out", index)
        for qa in ask_about(scene, random.Random(f"look:{index}")):
            item = next((each for each in scene.items if qa.kind == "box" and box_text(each.box) == qa.answer), None)
            if item is None:
                continue
            said = Conversation.ask(qa.question, (Image(draw_scene(scene, 224)),))
            (found,) = engine.look(said.then_answer(engine.ask(said, SamplingOptions()).text))
            side = found.grid.side
            left, top, right, bottom = item.box
            rows, columns = (np.arange(side) + 0.5) / side, (np.arange(side) + 0.5) / side
            within = ((rows >= top) & (rows <= bottom))[:, None] & ((columns >= left) & (columns <= right))[None]
            inside += float(found.base[within].sum())
            area += float(within.mean())
            seen += 1
            break
    assert seen >= 10
    assert inside / seen > 0.5 > 3 * area / seen, (inside / seen, area / seen)
