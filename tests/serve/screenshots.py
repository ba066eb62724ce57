"""Write docs/images/web-*.png: the page at two sizes, in light and dark, after a scripted conversation.

PYTHONPATH=tests python tests/serve/screenshots.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import expect

from serve.fake_api import FakeApi, Script, model
from serve.web_pages import Visit, browser, served, settings_for

ROOT = Path(__file__).parents[2]
ANSWER = "There are **three** dice. They show 3, 5 and 2, which add up to **10**."
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 375, "height": 812}


def main() -> None:
    with tempfile.TemporaryDirectory() as work, FakeApi(models=[model("pumice-tiny")]) as api:
        folder = Path(work)
        with served(settings_for(api, folder, log_folder=folder / "log")) as url, browser() as chromium:
            for size, scheme in ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"), (NARROW, "dark")):
                visit = Visit(chromium, url, viewport=size, color_scheme=scheme)
                name = f"web-{'desktop' if size is WIDE else 'mobile'}-{scheme}"
                if (size, scheme) == (NARROW, "light"):
                    shoot(visit, "web-mobile-start")
                talk(visit, api)
                shoot(visit, name)
                if (size, scheme) == (WIDE, "light"):
                    visit.page.get_by_role("button", name="What the model sees").click()
                    visit.page.get_by_role("button", name="Parameters").click()
                    expect(visit.page.locator("#seen img")).to_be_visible()
                    visit.page.mouse.wheel(0, 2000)
                    shoot(visit, "web-seen")
                visit.close()


def talk(visit: Visit, api: FakeApi) -> None:
    api.will(Script(pieces=(ANSWER,)), Script(pieces=("The boat is",), finish="length"))
    visit.page.get_by_role("button", name="How many dice are there").click()
    expect(visit.answers).to_have_count(1)
    expect(visit.page.get_by_test_id("submit-button")).to_be_visible()
    visit.ask("What colour is the boat?")
    expect(visit.page.locator("#chat small.note")).to_be_visible()


def shoot(visit: Visit, name: str) -> None:
    visit.page.wait_for_timeout(1500)
    visit.page.screenshot(path=ROOT / "docs" / "images" / f"{name}.png")


if __name__ == "__main__":
    main()
