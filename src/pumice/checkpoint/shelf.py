"""The models on this machine: the bundled one, those in the hub's cache, and those in folders that the user names.

Nothing is opened here, and torch is not imported: a shell asks for the names while somebody waits.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from pumice.checkpoint.hub import BUNDLED, cache_folder, find_model, is_hub_name, split_name
from pumice.errors import ModelError, UsageError

Place: TypeAlias = Literal["bundled", "hub cache", "folder"]

#: What makes a folder a model: Pumice's own, anybody's, an adapter.
MARKS = ("pumice.json", "config.json", "adapter_config.json")
#: What Pumice writes into a folder besides the tokenizer's files; where there is more, somebody else may miss it.
_WRITTEN = ("pumice.json", "*.safetensors", "*.safetensors.index.json")


@dataclass(frozen=True)
class Shelved:
    """A model on this machine. name: what -m takes; folder: its files.

    commit: of a model of the hub, the newest on this machine. held: bytes of all its revisions in the cache.
    """

    name: str
    folder: Path
    place: Place
    commit: str | None = None
    held: int | None = None

    @property
    def size(self) -> int:
        """Bytes on the disk. Walks the folder, so ask once it is known to be a model: any folder can be named."""
        return _size(self.folder) if self.held is None else self.held


def models_here(folders: Iterable[str | Path] = ()) -> list[Shelved]:
    """All of them: the bundled model, the hub's by name, then those of ``folders`` in their order."""
    found = [Shelved(BUNDLED.name, BUNDLED, "bundled")]
    found += sorted(_cached(), key=lambda each: each.name.casefold())
    for folder in folders:
        found += [Shelved(str(each), each, "folder") for each in _models_in(Path(folder).expanduser().absolute())]
    return found


def find_here(name: str | Path) -> Shelved:
    """The model that -m ``name`` means, without the network. Raises ModelError if it is not on this machine."""
    of_hub = is_hub_name(str(name)) and not os.path.isdir(name)
    held = next((each for each in _cached() if each.name == str(name)), None) if of_hub else None
    if held is not None:  # perhaps half-fetched, which finding it to load it would refuse
        return held
    folder = find_model(name, offline=True)
    if folder.resolve() == BUNDLED.resolve():
        return Shelved(BUNDLED.name, BUNDLED, "bundled")
    if of_hub:
        return Shelved(str(name), folder, "hub cache", folder.name)
    folder = folder.absolute()
    return Shelved(str(folder), folder, "folder")


def remover(model: Shelved) -> Callable[[], None]:
    """How to remove a model, once its owner has agreed.

    Raises:
        UsageError: it is the bundled one, or a folder that is not in Pumice's own layout or holds something else, too.
    """
    if model.place == "bundled":
        raise UsageError(f"{model.name} belongs to the program", hint="pip uninstall pumice removes both")
    if model.place == "hub cache":
        return lambda: _forget(*split_name(model.name), model.commit)
    _require_ours(model.folder)
    return lambda: shutil.rmtree(model.folder)


def _forget(repo: str, revision: str | None, commit: str | None) -> None:
    """All revisions, or the one that was named; files that another revision needs stay."""
    from huggingface_hub import scan_cache_dir

    known = scan_cache_dir(cache_folder())
    commits = {each.commit_hash for one in known.repos if one.repo_id == repo for each in one.revisions}
    gone = {commit} & commits if revision is not None else commits
    known.delete_revisions(*(each for each in gone if each)).execute()
    if any((cache_folder() / _folder_of(repo) / "snapshots" / str(each)).exists() for each in gone):
        raise ModelError(f"{repo} could not be removed from {cache_folder()}", hint="check the permissions")


def _folder_of(repo: str) -> str:
    from huggingface_hub.file_download import repo_folder_name

    return repo_folder_name(repo_id=repo, repo_type="model")


def _require_ours(folder: Path) -> None:
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link", hint="name the folder that it leads to, or remove the link yourself")
    if not os.path.isfile(folder / MARKS[0]):  # unlike Path.is_file, it takes a closed folder for one without it
        raise UsageError(
            f"{folder} will not be removed: expected {MARKS[0]} in it, as in every folder of Pumice's own layout",
            hint="other layouts are removed by hand, once nothing else needs the folder",
        )
    others = sorted(each.name for each in folder.iterdir() if not _is_written(each))
    if others:
        raise UsageError(
            f"{folder} will not be removed, because it holds more than a model: {', '.join(others[:5])}",
            hint="move these elsewhere, or remove the folder yourself",
        )


def _is_written(path: Path) -> bool:
    from pumice.prompts.tokenizer import FILES

    ours = (*_WRITTEN, *FILES)
    return path.is_file() and not path.is_symlink() and any(path.match(pattern) for pattern in ours)


def _cached() -> Iterator[Shelved]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        known = scan_cache_dir(cache_folder())
    except CacheNotFound:
        return
    for repo in known.repos:
        revisions = sorted(repo.revisions, key=lambda each: ("main" in each.refs, each.last_modified))
        if repo.repo_type == "model" and revisions:
            newest = revisions[-1]
            refs = sorted(newest.refs) or [newest.commit_hash]
            name = repo.repo_id if "main" in refs else f"{repo.repo_id}@{refs[0]}"
            yield Shelved(name, newest.snapshot_path, "hub cache", newest.commit_hash, repo.size_on_disk)


def _models_in(folder: Path) -> list[Path]:
    if _is_model(folder):
        return [folder]
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if not each.name.startswith(".") and _is_model(each))


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MARKS)


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
