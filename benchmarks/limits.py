"""What this machine can do at most, measured: bytes a second from memory, and products a second in float32 and int8.

    python benchmarks/limits.py [--threads 2]

The stream is a float32 matrix of a gigabyte times a vector, the fastest reader among PyTorch's operators; int8 is the
native library's best shape (8 bits, groups of 128, 512 positions), float32 PyTorch's largest product. One JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch

from pumice.quantize.grouped import encode
from pumice.quantize.library import native
from pumice.quantize.linear import QuantizedLinear
from pumice.quantize.plan import Format

STREAM = 1 << 30
SIDE = 4096
POSITIONS = 512


def best(work: Callable[[], object], rounds: int = 7) -> float:
    """Seconds of the fastest round."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def stream() -> float:
    """GB/s, all threads together."""
    matrix, vector = torch.ones(STREAM // 4 // SIDE, SIDE), torch.ones(SIDE)
    return STREAM / best(lambda: matrix @ vector) / 1e9


def float32() -> float:
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, POSITIONS)
    return 2 * SIDE * SIDE * POSITIONS / best(lambda: a @ b) / 1e9


def int8() -> float | None:
    if native() is None:
        return None
    how = Format(8, 128)
    layer = QuantizedLinear(SIDE, SIDE, how, bias=False)
    layer.fill(encode(torch.randn(SIDE, SIDE), how), torch.device("cpu"))
    x = torch.randn(POSITIONS, SIDE)
    return 2 * SIDE * SIDE * POSITIONS / best(lambda: layer(x)) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    library = native()
    found = {
        "threads": options.threads,
        "instructions": None if library is None else library.instructions,
        "stream_gb_per_s": round(stream(), 1),
        "float32_gflops": round(float32()),
        "int8_gops": int8() and round(int8() or 0),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
