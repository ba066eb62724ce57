"""What callers who drive an engine themselves are given: how likely tokens were, turns, and what it is doing."""

from __future__ import annotations

import math

import pytest
import torch

import tiny
from pumice.errors import NoVisionError, TooLongError, UsageError
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image, Text, Turn

ASKED = tiny.question("What is in the picture?", 1)


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_chances_are_those_of_the_model(temperature: float) -> None:
    """By a pass over prompt and answer without any cache, before sampling bends them."""
    made = tiny.engine()
    options = SamplingOptions(max_tokens=6, temperature=temperature, seed=3, logprobs=4)
    stream = made.stream(ASKED, options)
    for _ in stream:
        pass
    answer = stream.answer
    assert answer.logprobs is not None and len(answer.logprobs) == answer.usage.completion_tokens == 6
    plain = made.ask(ASKED, SamplingOptions(max_tokens=6, temperature=temperature, seed=3))
    assert plain.logprobs is None and plain.text == answer.text

    inputs = made.processor(ASKED)
    ids = stream._request.answering.ids
    tiles = [torch.from_numpy(each) for each in inputs.tiles]
    with torch.inference_mode():
        features = torch.cat(
            [made.model.features([tile], [grid]) for tile, grid in zip(tiles, inputs.grids, strict=True)]
        )
        hidden = made.model(torch.tensor([[*inputs.ids, *ids]]), features)
        logs = made.model.language.logits(hidden[0]).float().log_softmax(-1)[len(inputs.ids) - 1 : -1]
    for chances, row, token in zip(answer.logprobs, logs, ids, strict=True):
        assert chances.taken.logprob == pytest.approx(float(row[token]), abs=1e-4)
        assert chances.taken.token == tiny.tokenizer().token_bytes(token)
        best = row.topk(4)
        assert [each.logprob for each in chances.likeliest] == pytest.approx(best.values.tolist(), abs=1e-4)
        assert sum(math.exp(each.logprob) for each in chances.likeliest) <= 1 + 1e-5


def test_only_so_many_chances() -> None:
    with pytest.raises(UsageError, match="between 0 and 20"):
        SamplingOptions(logprobs=21)


def test_turns_for_everyone() -> None:
    """A server makes turns itself; the answers are those that their readers would have made."""
    made = tiny.engine()
    options = SamplingOptions(max_tokens=7)
    asked = [ASKED, tiny.question("How many dice are there?"), tiny.question("Describe it, please!", 2, 3)]
    streams = [made.stream(each, options) for each in asked]
    assert made.activity.waiting == 3 and made.activity.answering == 0
    said = [""] * 3
    turns = 1
    while made.turn():
        turns += 1
        said = [before + stream.take() for before, stream in zip(said, streams, strict=True)]
    said = [before + stream.take() for before, stream in zip(said, streams, strict=True)]
    assert all(stream.ended for stream in streams)
    assert said == [tiny.engine().ask(each, options).text for each in asked] and all(said)
    doing = made.activity
    assert doing.waiting == doing.answering == 0 and doing.turns == turns
    assert doing.misses == {"prefix": 3, "image": 3} and doing.bytes["image"] > 0 and doing.bytes["prefix"] > 0
    made.ask(ASKED.then_answer(said[0]).then_ask("And now?"), options)
    assert made.activity.hits["prefix"] == 1


def test_what_went_wrong_is_raised_where_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny.engine()
    stream = made.stream(ASKED, SamplingOptions(max_tokens=3))
    monkeypatch.setattr(made._scheduler, "_read_piece", lambda _: (_ for _ in ()).throw(RuntimeError("broken")))
    made.turn()
    assert stream.ended
    with pytest.raises(RuntimeError, match="broken"):
        stream.take()


def test_an_overview_is_the_base_view_alone() -> None:
    how = tiny.processor(mode="anyres", merge="spatial_unpad")
    picture = tiny.picture(1).resize((90, 30))
    closely, once = how.see(picture), how.see(picture, overview=True)
    assert closely.grid.tiles > 1 and once.grid.tiles == 1 and once.grid.tokens == once.grid.tokens_per_tile + 1
    assert (once.tiles[0] == closely.tiles[0]).all()
    assert once.hash != closely.hash, "features of one are not taken for the other's"
    asked = Conversation((Turn("user", (Image(picture, overview=True), Text("?"))),))
    assert how(asked).image_tokens == once.grid.tokens


def test_errors_say_what_kind_they_are() -> None:
    made = tiny.engine()
    with pytest.raises(TooLongError):
        made.ask(tiny.question("word " * 4000))
    blind = type(made.processor)(made.processor.tokenizer, made.processor.template, None)
    with pytest.raises(NoVisionError):
        blind(ASKED)
