"""docs/security.md counts the hostile cases; here it is made sure that it counts those that there are."""

from __future__ import annotations

import re
from pathlib import Path

from images import hostile
from serve import test_hostile_http as http
from serve import test_hostile_pictures as pictures
from serve import test_hostile_requests as requests
from serve import test_hostile_urls as urls
from serve.cluster import test_intruders as intruders
from serve.hostile import BAD_IDS, BAD_JSON, KNOCKS

COUNTS = {
    "URLs that must not be fetched, through the API, `/tokenize`, the page and Slack": 4 * len(hostile.every_url()),
    "answers of servers that may be asked": len(urls.ANSWERS),
    "pictures and `data:` URIs": len(pictures.CASES) + 1 + len(pictures.twins()),
    "HTTP, at the gateway and the worker, with a key and without": 4 * len(http.CASES),
    "JSON, at every other route that reads it": len(http.READERS) * len(BAD_JSON),
    "numbers": 2 * len(requests.NUMERIC),
    "greedy requests and fields of other servers": 2 * len(requests.GREEDY),
    "schemas": len(requests.SCHEMAS),
    "names of models": 2 * len(requests.NAMES),
    "words of templates": len(requests.SPECIAL),
    "headers with keys": 2 * len(KNOCKS),
    "routes without a key, with a revoked one, with a cookie": 3 * sum(http.ROUTES.values()),
    "line breaks and markup in fields and ids": 3 * len(http.BREAKS) + len(BAD_IDS),
    "workers that are none": len(intruders.HOSTILE) + len(intruders.NO_NAMES),
}


def test_the_documentation_counts_right(project: Path) -> None:
    text = (project / "docs" / "security.md").read_text(encoding="utf-8")
    table = text.partition("## Hostile cases")[2]
    shown = {name: int(count) for name, count in re.findall(r"^\| (.+?) \| (\d+) \|$", table, re.MULTILINE)}
    assert shown == {**COUNTS, "together": sum(COUNTS.values())}
