"""The law of the architecture: docs/architecture.md says it in words, this file enforces it on every module."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes import python_path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "pumice"

LEVELS = {
    "errors": 0,
    "files": 0,
    "boxes": 0,
    "near": 0,
    "options": 0,
    "page": 0,
    "remote": 0,
    "paid": 1,
    "prompts": 1,
    "images": 1,
    "processor": 2,
    "model": 2,
    "quantize": 2,
    "checkpoint": 3,
    "data": 3,
    "world": 3,
    "engine": 4,
    "train": 4,
    "annotations": 4,
    "datagen": 5,
    "evaluate": 5,
    "serve": 5,
    "cli": 6,
}
# Allowed by level, refused all the same: (who, whom).
FORBIDDEN = {
    ("model", "prompts"),
    ("quantize", "prompts"),
    ("quantize", "images"),
    ("data", "model"),
    ("world", "model"),
    ("world", "quantize"),
    ("world", "processor"),
    *(("annotations", each) for each in ("model", "quantize", "processor", "checkpoint", "data")),
    *(("paid", each) for each in ("model", "images")),
    ("datagen", "model"),
    ("datagen", "engine"),
    ("datagen", "train"),
    ("datagen", "checkpoint"),
    ("evaluate", "model"),
    ("evaluate", "engine"),
    ("evaluate", "train"),
    ("evaluate", "checkpoint"),
    ("serve", "train"),
    ("serve", "model"),
    ("serve", "checkpoint"),
}
# Sideways within a level, allowed all the same.
SIDEWAYS: set[tuple[str, str]] = set()
# Of a room that may be entered, only these modules: (who, whom) -> modules.
ONLY = {
    ("model", "images"): {"grid", "config"},
    ("datagen", "data"): {"records", "rules"},
    ("datagen", "prompts"): {"conversation"},
    ("datagen", "images"): {"load"},
    ("evaluate", "prompts"): {"conversation"},
}
# The modules that look up: `python -m pumice.serve.cli` and so on are documented commands of the original.
EXCEPTIONS = {
    "pumice.serve.cli",
    "pumice.serve.controller",
    "pumice.serve.gradio_web_server",
    "pumice.serve.model_worker",
    "pumice.serve.register_worker",
    "pumice.serve.test_message",
}

FILE_LINES, TABLE_LINES, FUNCTION_LINES = 300, 400, 60
# Files that are mostly data.
TABLES = {"pumice.prompts.templates"}
REFUSED_NAMES = {"utils", "util", "common", "misc", "helpers", "helper", "core", "base", "tools", "stuff"}

# Modules that must not pull in torch, by dotted name or by room.
LIGHT = (
    "pumice",
    "pumice.errors",
    "pumice.files",
    "pumice.boxes",
    "pumice.near",
    "pumice.options",
    "pumice.remote",
    "pumice.processor",
    "pumice.engine.answer",
    "pumice.engine.grammar",
    "pumice.prompts",
    "pumice.images",
    "pumice.world",
    "pumice.cli",
    "pumice.page",
    "pumice.paid",
    "pumice.annotations",
    "pumice.datagen",
    "pumice.evaluate",
)
# The places that interpret a foreign checkpoint, once.
MAY_READ_NAMES = {"pumice.checkpoint.configs"}


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        return self.name.split(".")[1] if "." in self.name else ""

    def place(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 1)}"


def _modules() -> dict[str, Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, ast.parse(text), text.count("\n"))
    return found


MODULES = _modules()


def _imports(module: Module) -> Iterator[tuple[str, ast.AST]]:
    """Every module of ours that this one imports, wherever the statement stands; ``from package import module`` too."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "pumice":
                    yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.place(node)} imports relatively; write the full name"
            if node.module is not None and node.module.split(".")[0] == "pumice":
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield (inner if inner in MODULES else node.module), node


def edges() -> Iterator[tuple[Module, str, ast.AST]]:
    for module in MODULES.values():
        for target, node in _imports(module):
            yield module, target, node


def test_the_law_sees_the_package() -> None:
    assert {"pumice", "pumice.cli.main", "pumice.prompts.conversation"} <= MODULES.keys()
    assert sum(1 for _ in edges()) > 20


