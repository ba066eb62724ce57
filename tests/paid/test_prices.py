"""What it will cost, and what it cannot exceed."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paid.asking import PRICE, PRICES, request
from pumice.errors import UsageError
from pumice.paid.estimate import cost_at_most, estimate, prompt_tokens, text_tokens
from pumice.paid.keys import key_of_environment
from pumice.paid.prices import Price, Prices, load_prices
from pumice.paid.request import Request

GOLDEN = Path(os.environ.get("PUMICE_GOLDEN", Path(__file__).parents[2].parent / "shared" / "golden"))
COCO = GOLDEN.parent / "data" / "coco" / "caps_boxes_coco2014_val_80.jsonl"


def test_the_table_of_this_package_has_a_day_and_sound_prices() -> None:
    prices = load_prices()
    assert prices.date >= date(2026, 1, 1) and prices.of("gpt-4o-mini") and prices.of("nobody-knows") is None
    for name, price in prices.models.items():
        assert 0 < price.input <= price.output, name
        assert (price.cached_input or 0) < price.input and price.batch in (0.5, 1.0), name


def test_a_users_file_stands_before_it(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        'date = 2027-01-01\n[models]\n"gpt-4o" = { input = 1, output = 2 }\nmine = { input = 0, output = 0 }\n'
    )
    prices = load_prices(own)
    assert prices.of("gpt-4o") == Price(input=1, output=2) and prices.of("gpt-4o-mini")
    assert prices.day("gpt-4o") == date(2027, 1, 1) and prices.day("gpt-4o-mini") == prices.date
    free = prices.of("mine")
    assert free and free.cost(1000, 1000) == 0, "a price of nothing is a price"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("date = 2027-01-01\n[models]\nm = { input = -1, output = 2 }", "models.m.input"),
        ("date = 2027-01-01\n[models]\nm = { input = 1 }", "models.m.output"),
        ("date = 2027-01-01\n[models]\nm = { input = 1, output = 2, outptu = 3 }", "models.m.outptu"),
        ("date = 2027-01-01\n[models]\nm = { input = nan, output = 2 }", "models.m.input"),
        ("[models]", "date"),
        ("not toml", "TOML"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, why: str) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(text)
    with pytest.raises(UsageError, match=why) as caught:
        load_prices(own)
    assert "USD per million tokens" in str(caught.value.hint)
    own.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="UTF-8"):
        load_prices(own)
    with pytest.raises(UsageError, match="cannot read"):
        load_prices(tmp_path / "absent.toml")


def test_cost_is_of_fresh_and_read_tokens_and_of_the_answer() -> None:
    assert PRICE.cost(1_000_000, 0) == 2.5 and PRICE.cost(0, 1_000_000) == 10
    assert PRICE.cost(1_000_000, 0, 400_000) == pytest.approx(0.6 * 2.5 + 0.4 * 1.25)
    assert PRICE.cost(1_000_000, 1_000_000, batch=True) == 6.25
    assert Price(input=2, output=4).cost(100, 0, 100) == Price(input=2, output=4).cost(100, 0)


@given(texts=st.lists(st.text(), min_size=1, max_size=4), most=st.integers(1, 1000))
def test_the_bound_holds_for_every_way_to_cut_words(texts: list[str], most: int) -> None:
    """No vocabulary makes more tokens than bytes."""
    each = Request("teacher", tuple({"role": "user", "content": text} for text in texts), {"max_tokens": most})
    bound = cost_at_most(each, PRICES)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    assert bound is not None and bound >= PRICE.cost(size + 7 * len(texts), most) - 1e-12
    assert bound >= PRICE.cost(prompt_tokens(each), most) - 1e-12
    half = cost_at_most(each, PRICES, batch=True)
    assert half == pytest.approx(bound / 2)


def test_the_bound_counts_pictures_and_schemas_and_needs_a_price_and_an_end() -> None:
    text = Request("teacher", ({"role": "user", "content": [{"type": "text", "text": "What?"}]},), {"max_tokens": 5})
    url = {"type": "image_url", "image_url": {"url": "data:"}}
    seen = Request(
        "teacher", ({"role": "user", "content": [{"type": "text", "text": "What?"}, url]},), {"max_tokens": 5}
    )
    schema = Request("teacher", text.messages, {"max_tokens": 5, "response_format": {"schema": "x" * 5000}})
    bound = cost_at_most(text, PRICES) or 0
    assert (cost_at_most(seen, PRICES) or 0) > 100 * bound > 0 and (cost_at_most(schema, PRICES) or 0) > 10 * bound
    assert prompt_tokens(seen) - prompt_tokens(text) == 1000
    assert cost_at_most(text, Prices({}, PRICES.date)) is None
    assert cost_at_most(Request("teacher", text.messages), PRICES) is None


def test_an_estimate_adds_up_and_does_not_invent_prices() -> None:
    found = estimate((request(number) for number in range(10)), PRICES, answer_tokens=40)
    assert found.requests == 10 and found.completion_tokens == 400
    assert found.prompt_tokens == sum(prompt_tokens(request(number)) for number in range(10))
    assert found.cost == pytest.approx(PRICE.cost(found.prompt_tokens, 400))
    assert found.cost_at_most is not None and found.cost is not None and found.cost_at_most > found.cost
    half = estimate((request(number) for number in range(10)), PRICES, answer_tokens=40, batch=True)
    assert half.cost == pytest.approx(found.cost / 2)
    unknown = estimate([request(1), Request("other", request(1).messages)], PRICES, answer_tokens=40)
    assert unknown.cost is None is unknown.cost_at_most and unknown.requests == 2
    assert estimate([request(1)], PRICES, answer_tokens=10_000).completion_tokens == 100


def test_tokens_are_guessed_as_vocabularies_cut() -> None:
    if not COCO.is_file():
        pytest.skip(f"no COCO captions at {COCO}; set PUMICE_GOLDEN to the folder beside that of data")
    entries = [json.loads(line) for line in COCO.read_text(encoding="utf-8").splitlines()]
    captions = ["\n".join(entry["captions"]) for entry in entries]
    boxes = [
        "\n".join(f"{thing['category']}: {[round(edge, 3) for edge in thing['bbox']]}" for thing in entry["instances"])
        for entry in entries
    ]
    both = [f"{caption}\n\n{box}" for caption, box in zip(captions, boxes, strict=True)]
    # What OpenAI's o200k_base makes of them: 4,850 and 15,559 tokens.
    assert sum(map(text_tokens, captions)) == pytest.approx(4850, rel=0.05)
    assert sum(map(text_tokens, both)) == pytest.approx(15559, rel=0.05)


@given(text=st.text())
def test_any_text_has_tokens(text: str) -> None:
    assert 0 <= text_tokens(text) <= len(text.encode("utf-8", "replace"))


def test_keys_come_from_the_environment_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PUMICE_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert key_of_environment() is None
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert key_of_environment() == "theirs"
    monkeypatch.setenv("PUMICE_API_KEY", " ours ")
    assert key_of_environment() == "ours"
    monkeypatch.setenv("PUMICE_API_KEY", "")
    assert key_of_environment() == "theirs"
