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

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pumice.errors import UsageError
from pumice.images.config import Mode
from pumice.world.wording import QuestionKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Part = Literal["vision", "connector", "language"]
#: Parts that are stacks of layers.
Tower = Literal["vision", "language"]


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


class Join(_Strict):
    """Two models that nobody has joined yet: folders or hub names of a LLaMA-shaped one and of a CLIP tower."""

    language: str
    vision: str


class Start(_Strict):
    """Where the weights come from: a finished ``folder`` (or hub name), two models to ``join`` by a new projector, or
    ``vision`` and ``language`` shapes to draw at random.

    pictures: how they are cut, in place of the folder's own way; of joined models ``pad`` is that. tower: a vision
    tower that stage 0 has made, in place of a random one. projector: of joined or random models, ``linear`` or ``mlp``.
    """

    folder: Path | None = None
    join: Join | None = None
    pictures: Mode | None = None
    tower: Path | None = None
    vision: VisionShape | None = None
    language: LanguageShape | None = None
    projector: Literal["linear", "mlp"] = "mlp"


class LoraShape(_Strict):
    """Adapters on all linear layers of a part but the head: ``alpha / rank`` times what they have learned is added."""

    rank: Count
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Integers(_Strict):
    """Weights below adapters, as integers of so many bits; so many in a row share a scale."""

    bits: Literal[4, 8] = 4
    group: Literal[32, 64, 128] = 32


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
    """LLaVA JSON or JSONL with its folder of pictures.

    weight: its share of an epoch, in passes: of 0.5 another half in every epoch, of 2 everything twice.
    """

    records: Path
    images: Path
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0


def _listed(value: object) -> object:
    """One table stands for a list of one."""
    return [value] if isinstance(value, dict | FileData) else value


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
    files: one table, or a list of tables that are mixed by their weights.
    lora: parts of which adapters learn, and nothing else. quantize: those of them whose own weights become integers.
    grounding: attention that is taught as well. batch: rows a step. epochs: passes over the data. warmup: share of all
    steps with a rising rate; then a cosine falls to ``final_rate`` of the peak. average: how much of the
    weights' running average each step keeps; then the average is what is saved, 0 saves the weights themselves. dtype:
    what matrices are multiplied in; weights stay float32. max_tokens: records lose their last turns to fit; 0 is all
    that the model can read. held_out: what the model is tried on. trackers: other programs that get the figures.

    What follows changes speed and memory, not what is learned. micro: rows that go through the model at a time. pack:
    tokens instead, of rows that are joined without padding. recompute: of a tower that learns, how many layers are
    computed again in the backward pass and not remembered. compile: let torch compile what it can. keep_features: of
    pictures, on disk, for later epochs; the vision tower must be frozen.

    save_every: steps between resumable states. log_every: steps between log lines. threads: of the processor, 0 is all.
    workers: processes that prepare batches, 0 for none. peak_flops: operations a second that the machine could do at
    best, 0 to measure it.
    """

    output: Path
    start: Start
    template: str
    parts: dict[Part, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    lora: dict[Part, LoraShape] = Field(default_factory=dict)
    quantize: dict[Part, Integers] = Field(default_factory=dict)
    world: WorldData | None = None
    files: Annotated[tuple[FileData, ...], Field(min_length=1), BeforeValidator(_listed)] | None = None
    grounding: GroundingData | None = None
    batch: Count = 16
    epochs: Count = 1
    warmup: float = Field(default=0.03, ge=0, lt=1)
    final_rate: float = Field(default=0.0, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    beta2: float = Field(default=0.999, gt=0, lt=1)
    seed: Number = 0
    average: float = Field(default=0.0, ge=0, lt=1)
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_tokens: Number = 0
    micro: Number = 0
    pack: Number = 0
    recompute: dict[Tower, Count] = {}
    compile: bool = False
    keep_features: bool = False
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
    tables = (
        *(Recipe, Start, Join, VisionShape, LanguageShape, LoraShape, Integers),
        *(WorldData, GroundingData, FileData, HeldOut),
    )
    return [*get_args(Part), *(name for table in tables for name in table.model_fields)]


def _check(recipe: Recipe, path: Path) -> None:
    start = recipe.start
    ways = (start.folder, start.join, start.tower or start.vision or start.language)
    whole = start.folder or start.join or (start.vision and start.language)
    if not whole or sum(way is not None for way in ways) != 1:
        raise UsageError(
            f"recipe {str(path)!r}: start needs either a folder, or a table join, or both a vision and a language shape"
        )
    if start.pictures is not None and start.vision is not None:
        raise UsageError(f"recipe {str(path)!r}: start.pictures is for finished models; random ones see them padded")
    if (recipe.world is None) == (recipe.files is None):
        raise UsageError(f"recipe {str(path)!r}: give exactly one of the tables world and files")
    if recipe.grounding is not None and (recipe.world is None or recipe.world.task == "patches"):
        raise UsageError(f"recipe {str(path)!r}: grounding needs texts about scenes of the synthetic world")
    if recipe.pack and recipe.micro:
        raise UsageError(f"recipe {str(path)!r}: pack and micro both say how much goes through the model at a time")
    if recipe.pack and recipe.world is not None and recipe.world.task == "patches":
        raise UsageError(f"recipe {str(path)!r}: pack joins rows of words, and patches have none")
    if recipe.max_tokens and recipe.files is None:
        raise UsageError(f"recipe {str(path)!r}: max_tokens is for records from files; scenes have no turns to spare")
    if recipe.keep_features and ("vision" in recipe.parts or recipe.files is None):
        raise UsageError(
            f"recipe {str(path)!r}: keep_features needs pictures from files and a vision tower that is frozen"
        )
    if not recipe.parts:
        raise UsageError(f"recipe {str(path)!r}: parts is empty, so nothing would learn")
    _check_adapters(recipe, path)
    _check_held_out(recipe, path)


def _check_adapters(recipe: Recipe, path: Path) -> None:
    for part in recipe.lora:
        if part not in recipe.parts:
            raise UsageError(f"recipe {str(path)!r}: lora.{part} should learn, but parts.{part} gives it no rate")
    for part in recipe.quantize:
        if part not in recipe.lora:
            raise UsageError(
                f"recipe {str(path)!r}: quantize.{part} needs lora.{part}: integers do not learn",
                hint=f"add a table lora.{part}, or leave quantize.{part} out",
            )
    if recipe.lora and recipe.start.vision is not None:
        raise UsageError(
            f"recipe {str(path)!r}: adapters change a finished model; lora needs start.folder or start.join"
        )
    if recipe.lora and recipe.world is not None and recipe.world.task == "patches":
        raise UsageError(f"recipe {str(path)!r}: stage 0 makes a vision tower and knows no adapters; leave lora out")


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
    if files is not None and held.records is not None and held.records.resolve() in {each.records.resolve() for each in files}:
        raise UsageError(f"recipe {str(path)!r}: held_out.records is the file that training learns from")
