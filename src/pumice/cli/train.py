"""``pumice train``: a recipe becomes a checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pumice.cli.estimate import DeviceName, Flops, Overrides, Price, Utilisation, tell
from pumice.cli.settings import Debug
from pumice.errors import UsageError


def train(
    recipe: Annotated[Path, Argument(help="A TOML file, such as recipes/tiny-pretrain.toml.")],
    overrides: Overrides = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only tell what it will take, like pumice estimate.")] = False,
    price: Price = None,
    flops: Flops = None,
    utilisation: Utilisation = None,
    device: DeviceName = None,
    debug: Debug = False,
) -> None:
    """Train a model as a recipe says. Resumes where an earlier run of it stopped.

    --price, --flops, --mfu and --device are for --dry-run.

    \b
    pumice train recipes/tiny-finetune.toml
    torchrun --nproc-per-node 2 -m pumice train recipes/tiny-finetune.toml   # two processes share every batch
    """
    from pumice.train.recipe_file import read_recipe

    plan = read_recipe(recipe, overrides or [])  # a mistake shows before torch is imported
    if dry_run:
        tell(plan, price, flops, utilisation, device)
        return
    if any(each is not None for each in (price, flops, utilisation, device)):
        raise UsageError(
            "--price, --flops, --mfu and --device belong to --dry-run", hint="add --dry-run, or leave them out"
        )
    from pumice.train.progress import open_bar
    from pumice.train.ranks import first_process
    from pumice.train.run import train as run

    bar = open_bar(max(plan.parts.values())) if first_process() else None
    if bar is None:
        folder = run(plan, show=_log)
    else:
        with bar:
            folder = run(plan, show=bar.line, display=bar)
    if first_process():
        print(folder)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
