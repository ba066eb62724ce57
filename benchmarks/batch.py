"""Several answers at once: tokens a second of all streams together, Pumice beside llama.cpp.

    python benchmarks/batch.py MODEL [--gguf FOLDER --type Q4_0] [--streams 1,2,4,8] [--prompt 629] [--tokens 32]

MODEL is a quantised folder. Every stream has a prompt of its own, of random words, and takes one token a step, without
guessing; prompts are not counted. The two take turns, three rounds, medians. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from pumice.engine.decode import Runner
from pumice.engine.engine import Engine


def prompts(streams: int, length: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(300, 1000, (streams, length), generator=generator).tolist()


class Ours:
    """Pumice's runner, which the scheduler drives."""

    def __init__(self, model: str, streams: int, length: int, tokens: int) -> None:
        self._runner: Runner = Engine.load(model, device="cpu").runner
        self._length, self._tokens = length, tokens
        self._caches = []
        for ids in prompts(streams, length):
            self._caches.append(self._runner.new_cache(length + tokens))
            self._runner.prefill(ids, 0, None, self._caches[-1])

    def seconds(self, streams: int) -> float:
        last = [7] * streams
        began = time.perf_counter()
        for step in range(self._tokens):
            logits = self._runner.step(last, [self._length + step] * streams, self._caches[:streams])
            last = logits.argmax(1).tolist()
        return time.perf_counter() - began


class Theirs:
    """llama.cpp's parallel decoding: one batch with a token of every sequence."""

    def __init__(self, path: Path, streams: int, length: int, tokens: int, flash: bool) -> None:
        from llama import Llama, Place

        self._place = Place
        self._llama = Llama(path, positions=length + tokens + 8, sequences=streams, flash=flash)
        self._length, self._tokens = length, tokens
        for stream, ids in enumerate(prompts(streams, length)):
            self._llama.read(ids, [Place(stream, at) for at in range(length)], [])

    def seconds(self, streams: int) -> float:
        self._llama.shorten(self._length)
        last = [7] * streams
        began = time.perf_counter()
        for step in range(self._tokens):
            places = [self._place(stream, self._length + step) for stream in range(streams)]
            last = self._llama.read(last, places, list(range(streams))).argmax(1).tolist()
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--type", default="Q4_0")
    parser.add_argument("--streams", default="1,2,4,8")
    parser.add_argument("--prompt", type=int, default=629)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    counts = [int(count) for count in options.streams.split(",")]
    systems: dict[str, Ours | Theirs] = {"Pumice": Ours(options.model, max(counts), options.prompt, options.tokens)}
    if options.gguf is not None:
        path = options.gguf / f"{options.type}.gguf"
        for flash in (False, True):
            name = f"llama.cpp {options.type}" + (", flash attention" if flash else "")
            systems[name] = Theirs(path, max(counts), options.prompt, options.tokens, flash)
    found: dict[str, dict[int, list[float]]] = {name: {count: [] for count in counts} for name in systems}
    for _ in range(options.rounds):
        for count in counts:
            for name, system in systems.items():
                found[name][count].append(count * options.tokens / system.seconds(count))
    medians = {name: {n: round(statistics.median(of), 1) for n, of in rows.items()} for name, rows in found.items()}
    print("| tokens/s |" + "".join(f" {count} |" for count in counts) + "\n" + "|---" * (len(counts) + 1) + "|")
    for name, row in medians.items():
        print(f"| {name} |" + "".join(f" {row[count]} |" for count in counts))
    print(json.dumps({"model": options.model, "prompt": options.prompt, "tokens": options.tokens, "medians": medians}))


if __name__ == "__main__":
    main()
