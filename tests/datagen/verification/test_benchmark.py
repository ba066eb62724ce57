"""The benchmark runs, and what it prints can be read by a program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_benchmark(coco: Path) -> None:
    command = [sys.executable, "benchmarks/verification.py", "--data", str(coco), "--world", "4", "--each", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    caught = found["plants"]["caught"]
    assert {"existence", "count", "colour", "place", "size", "yes_no", "all"} <= caught.keys()
    assert caught["all"]["of"] > 800 and caught["all"]["share"] > 0.95
    assert found["plants"]["false alarms"]["found"] == 0 < found["plants"]["false alarms"]["of"]
    assert found["gpt-4"]["flagged"]["found"] == 2
    assert all(each["found"] == 0 for each in found["offline teacher"]["refused"].values())
