"""``pumice convert``: one layout of a checkpoint into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from typer import Argument, Option

Layout: TypeAlias = Literal["pumice", "original", "llava-hf"]


def convert(
    source: Annotated[str, Argument(help="A folder or hub name, in any layout.")],
    target: Annotated[Path, Argument(help="The folder to write; it must not exist yet.")],
    layout: Annotated[Layout, Option("--to", help="The layout to write.")] = "pumice",
    base: Annotated[
        str | None, Option("--base", metavar="NAME", help="Base model, for a LoRA or projector-only checkpoint.")
    ] = None,
    offline: Annotated[bool, Option("--offline", help="Use only what is on this machine.")] = False,
    debug: Annotated[bool, Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Write a checkpoint in another layout. There are Pumice's own, the original LLaVA's and llava-hf's."""
    from pumice.checkpoint.convert import convert as run

    run(source, target, layout, base=base, offline=offline)
    print(target)
