"""One shape for every failure, and nothing in it about the server."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from pumice.errors import AuthError, PumiceError
from pumice.serve.api.ledger import Ledger
from pumice.serve.guard.errors import CODES, ApiError, Failure, failure_of, response
from serve.hostile import assert_clean
from serve.served import FAULTS, Running, get

EXPECTED = {
    "image": (400, "invalid_image", "invalid_request_error"),
    "url": (403, "url_not_allowed", "permission_error"),
    "usage": (400, "invalid_request", "invalid_request_error"),
    "model": (404, "model_not_found", "not_found_error"),
    "worker": (502, "worker_failed", "server_error"),
    "memory": (503, "out_of_memory", "server_error"),
    "bug": (500, "internal_error", "server_error"),
    "ours": (429, "queue_full", "rate_limit_error"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str, open_: Running) -> None:
    answer = get(open_.port, f"/fault/{name}")
    assert_clean(answer)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"], error["type"]) == EXPECTED[name]
    assert error["request_id"] == answer.headers["x-request-id"]


def test_words_that_the_client_may_see(open_: Running) -> None:
    def message(name: str) -> str:
        return str(json.loads(get(open_.port, f"/fault/{name}").body)["error"]["message"])

    assert message("url") == "cannot fetch image from 'https://example.com/a/b.png': its address is not allowed"
    assert message("usage") == "(a file) cannot be read"
    assert message("worker") == "cannot reach (an address) refused by (an address)"
    assert message("image") == "cannot read image: it is <_io.BytesIO>"


def test_another_try(open_: Running) -> None:
    full = get(open_.port, "/fault/ours")
    assert (full.headers["retry-after"], full.headers["retry-after-ms"]) == ("2", "1500")
    assert "x-should-retry" not in full.headers
    assert get(open_.port, "/fault/bug").headers["x-should-retry"] == "false"
    assert get(open_.port, "/fault/memory").headers["retry-after"] == "5"


def test_what_nobody_caught_is_in_the_log_with_its_request(open_: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = get(open_.port, "/fault/bug")
    records = [each for each in caplog.records if answer.headers["x-request-id"] in each.getMessage()]
    assert len(records) == 1
    assert records[0].exc_info is not None
    assert records[0].exc_info[0] is ValueError


def test_kinds() -> None:
    assert [Failure(status, "x", "y").kind for status in (400, 401, 403, 404, 408, 413, 415, 429, 500, 503)] == [
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        *["invalid_request_error"] * 3,
        "rate_limit_error",
        *["server_error"] * 2,
    ]


def test_memory_that_torch_lacks() -> None:
    assert failure_of(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")).code == "out_of_memory"
    assert failure_of(RuntimeError("shape mismatch")) == failure_of(KeyError("x"))


def test_a_token_that_a_worker_refuses_is_not_the_clients() -> None:
    assert failure_of(AuthError("wrong key")).status == 502
    assert failure_of(PumiceError("/secret/place is gone")).code == "internal_error"


def test_half_characters_and_markup_stay_data() -> None:
    answer = response(Failure(400, "invalid_request", "found '\ud800<script>'", "\udfff"), "r-1")
    error = json.loads(bytes(answer.body))["error"]
    assert error["message"] == "found '?<script>'"
    assert answer.headers["content-type"] == "application/json"


def test_an_api_error_is_one_of_ours() -> None:
    error = ApiError(Failure(400, "invalid_request", "no", "do"))
    assert (str(error), error.hint) == ("no", "do")


def test_every_code_is_documented(project: Path) -> None:
    """And counted by its name: the page's table, the source's literals and the known ones are the same."""
    rows = [line.split("|") for line in (project / "docs" / "serving.md").read_text(encoding="utf-8").splitlines()]
    table = [each[2] for each in rows if len(each) > 3 and re.fullmatch(r" [45]\d\d(, \d+)? ", each[1])]
    assert set(re.findall(r"`(\w+)`", " ".join(table))) == CODES
    sources = "".join(each.read_text(encoding="utf-8") for each in (project / "src/pumice/serve").rglob("*.py"))
    given = set(re.findall(r'Failure\(\s*[\w.]+,\s*"(\w+)"', sources))
    assert len(given) > 15 and given <= CODES


def test_codes_of_others_are_counted_together() -> None:
    """Each label is a series that is kept for ever."""
    ledger = Ledger()
    for number in range(100):
        ledger.failed(f"upstream_{number}")
    ledger.failed("queue_full")
    counted = re.findall(r'^pumice_failures_total\{code="(\w+)"\} (\S+)$', ledger.text().decode(), re.MULTILINE)
    assert sorted(counted) == [("other", "100.0"), ("queue_full", "1.0")]
