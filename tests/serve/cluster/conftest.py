"""A controller on a clock that stands still, one that lets nobody in, and a worker that waits to be registered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from pumice.serve.cluster.controller import Controller
from serve.clusters import Clock, FakeService, controller_app, running, worker_app


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def parts(clock: Clock) -> tuple[Controller, FastAPI]:
    return controller_app(clock, lookup_s=1.0, silence_s=1.0)


@pytest.fixture
def controller(parts: tuple[Controller, FastAPI], tmp_path: Path) -> Iterator[str]:
    with running(parts[1], tmp_path) as url:
        yield url


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A controller that everybody is refused by; nobody has registered in the end."""
    made, app = controller_app()
    with running(app, tmp_path_factory.mktemp("empty")) as url:
        yield url
    assert made.workers() == ()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def idle(service: FakeService, tmp_path: Path) -> Iterator[str]:
    """A worker that does not register itself."""
    with running(worker_app(service), tmp_path) as url:
        yield url
