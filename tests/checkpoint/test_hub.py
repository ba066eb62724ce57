"""Fetching from a hub: a small real server on the loopback interface, and a cache of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import tiny
from pumice.checkpoint.hub import download, find_model, wanted_files
from pumice.checkpoint.load import load_model
from pumice.checkpoint.save import save_checkpoint
from pumice.errors import AuthError, ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Serves ``folder`` as the model ``someone/model``; ``someone/closed`` is gated, everything else unknown."""

    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        if path.startswith("/api/models/someone/closed"):
            self.send({}, b"{}", body, 403, {"X-Error-Code": "GatedRepo"})
        elif path.startswith("/api/models/someone/model/tree"):
            listed = [{"type": "file", "path": p.name, "size": p.stat().st_size, "oid": "0"} for p in self.files()]
            self.send({}, json.dumps(listed).encode(), body)
        elif path.startswith("/api/models/someone/model"):
            siblings = [{"rfilename": each.name} for each in self.files()]
            info = {"id": "someone/model", "modelId": "someone/model", "sha": COMMIT, "siblings": siblings}
            self.send({}, json.dumps(info).encode(), body)
        elif path.startswith("/someone/model/resolve/"):
            content = (self.folder / Path(path).name).read_bytes()
            self.send({"ETag": f'"{Path(path).name}"', "X-Repo-Commit": COMMIT}, content, body)
        else:
            self.send({}, b"{}", body, 404, {"X-Error-Code": "RepoNotFound"})

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    def send(
        self, headers: dict[str, str], content: bytes, body: bool, status: int = 200, more: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers, **(more or {})}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)  # it asks the public hub who is calling
    save_checkpoint(tiny.model(), tiny.processor(), tmp_path / "served")
    (tmp_path / "served" / "pytorch_model.bin").write_bytes(b"not wanted")
    handler = type("Served", (Hub,), {"folder": tmp_path / "served", "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_is_fetched_once_and_found_offline(hub: str) -> None:
    with pytest.raises(ModelError, match="not in the local cache") as caught:
        find_model("someone/model", offline=True)
    assert "--offline" in str(caught.value.hint)
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
