"""Whether a model's files are what they should be: hashes where somebody wrote them down, and what is in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from pumice.checkpoint.files import LazyTensor, open_file, shortened
from pumice.checkpoint.hub import BUNDLED
from pumice.checkpoint.load import expected_shapes, needed_tensors, processor_of
from pumice.checkpoint.names import check_tensors
from pumice.checkpoint.sources import open_checkpoint
from pumice.checkpoint.stored import planned_layers, shapes_on_disk
from pumice.errors import PumiceError

_CHUNK = 1 << 24
_ROWS = 1 << 22  # numbers that are looked at together
_AGAIN = "download it again: pumice models rm NAME, then pumice models pull NAME"


@dataclass(frozen=True)
class Problem:
    """What is wrong with which file or model, and what to do."""

    where: str
    what: str
    fix: str


@dataclass(frozen=True)
class Hash:
    """The hash that a file should have: SHA-256 of its bytes, or git's SHA-1 of a blob. origin: who says so."""

    algorithm: str
    value: str
    origin: str


def known_hashes(folder: Path) -> dict[str, Hash]:
    """By file name, what is known: from a list beside the folder (``NAME.sha256``, as sha256sum writes it), or from the
    hub, whose cache calls every file by the hash that the hub has announced for it."""
    listed = folder.parent / f"{folder.name}.sha256"
    if listed.is_file():
        rows = [line.split(maxsplit=1) for line in listed.read_text("utf-8").splitlines() if line.strip()]
        files = {Path(row[-1].lstrip("*")): row[0] for row in rows}
        return {
            each.name: Hash("sha256", value, listed.name) for each, value in files.items() if _lies_in(each, folder)
        }
    known = {}
    for path in sorted(folder.iterdir()):
        name = path.resolve().name
        if path.is_symlink() and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", name):
            known[path.name] = Hash("sha256" if len(name) == 64 else "git-sha1", name, "the hub")
    return known


def _lies_in(listed: Path, folder: Path) -> bool:
    return listed.parent.name == folder.name


def verify(folder: Path, *, tell: Callable[[str], object] = lambda _: None) -> Iterator[Problem]:
    """Look at every file of a model folder; nothing is fetched.

    tell: is told the name of what is looked at next. Yields what is wrong, hashes first.
    """
    yield from wrong_hashes(folder, tell=tell)
    damaged = list(_damaged_files(folder))
    yield from damaged
    if damaged:
        return  # whatever else is wrong follows from it
    try:
        source = open_checkpoint(folder, offline=True)
        plan = source.description.quantization
        expected = expected_shapes(source.description.model)
        on_disk = expected if plan is None else shapes_on_disk(expected, planned_layers(expected, plan))
        tensors = needed_tensors(source.tensors, source.description.model)
        check_tensors(on_disk, {name: tensor.shape for name, tensor in tensors.items()}, str(folder))
        processor_of(source, source.description.template, str(folder))
    except PumiceError as error:
        yield Problem(str(folder), str(error), error.hint or _AGAIN)
        return
    yield from _not_finite(tensors, tell)


def wrong_hashes(folder: Path, *, tell: Callable[[str], object] = lambda _: None) -> Iterator[Problem]:
    """The files that are not what ``known_hashes`` says, or not there."""
    for name, should in known_hashes(folder).items():
        path = folder / name
        tell(name)
        if not path.is_file():
            yield Problem(name, f"the file is missing; {should.origin} lists it", _fix(folder))
            continue
        found = _hash(path, should.algorithm)
        if found != should.value:
            what = f"{should.algorithm} is {found[:12]}..., {should.origin} says {should.value[:12]}..."
            yield Problem(name, f"the file was changed or damaged: its {what}", _fix(folder))


def _fix(folder: Path) -> str:
    return "install Pumice again" if folder.resolve() == BUNDLED.resolve() else _AGAIN


def _hash(path: Path, algorithm: str) -> str:
    """Hexadecimal. git puts a header with the length in front of the bytes."""
    digest = hashlib.sha256() if algorithm == "sha256" else hashlib.sha1(usedforsecurity=False)
    if algorithm == "git-sha1":
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _damaged_files(folder: Path) -> Iterator[Problem]:
    """Safetensors say how long they are; a lost end shows without reading the rest."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            open_file(path)
        except PumiceError as error:
            yield Problem(path.name, str(error), error.hint or _AGAIN)


def _not_finite(tensors: dict[str, LazyTensor], tell: Callable[[str], object]) -> Iterator[Problem]:
    wrong: dict[str, list[str]] = {}
    for name, tensor in sorted(tensors.items()):
        tell(name)
        if tensor.dtype.is_floating_point and not _is_finite(tensor):
            wrong.setdefault(tensor.origin, []).append(name)
    for origin, names in wrong.items():
        what = f"{len(names)} tensors hold numbers that are none (NaN or infinite): {shortened(names)}"
        yield Problem(origin, what, "train or convert the model again; such weights answer nonsense")


def _is_finite(tensor: LazyTensor) -> bool:
    return all(bool(torch.isfinite(piece).all()) for piece in tensor.read().reshape(-1).split(_ROWS))
