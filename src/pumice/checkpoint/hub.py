"""Models named ``owner/name`` or ``owner/name@revision``, fetched from the Hugging Face Hub into its shared cache."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.errors import AuthError, ModelError, PumiceError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

BUNDLED = Path(__file__).parent.parent / "pretrained" / "pumice-tiny"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w.-][\w./-]*)?")
CONFIG_FILES = ("*.json", "*.model")
_SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors")
_PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
_ADAPTER = (("adapter_model.safetensors",), ("adapter_model.bin",))
_SHOWN = 200  # characters of a name in messages
_TIMEOUT = 20.0  # seconds for the hub to describe a model
_EXTRAS = ("mm_projector.bin", "non_lora_trainables.bin")
_SPARE = 256 << 20  # bytes that a download leaves free on the disk


def _unheard(_: str) -> None:
    pass


def find_model(
    name: str | Path,
    *,
    beside: Path | None = None,
    offline: bool = False,
    weights: bool = True,
    warn: Callable[[str], None] = _unheard,
) -> Path:
    """The folder of a model: a path if it exists, else the bundled model by its name, else a name on the hub,
    downloaded unless it is in the cache.

    beside: a checkpoint folder; relative paths are also looked for inside it and next to it.
    offline: use the cache alone. weights: False fetches only configs and tokenizer. warn: is told, for people to
    read, if the cache had to do because the hub did not.

    Raises:
        ModelError: no such folder and no such model, or the hub cannot be reached, or it asks for a licence or key.
    """
    text = str(name)
    places = [_at_home(Path(text))]
    if beside is not None and not places[0].is_absolute():
        places = [beside / text, beside.absolute().parent / text, *places]
    for place in places if text else ():
        if os.path.isdir(place):  # unlike Path.is_dir, it takes a name too long for any file as absent
            return place
        if os.path.exists(place):
            raise ModelError(f"{place} is a file; expected the folder of a model", hint="name the folder that holds it")
    if text == BUNDLED.name:
        return BUNDLED
    if not is_hub_name(text):
        raise ModelError(
            f"no model at {_cut(text)!r}",
            hint="give the path of a model folder, or a name on the hub such as owner/name",
        )
    return download(text, offline=offline, weights=weights, warn=warn)


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # nobody of that name has a home here
        return path


def is_hub_name(text: str) -> bool:
    """Whether a hub could have a model of this name."""
    return _HUB_NAME.fullmatch(text) is not None


def download(
    name: str,
    *,
    offline: bool = False,
    weights: bool = True,
    endpoint: str | None = None,
    warn: Callable[[str], None] = _unheard,
) -> Path:
    """The cached snapshot of a hub model; files that are complete are not fetched again.

    If the hub does not answer, what the cache holds is used. Progress is shown on stderr by huggingface_hub.
    endpoint: another hub than the public one.

    Raises:
        ModelError: see ``find_model``.
    """
    if offline:
        folder = _cached(name)
        if folder is None:
            raise ModelError(
                f"{_cut(name)} is not a folder here and not in the local cache",
                hint=f"fetch it with `pumice models pull {_cut(name)}`, or give a path",
            )
        return folder
    try:
        return fetch(name, weights=weights, endpoint=endpoint)
    except (ModelError, AuthError) as error:
        folder, reason = _cached(name), error.__cause__
        if folder is None or reason is None:
            raise
        warn(f"{name} is taken from the local cache, which may be out of date: {_reason(reason)}")
        return folder


def fetch(
    name: str,
    *,
    weights: bool = True,
    endpoint: str | None = None,
    tell: Callable[[str], None] = _unheard,
) -> Path:
    """The snapshot of a hub model as the hub has it now. What an earlier download left is continued.

    tell: is told, for people to read, how much there is to fetch.

    Raises:
        ModelError: the hub has no such model or revision, cannot be reached, or the disk has no room for it.
        AuthError: it is only given to those who accepted a licence.
    """
    import httpx2  # what huggingface_hub talks HTTP with
    from huggingface_hub import HfApi, snapshot_download

    repo, revision = split_name(name)
    try:
        info = HfApi(endpoint=endpoint).model_info(repo, revision=revision, timeout=_TIMEOUT, files_metadata=True)
        sizes = {each.rfilename: each.size or 0 for each in info.siblings or ()}
        wanted = wanted_files(sizes) if weights else _matching(sizes, CONFIG_FILES)
        missing = _missing(repo, info, {each: sizes[each] for each in wanted})
        tell(f"{name}: {len(wanted)} files, {len(missing)} of them to fetch, {sum(missing.values()) / 1e6:,.1f} MB")
        _require_room(name, sum(missing.values()))
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted, endpoint=endpoint))
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:  # the last from large files' transfer
        raise _refused(_cut(name), error) from error


def split_name(name: str) -> tuple[str, str | None]:
    """``owner/name@revision`` in two; None where no revision is named."""
    repo, _, revision = name.partition("@")
    return repo, revision or None


def _missing(repo: str, info: ModelInfo, sizes: Mapping[str, int]) -> dict[str, int]:
    """Those of the files that the cache does not hold."""
    from huggingface_hub import try_to_load_from_cache

    held = {name for name in sizes if isinstance(try_to_load_from_cache(repo, name, revision=info.sha), str)}
    return {name: size for name, size in sizes.items() if name not in held}


def _require_room(name: str, needed: int) -> None:
    place = existing_part(cache_folder())
    free = shutil.disk_usage(place).free
    if needed and needed + _SPARE > free:
        raise ModelError(
            f"{name} needs {needed / 1e9:.1f} GB more on the disk of {place}, but only {free / 1e9:.1f} GB are free",
            hint="make room (pumice models list, pumice models rm NAME), or set HF_HOME to a folder on a larger disk",
        )


def cache_folder() -> Path:
    """Where huggingface_hub keeps what it fetches. It may not exist yet."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def existing_part(path: Path) -> Path:
    """``path``, or the nearest folder above it that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _cached(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repo, revision = split_name(name)
    try:  # whether the weights are complete is checked when they are opened
        return Path(snapshot_download(repo, revision=revision, local_files_only=True, allow_patterns=["config.json"]))
    except (LocalEntryNotFoundError, ValueError, OSError):  # or no name that the cache could hold
        return None


def wanted_files(files: Iterable[str]) -> list[str]:
    """Which files of a repository are needed: configs, tokenizer, and the weights in one format, safetensors first."""
    names = [name for name in files if "/" not in name]
    chosen = [*_matching(names, CONFIG_FILES), *_matching(names, _EXTRAS)]
    for formats in ((_SAFETENSORS, _PICKLES), _ADAPTER):
        chosen += next((found for patterns in formats if (found := _matching(names, patterns))), [])
    return sorted(set(chosen))


def _matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    return [name for name in names if "/" not in name and any(fnmatchcase(name, pattern) for pattern in patterns)]


def _refused(name: str, error: Exception) -> PumiceError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return AuthError(
            f"{name} is only given to users who accepted its licence",
            hint=f"accept it at https://huggingface.co/{name}, then run `hf auth login`",
        )
    if isinstance(error, RepositoryNotFoundError):
        return ModelError(
            f"there is no folder {name} here and no model {name} on the hub",
            hint="check the spelling; for a private model run `hf auth login` first",
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelError(
            f"{split_name(name)[0]} has no revision {split_name(name)[1]!r}",
            hint="name a branch, a tag or a commit of it",
        )
    return ModelError(
        f"{name} is not a folder here and could not be fetched from the hub: {_reason(error)}",
        hint="check the network and try again, or give the path of a folder with the model",
    )


def _reason(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _cut(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
