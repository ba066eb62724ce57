"""Pumice beside its peers on one checkpoint of noise: first token, tokens a second, follow-up, memory.

    python benchmarks/decode.py FOLDER [--rounds 2] [--tokens 32] [--only "4-bit,transformers"]

FOLDER is in the llava-hf layout (``benchmarks/shapes.py FOLDER --shape S --layout llava-hf``). Each measurement is a
process of its own; the systems take turns, the table shows medians, the last line is JSON. Answers end at ``--tokens``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OURS = [sys.executable, str(HERE / "load.py")]
SYSTEMS = {
    "pumice 4-bit": [*OURS, "--bits", "4"],
    "pumice 4-bit, tower 8-bit": [*OURS, "--bits", "4", "--vision-bits", "8"],
    "pumice 8-bit": [*OURS, "--bits", "8"],
    "pumice bf16": OURS,
    "transformers bf16": [sys.executable, str(HERE / "peer_transformers.py")],
}
COLUMNS = ("load_s", "vision_s", "first_token_s", "tokens_per_s", "follow_up_first_token_s", "peak_rss_gib")


def measured(command: list[str], folder: str, tokens: int) -> dict[str, float]:
    """One run's last line."""
    done = subprocess.run([*command, folder, "--tokens", str(tokens)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--only", default="", help="systems whose names contain one of these, with commas")
    options = parser.parse_args()
    wanted = options.only.split(",")
    chosen = {name: command for name, command in SYSTEMS.items() if any(part in name for part in wanted)}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for _ in range(options.rounds):
        for name, command in chosen.items():
            runs[name].append(measured(command, options.model, options.tokens))
    medians = {name: {key: statistics.median(run[key] for run in of) for key in COLUMNS} for name, of in runs.items()}
    print(f"{'':28}" + "".join(f"{key:>24}" for key in COLUMNS))
    for name, row in medians.items():
        print(f"{name:28}" + "".join(f"{row[key]:>24.2f}" for key in COLUMNS))
    print(json.dumps({"model": options.model, "rounds": options.rounds, "tokens": options.tokens, "medians": medians}))


if __name__ == "__main__":
    main()
