"""``pumice config``: what is shown, and the files that are written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pumice.cli.main import main
from pumice.cli.preferences import settings_of, user_file
from pumice.cli.settings import Settings, defaults
from pumice.cli.user_file import fresh_text, set_value
from pumice.errors import UsageError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "Grüße and spaces"))
    return user_file()


def show(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert main(["config", "show", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    settings = found["settings"]
    assert isinstance(settings, dict)
    return settings


def test_show_says_where_from(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert {each["origin"] for each in show(capsys).values()} == {"default"}
    file.parent.mkdir(parents=True)
    file.write_text('model = "m"\nseed = 4', encoding="utf-8")
    monkeypatch.setenv("PUMICE_SEED", "5")
    told = show(capsys)
    assert (told["model"]["value"], told["model"]["origin"], told["model"]["place"]) == ("m", "file", f"{file}: model")
    assert (told["seed"]["value"], told["seed"]["origin"], told["seed"]["place"]) == (5, "environment", "PUMICE_SEED")
    assert (told["4bit"]["value"], told["4bit"]["origin"]) == (False, "default")
    assert main(["config", "show"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == str(file)
    assert [line.split() for line in out if line.startswith("seed")] == [["seed", "5", "PUMICE_SEED"]]
    assert len(out) == 2 + len(told)


def test_init_writes_what_can_be_used(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "path"]) == 0
    found = capsys.readouterr()
    assert found.out == f"{file}\n" and "does not exist" in found.err
    assert main(["config", "init"]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert defaults() == Settings()  # nothing in it is set
    assert main(["config", "path"]) == 0
    assert capsys.readouterr().err == ""
    file.write_text("seed = 1", encoding="utf-8")
    assert main(["config", "init"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "seed = 1"
    assert main(["config", "init", "--overwrite"]) == 0
    assert file.read_text(encoding="utf-8") == fresh_text()


def test_init_elsewhere(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "deep" / "other.toml"
    assert main(["config", "init", "--config", str(other)]) == 0
    assert capsys.readouterr().out == f"{other}\n"
    assert other.is_file() and not file.exists()
    assert main(["config", "show", "--config", str(tmp_path / "none.toml")]) == 2
    assert "config init --config" in capsys.readouterr().err


def test_every_line_of_a_fresh_file_is_a_valid_setting(file: Path) -> None:
    """Uncommented one by one: each is TOML of the right type."""
    lines = re.findall(r"(?m)^# (\w+ = .*)$", fresh_text())
    assert [line.partition(" ")[0] for line in lines] == [
        each.key for each in settings_of(Settings) if not each.flag_only
    ]
    file.parent.mkdir(parents=True)
    for line in lines:
        if not line.startswith("template"):  # its example is no template's name
            file.write_text(line, encoding="utf-8")
            assert isinstance(defaults(), Settings)


def test_one_value_is_changed_and_the_rest_stays(file: Path) -> None:
    set_value("model", "first")
    assert defaults().model == "first"
    text = file.read_text(encoding="utf-8")
    assert text.index("Folder or hub name") < text.index('\nmodel = "first"') < text.index("Base model")
    set_value("model", 'C:\\Modelle\\"groß"')
    assert defaults().model == 'C:\\Modelle\\"groß"'
    after = file.read_text(encoding="utf-8")
    assert len(after.splitlines()) == len(text.splitlines())
    file.write_text("# mine\nseed = 3 # keep\n", encoding="utf-8")
    set_value("model", "third")
    assert (defaults().model, defaults().seed) == ("third", 3)
    assert file.read_text(encoding="utf-8").endswith("# mine\nseed = 3 # keep\n")


def test_a_line_that_cannot_be_found_safely(file: Path) -> None:
    file.parent.mkdir(parents=True)
    text = 'system = """\nmodel = "not this one"\n"""\n'
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be changed from here") as caught:
        set_value("model", "new")
    assert caught.value.hint == 'write there: model = "new"'
    assert file.read_text(encoding="utf-8") == text
    file.write_text("model = ", encoding="utf-8")
    with pytest.raises(UsageError, match="not valid TOML"):
        set_value("model", "new")


@pytest.mark.parametrize("line", ["config show", "models default pumice-tiny"])
def test_a_file_that_is_no_text(line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.toml").write_bytes(b"model = '\xff'")
    assert main([*line.split(), "--config", str(tmp_path / "x.toml")]) == 2
    first, hint = capsys.readouterr().err.splitlines()
    assert "it is not UTF-8" in first and "TOML" in hint and "pumice config init" in hint
