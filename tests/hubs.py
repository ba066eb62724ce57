"""A small real hub on the loopback interface, and what a test changes so that only this one is asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
#: Of someone/model. Both hold the same files.
REVISIONS = {"main": COMMIT, COMMIT: COMMIT, "v1.1": OTHER_COMMIT, OTHER_COMMIT: OTHER_COMMIT}


@dataclass
class Served:
    """What the hub has, was asked (path and range) and sent. cut: how many answers with weights to break off half-way.
    claimed: sizes in bytes that it announces in place of the real ones."""

    url: str
    folder: Path
    asked: list[tuple[str, str]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    cut: int = 0
    claimed: dict[str, int] = field(default_factory=dict)

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


class Hub(BaseHTTPRequestHandler):
    """Serves a folder as the model ``someone/model``; ``someone/closed`` is gated, everything else unknown."""

    served: Served

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.served.asked.append((path, self.headers.get("Range", "")))
        if path == "/":
            self.send({}, b"hello", body)
        elif path.startswith("/api/models/someone/closed"):
            self.send({"X-Error-Code": "GatedRepo"}, b"{}", body, 403)
        elif path.startswith("/api/models/someone/model/tree"):
            self.send({}, json.dumps([self.listed(each) for each in self.files()]).encode(), body)
        elif path.startswith("/api/models/someone/model"):
            self.describe(path.removeprefix("/api/models/someone/model"), body)
        elif path.startswith("/someone/model/resolve/"):
            self.send_file(self.served.folder / Path(path).name, path.split("/")[4], body)
        else:
            self.send({"X-Error-Code": "RepoNotFound"}, b"{}", body, 404)

    def describe(self, rest: str, body: bool) -> None:
        revision = rest.removeprefix("/revision/") or "main"
        if revision not in REVISIONS:
            self.send({"X-Error-Code": "RevisionNotFound"}, b"{}", body, 404)
            return
        siblings = [{"rfilename": each.name, "size": self.size(each)} for each in self.files()]
        info = {"id": "someone/model", "modelId": "someone/model", "sha": REVISIONS[revision], "siblings": siblings}
        self.send({}, json.dumps(info).encode(), body)

    def listed(self, path: Path) -> dict[str, object]:
        """As the hub describes a file: large ones, which are not in git, with their SHA-256."""
        about = {"type": "file", "path": path.name, "size": self.size(path), "oid": git_sha1(path)}
        if path.suffix == ".safetensors":
            about["lfs"] = {"oid": sha256(path), "size": self.size(path), "pointerSize": 134}
        return about

    def send_file(self, path: Path, revision: str, body: bool) -> None:
        content = path.read_bytes()
        etag = sha256(path) if path.suffix == ".safetensors" else git_sha1(path)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": REVISIONS[revision], "Accept-Ranges": "bytes"}
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        cut = body and self.served.cut > 0 and path.suffix == ".safetensors"
        self.served.cut -= cut
        self.send(headers, content[begin:], body, 206 if begin else 200, cut=cut)
        if body:
            self.served.sent[path.name] = self.served.sent.get(path.name, 0) + (len(content) - begin) // (1 + cut)

    def size(self, path: Path) -> int:
        return self.served.claimed.get(path.name, path.stat().st_size)

    def files(self) -> list[Path]:
        return sorted(self.served.folder.iterdir())

    def send(
        self, headers: dict[str, str], content: bytes, body: bool, status: int = 200, *, cut: bool = False
    ) -> None:
        self.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = cut

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git_sha1(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """A hub that serves ``folder`` until the block ends."""
    served = Served("", folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Serving", (Hub,), {"served": served}))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use(monkeypatch: pytest.MonkeyPatch, cache: Path, url: str = "http://127.0.0.1:9") -> None:
    """Within the test: this cache, and this hub in place of the public one (by default, one that is down)."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)  # it asks the public hub who is calling
