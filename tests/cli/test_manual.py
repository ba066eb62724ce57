"""``docs/cli.md`` is what the commands say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pumice.cli.main import COMMANDS, GROUPS, main
from pumice.cli.preferences import settings_of
from pumice.cli.settings import LEGACY_FLAGS, Settings


def test_the_page_is_up_to_date(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # does not matter
    monkeypatch.setenv("PUMICE_SEED", "3")
    assert main(["manual"]) == 0
    page = (project / "docs" / "cli.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == page, "a command changed: `make docs` writes docs/cli.md again"


def test_nothing_is_missing(project: Path) -> None:
    page = (project / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"\n## pumice {name}\n" in page
        for inner in GROUPS.get(name, {}):
            assert f"\n### pumice {name} {inner}\n" in page
    for setting in settings_of(Settings):
        assert setting.flag_only or f"| `{setting.variable}` |" in page
        assert all(f"`{flag}`" in page or f"{flag} " in page or f"{flag}`" in page for flag in setting.flags)
    assert all(f"`{old}`" in page for old in LEGACY_FLAGS)
    assert "| 141 | nobody reads" in page
