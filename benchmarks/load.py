"""Load a checkpoint and answer once, in a process of its own: seconds, tokens per second, peak memory.

    python benchmarks/load.py FOLDER [--dtype bfloat16] [--bits 4|8] [--kv-8bit] [--picture FILE] [--tokens 32]

Prints one JSON object. ``peak_rss_gib`` is the kernel's high-water mark of the process; weights that stay mapped
from the file count as they are touched.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

from pumice.engine.engine import Engine
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image
from pumice.quantize.plan import standard_plan

QUESTION = "Describe the picture in detail."
FOLLOW_UP = "And then?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--bits", type=int, choices=(4, 8), help="quantise while loading")
    parser.add_argument("--vision-bits", type=int, choices=(4, 8))
    parser.add_argument("--kv-8bit", action="store_true")
    parser.add_argument("--picture", default="examples/cups.png")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument(
        "--guess", action="store_true", help="with prompt lookup: noise repeats itself as text never does"
    )
    options = parser.parse_args()
    started = time.monotonic()
    plan = standard_plan(options.bits, vision_bits=options.vision_bits) if options.bits else None
    dtype = "auto" if plan else options.dtype
    engine = Engine.load(options.model, dtype=dtype, device="cpu", quantization=plan, kv_8bit=options.kv_8bit)
    engine.runner.speculates &= options.guess
    loaded = time.monotonic() - started
    first = Conversation.ask(QUESTION, (Image(options.picture),))
    answer = engine.ask(first, SamplingOptions(max_tokens=options.tokens))
    again = engine.ask(first.then_answer(answer.text).then_ask(FOLLOW_UP), SamplingOptions(max_tokens=options.tokens))
    steps, decoding = answer.usage.completion_tokens - 1, answer.timings.total_s - answer.timings.first_token_s
    result = {
        "model": options.model,
        "dtype": options.dtype,
        "bits": options.bits,
        "kv_8bit": options.kv_8bit,
        "load_s": round(loaded, 2),
        "prompt_tokens": answer.usage.prompt_tokens,
        "vision_s": round(answer.timings.vision_s, 3),
        "first_token_s": round(answer.timings.first_token_s, 3),
        "tokens_per_s": round(steps / decoding, 2) if decoding > 0 else None,
        "follow_up_cached_tokens": again.usage.cached_tokens,
        "follow_up_first_token_s": round(again.timings.first_token_s, 3),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
