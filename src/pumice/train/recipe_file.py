"""Recipes as TOML files, read strictly.

Every field has one place and one meaning; an unknown name is refused with the nearest known one, and ``--set a.b=v``
changes a single field.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ValidationError

from pumice.errors import UsageError
from pumice.files import unreadable
from pumice.near import did_you_mean, nearest
from pumice.train.recipe import (
    FileData,
    GroundingData,
    HeldOut,
    Integers,
    Join,
    LanguageShape,
    LoraShape,
    Part,
    Recipe,
    Start,
    VisionShape,
    WorldData,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read ``path`` and apply ``a.b=value`` overrides, values in TOML's notation (bare words are strings).

    Raises: UsageError naming the field that is unknown, missing or wrong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error, "recipe") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"recipe {str(path)!r} is not UTF-8", hint="a recipe is a text in TOML") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"recipe {str(path)!r} is not valid TOML: {error}",
            hint='a line looks like  batch = 16  or  template = "plain"; a table begins with  [start]',
        ) from error
    for override in overrides:
        _override(values, override)
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe {str(path)!r}: {_explain(error)}", hint=_advice(error)) from error
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
    meant = did_you_mean(nearest(str(first["loc"][-1]), _field_names()), "", shown=repr)
    return f"unknown field {where!r}" + (meant and f"; {meant}")


def _advice(error: ValidationError) -> str | None:
    """Which fields there are, where one is unknown."""
    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return None
    table: type[BaseModel] = Recipe
    *outer, _ = map(str, first["loc"])
    for name in outer:  # or a part, or a number in a list, which are between a field and its table
        field = table.model_fields.get(name)
        table = (field and _table_in(field.annotation)) or table
    return f"the fields there are {', '.join(table.model_fields)}"


def _table_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a field holds, alone or in a union, a list or a dictionary."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_table_in, get_args(annotation))), None)


def _field_names() -> list[str]:
    tables = (
        *(Recipe, Start, Join, VisionShape, LanguageShape, LoraShape, Integers),
        *(WorldData, GroundingData, FileData, HeldOut),
    )
    return [*get_args(Part), *(name for table in tables for name in table.model_fields)]


def _check(recipe: Recipe, path: Path) -> None:
    for wrong, message, hint in (*_contradictions(recipe), *_of_adapters(recipe), *_of_held_out(recipe)):
        if wrong:
            raise UsageError(f"recipe {str(path)!r}: {message}", hint=hint)


#: Whether it applies, what is wrong, and a hint.
_Complaint: TypeAlias = tuple[bool, str, str | None]


def _contradictions(recipe: Recipe) -> Iterator[_Complaint]:
    start, world = recipe.start, recipe.world
    patches = world is not None and world.task == "patches"
    ways = (start.folder, start.join, start.tower or start.vision or start.language)
    whole = start.folder or start.join or (start.vision and start.language)
    yield (
        not whole or sum(way is not None for way in ways) != 1,
        "start needs either a folder, or a table join, or both a vision and a language shape",
        None,
    )
    pictures = start.pictures is not None and start.vision is not None
    yield pictures, "start.pictures is for finished models; random ones see them padded", None
    yield (world is None) == (recipe.files is None), "give exactly one of the tables world and files", None
    dumb = recipe.grounding is not None and (world is None or patches)
    yield dumb, "grounding needs texts about scenes of the synthetic world", None
    both = bool(recipe.pack and recipe.micro)
    yield both, "pack and micro both say how much goes through the model at a time", None
    yield bool(recipe.pack) and patches, "pack joins rows of words, and patches have none", None
    cut = bool(recipe.max_tokens) and recipe.files is None
    yield cut, "max_tokens is for records from files; scenes have no turns to spare", None
    keep = recipe.keep_features and ("vision" in recipe.parts or recipe.files is None)
    yield keep, "keep_features needs pictures from files and a vision tower that is frozen", None
    other = recipe.grounding is not None or bool(recipe.quantize) or patches
    yield (
        recipe.shard and other,
        "shard is for language models without grounding and without integers",
        None,
    )
    yield not recipe.parts, "parts is empty, so nothing would learn", None


def _of_adapters(recipe: Recipe) -> Iterator[_Complaint]:
    for part in recipe.lora:
        silent = part not in recipe.parts
        yield silent, f"lora.{part} should learn, but parts.{part} gives it no rate", None
    for part in recipe.quantize:
        yield (
            part not in recipe.lora,
            f"quantize.{part} needs lora.{part}: integers do not learn",
            f"add a table lora.{part}, or leave quantize.{part} out",
        )
    random = bool(recipe.lora) and recipe.start.vision is not None
    yield random, "adapters change a finished model; lora needs start.folder or start.join", None
    patches = recipe.world is not None and recipe.world.task == "patches"
    stage_0 = bool(recipe.lora) and patches
    yield stage_0, "stage 0 makes a vision tower and knows no adapters; leave lora out", None


def _of_held_out(recipe: Recipe) -> Iterator[_Complaint]:
    held, world = recipe.held_out, recipe.world
    if held is None:
        return
    halves = (held.records is None) != (held.images is None)
    yield halves, "held_out.records and held_out.images belong together", None
    nothing = held.records is None and world is None
    yield nothing, "held_out needs records and images, as files has them", None
    if world is not None and world.task == "patches":
        told = held.records is not None
        yield told, "patches are only known of scenes, so held_out cannot read records", None
        seen = world.first < held.first + held.rows and held.first < world.first + world.scenes
        yield seen, "training sees scenes of held_out; choose another held_out.first", None
    if held.records is not None:
        learned = {each.records.resolve() for each in recipe.files or ()}
        yield held.records.resolve() in learned, "held_out.records is the file that training learns from", None
