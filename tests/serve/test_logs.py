"""The log: nothing secret, nothing forged, and no harm when it cannot be written."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.logs import one_line, redacted, setup_logging
from serve.served import ask, doorkeeping, get, json_request, running, sample_app

KEYS = st.binary(min_size=32, max_size=32).map(
    lambda raw: "pumice-" + base64.urlsafe_b64encode(raw).decode().rstrip("=")
)
WORDS = st.text(max_size=30)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """The process's loggers are put back behind every test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for each in root.handlers:
        if each not in handlers:
            each.close()
    root.handlers[:], root.level = handlers, level


@given(WORDS, KEYS, WORDS, st.sampled_from(["", "cluster-"]))
def test_keys_never_show(before: str, key: str, after: str, kind: str) -> None:
    secret = key.replace("pumice-", f"pumice-{kind}")
    assert key[7:] not in redacted(f"{before} {secret} {after}")
    assert key[7:] not in redacted(f"{before}={secret}&{after}")
    assert key[7:] not in redacted(repr({"authorization": f"Bearer {secret}", "x": before}))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzABCDEF0123456789._~+/-", min_size=8, max_size=60).map("7{}7".format))
def test_whatever_stands_behind_the_name_of_a_header(secret: str) -> None:
    for text in (
        f"Authorization: Bearer {secret}",
        f"authorization: basic {secret}",
        f"x-api-key: {secret}",
        f"API-KEY={secret}",
        f'{{"x-api-key": "{secret}"}}',
        f"[(b'host', b'x'), (b'x-api-key', b'{secret}')]",
        f"Cookie: pumice_session={secret}",
    ):
        assert secret not in redacted(text), redacted(text)


@given(st.binary(min_size=90, max_size=4000), st.sampled_from(["image/png", "", "text/plain;charset=utf-8"]), WORDS)
def test_pictures_never_show(data: bytes, kind: str, word: str) -> None:
    for text in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        for written in (f"{word} data:{kind};base64,{text}", f"DATA:{kind};BASE64,{text}", f"{word} {text} {word}"):
            shown = redacted(written)
            assert text[:100] not in shown
            assert text[-80:] not in shown
            assert len(shown) < len(word) * 2 + 120
    broken = base64.encodebytes(data).decode()
    assert broken.strip().split("\n")[0] not in redacted(f"data:image/png;base64,{broken}") or len(data) < 57


@given(st.text())
@example("a\r\nSet-Cookie: x\x1b[2J\x85b\u2028c\u202ed\x00\ud800")
def test_a_message_is_one_line_without_control(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    shown.encode("utf-8")


def test_ordinary_words_stay() -> None:
    text = "loaded 4.1 GiB of weights in 3.2 s from /srv/models/llava-1.5-7b (sha256 " + "ab" * 32 + ")"
    assert redacted(text) == text
    assert one_line(text) == text


def test_secrets_of_any_form_can_be_named() -> None:
    assert redacted("token=open-sesame!", ["open-sesame!"]) == "token=(a key)"


def test_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("api", folder=tmp_path, secrets=["open-sesame"])
    logging.getLogger("pumice.x").info("found %s\nfake line", "open-sesame")
    logging.getLogger("pumice.x").debug("not shown")
    try:
        raise ValueError("data:image/png;base64,AAAA\nsecond line")
    except ValueError:
        logging.getLogger("pumice.x").exception("broken")
    logging.getLogger("pumice.x").info("wrong %d arguments", "x")
    shown = capsys.readouterr().err
    assert (tmp_path / "api.log").read_text(encoding="utf-8") == shown
    lines = shown.splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info api: found \(a key\) fake line", lines[0])
    assert lines[1].endswith("error api: broken")
    assert all(line.startswith("    ") for line in lines[2:-1])
    assert "base64,AAAA" not in shown
    assert "second line" in shown
    assert lines[-1].endswith("wrong %d arguments")


def test_lines_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging("worker", folder=tmp_path, as_json=True, level="debug")
    logging.getLogger("a.b").warning('say "%s"\n', "hé\u2028llo")
    try:
        raise ValueError("x")
    except ValueError:
        logging.getLogger("a.b").exception("broken")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert {name: first[name] for name in ("level", "role", "logger", "message")} == {
        "level": "warning", "role": "worker", "logger": "a.b", "message": 'say "hé llo" ',
    }  # fmt: skip
    assert second["traceback"][-1] == "ValueError: x"


def test_a_new_file_every_day(tmp_path: Path) -> None:
    setup_logging("api", folder=tmp_path)
    logging.getLogger("x").info("yesterday")
    (handler,) = (each for each in logging.getLogger().handlers if hasattr(each, "rolloverAt"))
    handler.rolloverAt = 0
    logging.getLogger("x").info("today")
    assert "today" in (tmp_path / "api.log").read_text(encoding="utf-8")
    (old,) = tmp_path.glob("api.log.*")
    assert "yesterday" in old.read_text(encoding="utf-8")


def test_a_log_that_cannot_be_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told once, and got over."""
    file = tmp_path / "api.log"
    file.mkdir()
    setup_logging("api", folder=tmp_path)
    for number in range(50):
        logging.getLogger("x").info("line %d", number)
    shown = capsys.readouterr().err
    assert shown.count("cannot be written") == 1
    assert "Traceback" not in shown
    assert "info api: line 49" in shown  # stderr goes on
    file.rmdir()
    logging.getLogger("x").info("after")
    logging.getLogger("x").info("and on")
    assert _messages(file) == ["after", "and on"]
    assert capsys.readouterr().err.count("the log is written again") == 1


FULL = """
import logging, resource, sys
from pathlib import Path
from pumice.serve.guard.logs import setup_logging
setup_logging("api", folder=Path(sys.argv[1]))
log, (_, most) = logging.getLogger("x"), resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, most))
for number in range(100):
    log.info("line %d", number)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
