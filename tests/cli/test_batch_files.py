"""Where ``pumice batch`` writes to, and what it does where it cannot. The engine is scripted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from fakes import ScriptedEngine
from images.pictures import encoded, noise
from pumice.cli.main import main
from pumice.cli.results import writable

HERE = Path(__file__).parent
PATHS = [str(HERE.parent.parent / "src"), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": index, "prompt": "q" * 400}) + "\n" for index in range(20)))
    return path


def refused(source: Path, out: str, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """What is said about ``out``; no model has been loaded for it."""
    engine = ScriptedEngine()
    assert main(["batch", str(source), "-o", out, *flags], engine) == 2
    assert not engine.opened
    return capsys.readouterr().err


@pytest.mark.parametrize("flags", [(), ("--resume",), ("--overwrite",)])
def test_what_is_no_file(
    flags: tuple[str, ...], source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(source.parent)
    os.mkfifo("pipe")
    for out, words in (
        ("-", "- is a stream"),
        ("pipe", "pipe is none"),
        (".", ". is none"),
        (os.devnull, "takes a file"),
    ):
        told = refused(source, out, capsys, *flags)
        assert words in told and "hint: name a file, such as -o answers.jsonl" in told
    assert sorted(os.listdir()) == ["in.jsonl", "pipe"]


@pytest.mark.parametrize("name", ["stdout", "redirected.txt"])
def test_a_stream_that_is_a_file(name: str, source: Path) -> None:
    """A link like /dev/stdout leads to a file once that is redirected, and would be replaced by another file."""
    target, link = source.parent / "redirected.txt", source.parent / "stdout"
    link.symlink_to("/dev/fd/1")
    with target.open("wb") as stdout:
        command = [sys.executable, str(HERE / "scripted.py"), "batch", source.name, "-o", name, "--overwrite"]
        done = subprocess.run(
            command, cwd=source.parent, stdout=stdout, stderr=subprocess.PIPE, env=ENVIRONMENT, check=False
        )
    assert done.returncode == 2 and f"{name} is a stream".encode() in done.stderr
    assert sorted(os.listdir(source.parent)) == ["in.jsonl", "redirected.txt", "stdout"]
    assert link.is_symlink() and not target.read_bytes()


def test_a_folder_that_is_not_there(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the pen must not hide the result."""
    missing = source.parent / "reslts"
    assert f"there is no folder {missing}\nhint: make it" in refused(source, str(missing / "out.jsonl"), capsys)
    assert not missing.exists()
    assert "in.jsonl\nhint: make it" in refused(source, str(source / "out.jsonl"), capsys)


def test_where_nobody_can_write(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if sys.platform == "linux":
        assert "/proc/x.jsonl cannot be written: No such file" in refused(source, "/proc/x.jsonl", capsys)

    def gives_up(lock: FileLock, timeout: float) -> None:
        raise PermissionError(13, "Permission denied") if timeout else Timeout(lock.lock_file)

    monkeypatch.setattr(FileLock, "acquire", gives_up)
    out = source.parent / "out.jsonl"
    assert "another process is writing" in refused(source, str(out), capsys)
    (source.parent / ".out.jsonl.lock").unlink()
    (source.parent / ".out.jsonl.lock").mkdir()  # cannot be opened, not even by root
    assert "out.jsonl cannot be written: Is a directory" in refused(source, str(out), capsys)


def test_a_disk_that_becomes_full(source: Path) -> None:
    """The file is named, what had been written stays, and half a line is not taken for one."""
    words = ["pumice", "batch", source.name, "-o", "out.jsonl", "-q"]
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); "
        f"sys.argv = {words!r}; runpy.run_path({str(HERE / 'scripted.py')!r})"
    )
    command = [sys.executable, "-c", limited]
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: out.jsonl cannot be written: file too large\nhint: free some space, then go on with --resume\n"
    )
    out = source.parent / "out.jsonl"
    assert out.stat().st_size == 4000 and not out.read_bytes().endswith(b"\n")
    assert main(["batch", str(source), "-o", str(out), "--resume"], ScriptedEngine()) == 0
    assert [json.loads(line)["id"] for line in out.read_bytes().splitlines()] == list(range(20))


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """Linux allows any bytes in names. What is written is Unicode, and found again."""
    folder, out = tmp_path / "photos", tmp_path / "out.jsonl"
    folder.mkdir()
    try:
        for number in (0xFE, 0xFF):
            with open(os.fsencode(folder) + b"/bad%c.png" % number, "wb") as file:
                file.write(encoded(noise(8, 6), "PNG"))
        question = "What is it?\udcff"
    except OSError:  # other systems do not
        (folder / "bad.png").write_bytes(encoded(noise(8, 6), "PNG"))
        question = "What is it?"
    line = ["batch", str(folder), question, "-o", str(out)]
    assert main(line, ScriptedEngine()) == 0
    for file in (out, tmp_path / "out.jsonl.settings.json"):
        assert b"\\u" not in file.read_bytes().replace(b"\\\\u", b"")
    before = out.read_bytes()
    names = [json.loads(each)["id"] for each in before.splitlines()]
    assert names == [writable(name) for name in sorted(os.listdir(folder))] and len(set(names)) == len(names)
    idle = ScriptedEngine()
    assert main([*line, "--resume"], idle) == 0
    assert not idle.opened and out.read_bytes() == before


def test_a_file_from_before_with_halves_of_characters_is_gone_on_with(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": "bad\\udcff", "prompt": "q"}\n{"id": "good", "prompt": "q"}\n')
    assert main(["batch", str(source), "-o", str(out)], ScriptedEngine(answers=[["Old."]])) == 0
    first, second = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(first.replace(b"bad\\\\udcff", b"bad\\udcff"))
    assert main(["batch", str(source), "-o", str(out), "--resume"], ScriptedEngine(answers=[["Old."]])) == 0
    assert out.read_bytes().splitlines(keepends=True)[1:] == [second]
