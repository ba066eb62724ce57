"""Recipes: strict, and clear about what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pumice.errors import UsageError
from pumice.prompts.templates import get_template
from pumice.train.recipe import Recipe
from pumice.train.recipe_file import read_recipe

GOOD = """
output = "runs/x"
template = "plain"
batch = 4

[start]
folder = "models/x"

[parts]
connector = 1e-3

[world]
task = "caption"
scenes = 10
"""
SHAPES = """
vision = {image_size = 28, patch_size = 14, hidden_size = 32, intermediate_size = 64, layers = 2, heads = 2}
language = {vocab_size = 500, hidden_size = 32, intermediate_size = 64, layers = 2, heads = 2, kv_heads = 1}
"""


def read(tmp_path: Path, text: str = GOOD, *overrides: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, overrides)


def refused(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(UsageError) as error:
        read(tmp_path, text, *overrides)
    assert str(tmp_path / "recipe.toml") in str(error.value) or overrides
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_recipe_of_the_project_is_valid(project: Path) -> None:
    paths = sorted((project / "recipes").glob("*.toml"))
    assert paths
    for path in paths:
        recipe = read_recipe(path)
        get_template(recipe.template)
        assert recipe.parts and all(rate > 0 for rate in recipe.parts.values())


def test_a_recipe(tmp_path: Path) -> None:
    recipe = read(tmp_path)
    assert (recipe.output, recipe.batch, recipe.epochs) == (Path("runs/x"), 4, 1)
    assert recipe.parts == {"connector": 1e-3} and recipe.world is not None and recipe.world.scenes == 10
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("old", "new", "where", "near"),
    [
        ("batch = 4", "bach = 4", "'bach'", "'batch'"),
        ("folder =", "foldr =", "'start.foldr'", "'folder'"),
        ("scenes = 10", "scenes = 10\nquestion = 3", "'world.question'", "'questions'"),
        ("[world]", "[wrld]", "'wrld'", "'world'"),
        ("batch = 4", "weight-decay = 0.1", "'weight-decay'", "'weight_decay'"),
    ],
)
def test_an_unknown_field_names_the_nearest(tmp_path: Path, old: str, new: str, where: str, near: str) -> None:
    assert f"unknown field {where}; did you mean {near}?" in refused(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("override", "first", "more"),
    [
        ("foo=1", "output, start, template", "held_out"),
        ("start.foo=1", "folder, join", "projector"),
        ("lora.language.foo=1", "rank, alpha", "dropout"),
        ("world.foo=1", "task, first", "scenes"),
    ],
)
def test_an_unknown_field_lists_those_of_its_table(tmp_path: Path, override: str, first: str, more: str) -> None:
    table = "[lora.language]\nrank = 1\nalpha = 1\n" if override.startswith("lora") else ""
    with pytest.raises(UsageError, match="unknown field") as error:
        read(tmp_path, GOOD + table, override)
    assert str(error.value.hint).startswith(f"the fields there are {first}") and more in str(error.value.hint)


def test_a_field_like_no_other_gets_no_guess(tmp_path: Path) -> None:
    message = refused(tmp_path, GOOD.replace("batch = 4", "zzzzzz = 1"))
    assert "unknown field 'zzzzzz'" in message and "did you mean" not in message


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("batch = 4", "batch = 0", "batch"),
        ("batch = 4", 'batch = "many"', "batch"),
        ("batch = 4", "epochs = -1", "epochs"),
        ("batch = 4", "warmup = 1.0", "warmup"),
        ("batch = 4", "final_rate = 1.5", "final_rate"),
        ("batch = 4", "clip = 0", "clip"),
        ("batch = 4", "workers = -1", "workers"),
        ("connector = 1e-3", "conector = 1e-3", "parts.conector"),
        ("batch = 4", "average = 1.0", "average"),
        ("batch = 4", 'dtype = "float16"', "dtype"),
        ("batch = 4", "pack = -1", "pack"),
        ("batch = 4", "micro = true", "micro"),
        ("batch = 4", "recompute = {connector = 1}", "recompute.connector"),
        ("batch = 4", "recompute = {language = 0}", "recompute.language"),
        ("connector = 1e-3", "connector = -1e-3", "parts.connector"),
        ("connector = 1e-3", "connector = 0", "parts.connector"),
        ("connector = 1e-3", "connector = nan", "parts.connector"),
        ("connector = 1e-3", "connector = inf", "parts.connector"),
        ('task = "caption"', 'task = "draw"', "world.task"),
        ("[world]", "[lora.language]\nrank = 0\nalpha = 1\n[world]", "lora.language.rank"),
        ("[world]", "[lora.language]\nrank = 1\nalpha = 0\n[world]", "lora.language.alpha"),
        ("[world]", "[lora.language]\nrank = 1\nalpha = 1\ndropout = 1.0\n[world]", "lora.language.dropout"),
        ("[world]", "[lora.head]\nrank = 1\nalpha = 1\n[world]", "lora.head"),
        ("[world]", "[quantize.language]\nbits = 5\n[world]", "quantize.language.bits"),
        ("[world]", "[quantize.language]\ngroup = 16\n[world]", "quantize.language.group"),
        ("scenes = 10", "scenes = 0", "world.scenes"),
        ("scenes = 10", "", "world.scenes"),
        ('output = "runs/x"', "", "output"),
        ('template = "plain"', "", "template"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, old: str, new: str, field: str) -> None:
    assert f": {field}" in refused(tmp_path, GOOD.replace(old, new))


def test_overrides(tmp_path: Path) -> None:
    given = ("batch=8", "parts.vision=2e-4", "output=runs/other place", "world.task=instruct", "start.folder = 'm'")
    recipe = read(tmp_path, GOOD, *given, " seed = 3 ", "template = vicuna_v1 ")
    assert (recipe.batch, recipe.seed, recipe.template) == (8, 3, "vicuna_v1")
    assert recipe.output == Path("runs/other place") and recipe.start.folder == Path("m")
    assert recipe.parts == {"connector": 1e-3, "vision": 2e-4}
    assert recipe.world is not None and recipe.world.task == "instruct"


def test_wrong_overrides(tmp_path: Path) -> None:
    assert "name=value, found 'batch'" in refused(tmp_path, GOOD, "batch")
    assert "unknown field 'bach'; did you mean 'batch'?" in refused(tmp_path, GOOD, "bach=3")
    assert "'batch' is a value, not a table" in refused(tmp_path, GOOD, "batch.size=3")
    assert "batch" in refused(tmp_path, GOOD, "batch=many")
    assert "unknown field ''" in refused(tmp_path, GOOD, "=3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace('folder = "models/x"', ""), "start needs either a folder"),
        (GOOD.replace('folder = "models/x"', 'folder = "models/x"' + SHAPES), "start needs either a folder"),
        (GOOD.replace('folder = "models/x"', 'folder = "m"\n' + SHAPES.splitlines()[1]), "start needs either a folder"),
        (GOOD.replace('folder = "models/x"', SHAPES.splitlines()[1]), "start needs either a folder"),
        (GOOD.replace('folder = "models/x"', 'folder = "m"\ntower = "t"'), "start needs either a folder"),
        (GOOD + '[files]\nrecords = "r"\nimages = "i"\n', "exactly one of the tables world and files"),
        (GOOD[: GOOD.index("[world]")], "exactly one of the tables world and files"),
        (GOOD.replace("connector = 1e-3", ""), "parts is empty"),
        ("pack = 9\nmicro = 2\n" + GOOD, "pack and micro both say"),
        ("pack = 9\n" + GOOD.replace("caption", "patches"), "patches have none"),
        ("max_tokens = 9\n" + GOOD, "max_tokens is for records from files"),
        ("keep_features = true\n" + GOOD, "keep_features needs pictures from files"),
        (GOOD + "[lora.language]\nrank = 2\nalpha = 4\n", "parts.language gives it no rate"),
        (GOOD + "[quantize.connector]\nbits = 4\n", "quantize.connector needs lora.connector"),
        (
            GOOD.replace('folder = "models/x"', SHAPES) + "[lora.connector]\nrank = 2\nalpha = 4\n",
            "lora needs start.folder",
        ),
        (GOOD.replace('"caption"', '"patches"') + "[lora.connector]\nrank = 2\nalpha = 4\n", "leave lora out"),
        (GOOD + "[start.join]\nlanguage = 'a'\nvision = 'b'\n", "start needs either a folder"),
        (GOOD.replace('folder = "models/x"', SHAPES + 'pictures = "pad"'), "start.pictures is for finished models"),
    ],
)
def test_contradictions(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_a_random_start(tmp_path: Path) -> None:
    recipe = read(tmp_path, GOOD.replace('folder = "models/x"', SHAPES))
    assert recipe.start.vision is not None and recipe.start.vision.heads == 2


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    assert "not valid TOML" in refused(tmp_path, "batch = = 3")
    with pytest.raises(UsageError, match="cannot read recipe"):
        read_recipe(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes('output = "ü"'.encode("latin-1"))
    with pytest.raises(UsageError, match="is not UTF-8") as error:
        read_recipe(tmp_path / "latin.toml")
    assert "TOML" in str(error.value.hint)


LLAVA = [f"llava-1.5-{size}-{stage}" for size in ("7b", "13b") for stage in (
    "pretrain", "finetune", "finetune-lora", "finetune-qlora")]  # fmt: skip


@pytest.mark.parametrize("name", LLAVA)
def test_the_published_numbers(name: str, project: Path) -> None:
    """LLaVA-1.5's, as its scripts and its paper have them."""
    found = read_recipe(project / "recipes" / f"{name}.toml")
    _, _, size, stage, *kind = name.split("-")
    first = stage == "pretrain"
    assert (found.batch, found.epochs, found.warmup, found.weight_decay) == (256 if first else 128, 1, 0.03, 0.0)
    assert (found.final_rate, found.clip, found.beta2) == (0.0, 1.0, 0.999)
    assert (found.dtype, found.max_tokens, found.micro) == ("bfloat16", 2048, 32 if first else 16)
    assert (found.template, found.start.pictures) == (("plain", "square") if first else ("vicuna_v1", "pad"))
    assert found.parts == ({"connector": 1e-3} if first else {"connector": 2e-5, "language": 2e-4 if kind else 2e-5})
    lora = found.lora.get("language")
    assert (lora is None) == (not kind) and found.quantize.keys() == ({"language"} if kind == ["qlora"] else set())
    if lora is not None:
        assert (lora.rank, lora.alpha, lora.dropout) == (128, 256, 0.05)
    if kind == ["qlora"]:
        assert found.quantize["language"].bits == 4
    if first:
        join = found.start.join
        assert join is not None and join.vision == "openai/clip-vit-large-patch14-336"
        assert join.language == f"lmsys/vicuna-{size}-v1.5"
    else:
        before = read_recipe(project / "recipes" / f"llava-1.5-{size}-pretrain.toml")
        assert found.start.folder == before.output / "model"
    assert found.files is not None and found.output == Path("runs") / name


def test_the_newer_style(project: Path) -> None:
    found = read_recipe(project / "recipes" / "llava-1.6-style-7b.toml")
    assert found.parts == {"vision": 2e-6, "connector": 1e-5, "language": 1e-5}
    assert (found.start.pictures, found.batch, found.warmup, found.weight_decay) == ("anyres", 128, 0.03, 0.0)
    assert (found.dtype, found.max_tokens) == ("bfloat16", 4096)
    moved = read_recipe(
        project / "recipes" / "llava-1.6-style-7b.toml", ["files.records=/my/own.json", "start.folder=/my/model"]
    )
    assert moved.files is not None and [each.records for each in moved.files] == [Path("/my/own.json")]
    assert moved.start.folder == Path("/my/model")
