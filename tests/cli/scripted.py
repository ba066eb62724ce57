"""``python scripted.py ARGUMENTS``: the command line with a scripted engine, as a process of its own.

``SCRIPT`` in the environment: ``slow`` writes a piece every 50 ms for a minute, ``steering`` tries to colour the
terminal; anything else answers shortly.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from fakes import ScriptedEngine
from pumice.cli.main import main

SLOW: list[str | BaseException | Callable[[], None]] = []
for number in range(1200):
    SLOW += [f"{number} ", lambda: time.sleep(0.05)]
SCRIPTS = {"slow": SLOW, "steering": ["\x1b[3", "1mred\x1b[0m", "\rend"]}

sys.exit(main(opener=ScriptedEngine(answers=[SCRIPTS.get(os.environ.get("SCRIPT", ""), ["Two ", "dice."])])))
