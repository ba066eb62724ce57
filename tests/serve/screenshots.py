"""Write docs/images/web-*.png: the page of a real `pumice serve` with the bundled model, at two sizes, light and dark.

PYTHONPATH=src:tests python tests/serve/screenshots.py          # starts the server, which is kept from everything else
PYTHONPATH=src:tests python tests/serve/screenshots.py URL      # or takes one that runs, such as http://127.0.0.1:8000
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from playwright.sync_api import Browser, expect

from fakes import python_path
from serve.web_pages import Visit, browser

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 375, "height": 812}
MOST_BYTES = 200_000


@contextmanager
def serving() -> Iterator[str]:
    """`pumice serve`, as it is bundled; its address."""
    with tempfile.TemporaryDirectory() as work:
        own = {"PUMICE_DATA_DIR": work, "XDG_CACHE_HOME": work, "PYTHONPATH": python_path(ROOT)}
        words = ["serve", "--port", "0", "--offline", "--conversations", f"{work}/said"]
        command = [sys.executable, "-m", "pumice", *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **own}) as process:
            try:
                assert process.stderr is not None
                lines = iter(process.stderr.readline, "")
                line = next(line for line in lines if "pumice server: " in line)
                next(line for line in lines if "worker registered" in line)
                yield line.split()[-1]
            finally:
                process.terminate()
                process.communicate(timeout=60)


def main() -> None:
    with nullcontext(sys.argv[1]) if sys.argv[1:] else serving() as url, browser() as chromium:
        for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")):
            session(chromium, url, "desktop" if size is WIDE else "mobile", scheme)


def session(chromium: Browser, url: str, kind: str, scheme: str) -> None:
    """One visitor, and the pictures of what is on the screen meanwhile."""
    visit = Visit(chromium, url, viewport=WIDE if kind == "desktop" else NARROW, color_scheme=scheme)
    expect(visit.page.get_by_label("Model").first).not_to_have_value("", timeout=60_000)
    if (kind, scheme) in (("desktop", "light"), ("mobile", "dark")):
        shoot(visit, f"web-{kind}-start")
    visit.page.get_by_role("button", name="How many dice are there").click()
    answered(visit, 1)
    visit.ask("What colour is the boat?")
    answered(visit, 2)
    shoot(visit, f"web-{kind}-{scheme}")
    if (kind, scheme) == ("desktop", "light"):
        refused(visit)
        seen(visit)
    assert visit.complaints == [], visit.complaints
    visit.close()


def answered(visit: Visit, count: int) -> None:
    expect(visit.answers).to_have_count(count, timeout=120_000)
    expect(visit.page.get_by_test_id("submit-button")).to_be_visible(timeout=120_000)


def refused(visit: Visit) -> None:
    """A file that is no picture."""
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "holiday.png"
        path.write_text("just some words", encoding="utf-8")
        visit.page.locator("#box input[type=file]").set_input_files(str(path))
        visit.page.locator("#box .delete-button").wait_for()
    visit.ask("What is in this picture?")
    expect(visit.toasts.last).to_contain_text("holiday.png")
    shoot(visit, "web-refused", pause_ms=500)
    visit.page.locator("#box .delete-button").click()
    visit.page.get_by_role("button", name=re.compile("close", re.IGNORECASE)).last.click()
    visit.box.fill("")


def seen(visit: Visit) -> None:
    """The view of what the model sees, with the parameters beside it."""
    for name in ("What the model sees", "Parameters"):
        visit.page.get_by_role("button", name=name).click()
    expect(visit.page.locator("#seen img")).to_be_visible()
    visit.page.mouse.wheel(0, 2000)
    shoot(visit, "web-seen")


def shoot(visit: Visit, name: str, *, pause_ms: int = 1500) -> None:
    visit.page.wait_for_timeout(pause_ms)
    path = IMAGES / f"{name}.png"
    visit.page.screenshot(path=path)
    assert path.stat().st_size < MOST_BYTES, f"{path} has {path.stat().st_size} bytes"


if __name__ == "__main__":
    main()
