"""``pumice train``: a recipe becomes a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pumice.cli.settings import Debug


def train(
    recipe: Annotated[Path, Argument(help="A TOML file, such as recipes/tiny-pretrain.toml.")],
    overrides: Annotated[
        list[str] | None, Option("--set", metavar="A.B=VALUE", help="Replaces one value of the recipe. Repeatable.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Train a model as a recipe says. Resumes where an earlier run of it stopped.

    \b
    pumice train recipes/tiny-finetune.toml
    torchrun --nproc-per-node 2 -m pumice train recipes/tiny-finetune.toml   # two processes share every batch
    """
    from pumice.train.recipe import read_recipe

    plan = read_recipe(recipe, overrides or [])  # a mistake shows before torch is imported
    from pumice.train.ranks import first_process
    from pumice.train.run import train as run

    folder = run(plan, show=_log)
    if first_process():
        print(folder)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
