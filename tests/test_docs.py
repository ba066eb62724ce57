"""The README keeps its word: every block in it is run.

A ``console`` block holds commands behind ``$ `` and, below each, what it prints on stdout; that is compared where it is
shown, and ``...`` in it stands for anything. ``bash`` blocks are run as scripts, ``python`` blocks as programs. All run
in order, in a folder that looks like the root of the repository. ``<!-- not run: reason -->`` on the line above a block
exempts it; there are few of these.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_EXEMPT = 6

_FENCE = re.compile(
    r"(?:^[ \t]*<!-- not run: (?P<reason>[^\n]+?) -->[ \t]*\n)?"
    r"^(?P<indent>[ \t]*)```(?P<kind>console|bash|sh|python)\n(?P<body>.*?)^(?P=indent)```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, text, line in the file, and why it is not run."""

    kind: str
    body: str
    line: int
    reason: str | None


@dataclass(frozen=True)
class Step:
    """One command and what it should print; None where the text does not say."""

    command: str
    output: str | None


def blocks(text: str) -> list[Block]:
    return [
        Block(
            found["kind"],
            "".join(line.removeprefix(found["indent"]) for line in found["body"].splitlines(keepends=True)),
            text.count("\n", 0, found.start("kind")) + 1,
            found["reason"],
        )
        for found in _FENCE.finditer(text)
    ]


def steps(body: str) -> list[Step]:
    """The commands of a ``console`` block; one that ends in a backslash goes on in the next line."""
    parsed: list[Step] = []
    command, output = "", []
    continued = False
    for line in body.splitlines():
        if line.startswith("$ ") or continued:
            if command and not continued:
                parsed.append(Step(command, "\n".join(output) or None))
                command, output = "", []
            command += "\n" * continued + (line if continued else line[2:])
            continued = line.endswith("\\")
        else:
            output.append(line)
    return [*parsed, Step(command, "\n".join(output) or None)] if command else parsed


def matches(shown: str, printed: str) -> bool:
    """Line by line; ``...`` alone stands for any lines, within a line for any characters."""
    escaped = re.sub(r"([\[\]*?])", r"[\1]", shown.strip())
    return fnmatch.fnmatchcase(printed.strip(), escaped.replace("...", "*"))


def _readme() -> list[Block]:
    return blocks((ROOT / "README.md").read_text(encoding="utf-8"))


RUN = [block for block in _readme() if block.reason is None]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository's root, so that what the blocks write does not stay in it."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("examples", "recipes", "src", "tests", "Makefile", "pyproject.toml", "constraints.txt", "docs"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def _environment() -> dict[str, str]:
    """``pumice`` and ``python`` mean this interpreter's, wherever the tests run."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT / "src"),
        "HF_HUB_OFFLINE": "1",
    }


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"README.md:{block.line}")
def test_readme_block(block: Block, workplace: Path) -> None:
    if block.kind == "python":
        _run([sys.executable, "-c", block.body], workplace)
    elif block.kind == "console":
        for step in steps(block.body):
            printed = _run(["bash", "-euo", "pipefail", "-c", step.command], workplace)
            if step.output is not None:
                assert matches(step.output, printed), f"$ {step.command}\nshown:\n{step.output}\nprinted:\n{printed}"
    else:
        _run(["bash", "-euo", "pipefail", "-c", block.body], workplace)


def test_few_blocks_are_exempt_and_each_says_why() -> None:
    exempt = [block for block in _readme() if block.reason is not None]
    assert len(exempt) <= MOST_EXEMPT, [f"README.md:{block.line} {block.reason}" for block in exempt]


def test_every_link_into_the_repository_leads_somewhere() -> None:
    missing = []
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md"):
        page = ROOT / name
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not (page.parent / target).exists():
                missing.append(f"{name}: {target}")
    assert not missing


def test_the_reader_of_blocks() -> None:
    text = (
        "# T\n\n```console\n$ echo a \\\n    b\na b\n$ true\n```\n\n"
        "<!-- not run: because -->\n```bash\nfalse\n```\n\n```text\nno\n```\n\n"
        "1. x\n\n   ```python\n   print(1)\n   ```\n"
    )
    found = blocks(text)
    assert [(block.kind, block.reason) for block in found] == [("console", None), ("bash", "because"), ("python", None)]
    assert found[0].line == 3
    assert found[2].body == "print(1)\n"
    assert steps(found[0].body) == [Step("echo a \\\n    b", "a b"), Step("true", None)]


def test_the_comparison() -> None:
    assert matches("a\n...\nc", "a\nb\nb\nc\n")
    assert matches("took ... s [x] *", "took 0.3 s [x] *")
    assert not matches("a\nb", "a\nc")
    assert not matches("a*", "ab")
