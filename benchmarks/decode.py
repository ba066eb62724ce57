"""Pumice beside llama.cpp and transformers on one checkpoint of noise: picture, prompt, tokens a second, memory.

    python benchmarks/decode.py FOLDER [--gguf FOLDER] [--rounds 3] [--tokens 64] [--only "4-bit,Q4"]

FOLDER is in the llava-hf layout (``benchmarks/shapes.py FOLDER --shape S --layout llava-hf``); the integer rows read
FOLDER-4bit and FOLDER-8bit, which ``pumice quantize`` makes here if they are missing. Each measurement is a process of
its own; the systems take turns, the table shows medians, the last line is JSON. Answers end at ``--tokens``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = {
    "load_s": "load, s",
    "vision_s": "picture, s",
    "prefill_s": "prompt, s",
    "first_token_s": "first token, s",
    "tokens_per_s": "tokens/s",
    "follow_up_first_token_s": "follow-up, s",
    "peak_rss_gib": "peak GiB",
}


def commands(folder: str, gguf: Path | None) -> dict[str, list[str]]:
    """Every system's name and how to measure it."""
    ours, theirs = [sys.executable, str(HERE / "load.py")], [sys.executable, str(HERE / "peer_llama.py"), folder]
    found = {
        "Pumice 4-bit": [*ours, f"{folder}-4bit"],
        "Pumice 4-bit, cache 8-bit": [*ours, f"{folder}-4bit", "--kv-8bit"],
        "Pumice 8-bit": [*ours, f"{folder}-8bit"],
        "Pumice 8-bit, cache 8-bit": [*ours, f"{folder}-8bit", "--kv-8bit"],
        "Pumice bf16": [*ours, folder],
    }
    for kind in ("Q4_0", "Q4_K_M", "Q8_0", "BF16"):
        if gguf is not None:
            found[f"llama.cpp {kind}"] = [*theirs, "--gguf", str(gguf), "--type", kind]
    return {**found, "transformers bf16": [sys.executable, str(HERE / "peer_transformers.py"), folder]}


def quantised(folder: str, bits: int) -> None:
    """FOLDER-4bit or FOLDER-8bit, its vision tower in 8 bits."""
    target = f"{folder}-{bits}bit"
    if not Path(target).exists():
        how = ["--bits", str(bits), "--group", "32", "--vision-bits", "8"]
        subprocess.run([sys.executable, "-m", "pumice", "quantize", folder, target, *how], check=True)


def measured(command: list[str], tokens: int) -> dict[str, float]:
    """One run's last line."""
    done = subprocess.run([*command, "--tokens", str(tokens)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    found["prefill_s"] = found["first_token_s"] - found["vision_s"]
    print(command[1:], found, file=sys.stderr)
    return found


def table(medians: dict[str, dict[str, float]]) -> str:
    """Markdown, one row a system."""
    lines = [f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, row in medians.items():
        lines.append(f"| {name} | {' | '.join(f'{row[key]:.2f}' for key in COLUMNS)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--gguf", type=Path, help="what gguf_files.py made of the model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--only", default="", help="systems whose names contain one of these, with commas")
    options = parser.parse_args()
    wanted = options.only.split(",")
    chosen = {
        name: command
        for name, command in commands(options.model, options.gguf).items()
        if any(part in name for part in wanted)
    }
    for bits in (4, 8):
        if any(name.startswith(f"Pumice {bits}-bit") for name in chosen):
            quantised(options.model, bits)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for _ in range(options.rounds):
        for name, command in chosen.items():
            runs[name].append(measured(command, options.tokens))
    medians = {name: {key: statistics.median(run[key] for run in of) for key in COLUMNS} for name, of in runs.items()}
    print(table(medians))
    print(json.dumps({"model": options.model, "rounds": options.rounds, "tokens": options.tokens, "medians": medians}))


if __name__ == "__main__":
    main()
