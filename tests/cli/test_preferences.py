"""Flag, environment, file, default: which one counts, and what is said of a value that is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer import Option

from fakes import ScriptedEngine, python_path
from pumice.cli.main import main
from pumice.cli.preferences import MASK, SECRET, Marker, choose, settings_of, user_file
from pumice.cli.settings import Settings, chosen_settings, defaults
from pumice.errors import UsageError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = user_file()
    found.parent.mkdir()
    return found


def opened(*words: str) -> Settings:
    engine = ScriptedEngine()
    assert main(["ask", "q", *words], engine) == 0
    return engine.opened[0]


def test_the_stronger_layer_counts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened().max_tokens == 512
    file.write_text('max_tokens = 10\nmodel = "from-file"\nstop = ["A", "B"]\n4bit = true\n', encoding="utf-8")
    assert (opened().max_tokens, opened().model, opened().stop, opened().bits) == (10, "from-file", ["A", "B"], 4)
    monkeypatch.setenv("PUMICE_MAX_TOKENS", "20")
    monkeypatch.setenv("PUMICE_STOP", "C")
    assert (opened().max_tokens, opened().model, opened().stop) == (20, "from-file", ["C"])
    assert opened("--max-tokens", "512", "--stop", "D").max_tokens == 512  # a flag with the default's value is a flag
    assert opened("--stop", "D").stop == ["D"]
    monkeypatch.setenv("PUMICE_4BIT", "0")
    assert opened().bits is None
    monkeypatch.setenv("PUMICE_4BIT", "")  # empty is not set
    assert opened().bits == 4


def test_another_file_by_flag_and_variable(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("seed = 1", encoding="utf-8")
    (tmp_path / "b.toml").write_text("seed = 2", encoding="utf-8")
    (tmp_path / "c.toml").write_text("seed = 3", encoding="utf-8")
    assert opened().seed == 1
    monkeypatch.setenv("PUMICE_CONFIG", str(tmp_path / "b.toml"))
    assert opened().seed == 2
    assert opened("--config", str(tmp_path / "c.toml")).seed == 3


def test_a_file_in_the_current_folder_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pumice.toml", "config.toml", ".pumice.toml"):
        (tmp_path / name).write_text("seed = 9", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert opened().seed is None


def test_a_stronger_rival_drops_a_weaker_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("8bit = true", encoding="utf-8")
    assert opened().bits == 8
    assert opened("--4bit").bits == 4
    monkeypatch.setenv("PUMICE_4BIT", "yes")
    assert opened().bits == 4
    assert chosen_settings({}).origins["eight_bit"].layer == "default"
    file.write_text("8bit = true\n4bit = true", encoding="utf-8")
    monkeypatch.delenv("PUMICE_4BIT")
    assert opened().bits == 8  # the first in the file


WRONG_IN_FILE = {
    'temperature = "warm"': "temperature: expected a number, found 'warm'",
    "max_tokens = 1.5": "max_tokens: expected a whole number, found 1.5",
    'max_tokens = "7"': "max_tokens: expected a whole number, found '7'",
    "offline = 1": "offline: expected true or false, found 1",
    'device = "tpu"': "device: expected one of auto, cpu, mps, cuda, found 'tpu'",
    'stop = "A"': "stop: expected a list of texts, found 'A'",
    "model = 2026-01-01": "model: expected a text",
    "temperature = 200.0": "temperature: temperature must be between 0 and 100, found 200",
    "temperature = nan": "temperature: temperature must be between 0 and 100, found nan",
    'template = "vicuna"': "template: unknown template 'vicuna'",
    "temprature = 0.2": "'temprature' is no setting",
    "[generation]\nseed = 1": "'generation' is no setting",
    "debug = true": "'debug' is no setting",
    'config = "x"': "'config' is no setting",
    "seed = ": "is not valid TOML",
}


@pytest.mark.parametrize(("text", "said"), WRONG_IN_FILE.items())
def test_wrong_in_the_file(text: str, said: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(text, encoding="utf-8")
    assert main(["ask", "q"], ScriptedEngine()) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {file}") and said in err


WRONG_IN_ENVIRONMENT = {
    ("PUMICE_TEMPERATURE", "warm"): "PUMICE_TEMPERATURE: expected a number, found 'warm'",
    ("PUMICE_OFFLINE", "maybe"): "PUMICE_OFFLINE: expected true or false, found 'maybe'",
    ("PUMICE_STOP", "[1"): "PUMICE_STOP: expected a list of texts, found '[1'",
    ("PUMICE_TOP_P", "0"): "PUMICE_TOP_P: top_p must be above 0",
    ("PUMICE_DEVICE", "CPU"): "PUMICE_DEVICE: expected one of auto",
    ("PUMICE_TEMPERATUR", "0"): "PUMICE_TEMPERATUR is no setting",
    ("PUMICE_CONFIG", "/nowhere/x.toml"): "there is no file of settings '/nowhere/x.toml'",
}


@pytest.mark.parametrize(("variable", "said"), WRONG_IN_ENVIRONMENT.items())
def test_wrong_in_the_environment(
    variable: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(*variable)
    assert main(["ask", "q"], ScriptedEngine()) == 2
    assert said in capsys.readouterr().err
    monkeypatch.delenv(variable[0])
    assert main(["ask", "q"], ScriptedEngine()) == 0


def test_near_names_are_proposed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("max_token = 3", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        defaults()
    assert caught.value.hint == "did you mean max_tokens?"
    file.unlink()
    monkeypatch.setenv("PUMICE_MODLE", "x")
    with pytest.raises(UsageError) as caught:
        defaults()
    assert caught.value.hint == "did you mean PUMICE_MODEL?"
    monkeypatch.delenv("PUMICE_MODLE")
    monkeypatch.setenv("PUMICE_GOLDEN", "somebody else's")
    assert defaults() == Settings()


def test_files_as_editors_write_them(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfmodel = "Gr\xc3\xb6\xc3\x9fe"\r\nseed = 3\r\n')
    assert (defaults().model, defaults().seed) == ("Größe", 3)
    file.write_bytes(b'model = "\xff"')
    with pytest.raises(UsageError, match="it is not UTF-8"):
        defaults()
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match="cannot read the settings"):
        defaults()


def test_every_field_of_settings_can_be_set() -> None:
    """Names are unique and follow from the flags, so that a new field cannot be forgotten."""
    told = settings_of(Settings)
    assert [each.field for each in told] == [each.name for each in fields(Settings)]
    assert len({each.key for each in told}) == len(told)
    assert all(each.help for each in told)
    for each in told:
        if each.flags:
            assert f"--{each.key.replace('_', '-')}" in each.flags


@contextmanager
def environment(values: Mapping[str, str]) -> Any:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PUMICE_")}
    with patch.dict(os.environ, {**kept, **values}, clear=True):
        yield


@settings(deadline=None)  # it writes and reads a file each time
@given(
    st.dictionaries(st.sampled_from(["seed", "max_tokens", "top_k"]), st.integers(1, 99)),
    st.dictionaries(st.sampled_from(["seed", "max_tokens", "top_k"]), st.integers(1, 99)),
    st.dictionaries(st.sampled_from(["seed", "max_tokens", "top_k"]), st.integers(1, 99)),
)
def test_layers_lie_over_each_other(
    tmp_path_factory: pytest.TempPathFactory, flags: dict[str, int], variables: dict[str, int], kept: dict[str, int]
) -> None:
    file = tmp_path_factory.mktemp("layers") / "x.toml"
    file.write_text("".join(f"{key} = {value}\n" for key, value in kept.items()), encoding="utf-8")
    with environment({f"PUMICE_{key.upper()}": str(value) for key, value in variables.items()}):
        chosen = chosen_settings(flags, file)
    for key in ("seed", "max_tokens", "top_k"):
        layers = {"flag": flags, "environment": variables, "file": kept, "default": {key: getattr(Settings(), key)}}
        layer = next(name for name, held in layers.items() if key in held)
        assert getattr(chosen.settings, key) == layers[layer][key]
        assert chosen.origins[key].layer == layer


@dataclass(frozen=True)
class Keys:
    """Settings with a secret among them."""

    key: Annotated[str | None, Option("--key", help="Opens."), SECRET] = None
    number: Annotated[int | None, SECRET, Marker("", "Without a flag.")] = None


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    key, number = settings_of(Keys)
    assert (key.shown("sesame"), key.shown(None)) == (MASK, None)
    assert (number.key, number.flags, number.help) == ("number", (), "Without a flag.")
    with environment({"PUMICE_NUMBER": "sesame"}), pytest.raises(UsageError) as caught:
        choose(Keys, {})
    assert "sesame" not in str(caught.value) and MASK in str(caught.value)
    with environment({"PUMICE_KEY": "sesame"}):
        assert choose(Keys, {}).settings.key == "sesame"


@dataclass(frozen=True)
class Every:
    """A field of every type that a setting can have."""

    path: Path | None = None
    share: float = 0.5
    count: int = 0
    on: bool = False
    word: Literal["a", "b"] = "a"
    words: list[str] | None = None
    text: str | None = None


@pytest.mark.parametrize("place", ["file", "environment"])
def test_every_type(place: str, tmp_path: Path) -> None:
    values = {
        "path": "'a b'",
        "share": "1",
        "count": "7",
        "on": "true",
        "word": "'b'",
        "words": "['x','y']",
        "text": "'1'",
    }
    file = tmp_path / "x.toml"
    file.write_text("".join(f"{key} = {value}\n" for key, value in values.items()), encoding="utf-8")
    variables = {f"PUMICE_{key.upper()}": value.strip("'").replace("'", '"') for key, value in values.items()}
    with environment(variables if place == "environment" else {"PUMICE_CONFIG": str(file)}):
        assert choose(Every, {}).settings == Every(Path("a b"), 1.0, 7, True, "b", ["x", "y"], "1")
    wrong = {"path": "1", "share": "'x'", "count": "1.5", "on": "2", "word": "'c'", "words": "[1]", "text": "1"}
    for key, value in wrong.items():
        file.write_text(f"{key} = {value}", encoding="utf-8")
        variable = {f"PUMICE_{key.upper()}": value.strip("'")}
        if place == "environment" and key in ("path", "text"):
            continue  # there, everything is a text
        told = variable if place == "environment" else {"PUMICE_CONFIG": str(file)}
        with environment(told), pytest.raises(UsageError, match="expected"):
            choose(Every, {})


def test_nothing_heavy_where_nothing_is_set(project: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, json; from pumice.cli.settings import defaults; defaults()\n"
        "print(json.dumps([m for m in ('pydantic_core', 'torch', 'numpy', 'rich') if m in sys.modules]))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PUMICE_")}
    clean |= {"PYTHONPATH": python_path(project), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