log.info("after")
log.info("and on")
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no limit on the size of a file")
def test_a_disk_that_fills_up_while_it_is_written(tmp_path: Path) -> None:
    """A limit on the size of files refuses a write in the middle of a line, as a full disk does."""
    done = _run(FULL, str(tmp_path))
    assert done.returncode == 0
    assert done.stderr.count("cannot be written: [Errno 27]") == 1
    assert done.stderr.count("the log is written again") == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.count("info api: line") == 100
    assert _messages(tmp_path / "api.log")[-2:] == ["after", "and on"]


UNREAD = """
import logging, os, sys
from pathlib import Path
from pumice.serve.guard.logs import setup_logging
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 2)
setup_logging("api", folder=Path(sys.argv[1]))
for number in range(3):
    logging.getLogger("x").info("line %d", number)
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
"""


def test_a_stderr_that_nobody_reads(tmp_path: Path) -> None:
    assert _run(UNREAD, str(tmp_path)).returncode == 0
    assert _messages(tmp_path / "api.log") == ["line 0", "line 1", "line 2"]


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)


def _messages(file: Path) -> list[str]:
    return [line.rpartition(": ")[2] for line in file.read_text(encoding="utf-8").splitlines()]


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="debug, info, warning or error"):
        setup_logging("api", level="loud")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot hold the log"):
        setup_logging("api", folder=tmp_path / "file")


def test_a_server_logs_no_secret(tmp_path: Path) -> None:
    """Keys in every place of a request, a picture in its body, a fault on the way: none of it is in the log."""
    key = Keys(tmp_path).create("phone")
    picture = base64.b64encode(secrets.token_bytes(3000)).decode()
    setup_logging("api", folder=tmp_path / "logs", level="debug")
    with running(sample_app(), doorkeeping(tmp_path)) as server:
        get(server.port, f"/v1/models?key={key}", ("x-api-key", key), ("X-Request-Id", "seen-1"))
        get(server.port, f"/{key}/{picture}", ("Authorization", f"Bearer {key}"))
        get(server.port, "/fault/bug", ("Authorization", f"Bearer {key}"))
        get(server.port, "/v1/%0a2026-01-01%20info%20api:%20forged", ("Authorization", "Bearer nonsense"))
        ask(server.port, json_request("/v1/echo", json.dumps({"url": f"data:image/png;base64,{picture}"}).encode()))
    log = (tmp_path / "logs" / "api.log").read_text(encoding="utf-8")
    assert key not in log
    assert picture[:60] not in log
    assert "nonsense" not in log
    assert "127.0.0.1" not in log
    assert re.search(r"info api: GET /v1/models 200 \d+ ms caller=phone id=seen-1$", log, re.MULTILINE)
    assert not re.search(r"^2026-01-01", log, re.MULTILINE)
    assert "ValueError: the password" in log


WRITER = """
import logging, sys
from pathlib import Path
from pumice.serve.guard.logs import setup_logging
setup_logging("worker", folder=Path(sys.argv[1]))
logging.getLogger("x").info(sys.argv[2])
(file,) = (each for each in logging.getLogger().handlers if hasattr(each, "rolloverAt"))
file.rolloverAt = 0
logging.getLogger("x").info(sys.argv[2] + ", the day after")
"""


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    """Two processes of one role, one folder: neither puts the other's day aside."""
    setup_logging("worker", folder=tmp_path)
    logging.getLogger("x").info("first")
    assert _run(WRITER, str(tmp_path), "second").returncode == 0
    logging.getLogger("x").info("first again")
    assert _messages(tmp_path / "worker.log") == ["first", "first again"]
    assert _messages(tmp_path / "worker-2.log") == ["second, the day after"]
    for each in logging.getLogger().handlers:
        each.close()
    assert _run(WRITER, str(tmp_path), "third").returncode == 0
    assert _messages(tmp_path / "worker.log") == ["third, the day after"], "a place that was left is taken again"