def test_every_room_has_a_level() -> None:
    rooms = {module.room for module in MODULES.values()} - {"", "__main__", "pretrained"}
    assert rooms <= LEVELS.keys(), f"no level for {sorted(rooms - LEVELS.keys())}: see docs/architecture.md"


def test_imports_point_down() -> None:
    wrong = []
    for module, target, node in edges():
        if module.room in ("", "__main__") or module.name in EXCEPTIONS:
            continue
        whom = target.split(".")[1] if "." in target else ""
        if whom in ("", module.room):
            continue
        pair = (module.room, whom)
        mine, theirs = LEVELS[module.room], LEVELS[whom]
        if pair in FORBIDDEN or theirs > mine or (theirs == mine and theirs > 0 and pair not in SIDEWAYS):
            wrong.append(f"{module.place(node)} imports {target} (level {theirs} from level {mine})")
        elif pair in ONLY and target.split(".")[2:3] and target.split(".")[2] not in ONLY[pair]:
            wrong.append(f"{module.place(node)} imports {target}; of {whom}, only {sorted(ONLY[pair])}")
    assert not wrong, "\n".join(wrong)


def test_only_the_processor_joins_words_and_pixels() -> None:
    both = []
    for module in MODULES.values():
        targets = {target for target, _ in _imports(module)}
        if {"pumice.prompts.encode", "pumice.images.preprocess"} <= targets:
            both.append(module.name)
    assert set(both) <= {"pumice.processor"}, f"a second door from conversation to tensors: {both}"


def test_no_module_cycles() -> None:
    graph = {name: {target for target, _ in _imports(module)} for name, module in MODULES.items()}
    graph = {name: targets & graph.keys() for name, targets in graph.items() if name != "pumice"}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "cycle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_budgets() -> None:
    over = []
    for module in MODULES.values():
        limit = TABLE_LINES if module.name in TABLES else FILE_LINES
        if module.lines > limit:
            over.append(f"{module.path.relative_to(PACKAGE)} has {module.lines} lines, at most {limit}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    over.append(f"{module.place(node)} {node.name} has {length} lines, at most {FUNCTION_LINES}")
    assert not over, "\n".join(over)


def test_names_say_something() -> None:
    poor = [name for name in MODULES if REFUSED_NAMES & {part.strip("_") for part in name.split(".")}]
    assert not poor, f"these names say nothing about what is inside: {poor}"


def test_package_files_are_empty() -> None:
    full = [
        str(module.path.relative_to(PACKAGE))
        for module in MODULES.values()
        if module.path.name == "__init__.py" and module.name != "pumice" and module.tree.body
    ]
    assert not full, f"only the top __init__.py exports: {full}"


def test_inheritance_is_shallow() -> None:
    """A class may inherit from one of ours, but not from one of ours that does so itself; errors are a tree."""
    bases = {
        node.name: [base.id if isinstance(base, ast.Name) else getattr(base, "attr", "") for base in node.bases]
        for module in MODULES.values()
        if module.room != "errors"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
    }
    deep = [
        f"{name} -> {parent} -> {[base for base in bases[parent] if base in bases]}"
        for name, parents in bases.items()
        for parent in parents
        if parent in bases and any(base in bases for base in bases[parent])
    ]
    assert not deep, f"compose instead: {deep}"


def _is_name_of_something(node: ast.expr) -> bool:
    """An expression that is spelt like the name or the place of a model or file."""
    if isinstance(node, ast.Call):
        inner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(node.func, ast.Name) and node.func.id in ("str", "repr") and node.args:
            inner = node.args[0]
        return inner is not None and _is_name_of_something(inner)
    words = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    parts = set(words.lower().strip("_").split("_"))
    return bool(parts & {"path", "folder", "directory", "checkpoint"}) or (
        "name" in parts and bool(parts & {"model", "base", "tower", "repo", "hub", "file"})
    )


def _sniffs(module: Module) -> Iterator[ast.AST]:
    for node in ast.walk(module.tree):
        suspects: list[ast.expr] = []
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                suspects = node.comparators
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            seeks_text = any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in node.args)
            if node.func.attr in ("startswith", "endswith") or (node.func.attr in ("find", "count") and seeks_text):
                suspects = [node.func.value]
            elif node.func.attr in ("search", "match", "fullmatch", "findall"):
                suspects = node.args
        if any(_is_name_of_something(one) for one in suspects):
            yield node


