"""Recorded sessions at a real terminal, typed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from terminal import replay, seat

SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.session"))


@pytest.mark.slow
@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_session(path: Path) -> None:
    with seat() as screen:
        replay(screen, path)
