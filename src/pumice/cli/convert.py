"""``pumice convert``: one layout of a checkpoint into another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from typer import Argument, Option

from pumice.cli.settings import Base, Debug, Offline, Overwrite, VisionTower

Layout: TypeAlias = Literal["pumice", "original", "llava-hf"]
Dtype: TypeAlias = Literal["float32", "bfloat16", "float16"]


def convert(
    source: Annotated[str, Argument(help="A folder or hub name, in any layout.")],
    target: Annotated[Path, Argument(help="The folder to write.")],
    layout: Annotated[Layout, Option("--to", help="The layout to write.")] = "pumice",
    base: Base = None,
    vision_tower: VisionTower = None,
    template: Annotated[
        str | None, Option("--template", metavar="NAME", help="Conversation template to write down.")
    ] = None,
    dtype: Annotated[Dtype | None, Option("--dtype", help="Number format to store. Default: as it is.")] = None,
    projector_file: Annotated[
        bool, Option("--projector-file", help="With --to original: write mm_projector.bin as well.")
    ] = False,
    overwrite: Overwrite = False,
    offline: Offline = False,
    debug: Debug = False,
) -> None:
    """Write a checkpoint in another layout. There are Pumice's own, the original LLaVA's and llava-hf's.

    \b
    pumice convert liuhaotian/llava-v1.5-7b llava-7b
    pumice convert llava-7b llava-7b-hf --to llava-hf
    """
    import torch

    from pumice.checkpoint.convert import Options
    from pumice.checkpoint.convert import convert as run

    options = Options(
        dtype=getattr(torch, dtype) if dtype else None,
        template=template,
        projector_file=projector_file,
        overwrite=overwrite,
    )
    run(source, target, layout, options, base=base, vision_tower=vision_tower, offline=offline)
    print(target)
