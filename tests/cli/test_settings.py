"""Options: shared by commands, and the original's names for them."""

from __future__ import annotations

import pytest

from fakes import ScriptedEngine
from pumice.cli.main import main
from pumice.cli.settings import LEGACY_FLAGS, Settings, modern_flags
from pumice.errors import UsageError


def test_legacy_flags_become_ours() -> None:
    old = ["--model-path", "m", "--model-base=b", "--image-file", "i.png", "--conv-mode", "llava_v1"]
    assert modern_flags([*old, "--max-new-tokens", "7", "--device", "cpu"]) == [
        *("--model", "m", "--base=b", "--image", "i.png", "--template", "llava_v1"),
        *("--max-tokens", "7", "--device", "cpu"),
    ]


def test_what_follows_two_dashes_is_text() -> None:
    assert modern_flags(["ask", "--", "--model-path"]) == ["ask", "--", "--model-path"]


def test_every_option_reaches_the_engine() -> None:
    engine = ScriptedEngine()
    line = "ask -m folder --base b --template plain -s sys --device cpu --dtype float32 --temperature 0.5 --top-p 0.9"
    line += " --top-k 3 --max-tokens 9 --seed 4 --stop A --stop B --offline -q question"
    assert main(line.split(), engine) == 0
    opened, options = engine.opened[0], engine.options[0]
    assert (opened.model, opened.base, opened.template, opened.system) == ("folder", "b", "plain", "sys")
    assert (opened.device, opened.dtype, opened.offline, opened.quiet) == ("cpu", "float32", True, True)
    assert (options.temperature, options.top_p, options.top_k) == (0.5, 0.9, 3)
    assert (options.max_tokens, options.seed, options.stop) == (9, 4, ("A", "B"))
    assert engine.asked[0].system == "sys"


def test_legacy_flags_reach_the_engine() -> None:
    engine = ScriptedEngine()
    line = (
        "ask --model-path m --model-base b --conv-mode v0 --temperature 0.2 --max-new-tokens 5 --device cpu --debug q"
    )
    assert main(line.split(), engine) == 0
    opened = engine.opened[0]
    assert (opened.model, opened.base, opened.template, opened.device) == ("m", "b", "v0", "cpu")
    assert engine.options[0].max_tokens == 5


def test_the_environment_names_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUMICE_MODEL", "from-environment")
    engine = ScriptedEngine()
    assert main(["ask", "q"], engine) == 0
    assert main(["ask", "-m", "from-flag", "q"], engine) == 0
    assert [one.model for one in engine.opened] == ["from-environment", "from-flag"]


def test_help_shows_no_legacy_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--model" in text and "--max-tokens" in text and "Exit codes" in text
    assert not [flag for flag in LEGACY_FLAGS if flag in text]


@pytest.mark.parametrize(("flag", "bits"), [("--load-4bit", 4), ("--8bit", 8), ("--quiet", None)])
def test_bits(flag: str, bits: int | None) -> None:
    engine = ScriptedEngine()
    assert main(["ask", flag, "q"], engine) == 0
    assert engine.opened[0].bits == bits


def test_the_width_of_keys_and_values() -> None:
    engine = ScriptedEngine()
    assert main(["ask", "--kv-8bit", "--4bit", "q"], engine) == main(["ask", "q"], engine) == 0
    assert [(one.kv_8bit, one.bits) for one in engine.opened] == [(True, 4), (False, None)]


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match="temperature"):
        Settings(temperature=-1).sampling()
