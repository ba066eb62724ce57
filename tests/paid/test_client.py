"""Questions to a teacher that misbehaves: everything is answered, and both sides' books are the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from paid.asking import PRICE, PRICES, QUICK, asked_all, request, said
from paid.teacher_server import OF_WORDS, REFUSAL, Books, Bucket, key_of, teaching
from pumice.errors import AuthError, ModelError, PumiceError
from pumice.paid.answers import (
    HOPELESS,
    Answer,
    BudgetError,
    GaveUpError,
    OutageError,
    QuotaError,
    RefusedForGoodError,
)
from pumice.paid.budget import Budget
from pumice.paid.client import PaidClient
from pumice.paid.ledger import Ledger, Totals
from pumice.paid.limits import Limits
from sockets import answering

FAULTS = {
    **{"limited": 0.1, "error": 0.1, "gateway": 0.05, "hang": 0.02, "drop": 0.05},
    **{"cut": 0.05, "html": 0.03, "empty": 0.05},
    **{"refusal": 0.05, "nonsense": 0.05, "null": 0.05, "long": 0.05},
}


def totals(path: Path) -> Totals:
    with Ledger(path) as ledger:
        return ledger.totals()


def same_books(path: Path, books: Books) -> Totals:
    """Asserts that the ledger and the server agree on every whole answer, and on what was lost."""
    mine = totals(path)
    assert set(books.answered.values()) <= {1}, "something was paid twice"
    assert mine.answered == books.answered.total() == len(books.answered)
    assert mine.attempts == books.asked.total() + books.faults["bucket"]
    spoilt = books.faults["empty"]  # these say what they took
    assert mine.spoilt == spoilt
    assert mine.unsure == sum(books.faults[kind] for kind in ("gateway", "hang", "drop", "cut", "html"))
    return mine


def test_a_teacher_that_misbehaves_is_paid_once_for_each_answer(tmp_path: Path) -> None:
    requests = [request(number) for number in range(300)]
    with teaching(said, faults=FAULTS) as teacher:
        outcomes = asked_all(teacher.url, tmp_path / "ledger", requests, concurrency=50, timeout_s=3)
        books = teacher.books
    assert len(outcomes) == 300 and all(isinstance(each, Answer) for each in outcomes.values())
    assert all(books.faults[kind] for kind in (*OF_WORDS, "limited", "error", "hang", "drop", "cut", "empty"))
    mine = same_books(tmp_path / "ledger", books)
    answers = sum(each.cost or 0 for each in outcomes.values() if isinstance(each, Answer))
    assert answers == pytest.approx(books.whole.cost(PRICE), rel=1e-9)
    charged = books.whole.cost(PRICE) + books.spoilt.cost(PRICE)
    assert mine.cost == pytest.approx(charged, rel=1e-9)
    assert charged + books.lost.cost(PRICE) <= mine.at_most
    assert mine.prompt_tokens == books.whole.prompt_tokens + books.spoilt.prompt_tokens
    assert mine.completion_tokens == books.whole.completion_tokens + books.spoilt.completion_tokens
    refusals = [each for each in outcomes.values() if isinstance(each, Answer) and each.text == REFUSAL]
    assert len(refusals) == books.faults["refusal"]
    reasons = {each.finish_reason for each in outcomes.values() if isinstance(each, Answer)}
    assert reasons == {"stop", "length", "content_filter"}


def test_what_was_paid_is_not_asked_again(tmp_path: Path) -> None:
    requests = [request(number) for number in range(40)]
    with teaching(said, faults={"null": 0.2, "nonsense": 0.2}) as teacher:
        first = asked_all(teacher.url, tmp_path / "ledger", [*requests[:25], *requests[:25]])
        again = asked_all(teacher.url, tmp_path / "ledger", requests)
        assert teacher.books.asked.total() == 40
    for key, answer in first.items():
        other = again[key]
        assert isinstance(answer, Answer) and isinstance(other, Answer) and other.from_ledger
        assert (answer.text, answer.usage, answer.cost) == (other.text, other.usage, other.cost)
    fresh = [each for each in again.values() if isinstance(each, Answer) and not each.from_ledger]
    assert len(fresh) == 15 and totals(tmp_path / "ledger").answered == 40


def test_refused_for_good_is_not_charged_and_not_asked_again_before_the_next_run(tmp_path: Path) -> None:
    requests = [request(number) for number in range(30)]
    with teaching(said, faults={"forbidden": 0.3}, most_faults=1) as teacher:
        first = asked_all(teacher.url, tmp_path / "ledger", [*requests, *requests])
        assert teacher.books.asked.total() == 30
        bad = {key for key, each in first.items() if isinstance(each, RefusedForGoodError)}
        assert len(bad) == teacher.books.faults["forbidden"] > 3
        for key in bad:
            error = first[key]
            assert isinstance(error, RefusedForGoodError) and "flagged" in str(error)
            assert error.status == 400 and error.code == "content_policy_violation"
        mine = totals(tmp_path / "ledger")
        assert mine.failed == len(bad) and mine.cost == pytest.approx(teacher.books.whole.cost(PRICE))
        last = asked_all(teacher.url, tmp_path / "ledger", requests)
        assert teacher.books.asked.total() == 30 + len(bad)
    assert all(isinstance(each, Answer) for each in last.values()) and totals(tmp_path / "ledger").failed == 0


def test_silent_servers_are_estimated(tmp_path: Path) -> None:
    with teaching(said, faults={"silent": 1.0}, most_faults=99) as teacher:
        outcome = asked_all(teacher.url, tmp_path / "ledger", [request(1)])[request(1).key]
    assert isinstance(outcome, Answer) and outcome.usage.estimated and outcome.cost
    assert totals(tmp_path / "ledger").estimated == 1


def test_a_price_that_is_not_known_is_not_nothing(tmp_path: Path) -> None:
    other = request(1)
    object.__setattr__(other, "model", "nobody-knows")
    with teaching(said) as teacher:
        outcome = asked_all(teacher.url, tmp_path / "ledger", [other])[other.key]
        assert isinstance(outcome, Answer) and outcome.cost is None
        mine = totals(tmp_path / "ledger")
        assert mine.cost is None and mine.unpriced == 1
        asked_all(teacher.url, tmp_path / "ledger", [request(1)])
        assert totals(tmp_path / "ledger").cost


def test_patience_ends(tmp_path: Path) -> None:
    with teaching(said, faults={"error": 1.0}, most_faults=99) as teacher:
        outcome = asked_all(teacher.url, tmp_path / "ledger", [request(1)])[request(1).key]
        assert isinstance(outcome, GaveUpError) and outcome.status == 500
        assert teacher.books.asked.total() == QUICK.attempts
        many = asked_all(teacher.url, tmp_path / "ledger", [request(number) for number in range(60)], concurrency=10)
        assert teacher.books.asked.total() < 60 * QUICK.attempts / 2
    assert {type(each) for each in many.values()} == {GaveUpError, OutageError}
    assert totals(tmp_path / "ledger").cost == 0


def test_nobody_listens(tmp_path: Path) -> None:
    with teaching(said) as teacher:
        url = teacher.url
    outcome = asked_all(url, tmp_path / "ledger", [request(1)])[request(1).key]
    assert isinstance(outcome, GaveUpError) and "cannot be reached" in str(outcome)
    assert totals(tmp_path / "ledger").unsure == 0


def test_a_wrong_key_is_asked_for_once(tmp_path: Path) -> None:
    with teaching(said, key="right") as teacher:
        requests = [request(number) for number in range(50)]
        outcomes = asked_all(teacher.url, tmp_path / "ledger", requests, key="wrong", concurrency=5)
        assert {type(each) for each in outcomes.values()} == {AuthError}
        assert all(
            "PUMICE_API_KEY, else OPENAI_API_KEY" in str(getattr(each, "hint", "")) for each in outcomes.values()
        )
        assert len(teacher.books.authorization) == 1
        assert totals(tmp_path / "ledger").attempts <= 5
        right = asked_all(teacher.url, tmp_path / "ledger", requests, key="right")
    assert all(isinstance(each, Answer) for each in right.values())


@pytest.mark.parametrize(
    ("head", "body", "kind"),
    [
        ("404 X", "{}", ModelError),
        ("302 X\r\nlocation: /login", "", ModelError),
        ("402 X", "{}", QuotaError),
        ("429 X", '{"error": {"message": "no money", "code": "insufficient_quota"}}', QuotaError),
        ("429 X\r\nretry-after: 86400", "{}", QuotaError),
    ],
)
def test_what_asking_again_cannot_mend_is_asked_once(
    tmp_path: Path, head: str, body: str, kind: type[PumiceError]
) -> None:
    answer = f"HTTP/1.1 {head}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    requests = [request(number) for number in range(5)]
    with answering(answer.encode()) as (port, asked):
        outcomes = asked_all(f"http://127.0.0.1:{port}/v1", tmp_path / "ledger", requests, concurrency=1)
    assert {type(each) for each in outcomes.values()} == {kind} and kind in HOPELESS
    assert len(asked) == 1 and totals(tmp_path / "ledger").failed == 0


def test_rate_limits_in_headers_are_obeyed(tmp_path: Path) -> None:
    with teaching(said, bucket=Bucket(20, 100.0)) as teacher:
        requests = [request(number) for number in range(150)]
        outcomes = asked_all(teacher.url, tmp_path / "ledger", requests, concurrency=50)
        refused = teacher.books.faults["bucket"]
        same_books(tmp_path / "ledger", teacher.books)
    assert all(isinstance(each, Answer) for each in outcomes.values())
    assert refused < 60  # those that had gone out before the first header came, and few more


def test_all_wait_when_one_is_told_to_come_back_later(tmp_path: Path) -> None:
    with teaching(said, latency_s=0.05) as teacher:
        first = key_of(dict(request(0).body))
        teacher.fault_of = lambda key, number: "limited" if (key, number) == (first, 1) else "none"  # type: ignore[method-assign]
        asked_all(teacher.url, tmp_path / "ledger", [request(number) for number in range(20)], concurrency=2)
        begin, *later = teacher.books.times
    assert len(later) == 20
    assert sum(time < begin + 0.2 for time in later) <= 1  # the one that was on its way already


def test_a_budget_is_never_exceeded(tmp_path: Path) -> None:
    requests = [request(number) for number in range(200)]
    with teaching(said, faults={"drop": 0.1}) as teacher:
        budget = Budget(0.05)
        outcomes = asked_all(teacher.url, tmp_path / "ledger", requests, budget=budget, concurrency=50)
        paid = [each for each in outcomes.values() if isinstance(each, Answer)]
        stopped = [each for each in outcomes.values() if isinstance(each, BudgetError)]
        assert len(paid) + len(stopped) == 200 and stopped and len(paid) > 20
        mine = totals(tmp_path / "ledger")
        assert teacher.books.whole.cost(PRICE) <= mine.at_most <= 0.05
        assert mine.at_most > 0.05 - 0.003  # nor was much left
        before = teacher.books.asked.total()
        outcomes = asked_all(teacher.url, tmp_path / "ledger", requests, budget=Budget(0.05), concurrency=50)
        assert teacher.books.asked.total() == before, "earlier runs count as well"
        outcomes = asked_all(teacher.url, tmp_path / "ledger", requests, budget=Budget(1.0), concurrency=50)
    assert all(isinstance(each, Answer) for each in outcomes.values())


def test_two_hundred_in_flight_and_the_same_once(tmp_path: Path) -> None:
    requests = [request(number % 400) for number in range(800)]
    with teaching(said, gather=200) as teacher:
        asked_all(teacher.url, tmp_path / "ledger", requests, concurrency=250)
        assert set(teacher.books.asked.values()) == {1} and teacher.books.asked.total() == 400
        assert 200 <= teacher.books.most_in_flight <= 250


def test_who_leaves_early_leaves_the_books_in_order(tmp_path: Path) -> None:
    requests = [request(number) for number in range(100)]

    async def run(url: str) -> int:
        with Ledger(tmp_path / "ledger") as ledger:
            async with PaidClient(url, "k", ledger=ledger, limits=QUICK, prices=PRICES, concurrency=20) as client:
                taken = 0
                stream = client.ask_all(requests)
                async for _, _ in stream:
                    taken += 1
                    if taken == 30:
                        break
                await stream.aclose()
                assert len(asyncio.all_tasks()) == 1
                return ledger.totals().answered

    with teaching(said, latency_s=0.05) as teacher:
        assert asyncio.run(run(teacher.url)) >= 30
        mine = totals(tmp_path / "ledger")
        assert mine.answered + mine.unsure >= teacher.books.answered.total() >= mine.answered
        assert mine.answered < 100
        asked_all(teacher.url, tmp_path / "ledger", requests)
    assert all(teacher.books.answered[key_of(dict(each.body))] >= 1 for each in requests)


def test_the_users_limits_hold(tmp_path: Path) -> None:
    limits = Limits(requests_per_minute=1200, first_wait_s=0.01)
    with teaching(said) as teacher:
        asked_all(teacher.url, tmp_path / "ledger", [request(number) for number in range(30)], limits=limits)
        assert teacher.books.asked.total() == 30
