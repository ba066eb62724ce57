"""Guesses: where they come from, when they are made, and that a right answer does not depend on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from pumice.checkpoint.save import save_checkpoint
from pumice.engine.drafting import MOST, PROBE, Drafter
from pumice.engine.engine import Engine
from pumice.options import SamplingOptions
from pumice.quantize.plan import standard_plan


def test_what_followed_before_is_guessed() -> None:
    drafter = Drafter([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3])
    assert drafter.draft(9) == [4, 5, 6, 7][:MOST]
    assert drafter.draft(2) == [4, 5]
    assert drafter.draft(0) == []
    drafter.push(9)
    assert drafter.draft(9) == []


def test_the_newest_place_counts() -> None:
    assert Drafter([1, 2, 3, 4, 0, 1, 2, 3, 5, 0, 1, 2, 3]).draft(1) == [5]


def test_pictures_are_never_guessed() -> None:
    assert Drafter([1, 2, 3, 4, -1, -1, 1, 2, 3]).draft(9) == [4]
    assert Drafter([-1, -1, -1, 4, -1, -1, -1]).draft(9) == []


def test_guessing_stops_where_it_does_not_pay_and_is_tried_again() -> None:
    drafter = Drafter([1, 2, 3, 4, 1, 2, 3])
    for _ in range(10):
        drafter.learn(4, 0)
    tries = [bool(drafter.draft(4)) for _ in range(3 * PROBE)]
    assert sum(tries) == 3
    for _ in range(20):
        drafter.learn(4, 4)
    assert all(drafter.draft(4) for _ in range(5))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drafting") / "model"
    save_checkpoint(tiny.model(speak=tiny.language(intermediate_size=64)), tiny.processor(), path)
    return path


@settings(deadline=None, max_examples=10)
@given(st.lists(st.sampled_from(["a", "b", "the", "sky", "is", "red"]), min_size=1, max_size=20), st.booleans())
def test_speculative_is_plain(folder: Path, words: list[str], company: bool) -> None:
    """Random weights soon repeat themselves: there is much to guess, rightly and wrongly."""
    options = SamplingOptions(max_tokens=60)
    question = tiny.question(" ".join(words), 1)
    plain = Engine.load(folder, device="cpu", quantization=standard_plan(4))
    plain.runner.speculates = False
    fast = Engine.load(folder, device="cpu", quantization=standard_plan(4))
    other = fast.stream(tiny.question("Sky?"), SamplingOptions(max_tokens=60, temperature=1.0, seed=1))
    if company:
        next(iter(other))
    assert fast.runner.speculates
    wanted, found = plain.ask(question, options), fast.ask(question, options)
    assert (found.text, found.usage.completion_tokens) == (wanted.text, wanted.usage.completion_tokens)


def test_right_guesses_save_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a drafter that knows the answer, every step gives ``1 + MOST`` tokens, and the answer is the same."""
    made, question = Engine.load(folder, device="cpu", quantization=standard_plan(4)), tiny.question("Sky?", 1)
    options = SamplingOptions(max_tokens=41)
    stream = made.stream(question, options)
    wanted = "".join(stream)
    whole = list(stream._request.answering.ids)
    prompt = len(stream._request.answering.inputs.ids)

    def knowing(drafter: Drafter, room: int) -> list[int]:
        said = len(drafter._ids) - prompt
        return whole[said : said + min(MOST, room)]

    monkeypatch.setattr(Drafter, "draft", knowing)
    calls = []
    step = made.runner.step

    def counted(tokens: Any, places: Any, caches: Any) -> Any:
        calls.append(len(tokens))
        return step(tokens, places, caches)

    monkeypatch.setattr(made.runner, "step", counted)
    assert made.ask(question, options).text == wanted
    assert calls == [1 + MOST] * 8, "the first token comes from the prompt, forty from eight steps"
