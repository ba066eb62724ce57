"""``pumice models``: a cache filled from a real hub on loopback, folders beside it, and the bundled model."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import hubs
import tiny
from fakes import ScriptedEngine, python_path
from pumice.checkpoint.convert import convert
from pumice.checkpoint.hub import BUNDLED, fetch
from pumice.checkpoint.quantized import quantize_checkpoint
from pumice.checkpoint.save import save_checkpoint
from pumice.checkpoint.shelf import models_here
from pumice.cli.main import main
from pumice.cli.preferences import user_file
from pumice.quantize.plan import standard_plan

Said = pytest.CaptureFixture[str]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, an empty cache, a hub that is down and no file of settings."""
    hubs.use(monkeypatch, tmp_path / "cache")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hub(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hubs.Served]:
    """A hub with someone/model, which nobody has fetched yet."""
    save_checkpoint(tiny.model(), tiny.processor(mode="anyres", merge="spatial_unpad"), shelf / "served")
    with hubs.serving(shelf / "served") as served:
        hubs.use(monkeypatch, shelf / "cache", served.url)
        yield served


@pytest.fixture
def ours(shelf: Path) -> Path:
    """A folder that Pumice has written."""
    save_checkpoint(tiny.model(newline=False), tiny.processor(), shelf / "ours")
    return shelf / "ours"


def listed(said: Said, *words: str) -> dict[str, dict[str, Any]]:
    assert main(["models", "list", "--json", *words]) == 0
    return {each["name"]: each for each in json.loads(said.readouterr().out.splitlines()[-1])["models"]}


