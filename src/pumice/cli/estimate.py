"""``pumice estimate``: what a recipe will take, before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from typer import Argument, Option

from pumice.cli.settings import Debug
from pumice.errors import UsageError

if TYPE_CHECKING:
    from pumice.train.opening import Told
    from pumice.train.recipe import Recipe

Overrides: TypeAlias = Annotated[
    list[str] | None, Option("--set", metavar="A.B=VALUE", help="Replaces one value of the recipe. Repeatable.")
]
Price: TypeAlias = Annotated[
    float | None, Option("--price", metavar="NUMBER", help="Of an hour, all processes together.")
]
Flops: TypeAlias = Annotated[
    float | None,
    Option(
        "--flops", metavar="NUMBER", help="Operations a second of a process at best. Default: measure this machine."
    ),
]
Utilisation: TypeAlias = Annotated[
    float | None, Option("--mfu", metavar="SHARE", help="Of these, the share that training reaches. Default: 0.35.")
]
Processes: TypeAlias = Annotated[
    int, Option("--processes", metavar="N", help="That share every batch, each with a device of its own.")
]
DeviceName: TypeAlias = Annotated[
    str | None, Option("--device", metavar="NAME", help="A GPU by name, such as h100. Default: this machine's CPU.")
]
_TOLD = "What the files hold"


def estimate(
    recipe: Annotated[Path, Argument(help="A TOML file, such as recipes/tiny-pretrain.toml.")],
    overrides: Overrides = None,
    price: Price = None,
    flops: Flops = None,
    utilisation: Utilisation = None,
    device: DeviceName = None,
    processes: Processes = 1,
    shape: Annotated[
        str | None, Option("--shape", metavar="NAME", help="Of the model, such as llava-1.5-7b.", rich_help_panel=_TOLD)
    ] = None,
    rows: Annotated[int | None, Option("--rows", metavar="N", rich_help_panel=_TOLD)] = None,
    tokens: Annotated[
        int | None, Option("--tokens", metavar="N", help="Of a row, its pictures included.", rich_help_panel=_TOLD)
    ] = None,
    images: Annotated[
        int | None, Option("--images", metavar="N", help="Pictures of a row. Default: 1.", rich_help_panel=_TOLD)
    ] = None,
    longest: Annotated[
        int | None,
        Option("--longest", metavar="N", help="Tokens of the longest rows. Default: all alike.", rich_help_panel=_TOLD),
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    debug: Debug = False,
) -> None:
    """Tell what a recipe will take: weights, steps, tokens, memory, time and cost. Nothing is trained or written.

    Where the model or the data is not on this disk, say what it is: --shape; --rows and --tokens.

    \b
    pumice estimate recipes/tiny-finetune.toml
    pumice estimate recipes/tiny-finetune.toml --flops 3e14 --mfu 0.4 --price 2.50
    pumice estimate recipes/llava-1.5-7b-finetune.toml --shape llava-1.5-7b --rows 665298 --tokens 800 --longest 2048 \\
        --device h100 --processes 8 --price 20
    """
    from pumice.train.recipe_file import read_recipe

    plan = read_recipe(recipe, overrides or [])
    _require_positive({"--rows": rows, "--tokens": tokens, "--longest": longest, "--processes": processes})
    if images is not None and images < 0:
        raise UsageError(f"--images must be at least 0, found {images}")
    from pumice.train.opening import Told

    told = Told(shape, rows, tokens, images, longest)
    tell(plan, price, flops, utilisation, device, processes=processes, told=told, as_json=as_json)


def tell(
    plan: Recipe,
    price: float | None,
    flops: float | None,
    utilisation: float | None,
    device: str | None,
    *,
    processes: int = 1,
    told: Told | None = None,
    as_json: bool = False,
) -> None:
    """Print the estimate of ``plan``; a figure that is None is measured or left out. Raises: UsageError."""
    _require_positive({"--price": price, "--flops": flops, "--mfu": utilisation})
    if utilisation is not None and utilisation > 1:
        raise UsageError(f"--mfu is a share, at most 1, found {utilisation:g}")
    from pumice.train.estimate import estimate as look_ahead
    from pumice.train.machine import describe, make_machine, summary
    from pumice.train.opening import NOTHING

    machine = make_machine(plan, device, flops, utilisation, price)
    found = look_ahead(plan, told or NOTHING, processes)
    print(json.dumps(summary(found, machine)) if as_json else describe(found, machine))


def _require_positive(values: Mapping[str, float | None]) -> None:
    for name, value in values.items():
        if value is not None and not value > 0:
            raise UsageError(f"{name} must be above 0, found {value:g}")
