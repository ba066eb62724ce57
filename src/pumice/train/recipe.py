"""A training run as a value: a TOML file, read strictly.

Every field has one place and one meaning; an unknown name is refused with the nearest known one, and ``--set a.b=v``
changes a single field.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pumice.errors import UsageError
from pumice.world.wording import QuestionKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Part = Literal["vision", "connector", "language"]


#: Whole numbers; without ``strict`` pydantic takes ``true`` for 1.
Count = Annotated[int, Field(strict=True, gt=0)]
Number = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class VisionShape(_Strict):
    """Numbers of a vision tower that starts from random weights; every layer is built and the last one read."""

    image_size: Count
    patch_size: Count
    hidden_size: Count
    intermediate_size: Count
    layers: Count
    heads: Count


class LanguageShape(_Strict):
    """Numbers of a language model that starts from random weights; embeddings are tied."""

    vocab_size: Count
    hidden_size: Count
    intermediate_size: Count
    layers: Count
    heads: Count
    kv_heads: Count


class Start(_Strict):
    """Where the weights come from: a finished ``folder``, or ``vision`` and ``language`` shapes to draw at random.

    tower: a vision tower that stage 0 has made, in place of a random one. projector: ``linear`` or ``mlp``.
    """

    folder: Path | None = None
    tower: Path | None = None
    vision: VisionShape | None = None
    language: LanguageShape | None = None
    projector: Literal["linear", "mlp"] = "mlp"


class WorldData(_Strict):
    """Scenes of the synthetic world, drawn while training: ``first`` to ``first + scenes``.

    task: ``patches`` is stage 0, the vision tower alone; ``caption`` is stage 1, up to ``captions`` of each scene;
    ``instruct`` is stage 2, up to ``questions`` questions about each scene, those of ``favoured`` kinds first. details,
    several_turns: the share of scenes that are also described in detail, and of those with a conversation of several
    turns. sizes: sides in pixels at which scenes are drawn, by chance, so that no one resampling is learned by heart.
    """

    task: Literal["patches", "caption", "instruct"]
    first: Number = 0
    scenes: Count
    captions: Count = 1
    questions: Count = 10
    favoured: tuple[QuestionKind, ...] = ()
    details: Share = 1.0
    several_turns: Share = 1.0
    sizes: tuple[Count, ...] = (160, 224, 288)


class GroundingData(_Strict):
    """Attention that is taught where to look: the first head of these ``layers``, counted from 0.

    weight: of its loss beside the words' loss.
    """

    layers: Annotated[tuple[Number, ...], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.3


class FileData(_Strict):
    """LLaVA JSON or JSONL with its folder of pictures."""

    records: Path
    images: Path


class HeldOut(_Strict):
    """Data that training does not see; every ``every`` steps and at the end the model is asked what it makes of it.

    rows: how many, the first ones. records, images: LLaVA JSON or JSONL with its pictures; without them scenes of the
    synthetic world, from number ``first`` of a sequence of their own. samples: how many of the first rows are also
    answered in words, ``tokens`` tokens at most.
    """

    every: Count = 100
    rows: Count = 64
    records: Path | None = None
    images: Path | None = None
    first: Number = 1_000_000
    samples: Number = 4
    tokens: Count = 48


class Recipe(_Strict):
    """One stage of training.

    template: how conversations are written. parts: the peak learning rate of each part that learns; others are frozen.
    grounding: attention that is taught as well. batch: rows a step. epochs: passes over the data. warmup: share of all
    steps with a rising rate; then a cosine falls to ``final_rate`` of the peak. save_every: steps between resumable
    states. log_every: steps between log lines. threads: of the processor, 0 for all. workers: processes that prepare
    batches, 0 for none. held_out: what the model is tried on. trackers: other programs that get the figures.
    peak_flops: operations a second that the machine could do at best, 0 to measure it.
    """

    output: Path
    start: Start
    template: str
    parts: dict[Part, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    world: WorldData | None = None
    files: FileData | None = None
    grounding: GroundingData | None = None
    batch: Count = 16
    epochs: Count = 1
    warmup: float = Field(default=0.03, ge=0, lt=1)
    final_rate: float = Field(default=0.0, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    beta2: float = Field(default=0.999, gt=0, lt=1)
    seed: Number = 0
    save_every: Count = 200
    log_every: Count = 10
    threads: Number = 0
    workers: Number = 1
    held_out: HeldOut | None = None
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    peak_flops: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read ``path`` and apply ``a.b=value`` overrides, values in TOML's notation (bare words are strings).

    Raises: UsageError naming the field that is unknown, missing or wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read recipe {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {str(path)!r} is not valid TOML: {error}") from error
    for override in overrides:
        _override(values, override)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe {str(path)!r}: {_explain(error)}") from error
    _check(recipe, path)
    return recipe


def _override(values: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    if not separator:
        raise UsageError(f"an override is written name=value, found {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *tables, last = name.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise UsageError(f"override {name!r}: {table!r} is a value, not a table")
    values[last] = value


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}"
    near = difflib.get_close_matches(str(first["loc"][-1]), _field_names(), n=1)
    return f"unknown field {where!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _field_names() -> list[str]:
    tables = (Recipe, Start, VisionShape, LanguageShape, WorldData, GroundingData, FileData, HeldOut)
    return [*get_args(Part), *(name for table in tables for name in table.model_fields)]


def _check(recipe: Recipe, path: Path) -> None:
    start = recipe.start
    whole = start.folder is not None
    if (whole and (start.tower or start.vision or start.language)) or not (whole or (start.vision and start.language)):
        raise UsageError(f"recipe {str(path)!r}: start needs either a folder, or both a vision and a language shape")
    if (recipe.world is None) == (recipe.files is None):
        raise UsageError(f"recipe {str(path)!r}: give exactly one of the tables world and files")
    if recipe.grounding is not None and (recipe.world is None or recipe.world.task == "patches"):
        raise UsageError(f"recipe {str(path)!r}: grounding needs texts about scenes of the synthetic world")
    if not recipe.parts:
        raise UsageError(f"recipe {str(path)!r}: parts is empty, so nothing would learn")
    _check_held_out(recipe, path)


def _check_held_out(recipe: Recipe, path: Path) -> None:
    held, world, files = recipe.held_out, recipe.world, recipe.files
    if held is None:
        return
    if (held.records is None) != (held.images is None):
        raise UsageError(f"recipe {str(path)!r}: held_out.records and held_out.images belong together")
    if held.records is None and world is None:
        raise UsageError(f"recipe {str(path)!r}: held_out needs records and images, as files has them")
    patches = world is not None and world.task == "patches"
    if patches and held.records is not None:
        raise UsageError(f"recipe {str(path)!r}: patches are only known of scenes, so held_out cannot read records")
    if patches and world.first < held.first + held.rows and held.first < world.first + world.scenes:
        raise UsageError(f"recipe {str(path)!r}: training sees scenes of held_out; choose another held_out.first")
    if files is not None and held.records is not None and files.records.resolve() == held.records.resolve():
        raise UsageError(f"recipe {str(path)!r}: held_out.records is the file that training learns from")
