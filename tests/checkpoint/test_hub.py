"""Fetching from a hub: a small real server on the loopback interface, and a cache of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hubs
import tiny
from pumice.checkpoint.hub import BUNDLED, download, fetch, find_model, wanted_files
from pumice.checkpoint.load import load_model
from pumice.checkpoint.save import save_checkpoint
from pumice.errors import AuthError, ModelError


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hubs.Served]:
    """A hub with a model, and an empty cache."""
    save_checkpoint(tiny.model(), tiny.processor(), tmp_path / "served")
    (tmp_path / "served" / "pytorch_model.bin").write_bytes(b"not wanted")
    with hubs.serving(tmp_path / "served") as found:
        hubs.use(monkeypatch, tmp_path / "cache")
        yield found


@pytest.fixture
def hub(served: hubs.Served) -> str:
    return served.url


def test_a_model_is_fetched_once_and_found_offline(hub: str) -> None:
    with pytest.raises(ModelError, match="not in the local cache") as caught:
        find_model("someone/model", offline=True)
    assert "pumice models pull someone/model" in str(caught.value.hint)
    folder = download("someone/model", endpoint=hub)
    assert {path.name for path in folder.iterdir()} >= {"pumice.json", "model.safetensors", "tokenizer.json"}
    assert not (folder / "pytorch_model.bin").exists()
    assert find_model("someone/model", offline=True) == folder
    assert load_model("someone/model", offline=True).model.config == tiny.model().config
    assert download("someone/model", endpoint="http://127.0.0.1:9") == folder  # the hub is down, the cache is not


def test_a_cache_that_had_to_do_is_admitted(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = download("someone/model", endpoint=hub)
    said: list[str] = []
    assert download("someone/model", endpoint=hub, warn=said.append) == folder and not said
    assert find_model("someone/model", offline=True, warn=said.append) == folder and not said  # as it was asked to
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    assert download("someone/model", endpoint=hub, warn=said.append) == folder
    message = "someone/model is taken from the local cache, which may be out of date: no route"
    assert said == [message]
    assert load_model("someone/model").warnings == (message,)
    with pytest.raises(ModelError, match=r"could not be fetched from the hub: no route$"):
        download("someone/other", endpoint=hub)


def unreachable(*_: object, **__: object) -> None:
    raise OSError("\n  no route\nto the host")


@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize("name", ["m" * 5000, "someone/" + "m" * 5000, "some--one/model", "someone/model.git"])
def test_names_that_nothing_can_have(
    name: str, offline: bool, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    for beside in (None, tmp_path):
        with pytest.raises(ModelError) as caught:
            find_model(name, beside=beside, offline=offline)
        assert len(str(caught.value)) < 1000
    with pytest.raises(ModelError):
        load_model(name, offline=offline)


def test_only_the_configs(hub: str) -> None:
    folder = download("someone/model", endpoint=hub, weights=False)
    assert (folder / "pumice.json").exists() and not (folder / "model.safetensors").exists()


def test_refusals(hub: str) -> None:
    with pytest.raises(ModelError, match="no model someone/absent on the hub"):
        download("someone/absent", endpoint=hub)
    with pytest.raises(AuthError, match="accepted its licence") as caught:
        download("someone/closed", endpoint=hub)
    assert caught.value.exit_code == 7
    assert "https://huggingface.co/someone/closed" in str(caught.value.hint)
    with pytest.raises(ModelError, match="could not be fetched from the hub") as caught:
        download("someone/model", endpoint="http://127.0.0.1:9")
    assert "network" in str(caught.value.hint)


def test_revisions(served: hubs.Served) -> None:
    first = download("someone/model", endpoint=served.url)
    other = download("someone/model@v1.1", endpoint=served.url)
    assert (first.name, other.name) == (hubs.COMMIT, hubs.OTHER_COMMIT)
    assert find_model("someone/model@v1.1", offline=True) == other
    assert find_model(f"someone/model@{hubs.OTHER_COMMIT}", offline=True) == other
    assert find_model("someone/model", offline=True) == first
    with pytest.raises(ModelError, match="someone/model has no revision 'v9'"):
        download("someone/model@v9", endpoint=served.url)
    with pytest.raises(ModelError, match="not in the local cache"):
        find_model("someone/model@v9", offline=True)


def test_a_connection_that_breaks_is_continued(served: hubs.Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 12)  # what was whole is kept
    served.cut = 1
    folder = fetch("someone/model", endpoint=served.url)
    name = "model.safetensors"
    assert (folder / name).read_bytes() == (served.folder / name).read_bytes()
    assert [ranges for path, ranges in served.asked if path.endswith(name) and ranges]
    assert served.sent[name] <= (served.folder / name).stat().st_size + (1 << 12)  # half, then the other half


def test_what_is_there_is_not_fetched_again(served: hubs.Served) -> None:
    said: list[str] = []
    fetch("someone/model", weights=False, endpoint=served.url)
    served.asked.clear()
    fetch("someone/model", endpoint=served.url, tell=said.append)
    fetched = {path.rpartition("/")[2] for path in served.paths() if "/resolve/" in path}
    assert fetched == {"model.safetensors"}
    assert len(said) == 1 and "1 of them to fetch" in said[0]


def test_no_room_on_the_disk(served: hubs.Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.claimed["model.safetensors"] = 1 << 60
    with pytest.raises(ModelError, match=r"needs 1152921504\.6 GB more on the disk of .*, but only") as caught:
        fetch("someone/model", endpoint=served.url)
    assert "models rm" in str(caught.value.hint)
    assert not [path for path in served.paths() if "/resolve/" in path]
    with pytest.raises(ModelError, match="needs"):
        download("someone/model", endpoint=served.url)


def test_the_bundled_model_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model("pumice-tiny", offline=True) == BUNDLED
    (tmp_path / "pumice-tiny").mkdir()
    assert find_model("pumice-tiny", offline=True) == Path("pumice-tiny")


def test_a_folder_wins_over_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "someone" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_model("someone/model", offline=True) == Path("someone/model")
    beside = tmp_path / "elsewhere"
    (beside / "someone" / "model").mkdir(parents=True)
    assert find_model("someone/model", beside=beside) == beside / "someone" / "model"
    assert find_model("someone", beside=tmp_path / "other") == tmp_path / "someone"


@pytest.mark.parametrize(
    "name", ["", "model", "a/b/c", "~nobody-of-that-name/model", "-x/y", "a b/c", "https://huggingface.co/a/b"]
)
def test_names_that_no_hub_has(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="no model at"):
        find_model(name, offline=True)


def test_which_files_are_wanted() -> None:
    both = ["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.json", "README.md", "tokenizer.model"]
    assert wanted_files(both) == ["config.json", "model.safetensors", "tokenizer.model"]
    shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json"]
    assert wanted_files([*shards, "mm_projector.bin"]) == ["mm_projector.bin", *shards]
    adapter = ["adapter_model.bin", "adapter_config.json", "non_lora_trainables.bin", "optimizer.bin"]
    assert wanted_files(adapter) == ["adapter_config.json", "adapter_model.bin", "non_lora_trainables.bin"]
