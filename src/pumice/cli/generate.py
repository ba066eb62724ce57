"""``pumice generate``: captions and boxes become instruction data whose claims were checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pumice.cli.settings import Debug
from pumice.errors import UsageError


def generate(
    source: Annotated[str, Argument(help="coco, caps_boxes, captions, regions or world.", metavar="SOURCE")],
    files: Annotated[list[Path] | None, Argument(help="The files of the source.", metavar="[FILES]...")] = None,
    *,
    out: Annotated[Path, Option("--out", "-o", metavar="FOLDER", help="Where everything is written.")],
    debug: Debug = False,
) -> None:
    """Generate instruction data in LLaVA's format, and check it against the annotations."""
    raise UsageError(f"nothing can be generated from {source} yet")
