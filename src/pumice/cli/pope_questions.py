"""``pumice evaluate pope-questions``: POPE's questions for pictures of your own, as a folder that ``pope`` asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pumice.cli.settings import Debug


def pope_questions(
    out: Annotated[Path, Argument(help="The folder to make: questions, and the pictures that they are about.")],
    data: Annotated[
        Path | None,
        Option(
            "--data", metavar="FOLDER", help="Annotated pictures, as COCO's. Default: scenes of Pumice's own world."
        ),
    ] = None,
    pictures: Annotated[int, Option("--pictures", min=1, help="Pictures to ask about.")] = 500,
    seed: Annotated[int, Option("--seed", help="Another one draws other pictures and things.")] = 0,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace questions that are there.")] = False,
    debug: Debug = False,
) -> None:
    """Write POPE's questions for any pictures whose things are known: random, popular and adversarial ones.

    \b
    pumice evaluate pope-questions mine --data coco          # coco/annotations/instances_*.json, coco/val2017
    pumice evaluate pope --data mine -o results
    """
    import shutil

    from pumice.errors import UsageError
    from pumice.evaluate.beyond.pope_questions import make, write
    from pumice.evaluate.beyond.scenes import gallery

    if data is not None and not data.is_dir():
        raise UsageError(f"there is no folder {str(data)!r}", hint="name the folder that holds the annotations")
    shown = gallery(data or Path(), annotated=data is not None)
    made = make(shown.scenes, pictures=pictures, seed=seed)
    paths = write(made, out, overwrite=overwrite)
    asked = {each.image for each in made.questions["random"]}
    files = {scene.image: shown.picture(scene) for scene in shown.scenes if scene.image in asked}
    there = [(name, path) for name, path in files.items() if path.exists()]
    for name, path in there:
        (out / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / "images" / name)
    for line in (*shown.notes, *map(str, paths)):
        print(line)
    left = f"; {made.left_out} have too few things, or lack too few" if made.left_out else ""
    missing = (
        f"; {len(asked) - len(there)} of them are to be put into {out / 'images'}" if len(there) < len(asked) else ""
    )
    print(f"{made.pictures} pictures, {sum(map(len, made.questions.values()))} questions{left}{missing}")
