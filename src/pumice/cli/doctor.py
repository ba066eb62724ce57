"""``pumice doctor``: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

from typer import Exit, Option

from pumice.cli.checks import CHECKS, Check, Examination, Surroundings
from pumice.cli.settings import Config, Debug, Offline

_MARKS = {"ok": "ok ", "warning": "?  ", "wrong": "FIX"}


def doctor(
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    offline: Offline = False,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Check this installation, and say what to do where something does not work as it should.

    Looks at PyTorch, devices, the native library, memory, disk, the settings, the bundled model's files and whether it
    sees, the hub, the optional parts and the clipboard. Exits with 1 if anything is wrong; what only some people need
    is marked with a question mark and does not count.
    """
    around = Surroundings(config, offline)
    found = []
    for each in (each for check in CHECKS for each in _done(check, around)):
        found.append(each)
        if not as_json:
            print(f"{_MARKS[each.verdict]}  {each.name}: {each.found}")
            if each.fix:
                print(f"     {each.fix}")
    if as_json:
        told = [{**asdict(each), "verdict": each.verdict} for each in found]
        print(json.dumps({"fine": all(each.fine for each in found), "checks": told}))
    if not all(each.fine for each in found):
        raise Exit(1)


def _done(check: Examination, around: Surroundings) -> Iterator[Check]:
    """What ``check`` finds; that it fails is a finding too."""
    try:
        yield from check(around)
    except Exception as error:  # whatever it is, the other checks go on
        yield Check(check.__name__, False, f"this check failed: {error}", "install Pumice again, or report it")
