"""Batches: half the price, each line with an outcome of its own, and nothing sent that cannot be paid."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from paid.asking import PRICE, PRICES, asked_all, request, said
from paid.teacher_server import REFUSAL, Teacher, teaching
from pumice.errors import ServerError
from pumice.paid import batch
from pumice.paid.answers import Answer, BudgetError, LedgerError, QuotaError
from pumice.paid.batch import BatchClient, Filled
from pumice.paid.batch_server import BatchState
from pumice.paid.budget import Budget
from pumice.paid.client import PaidClient
from pumice.paid.ledger import Ledger, Totals
from pumice.paid.request import Request
from pumice.remote import FailedRequestError


def filled(
    url: str, path: Path, requests: Iterable[Request], budget: Budget | None = None, key: str = "k"
) -> tuple[Filled, list[BatchState], Totals]:
    """What became of them, what was seen of the batches, and the books."""

    async def run() -> tuple[Filled, list[BatchState], Totals]:
        seen: list[BatchState] = []
        with Ledger(path) as ledger:
            async with BatchClient(
                url, key, ledger=ledger, budget=budget, prices=PRICES, poll_s=0.01, watch=seen.append
            ) as client:
                return await client.fill(requests), seen, ledger.totals()

    return asyncio.run(run())


def test_a_batch_answers_at_half_the_price_what_is_not_answered_yet(tmp_path: Path) -> None:
    requests = [request(number) for number in range(50)]
    with teaching(said, faults={"refusal": 0.1, "null": 0.1}) as teacher:
        asked_all(teacher.url, tmp_path / "ledger", requests[:10])
        alone = teacher.books.whole.cost(PRICE)
        counts, seen, books = filled(teacher.url, tmp_path / "ledger", [*requests, *requests])
        assert counts == Filled(batches=1, answered=40)
        assert [state.status for state in seen] == ["in_progress", "in_progress", "completed"] and seen[-1].total == 40
        assert books.cost == pytest.approx(alone + (teacher.books.whole.cost(PRICE) - alone) / 2)
        assert books.answered == 50 and books.in_flight == 0 == books.at_risk
        outcomes = asked_all(teacher.url, tmp_path / "ledger", requests)
        assert teacher.books.asked.total() == 50, "what a batch has answered is not asked again"
    texts = [each.text for each in outcomes.values() if isinstance(each, Answer) and each.from_ledger]
    assert len(texts) == 50 and texts.count(REFUSAL) == teacher.books.faults["refusal"]


def test_each_line_has_an_outcome_of_its_own(tmp_path: Path) -> None:
    requests = [request(number) for number in range(60)]
    with teaching(said, faults={"error": 0.2, "forbidden": 0.2}, most_faults=1) as teacher:
        teacher.batches.expired = 5
        counts, _, books = filled(teacher.url, tmp_path / "ledger", requests)
        faults = teacher.books.faults
        assert counts.refused == faults["forbidden"] > 3 and counts.unanswered == faults["error"] + 5 > 10
        assert counts.answered == teacher.books.answered.total() == 60 - counts.refused - counts.unanswered
        assert books.failed == counts.refused and books.unsure == 0
        teacher.batches.expired = 0
        again, _, _ = filled(teacher.url, tmp_path / "ledger", requests)
        assert again.answered + again.refused + again.unanswered == counts.unanswered + counts.refused
        _, _, books = filled(teacher.url, tmp_path / "ledger", requests)
    assert books.answered == 60, "what was refused was asked once more in the next run"
    assert books.cost == pytest.approx(teacher.books.whole.cost(PRICE) / 2)


def test_results_that_nobody_can_read_are_counted(tmp_path: Path) -> None:
    with teaching(said) as teacher:
        finish = teacher.batches._finish

        def spoil(found: dict[str, str]) -> None:
            finish(found)
            name, data = teacher.batches.files[found["output_file_id"]]
            lines = data.splitlines(keepends=True)
            lines[0] = b"<html>\n"
            lines[1] = lines[1].replace(b'"custom_id": "', b'"custom_id": "99')
            lines[2] = lines[2].replace(b'"choices"', b'"chances"')
            teacher.batches.files[found["output_file_id"]] = (name, b"".join(lines))

        teacher.batches._finish = spoil  # type: ignore[method-assign, assignment]
        counts, _, books = filled(teacher.url, tmp_path / "ledger", [request(number) for number in range(10)])
    assert counts.strange == 2 and counts.answered == 7 and counts.unanswered == 3
    assert books.unsure == 2 and books.spoilt == 1


def test_a_line_of_results_ends_where_json_lines_end(tmp_path: Path) -> None:
    """Answers may hold characters at which Python ends lines, too, as they are or escaped."""
    text = "one\u2028two\x85three\x1cfour"
    with teaching(lambda _: text) as teacher:
        finish = teacher.batches._finish

        def unescaped(found: dict[str, str]) -> None:
            finish(found)
            name, data = teacher.batches.files[found["output_file_id"]]
            for mark in "\u2028\x85":
                data = data.replace(json.dumps(mark)[1:-1].encode(), mark.encode())
            assert "\u2028".encode() in data
            teacher.batches.files[found["output_file_id"]] = (name, b"\n" + data.removesuffix(b"\n"))

        teacher.batches._finish = unescaped  # type: ignore[method-assign, assignment]
        requests = [request(number) for number in range(5)]
        counts, _, _ = filled(teacher.url, tmp_path / "ledger", requests)
    assert (counts.answered, counts.strange, counts.unanswered) == (5, 0, 0)
    with Ledger(tmp_path / "ledger") as ledger:
        assert {found.text for each in requests if (found := ledger.find(each))} == {text}


def test_results_whose_connection_breaks_are_fetched_again(tmp_path: Path) -> None:
    requests = [request(number) for number in range(5)]
    with teaching(said) as teacher:
        teacher.batches.broken = 1
        with pytest.raises(FailedRequestError, match=r"the connection to the server at .* broke"):
            filled(teacher.url, tmp_path / "ledger", requests)
        counts, _, _ = filled(teacher.url, tmp_path / "ledger", requests)
        assert (teacher.batches.made, counts.answered) == (1, 5)


def test_batches_are_of_one_model_and_of_a_size_that_the_server_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_MOST_LINES", 15)
    requests = [request(number) for number in range(40)]
    other = [Request("other", each.messages, each.parameters) for each in requests[:5]]
    with teaching(said) as teacher:
        counts, _, _ = filled(teacher.url, tmp_path / "ledger", [*requests, *other])
        sizes = [each["request_counts"]["total"] for each in teacher.batches.batches.values()]
    assert sizes == [15, 15, 10, 5] and counts.answered == 45 and counts.batches == 4


def test_a_batch_that_was_made_without_a_word_is_not_made_again(tmp_path: Path) -> None:
    with teaching(said) as teacher:
        teacher.batches.gateway = 1
        counts, _, _ = filled(teacher.url, tmp_path / "ledger", [request(number) for number in range(5)])
        assert teacher.batches.made == 1 == teacher.batches.uploads
    assert counts.answered == 5 and teacher.books.asked.total() == 5


def test_a_budget_bounds_what_is_in_batches_too(tmp_path: Path) -> None:
    budget = Budget(0.02)
    with teaching(said) as teacher:
        with pytest.raises(BudgetError):
            filled(teacher.url, tmp_path / "ledger", [request(number) for number in range(300)], budget)
        assert teacher.batches.made > 1, "what the first gave back is used"
        with Ledger(tmp_path / "ledger") as ledger:
            books = ledger.totals()
        assert books.answered == teacher.books.answered.total() > 60
        assert 0.019 < books.at_most <= 0.02 and books.at_most == pytest.approx(budget.spent)


@pytest.mark.parametrize(("code", "kind"), [("token_limit_exceeded", QuotaError)])
def test_a_batch_that_is_refused_leaves_its_requests_open(tmp_path: Path, code: str, kind: type[Exception]) -> None:
    requests = [request(number) for number in range(5)]
    with teaching(said) as teacher:
        teacher.batches.fails = code
        with pytest.raises(kind, match="token limit reached"):
            filled(teacher.url, tmp_path / "ledger", requests)
        teacher.batches.fails = None
        counts, _, books = filled(teacher.url, tmp_path / "ledger", requests)
    assert counts.answered == 5 and books.attempts == 10 and books.unsure == 0


def test_servers_without_batches_say_so(tmp_path: Path) -> None:
    with teaching(said, key="right") as teacher:
        with pytest.raises(ServerError, match="404") as caught:
            filled(teacher.url.replace("/v1", "/v2"), tmp_path / "ledger", [request(1)])
        assert "Batch API" in str(caught.value.hint)
        outcomes = asked_all(teacher.url, tmp_path / "ledger", [request(1)], key="right")
    assert isinstance(outcomes[request(1).key], Answer), "it may be asked in another way now"


def test_what_is_in_a_batch_is_not_asked_alone_as_well(tmp_path: Path) -> None:
    async def run(teacher: Teacher) -> None:
        with Ledger(tmp_path / "ledger") as ledger:
            async with BatchClient(teacher.url, "k", ledger=ledger, prices=PRICES, poll_s=60) as client:
                filling = asyncio.create_task(client.fill([request(1)]))
                while not teacher.batches.looked:
                    await asyncio.sleep(0.01)
                filling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await filling
            async with PaidClient(teacher.url, "k", ledger=ledger, prices=PRICES) as alone:
                with pytest.raises(LedgerError, match="batch"):
                    await alone.ask(request(1))

    with teaching(said) as teacher:
        asyncio.run(run(teacher))
        counts, _, _ = filled(teacher.url, tmp_path / "ledger", [])
    assert counts.answered == 1 and teacher.books.asked.total() == 1
