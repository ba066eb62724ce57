"""``pumice doctor``: it finds what is wrong, says what to do, and its exit code tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hubs
from pumice.checkpoint import hub as hub_room
from pumice.cli import checks
from pumice.cli.checks import Check, Surroundings
from pumice.cli.main import main
from pumice.cli.preferences import parse
from pumice.engine.answer import Answer
from pumice.engine.engine import Engine
from pumice.quantize import library


def test_a_healthy_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--offline"]) == 0
    out = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("     ")]
    assert {line[:3] for line in out} <= {"ok ", "?  "}
    assert [line[5:].split(":")[0] for line in out] == [
        "versions",
        "device",
        "native library",
        "memory on cpu",
        "disk for models",
        "settings",
        "bundled files",
        "bundled model",
        "optional parts",
        "clipboard",
    ]
    assert "(built for " in out[0] and "4 hashes agree" in out[6]


def test_without_the_library(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "native", lambda: None)
    assert main(["doctor", "--json", "--offline"]) == 1
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
    assert main(["doctor", "--offline"]) == 1
    assert "FIX  bundled model" in capsys.readouterr().out


def test_too_little_room(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pumice.checkpoint.memory.available_memory", lambda _device: 1 << 30)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1 << 20})())
    assert main(["doctor", "--offline"]) == 1
    out = capsys.readouterr().out
    assert "FIX  memory on cpu: 1.0 GiB free" in out and "FIX  disk for models: 1.0 MiB free" in out


def test_a_check_that_fails_is_a_finding(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_options: object) -> Engine:
        raise OSError("the file is gone")

    monkeypatch.setattr(Engine, "load", broken)
    assert main(["doctor", "--json", "--offline"]) == 1
    wrong = [check for check in json.loads(capsys.readouterr().out)["checks"] if not check["fine"]]
    assert [check["name"] for check in wrong] == ["sight"] and "the file is gone" in wrong[0]["found"]


def only(check: checks.Examination, config: Path | None = None, *, offline: bool = False) -> list[Check]:
    return list(check(Surroundings(config, offline)))


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hubs.use(monkeypatch, tmp_path / "cache")
    (found,) = only(checks.hub)
    assert found.verdict == "warning" and found.fine and "does not answer" in found.found
    assert not only(checks.hub, offline=True)
    monkeypatch.setenv("PUMICE_OFFLINE", "1")
    assert not only(checks.hub)
    monkeypatch.delenv("PUMICE_OFFLINE")
    with hubs.serving(tmp_path) as served:
        hubs.use(monkeypatch, tmp_path / "cache", served.url)
        assert [each.verdict for each in only(checks.hub)] == ["ok"]
        assert served.paths() == ["/"]


def test_settings_that_are_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.toml"
    file.write_text("temperatur = 1", encoding="utf-8")
    (found,) = only(checks.settings, file)
    assert (found.verdict, found.fix) == ("wrong", "did you mean temperature?") and str(file) in found.found
    file.write_text('seed = 1\nmodel = "nobody/nothing"', encoding="utf-8")
    valid, model = only(checks.settings, file)
    assert valid.verdict == "ok" and valid.found.startswith("2 set")
    assert model.verdict == "warning" and "pumice models pull nobody/nothing" in model.fix
    file.write_text('model = "pumice-tiny"', encoding="utf-8")
    assert [each.verdict for each in only(checks.settings, file)] == ["ok", "ok"]


def test_a_bundled_file_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "pumice-tiny"
    copy.mkdir()
    for file in hub_room.BUNDLED.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(hub_room, "BUNDLED", copy)
    (found,) = only(checks.files)
    assert found.verdict == "wrong" and "nothing says" in found.found
    recorded = Path(checks.__file__).parent.parent / "pretrained" / "pumice-tiny.sha256"
    copy.with_name("pumice-tiny.sha256").write_bytes(recorded.read_bytes())
    assert [each.verdict for each in only(checks.files)] == ["ok"]
    (copy / "tokenizer.json").write_bytes(b"{}")
    (found,) = only(checks.files)
    assert found.verdict == "wrong" and found.found.startswith("tokenizer.json: the file was changed")


def test_optional_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda module: None if module in ("ray", "gradio") else object())
    (found,) = only(checks.extras)
    assert found.verdict == "ok" and found.fix == 'pip install "pumice[web,scale]"'
    assert found.found.endswith("not installed: web, scale")


def test_every_extra_is_looked_for(project: Path) -> None:
    known = parse((project / "pyproject.toml").read_text(encoding="utf-8"), "pyproject.toml")["project"]
    assert isinstance(known, dict)
    assert set(checks.EXTRAS) == set(known["optional-dependencies"]) - {"all", "bench", "dev"}


def test_the_clipboard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks.sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert [each.verdict for each in only(checks.clipboard)] == ["ok"]
    monkeypatch.setenv("DISPLAY", ":0")
    (found,) = only(checks.clipboard)
    assert found.verdict == "warning" and "xclip" in found.fix
    (tmp_path / "xclip").write_text("#!/bin/sh", encoding="utf-8")
    (tmp_path / "xclip").chmod(0o755)
    assert [each.found for each in only(checks.clipboard)] == ["xclip"]
    monkeypatch.setattr(checks.sys, "platform", "win32")
    assert [each.verdict for each in only(checks.clipboard)] == ["ok"]
