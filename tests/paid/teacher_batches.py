"""The teacher's Batch API: files go up, batches are worked through after some looks at them, files come down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

#: Works out one request: its status, and the body of the reply.
Work: TypeAlias = Callable[[Mapping[str, Any]], tuple[int, dict[str, Any]]]


@dataclass
class Batches:
    """Files and batches. looks: how often a batch is looked at before it is done. expired: lines that are not done."""

    work: Work
    looks: int = 2
    expired: int = 0
    fails: str | None = None  # a code: then batches are refused after they were made
    gateway: int = 0  # how many batches are made without their makers being told
    broken: int = 0  # how many downloads end in the middle
    uploads: int = 0
    made: int = 0
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    looked: Counter[str] = field(default_factory=Counter)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/files", self._upload, methods=["POST"]),
            Route("/v1/files", self._list_files),
            Route("/v1/files/{id}/content", self._content),
            Route("/v1/batches", self._make, methods=["POST"]),
            Route("/v1/batches", self._list),
            Route("/v1/batches/{id}", self._look),
        ]

    async def _upload(self, request: Request) -> Response:
        async with request.form() as form:
            file = form["file"]
            assert not isinstance(file, str) and form["purpose"] == "batch"
            name, data = str(file.filename), await file.read()
        self.uploads += 1
        return JSONResponse(_file(self._add(name, data), name))

    async def _list_files(self, _: Request) -> Response:
        found = [_file(number, name) for number, (name, _) in reversed(self.files.items())]
        return JSONResponse({"object": "list", "data": found, "has_more": False})

    async def _content(self, request: Request) -> Response:
        data = self.files[request.path_params["id"]][1]
        if self.broken:
            self.broken -= 1
            headers = {"content-length": str(len(data))}
            return StreamingResponse(
                broken(data[: len(data) // 2]), headers=headers, media_type="application/octet-stream"
            )
        return Response(data, media_type="application/octet-stream")

    async def _make(self, request: Request) -> Response:
        body = await request.json()
        self.made += 1
        lines = self.files[body["input_file_id"]][1].splitlines()
        assert body["endpoint"] == "/v1/chat/completions" and body["completion_window"] == "24h"
        batch = {
            "id": f"batch_{self.made}",
            "object": "batch",
            "endpoint": body["endpoint"],
            "completion_window": "24h",
            "created_at": self.made,
            "input_file_id": body["input_file_id"],
            "metadata": body.get("metadata"),
            "status": "validating",
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self.batches[str(batch["id"])] = batch
        if self.made <= self.gateway:
            return JSONResponse({"error": {"message": "Bad gateway"}}, 502)
        return JSONResponse(batch)

    async def _list(self, _: Request) -> Response:
        found = list(reversed(self.batches.values()))
        return JSONResponse({"object": "list", "data": found, "has_more": False})

    async def _look(self, request: Request) -> Response:
        batch = self.batches[request.path_params["id"]]
        self.looked[batch["id"]] += 1
        if batch["status"] in ("validating", "in_progress"):
            batch["status"] = "in_progress"
            if self.looked[batch["id"]] > self.looks:
                self._finish(batch)
        return JSONResponse(batch)

    def _finish(self, batch: dict[str, Any]) -> None:
        if self.fails:
            error = {"code": self.fails, "message": "Enqueued token limit reached.", "line": None, "param": None}
            batch.update(status="failed", errors={"object": "list", "data": [error]})
            return
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]][1].splitlines()]
        good, bad = [], []
        for number, line in enumerate(lines):
            entry: dict[str, Any] = {"id": f"batch_req_{number}", "custom_id": line["custom_id"], "error": None}
            if number < self.expired:
                bad.append({**entry, "response": None, "error": {"code": "batch_expired", "message": "Too late."}})
                continue
            status, body = self.work(line["body"])
            entry["response"] = {"status_code": status, "request_id": f"r-{number}", "body": body}
            (good if status == 200 else bad).append(entry)
        batch["status"] = "expired" if self.expired else "completed"
        for kind, entries in (("output_file_id", good), ("error_file_id", bad)):
            if entries:
                data = "".join(json.dumps(entry) + "\n" for entry in reversed(entries)).encode()  # in any order
                batch[kind] = self._add(f"{batch['id']}_{kind}.jsonl", data)

    def _add(self, name: str, data: bytes) -> str:
        number = f"file-{len(self.files)}"
        self.files[number] = (name, data)
        return number


def _file(number: str, name: str) -> dict[str, Any]:
    return {
        "id": number,
        "object": "file",
        "bytes": 1,
        "created_at": 1,
        "filename": name,
        "purpose": "batch",
        "status": "processed",
    }


async def broken(data: bytes) -> AsyncIterator[bytes]:
    """The first part of a reply, after which the connection breaks."""
    yield data
    raise ConnectionResetError("as planned")
