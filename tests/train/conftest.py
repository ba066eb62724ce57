"""What several files about training share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from train import small
from train.warm import Nursery, nursery


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Processes that need not import PyTorch first."""
    with nursery(tmp_path_factory.mktemp("warm"), small.environment()) as opened:
        yield opened