def test_no_name_sniffing() -> None:
    """Behaviour comes from typed configuration, never from how a path or a model is spelt."""
    found = [
        module.place(node)
        for module in MODULES.values()
        if module.name not in MAY_READ_NAMES
        for node in _sniffs(module)
    ]
    assert not found, f"decides by the spelling of a name: {found}"


def test_the_sniffer_smells() -> None:
    guilty = """
if "lora" in model_path: pass
if "llava" in model_name.lower(): pass
if "v1" in str(self.checkpoint): pass
model_path.startswith("liuhaotian")
re.search("mpt", str(model_name))
"""
    innocent = """
if "vision" in config: pass
if key.startswith("model."): pass
if parameter_name.endswith(".weight"): pass
folder.find(tower)
"""
    assert len(list(_sniffs(Module("guilty", PACKAGE, ast.parse(guilty), 6)))) == 5
    assert not list(_sniffs(Module("innocent", PACKAGE, ast.parse(innocent), 5)))


def _python(code: str, cwd: Path) -> str:
    """What a fresh interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": python_path(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def behind(doors: tuple[str, ...]) -> list[str]:
    return [
        name
        for name in MODULES
        if any(name == door or (door != "pumice" and name.startswith(door + ".")) for door in doors)
    ]


def first_heavy(names: list[str], heavy: tuple[str, ...], cwd: Path) -> dict[str, list[str]]:
    """The first of the modules that brings in a heavy one when they are imported one after the other."""
    code = (
        "import importlib, json, sys\nheavy = {}\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    found = [m for m in {heavy!r} if m in sys.modules]\n"
        "    if found: heavy[name] = found; break\n"
        "print(json.dumps(heavy))"
    )
    found: dict[str, list[str]] = json.loads(_python(code, cwd))
    return found


def test_light_doors_are_light(tmp_path: Path) -> None:
    doors = behind(LIGHT)
    assert "pumice.cli.main" in doors
    assert "pumice.engine.answer" in doors
    heavy = first_heavy(doors, ("torch", "transformers", "gradio", "ray"), tmp_path)
    assert not heavy, f"{heavy} at import (the first door that does so is shown)"


def test_help_is_light(tmp_path: Path) -> None:
    code = (
        "import sys; from pumice.cli.main import COMMANDS, main\n"
        "assert main(['--help']) == 0\n"
        "for name in COMMANDS: assert main([name, '--help']) == 0\n"
        "print(json.dumps([m for m in ('torch', 'numpy', 'PIL', 'rich', 'fastapi', 'uvicorn') if m in sys.modules]))"
    )
    assert json.loads(_python("import json\n" + code, tmp_path).splitlines()[-1]) == []


def test_no_side_effects_at_import(tmp_path: Path) -> None:
    """Importing every module leaves the process and the working directory as they were."""
    others = [name for name in MODULES if name not in ("pumice.__main__",)]
    code = f"""
import importlib, json, logging, os, random, warnings
import gradio, numpy, torch, PIL.Image, typer  # what libraries do to the process is theirs
def state():
    return [hash(random.getstate()), hash(str(numpy.random.get_state())), hash(bytes(torch.get_rng_state().tolist())),
            dict(os.environ), len(logging.getLogger().handlers), logging.getLogger().level, torch.get_num_threads(),
            str(torch.get_default_dtype()), torch.is_grad_enabled(), PIL.Image.MAX_IMAGE_PIXELS, os.getcwd()]
ours = {others!r}
names = ["random", "numpy", "torch", "environ", "handlers", "log level", "threads", "dtype", "grad", "pillow", "cwd"]
changed = {{}}
for name in ours:
    before, filters = state(), list(warnings.filters)
    importlib.import_module(name)
    after = state()
    bad = [what for what, a, b in zip(names, before, after) if a != b]
    bad += ["warnings filter " + str(f) for f in warnings.filters
            if f not in filters and f[2].__module__.startswith("pumice")]
    if bad: changed[name] = bad
print(json.dumps(changed))
"""
    changed = json.loads(_python(code, tmp_path).splitlines()[-1])
    assert not changed, f"work at import: {changed}"
    assert not list(tmp_path.iterdir()), "importing wrote into the working directory"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_says_what_it_is_for(name: str) -> None:
    module = MODULES[name]
    assert not module.tree.body or ast.get_docstring(module.tree), f"{name} has no docstring"
