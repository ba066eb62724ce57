"""Servers that several tests of a file may share, since no request may change them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pumice.serve.guard.keys import Keys
from serve.served import Running, doorkeeping, running, sample_app


@pytest.fixture(scope="module")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def api_key(key_folder: Path) -> str:
    return Keys(key_folder).create("tests")


@pytest.fixture(scope="module")
def locked(key_folder: Path, api_key: str) -> Iterator[Running]:
    """A server that wants a key from everybody."""
    with running(sample_app(), doorkeeping(key_folder)) as server:
        yield server


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for which there never was a key."""
    with running(sample_app(), doorkeeping(tmp_path_factory.mktemp("no-keys"))) as server:
        yield server
