"""Tensors on disk, read lazily: a folder's shards look like one mapping of names to tensors.

Nothing is copied while reading: tensors are views of memory-mapped files, so a model larger than half the memory
can still be loaded. Pickles are opened with ``weights_only``, which refuses to run code.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pumice.errors import ModelError

SINGLE_FILES = ("model.safetensors", "pytorch_model.bin")
INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

_LFS_MARK = b"version https://git-lfs"
_AGAIN = "fetch the file again; the download may have been cut off"
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is described but not read. ``origin`` names its file in messages.

    mapped: what is read is a view of the file, which can be read again when its memory is given back.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]
    origin: str
    mapped: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for length in self.shape:
            count *= length
        return count


class _Slice(Protocol):
    def get_shape(self) -> list[int]: ...
    def get_dtype(self) -> str: ...


class _SafeFile(Protocol):
    """What safetensors gives without types."""

    def keys(self) -> list[str]: ...
    def get_slice(self, name: str) -> _Slice: ...
    def get_tensor(self, name: str) -> Tensor: ...


class Weights(Mapping[str, LazyTensor]):
    """The tensors of one or more files under the names that the files give them."""

    def __init__(self, tensors: Mapping[str, LazyTensor]) -> None:
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> LazyTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a whole model's tensors, or the index that promises them."""
    return any((folder / name).is_file() for name in (*SINGLE_FILES, *INDEX_FILES))


def open_folder(folder: Path) -> Weights:
    """The tensors of a model folder: one file, or the shards that an index names.

    Raises:
        ModelError: nothing is there, a shard is missing or damaged, or two shards hold the same tensor.
    """
    for single, index in zip(SINGLE_FILES, INDEX_FILES, strict=True):
        if (folder / single).is_file():
            return open_file(folder / single)
        if (folder / index).is_file():
            return _open_shards(folder, folder / index)
    raise ModelError(
        f"no weights in {folder}: expected {', '.join(SINGLE_FILES)} or an index of shards",
        hint="check the path; if the download was cut short, start it again",
    )


def open_file(path: Path) -> Weights:
    """The tensors of one ``.safetensors`` file or ``.bin`` pickle.

    Raises:
        ModelError: the file is absent, damaged, a git-lfs pointer, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_LFS_MARK))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if head == _LFS_MARK:
        raise ModelError(
            f"{path} is a git-lfs pointer, not the weights themselves",
            hint="run `git lfs pull` in that folder, or download the file from the hub",
        )
    return Weights(_open_safetensors(path) if path.suffix == ".safetensors" else _open_pickle(path))


def read_json(path: Path) -> dict[str, object]:
    """A JSON object. Raises ModelError if the file is absent, damaged, or holds anything else."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist", hint="check the path to the model") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON: {error}", hint=_AGAIN) from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} must hold a JSON object, found {type(value).__name__}", hint=_AGAIN)
    return value


def _open_shards(folder: Path, index: Path) -> Weights:
    names = _shard_names(index)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"{folder} is half-downloaded: {len(missing)} of {len(names)} files are missing: {shortened(missing)}",
            hint="download the model again; files that are already complete are kept",
        )
    tensors: dict[str, LazyTensor] = {}
    for name in names:
        for key, tensor in open_file(folder / name).items():
            if key in tensors:
                raise ModelError(
                    f"tensor {key} is in two files: {tensors[key].origin} and {tensor.origin}",
                    hint="the folder mixes two models; download it into an empty folder",
                )
            tensors[key] = tensor
    return Weights(tensors)


def _shard_names(index: Path) -> list[str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index} names no weight files: expected an object 'weight_map'", hint=_AGAIN)
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if name in ("", ".", "..") or "/" in name or "\\" in name:
            raise ModelError(f"{index} names a file outside its folder: {name!r}")
    return names


def _open_safetensors(path: Path) -> dict[str, LazyTensor]:
    try:
        file = cast(_SafeFile, safe_open(path, framework="pt", device="cpu"))
        return {name: _safetensor(path, file, name) for name in file.keys()}  # noqa: SIM118, no mapping
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged or cut off: {error}", hint=_AGAIN) from error


def _safetensor(path: Path, file: _SafeFile, name: str) -> LazyTensor:
    view = file.get_slice(name)
    dtype = _DTYPES.get(view.get_dtype())
    if dtype is None:
        raise ModelError(f"{path}: tensor {name} has the unsupported type {view.get_dtype()}")
    return LazyTensor(tuple(view.get_shape()), dtype, lambda: file.get_tensor(name), path.name, mapped=True)


def _open_pickle(path: Path) -> dict[str, LazyTensor]:
    content, mapped = _load_pickle(path)
    if not isinstance(content, dict):
        raise ModelError(f"{path} must hold named tensors, found {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ModelError(f"{path} must hold named tensors, found {type(value).__name__} under {name!r}")
    return {name: _loaded(value, path, mapped) for name, value in content.items()}


def _load_pickle(path: Path) -> tuple[object, bool]:
    """The content, and whether it is mapped."""
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True), True
        except RuntimeError as error:
            if "mmap can only be used" not in str(error):
                raise
            return torch.load(path, map_location="cpu", weights_only=True), False  # written before PyTorch 1.6
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} holds more than tensors, or is damaged; it was not opened, because pickles can run programs",
            hint="use a .safetensors copy of the model, or convert the file where you trust it",
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # what the unpickler makes of foreign bytes can be anything
        raise ModelError(f"{path} is damaged or cut off", hint=_AGAIN) from error


def _loaded(value: Tensor, path: Path, mapped: bool) -> LazyTensor:
    return LazyTensor(tuple(value.shape), value.dtype, lambda: value, path.name, mapped)


def shape_text(shape: tuple[int, ...]) -> str:
    """``32x24``."""
    return "x".join(map(str, shape)) if shape else "scalar"


def shortened(names: list[str], most: int = 4) -> str:
    """The first few names and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
