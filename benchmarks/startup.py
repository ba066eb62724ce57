"""How long commands take from the shell's point of view: whole processes, medians, the disk warm.

    python benchmarks/startup.py [--rounds 7]

Beside them what cannot be avoided (an empty Python, ``import torch``) and a peer's import. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

PYTHON = sys.executable
COMMANDS = {
    "python, nothing": [PYTHON, "-c", ""],
    "import torch": [PYTHON, "-c", "import torch"],
    "import transformers' LLaVA": [PYTHON, "-c", "from transformers import LlavaForConditionalGeneration"],
    "pumice --version": [PYTHON, "-m", "pumice", "--version"],
    "pumice --help": [PYTHON, "-m", "pumice", "--help"],
    "pumice ask, bundled model": [PYTHON, "-m", "pumice", "ask", "-i", "examples/dice.png", "How many dice are there?"],
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.rounds + 1):  # the first round warms the disk
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    found = {name: round(statistics.median(each[1:]), 2) for name, each in times.items()}
    for name, median in found.items():
        print(f"| {name} | {median} |")
    print(json.dumps({"rounds": options.rounds, "seconds": found}))


if __name__ == "__main__":
    main()
