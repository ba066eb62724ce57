"""``pumice evaluate``: benchmarks asked, scored as published with intervals, compared and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument

from pumice.cli.settings import Debug


def evaluate() -> None:
    """Run benchmarks, score answers, and say how sure the figures are."""


def run(tasks: Annotated[list[str], Argument(help="Benchmarks.")], debug: Debug = False) -> None:
    """Ask a model the questions of benchmarks, and score its answers."""


def score(
    task: Annotated[str, Argument(help="The benchmark.")],
    answers: Annotated[Path, Argument(help="Its answers, by anyone.")],
    debug: Debug = False,
) -> None:
    """Score a file of answers."""


def compare(
    first: Annotated[Path, Argument(help="Results of one run.")],
    second: Annotated[Path, Argument(help="Of another.")],
    debug: Debug = False,
) -> None:
    """Say whether two runs differ."""


def report(folders: Annotated[list[Path], Argument(help="Folders of runs.")], debug: Debug = False) -> None:
    """Write a page of HTML about runs."""
