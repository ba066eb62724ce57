"""The README and the manual of the servers keep their word: every block in them is run.

A ``console`` block holds commands behind ``$ `` and, below each, what it prints on stdout; that is compared where it is
shown, and ``...`` in it stands for anything. ``bash`` blocks are run as scripts, ``python`` blocks as programs. All run
in order, in a folder that looks like the root of the repository. ``<!-- not run: reason -->`` on the line above a block
exempts it; there are few of these. Where a block asks a server at port 8000, a real one is there, at another port.
"""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx2
import pytest

from fakes import python_path
from pumice.serve.api.schema import ChatRequest
from pumice.serve.guard.errors import Failure, failure_of
from serve.apis import body, picture, post, real_worker

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/serving.md", "docs/evaluation.md", "docs/datagen.md")
MOST_EXEMPT = 6
_OF_SERVER = "127.0.0.1:8000"

_FENCE = re.compile(
    r"(?:^[ \t]*<!-- not run: (?P<reason>[^\n]+?) -->[ \t]*\n)?"
    r"^(?P<indent>[ \t]*)```(?P<kind>console|bash|sh|python)\n(?P<body>.*?)^(?P=indent)```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, text, line in the file, why it is not run, and the file."""

    kind: str
    body: str
    line: int
    reason: str | None
    page: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Step:
    """One command and what it should print; None where the text does not say."""

    command: str
    output: str | None


def blocks(text: str, page: str = "") -> list[Block]:
    return [
        Block(
            found["kind"],
            "".join(line.removeprefix(found["indent"]) for line in found["body"].splitlines(keepends=True)),
            text.count("\n", 0, found.start("kind")) + 1,
            found["reason"],
            page,
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


def _of(page: str) -> list[Block]:
    return blocks((ROOT / page).read_text(encoding="utf-8"), page)


RUN = [block for page in PAGES for block in _of(page) if block.reason is None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], int]]:
    """The port of a server with the bundled model and no keys, which is started when it is first asked for."""
    found: list[int] = []
    with ExitStack() as stack:

        def port() -> int:
            if not found:
                found.append(stack.enter_context(real_worker(tmp_path_factory.mktemp("keys"))).port)
            return found[0]

        yield port


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the repository's root, so that what the blocks write does not stay in it."""
    folder = tmp_path_factory.mktemp("readme")
    for name in (
        "examples",
        "recipes",
        "src",
        "tests",
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        "docs",
        "deploy",
    ):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def _environment(folder: Path) -> dict[str, str]:
    """``pumice`` and ``python`` mean this interpreter's, wherever the tests run; keys are made in ``folder``."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": python_path(ROOT),
        "HF_HUB_OFFLINE": "1",
        "PUMICE_DATA_DIR": str(folder / "data"),
    }


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.place)
def test_block(block: Block, workplace: Path, server: Callable[[], int]) -> None:
    if _OF_SERVER in block.body:
        block = replace(block, body=block.body.replace(_OF_SERVER, f"127.0.0.1:{server()}"))
    if block.kind == "python":
        _run([sys.executable, "-c", block.body], workplace)
    elif block.kind == "console":
        for step in steps(block.body):
            printed = _run(["bash", "-euo", "pipefail", "-c", step.command], workplace)
            if step.output is not None:
                assert matches(step.output, printed), f"$ {step.command}\nshown:\n{step.output}\nprinted:\n{printed}"
    else:
        _run(["bash", "-euo", "pipefail", "-c", block.body], workplace)


@pytest.mark.parametrize("page", PAGES)
def test_few_blocks_are_exempt_and_each_says_why(page: str) -> None:
    exempt = [block for block in _of(page) if block.reason is not None]
    assert len(exempt) <= MOST_EXEMPT, [f"{block.place} {block.reason}" for block in exempt]


def test_every_parameter_code_and_metric_of_the_servers_is_explained(server: Callable[[], int]) -> None:
    text = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    known = set(ChatRequest.model_fields) | {failure_of(ValueError()).code, *_codes()}
    port = server()
    assert post(port, body("What is it?", picture(ROOT))).status_code == 200
    shown = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    metrics = {line.split()[2] for line in shown.splitlines() if line.startswith("# TYPE pumice_")}
    known |= {each for each in metrics if not each.endswith("_created")}  # the library's own, of each counter
    lost = sorted(name for name in known if not re.search(rf"`{re.escape(name)}(_total)?[`{{]", text))
    assert not lost and len(known) > 60


def _codes() -> set[str]:
    """Of all failures that are written down in the servers' code."""
    files = (ROOT / "src/pumice/serve").rglob("*.py")
    written = re.compile(rf'{Failure.__name__}\(\s*\d{{3}},\s*"(\w+)"')
    return {code for file in files for code in written.findall(file.read_text(encoding="utf-8"))}


def test_every_link_into_the_repository_leads_somewhere() -> None:
    missing = []
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/serving.md"):
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