def test_the_bundled_model_is_always_there(shelf: Path, capsys: Said) -> None:
    assert main(["models", "list"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["NAME", "KIND", "WEIGHTS"]
    assert line.split()[:3] == ["*", "pumice-tiny", "Pumice"] and line.split()[3].endswith("M")
    assert "128 px, 64 tokens" in line and line.endswith("bundled")
    assert main(["models", "info"]) == 0
    out = capsys.readouterr().out
    assert "pumice-tiny (the default)" in out and "at most 64 tokens" in out and "vicuna_v1" in out


def test_what_is_listed(hub: hubs.Served, shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    fetch("someone/model")
    shelves = shelf / "my models"
    save_checkpoint(tiny.model(newline=False), tiny.processor("llava_v1"), shelves / "plain")
    quantize_checkpoint(shelves / "plain", shelves / "small", standard_plan(4))
    convert(shelves / "plain", shelves / "foreign", "llava-hf")
    (shelves / "broken").mkdir()
    (shelves / "broken" / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (shelves / "notes").mkdir()
    monkeypatch.setenv("PUMICE_FOLDERS", json.dumps([str(shelves), str(shelf / "gone")]))
    found = listed(capsys)
    names = ["pumice-tiny", "someone/model", *(str(shelves / name) for name in ("broken", "foreign", "plain", "small"))]
    assert list(found) == names
    ours, foreign = found[names[4]], found[names[3]]
    assert (ours["kind"], foreign["kind"], ours["bits"], found[names[5]]["bits"]) == ("Pumice", "llava-hf", 32, 4)
    assert ours["parameters"] == sum(each.numel() for each in tiny.model(newline=False).parameters())
    assert (ours["template"], ours["image_size"], ours["image_mode"], ours["image_tokens"]) == (
        "llava_v1",
        28,
        "pad",
        4,
    )
    mosaic = found["someone/model"]
    assert (mosaic["image_mode"], mosaic["image_tokens"]) == (
        "anyres",
        4 + 4 * 5,
    )  # the base view, and 4 rows of 4 and a newline
    assert (mosaic["place"], mosaic["commit"]) == ("hub cache", hubs.COMMIT)
    assert mosaic["bytes"] == sum(each.stat().st_size for each in hub.folder.iterdir())
    assert "model_type 'bert'" in found[names[2]]["problem"]["message"]
    assert [each["default"] for each in found.values()] == [True] + [False] * 5
    assert main(["models", "list"]) == 0
    said = capsys.readouterr()
    assert "cannot be used" in said.out and "bert" in said.err and "gone', which is no folder" in said.err


def test_info(ours: Path, capsys: Said) -> None:
    assert main(["models", "info", "ours", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["context"], found["place"]) == ("Pumice", 1024, "folder")
    assert main(["models", "info", "nobody/nothing"]) == 3
    assert "not in the local cache" in capsys.readouterr().err
    assert main(["models", "info", "nowhere"]) == 3


def test_a_text_only_model(shelf: Path, capsys: Said) -> None:
    processor = tiny.processor()
    without = type(processor)(processor.tokenizer, processor.template, None)
    save_checkpoint(tiny.model(sees=False), without, shelf / "words")
    assert main(["models", "info", "words"]) == 0
    out = capsys.readouterr().out
    assert "vision" not in out and "picture" not in out.replace("text and pictures", "")
    assert main(["models", "verify", "words"]) == 0


def test_pull(hub: hubs.Served, shelf: Path, capsys: Said) -> None:
    assert main(["models", "pull", "someone/model"]) == 0
    said = capsys.readouterr()
    folder = Path(said.out.strip())
    assert folder.name == hubs.COMMIT and (folder / "model.safetensors").is_file()
    assert "4 of them to fetch" in said.err
    assert main(["models", "pull", "someone/model", "--revision", "v1.1", "-q"]) == 0
    said = capsys.readouterr()
    assert Path(said.out.strip()).name == hubs.OTHER_COMMIT and said.err == ""
    assert main(["models", "info", "someone/model@v1.1"]) == 0
    assert hubs.OTHER_COMMIT in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["someone/absent"], 3, "no model someone/absent on the hub"),
        (["someone/closed"], 7, "accepted its licence"),
        (["someone/model@v9"], 3, "has no revision 'v9'"),
        (["someone/model", "--offline"], 2, "offline, nothing can be fetched"),
        (["someone/model@v1", "--revision", "v2"], 2, "two revisions"),
        (["model"], 2, "'model' is no name on the hub"),
        (["./someone/model"], 2, "is no name on the hub"),
    ],
)
def test_what_cannot_be_pulled(words: list[str], code: int, said: str, hub: hubs.Served, capsys: Said) -> None:
    assert main(["models", "pull", *words]) == code
    assert said in capsys.readouterr().err


def test_pull_stays_offline_if_the_settings_say_so(hub: hubs.Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUMICE_OFFLINE", "1")
    assert main(["models", "pull", "someone/model"]) == 2
    assert not hub.asked


def test_pull_from_a_process_with_another_hub(hub: hubs.Served, shelf: Path, project: Path) -> None:
    """HF_ENDPOINT and HF_HUB_CACHE, as people set them; the second run finds the first one's files."""
    environment = {**os.environ, "PYTHONPATH": python_path(project), "HF_ENDPOINT": hub.url}
    environment |= {"HF_HUB_CACHE": str(shelf / "elsewhere"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "pumice", "models", "pull", "someone/model"]
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert (shelf / "elsewhere") in Path(first.stdout.strip()).parents
    sent = dict(hub.sent)
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert hub.sent == sent and "0 of them to fetch" in second.stderr


def test_default(hub: hubs.Served, ours: Path, shelf: Path, capsys: Said) -> None:
    assert main(["models", "default"]) == 0
    assert capsys.readouterr().out == "pumice-tiny\n"
    assert main(["models", "default", "ours"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{ours}\n" and str(user_file()) in said.err
    engine = ScriptedEngine()
    assert main(["ask", "q"], engine) == main(["ask", "q", "-m", "other"], engine) == 0
    assert [each.model for each in engine.opened] == [str(ours), "other"]
    capsys.readouterr()
    assert main(["models", "default", "someone/model"]) == 3  # not fetched yet
    assert "hint: fetch it with `pumice models pull someone/model`" in capsys.readouterr().err
    assert main(["models", "pull", "someone/model", "-q"]) == main(["models", "default", "someone/model"]) == 0
    assert listed(capsys)["someone/model"]["default"]
    assert main(["models", "default", "pumice-tiny"]) == 0
    assert listed(capsys)["pumice-tiny"]["default"]


def test_a_variable_comes_before_the_default(ours: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setenv("PUMICE_MODEL", "somebody/else")
    assert main(["models", "default", "ours"]) == 0
    said = capsys.readouterr()
    assert said.out == "somebody/else\n" and "PUMICE_MODEL names another one" in said.err


def test_verify(hub: hubs.Served, ours: Path, capsys: Said) -> None:
    folder = fetch("someone/model")
    for name, hashes in (("pumice-tiny", "4 known hashes agree"), ("someone/model", "4 known"), ("ours", "no hashes")):
        assert main(["models", "verify", name]) == 0
        assert hashes in capsys.readouterr().out
    (folder / "tokenizer.json").resolve().write_bytes(b"{}")
    assert main(["models", "verify", "someone/model", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert not found["fine"] and found["hashes"] == 4
    first = found["problems"][0]
    assert first["where"] == "tokenizer.json" and "git-sha1 is" in first["what"] and "models pull" in first["fix"]


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _poison(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    name = next(each for each in sorted(tensors) if tensors[each].ndim == 2)
    tensors[name][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _drop(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors[sorted(tensors)[0]]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "is damaged or cut off"),
        (_poison, "1 tensors hold numbers that are none"),
        (_drop, "tensors are missing"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights in"),
        (lambda folder: (folder / "pumice.json").write_text("{}"), "expected format 1"),
    ],
)
def test_what_verify_finds(damage: Any, said: str, ours: Path, capsys: Said) -> None:
    damage(ours)
    assert main(["models", "verify", "ours"]) == 3
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("FIX  ") and said in out[0]
    assert len(out[1].strip()) > 10  # what to do
    assert len(out) == 2


def test_a_list_of_hashes_beside_the_folder(ours: Path, capsys: Said) -> None:
    lines = [f"{hubs.sha256(path)}  ours/{path.name}\n" for path in sorted(ours.iterdir())]
    ours.with_name("ours.sha256").write_text("".join([*lines, f"{'0' * 64} *other/file\n"]), encoding="utf-8")
    assert main(["models", "verify", "ours"]) == 0
    assert "4 known hashes agree" in capsys.readouterr().out
    (ours / "tokenizer_config.json").unlink()
    assert main(["models", "verify", "ours"]) == 3
    assert "the file is missing; ours.sha256 lists it" in capsys.readouterr().out


def test_the_recorded_hashes_are_those_of_the_bundled_files(capsys: Said) -> None:
    """After a new training: `make hashes` writes them again."""
    assert main(["models", "verify", "pumice-tiny"]) == 0
    assert f"{len(list(BUNDLED.iterdir()))} known hashes agree" in capsys.readouterr().out


def test_rm_from_the_cache(hub: hubs.Served, shelf: Path, capsys: Said) -> None:
    fetch("someone/model"), fetch("someone/model@v1.1")
    assert main(["models", "rm", "someone/model@v1.1", "--yes"]) == 0
    assert main(["models", "info", "someone/model"]) == 0  # the files that both share are still there
    assert main(["models", "verify", "someone/model"]) == 0
    assert main(["models", "default", "someone/model"]) == 0
    capsys.readouterr()
    assert main(["models", "rm", "someone/model", "--yes"]) == 0
    assert "it was the default" in capsys.readouterr().err
    assert [each.name for each in models_here()] == ["pumice-tiny"]
    assert not list((shelf / "cache").glob("models--*"))
    assert main(["models", "rm", "someone/model", "--yes"]) == 3


def test_rm_of_what_was_half_fetched(hub: hubs.Served, capsys: Said) -> None:
    folder = fetch("someone/model")
    (folder / "model.safetensors").unlink()
    (folder / "pumice.json").unlink()
    assert main(["models", "rm", "someone/model", "--yes"]) == 0
    assert [each.name for each in models_here()] == ["pumice-tiny"]


def test_rm_of_a_folder(ours: Path) -> None:
    assert main(["models", "rm", "ours", "--yes"]) == 0
    assert not ours.exists()


def test_what_rm_refuses(ours: Path, shelf: Path, capsys: Said) -> None:
    convert("ours", "foreign", "llava-hf")
    (shelf / "link").symlink_to(ours)
    (ours / "thesis.txt").write_text("years of work", encoding="utf-8")
    (ours / "pictures").mkdir()
    for name, said in (
        ("pumice-tiny", "belongs to the program"),
        (str(BUNDLED), "belongs to the program"),
        ("ours", "holds more than a model: pictures, thesis.txt"),
        ("foreign", "will not be removed: expected pumice.json in it"),
        ("link", "is a link"),
        (str(shelf), "will not be removed: expected pumice.json in it"),
        ("..", "will not be removed: expected pumice.json in it"),
        ("nowhere", "no model at"),
    ):
        before = sorted(shelf.rglob("*"))
        assert main(["models", "rm", name, "--yes"]) in (2, 3)
        assert said in capsys.readouterr().err
        assert sorted(shelf.rglob("*")) == before and BUNDLED.is_dir()


def test_rm_does_not_walk_what_it_refuses(shelf: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    """Of a whole disk, that takes minutes and ends at what nobody may read."""

    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/proc/1/cwd")

    monkeypatch.setattr(Path, "rglob", closed)
    for name in (shelf.anchor, ".."):
        assert main(["models", "rm", name, "--yes"]) == 2
        assert "will not be removed: expected pumice.json" in capsys.readouterr().err


def test_rm_of_a_folder_that_is_closed(ours: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    real = os.stat

    def stat(path: Any, *rest: Any, **named: Any) -> os.stat_result:
        if str(path) == str(ours / "pumice.json"):  # as of a folder without the right to enter it
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "stat", stat)
    assert main(["models", "rm", "ours", "--yes"]) == 2
    assert "will not be removed" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["convert", "quantize"])
def test_a_target_that_exists(command: str, ours: Path, shelf: Path, capsys: Said) -> None:
    (shelf / "notes").write_text("mine", encoding="utf-8")
    (shelf / "things").mkdir()
    (shelf / "things" / "diary").write_text("mine", encoding="utf-8")
    for target, words, said in (
        ("notes", [], "notes is a file"),
        ("notes", ["--overwrite"], "notes is a file"),
        ("things", [], "add --overwrite to replace it"),
        ("things", ["--overwrite"], "is not a checkpoint and will not be replaced"),
    ):
        assert main([command, "ours", target, *words]) == 2
        assert said in capsys.readouterr().err
    assert main([command, "ours", "new"]) == 0
    assert main([command, "ours", "new"]) == 2
    assert main([command, "ours", "new", "--overwrite"]) == 0


def test_rm_asks(ours: Path, project: Path, capsys: Said) -> None:
    assert main(["models", "rm", "ours"]) == 2  # nobody is there to be asked
    assert "add --yes" in capsys.readouterr().err
    for typed, there in ((b"n\n", True), (b"y\n", False)):
        ours_end, theirs = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": python_path(project)}
        process = subprocess.Popen(
            [sys.executable, "-m", "pumice", "models", "rm", "ours"],
            env=environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.close(theirs)
        os.write(ours_end, typed)
        out, err = process.communicate(timeout=60)
        os.close(ours_end)
        assert process.returncode == 0 and b"Remove " in err
        assert ours.exists() == there == (b"nothing was removed" in err) and bool(out) != there


def test_convert_is_the_same_command(ours: Path, shelf: Path, capsys: Said) -> None:
    assert main(["models", "convert", "ours", "a", "--to", "llava-hf"]) == 0
    assert main(["convert", "ours", "b", "--to", "llava-hf"]) == 0
    assert (shelf / "a" / "config.json").read_bytes() == (shelf / "b" / "config.json").read_bytes()
