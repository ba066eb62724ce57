"""``pumice estimate``: what a recipe will take, before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from typer import Argument, Option

from pumice.cli.settings import Debug
from pumice.errors import UsageError

if TYPE_CHECKING:
    from pumice.train.recipe import Recipe

Overrides: TypeAlias = Annotated[
    list[str] | None, Option("--set", metavar="A.B=VALUE", help="Replaces one value of the recipe. Repeatable.")
]
Price: TypeAlias = Annotated[float | None, Option("--price", metavar="NUMBER", help="Of an hour on the machine.")]
Flops: TypeAlias = Annotated[
    float | None,
    Option(
        "--flops", metavar="NUMBER", help="Operations a second that it could do at best. Default: measure this one."
    ),
]
Utilisation: TypeAlias = Annotated[
    float | None, Option("--mfu", metavar="SHARE", help="Of these, the share that training reaches. Default: 0.35.")
]


def estimate(
    recipe: Annotated[Path, Argument(help="A TOML file, such as recipes/tiny-pretrain.toml.")],
    overrides: Overrides = None,
    price: Price = None,
    flops: Flops = None,
    utilisation: Utilisation = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    debug: Debug = False,
) -> None:
    """Tell what a recipe will take: weights, steps, tokens, memory, time and cost. Nothing is trained or written.

    \b
    pumice estimate recipes/tiny-finetune.toml
    pumice estimate recipes/tiny-finetune.toml --flops 3e14 --mfu 0.4 --price 2.50
    """
    from pumice.train.recipe_file import read_recipe

    tell(read_recipe(recipe, overrides or []), price, flops, utilisation, as_json=as_json)


def tell(
    plan: Recipe, price: float | None, flops: float | None, utilisation: float | None, *, as_json: bool = False
) -> None:
    """Print the estimate of ``plan``; a figure that is None is measured or left out. Raises: UsageError."""
    for name, value in (("--price", price), ("--flops", flops), ("--mfu", utilisation)):
        if value is not None and not value > 0:
            raise UsageError(f"{name} must be above 0, found {value:g}")
    if utilisation is not None and utilisation > 1:
        raise UsageError(f"--mfu is a share, at most 1, found {utilisation:g}")
    import torch

    from pumice.train.estimate import UTILISATION, Machine, describe, summary
    from pumice.train.estimate import estimate as look_ahead
    from pumice.train.meter import measured_peak

    peak = flops or plan.peak_flops or measured_peak(torch.device("cpu"), torch.float32)
    machine = Machine(peak, utilisation or UTILISATION, price)
    found = look_ahead(plan)
    print(json.dumps(summary(found, machine)) if as_json else describe(found, machine))
