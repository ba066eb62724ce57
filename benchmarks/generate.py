"""What a large run of ``pumice generate`` takes, and how busy it keeps a teacher.

    python benchmarks/generate.py rules [--samples 158000] [--workers 2] [--table FILE]
    python benchmarks/generate.py teacher [--requests 6000] [--latency 2] [--concurrency 200]

rules: as many conversations as LLaVA-Instruct has, by the offline teacher, from a table of captions and boxes of the
synthetic world (or the lines of FILE, again and again with new ids): seconds, the memory of all processes over time,
bytes. teacher: a server of its own process that answers each request after --latency seconds; requests a second over
those that so many in flight could have at most. One JSON object each.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pumice.annotations.scene import Scene
from pumice.annotations.sources.table import open_source

ROOT = Path(__file__).parent.parent
EVERY_S = 1.0  # between two looks at the memory
SHOWN = 20  # points of the memory's curve
GENERATE = (sys.executable, "-m", "pumice", "generate", "caps-boxes")


def as_line(scene: Scene) -> dict[str, object]:
    things = [{"category": each.category, "bbox": list(each.box), "colour": each.colour} for each in scene.things]
    instances = [{name: value for name, value in each.items() if value is not None} for each in things]
    return {"id": scene.id, "image": scene.image, "captions": list(scene.captions), "instances": instances}


def table(folder: Path, count: int, own: Path | None) -> Path:
    """``count`` lines of captions and boxes, each with an id of its own."""
    path = folder / "table.jsonl"
    if own is None:
        found: Iterator[dict[str, object]] = map(as_line, open_source("world", numbers=range(count)))
    else:
        rows = [json.loads(line) for line in own.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = (
            {**row, "id": f"{row['id']}-{number}", "captions": [*row["captions"], f"Picture number {number}."]}
            for number, row in zip(range(count), itertools.cycle(rows), strict=False)
        )
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in found)
    return path


def memory_mb(root: int) -> float:
    """Of a process and its children, shared pages counted once each; Linux only."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(words[1]), []).append(int(stat.parent.name))
    total, left = 0, [root]
    while left:
        process = left.pop()
        left += children.get(process, [])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:
            continue
    return total / 1024


def watched(command: list[str], environment: dict[str, str]) -> tuple[float, list[tuple[float, float]]]:
    """Seconds, and the memory over time: (s, MB)."""
    began = time.monotonic()
    curve: list[tuple[float, float]] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            curve.append((round(time.monotonic() - began, 1), round(memory_mb(process.pid), 1)))
            time.sleep(EVERY_S)
    assert process.returncode == 0
    return time.monotonic() - began, curve


def rules(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    out = folder / "out"
    lines = table(folder, options.samples, options.table)
    command = [*GENERATE, str(lines), "-o", str(out), "--kinds", options.kind, "--workers", str(options.workers)]
    seconds, curve = watched([*command, "--quiet"], {**os.environ})
    tally = json.loads((out / "progress.json").read_text())["tally"]
    made = sum(each["samples"] for each in tally["kinds"].values())
    halves = [[mb for at, mb in curve[2:-1] if (at < seconds / 2) == first] for first in (True, False)]
    return {
        "ordered": options.samples,
        "samples": made,
        "refused": tally["refused"],
        "workers": options.workers,
        "seconds": round(seconds, 1),
        "samples_per_s": round(made / seconds, 1),
        "peak_mb": max(mb for _, mb in curve),
        "peak_mb_of_halves": [max(each, default=None) for each in halves],
        "memory": curve[:: max(1, len(curve) // SHOWN)],
        "bytes": {
            name: (out / name).stat().st_size for name in ("records.json", "provenance.jsonl", "rejections.jsonl")
        },
    }


def teacher(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    places = os.pathsep.join([str(ROOT / "tests"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": places, "PUMICE_API_KEY": "none"}
    serve = [sys.executable, "-m", "paid.teacher_server", "--latency", str(options.latency)]
    lines = table(folder, options.requests, options.table)
    with subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        try:
            command = [*GENERATE, str(lines), "-o", str(folder / "out"), "--kinds", "conversation", "--tries", "1"]
            asked = ["--teacher", url, "--teacher-model", "teacher", "--concurrency", str(options.concurrency)]
            _, curve = watched([*command, *asked, "--quiet"], environment)
        finally:
            server.terminate()
    base = sqlite3.connect(folder / "out" / "ledger.sqlite")
    count, first, last = base.execute(
        "SELECT count(*), min(started), max(started + seconds) FROM attempts WHERE state = 'answered'"
    ).fetchone()
    base.close()
    # The last ones to be sent are waited for with fewer and fewer in flight; the best that could be is whole rounds.
    best_s = -(-count // options.concurrency) * options.latency
    return {
        "requests": count,
        "in_flight": options.concurrency,
        "latency_s": options.latency,
        "seconds": round(last - first, 2),
        "requests_per_s": round(count / (last - first), 1),
        "possible_per_s": options.concurrency / options.latency,
        "share_of_possible": round(best_s / (last - first), 3),
        "peak_mb": max(mb for _, mb in curve),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("rules", "teacher"))
    parser.add_argument("--samples", type=int, default=158_000)
    parser.add_argument("--kind", default="conversation")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--requests", type=int, default=6_000)
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps((rules if options.what == "rules" else teacher)(Path(folder), options)))


if __name__ == "__main__":
    main()
