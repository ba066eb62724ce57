"""Tensors to disk: a folder appears whole or not at all, one shard in memory at a time."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from pumice.errors import ModelError, UsageError

FILE = "pumice.json"  # the description that makes a folder one of ours
SHARD_BYTES = 4 << 30


@contextmanager
def fresh_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A working folder beside ``target`` that takes its name once the block ends without an error.

    A crash of the program leaves either the old folder or the new one under the name, never a mixture.

    Raises:
        UsageError: the target is a file, or a folder that is not empty (unless ``overwrite`` and it is a checkpoint).
        ModelError: the disk refuses.
    """
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; expected a folder to write", hint="choose another name")
    if not overwrite and target.exists() and any(target.iterdir()):
        raise UsageError(f"{target} exists already", hint="choose another folder, or add --overwrite to replace it")
    _check_replaceable(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = _sibling(target, "partial")
        work.mkdir()
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error.strerror}") from error
    try:
        yield work
        _publish(work, target)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"{target} cannot be written: {reason}", hint="check the free space and the permissions"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_replaceable(target: Path) -> None:
    """Replacing means deleting, and a folder of models is easily named in place of one model."""
    a_model = any((target / name).is_file() for name in (FILE, "config.json"))
    if target.is_dir() and any(target.iterdir()) and not a_model:
        raise UsageError(
            f"{target} is not a checkpoint and will not be replaced: expected {FILE} or config.json in it",
            hint="name the checkpoint's own folder, or an empty or new one",
        )


def save_shards(folder: Path, tensors: Iterable[tuple[str, Tensor]], *, shard_bytes: int = SHARD_BYTES) -> int:
    """Write tensors as ``model.safetensors``, or as numbered shards with an index. Returns the bytes of data.

    ``tensors`` may be a generator: at most ``shard_bytes`` of it, or one larger tensor, is held at a time,
    and the tensor that follows.
    """
    shards: list[list[str]] = []
    total = 0
    for group in grouped(tensors, shard_bytes):
        save_tensors(folder / f"{len(shards)}.shard", group)
        shards.append(sorted(group))
        total += sum(tensor.nbytes for tensor in group.values())
    if len(shards) == 1:
        (folder / "0.shard").rename(folder / "model.safetensors")
        return total
    weight_map = {}
    for index, names in enumerate(shards):
        name = f"model-{index + 1:05d}-of-{len(shards):05d}.safetensors"
        (folder / f"{index}.shard").rename(folder / name)
        weight_map.update(dict.fromkeys(names, name))
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})
    return total


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """One file of safetensors."""
    path.touch()
    mode = path.stat().st_mode  # as the umask wants it; safetensors makes files that their owner alone can read
    save_file(dict(tensors), path, metadata={"format": "pt"})
    path.chmod(mode)


def save_pickle(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A file as the original LLaVA reads it. Raises: OSError."""
    try:
        torch.save(dict(tensors), path)
    except RuntimeError as error:  # what it makes of a full disk
        raise OSError(str(error).splitlines()[0]) from error


def write_json(path: Path, value: object) -> None:
    """Readable JSON with a final newline."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def grouped(tensors: Iterable[tuple[str, Tensor]], limit: int) -> Iterator[dict[str, Tensor]]:
    """Shards of at most ``limit`` bytes, or of one larger tensor; a single empty one if there are no tensors.

    Each is emptied once the next is asked for: a loop's variable would hold it while that one is filled.
    """
    group: dict[str, Tensor] = {}
    filled = 0
    for name, tensor in tensors:
        if group and filled + tensor.nbytes > limit:
            yield group
            group.clear()
            filled = 0
        group[name] = tensor.contiguous()
        filled += tensor.nbytes
    yield group


def _publish(work: Path, target: Path) -> None:
    if not target.exists():
        work.rename(target)
        return
    old = _sibling(target, "old")
    target.rename(old)
    try:
        work.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def _sibling(target: Path, purpose: str) -> Path:
    return target.parent / f".{target.name}.{secrets.token_hex(4)}.{purpose}"
