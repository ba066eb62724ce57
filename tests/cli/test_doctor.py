"""``pumice doctor``: it finds what is wrong, says what to do, and its exit code tells."""

from __future__ import annotations

import json

import pytest

from pumice.cli.main import main
from pumice.engine.answer import Answer
from pumice.engine.engine import Engine
from pumice.quantize import library


def test_a_healthy_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in out] == ["ok "] * len(out)
    assert [line[5:].split(":")[0] for line in out] == [
        "versions",
        "device",
        "native library",
        "memory on cpu",
        "disk for models",
        "bundled model",
    ]


def test_without_the_library(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "native", lambda: None)
    assert main(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["fine"] is False
    wrong = [check for check in report["checks"] if not check["fine"]]
    assert [check["name"] for check in wrong] == ["native library"]
    assert "slower" in wrong[0]["found"] and "compiler" in wrong[0]["fix"]


def test_a_model_that_does_not_see(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Engine.ask

    def blind(engine: Engine, *arguments: object) -> Answer:
        from dataclasses import replace

        return replace(whole(engine, *arguments), text="Purple, I guess.")  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "ask", blind)
    assert main(["doctor"]) == 1
    assert "FIX  bundled model" in capsys.readouterr().out


def test_too_little_room(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.checkpoint.memory.available_memory", lambda _device: 1 << 30)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1 << 20})())
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FIX  memory on cpu: 1.0 GiB free" in out and "FIX  disk for models: 1.0 MiB free" in out


def test_a_check_that_fails_is_a_finding(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> Engine:
        raise OSError("the file is gone")

    monkeypatch.setattr(Engine, "load", broken)
    assert main(["doctor", "--json"]) == 1
    wrong = [check for check in json.loads(capsys.readouterr().out)["checks"] if not check["fine"]]
    assert [check["name"] for check in wrong] == ["sight"] and "the file is gone" in wrong[0]["found"]
