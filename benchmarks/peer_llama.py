"""What ``load.py`` measures, for llama.cpp, with the very token ids that Pumice reads.

    python benchmarks/peer_llama.py MODEL --gguf FOLDER --type Q4_0 [--picture FILE] [--tokens 32] [--flash]

FOLDER is what ``gguf_files.py`` has made of MODEL. Flash attention is off: on a processor without bf16 it is the
slower of the two (docs/performance.md); ``--flash`` is for checking that.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
from llama import Llama, Place, Tower
from load import FOLLOW_UP, QUESTION
from PIL import Image

from pumice.checkpoint.sources import open_checkpoint
from pumice.processor import Processor
from pumice.prompts.conversation import Conversation
from pumice.prompts.conversation import Image as Picture
from pumice.prompts.templates import get_template


def prompt(model: str, picture: str) -> tuple[list[int], int]:
    """Token ids of the question, negative where the picture goes, and how many more a follow-up question brings."""
    source = open_checkpoint(model)
    assert source.tokenizer is not None
    description = source.description
    processor = Processor(
        source.tokenizer, get_template(description.template), description.preprocessing, description.image_wrap
    )
    first = Conversation.ask(QUESTION, (Picture(picture),))
    ids = list(processor(first).ids)
    return ids, len(processor(first.then_answer("").then_ask(FOLLOW_UP)).ids) - len(ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--type", default="Q4_0")
    parser.add_argument("--picture", default="examples/cups.png")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--flash", action="store_true")
    options = parser.parse_args()
    ids, more = prompt(options.model, options.picture)
    started = time.monotonic()
    llama = Llama(options.gguf / f"{options.type}.gguf", positions=2048, flash=options.flash)
    tower = Tower(options.gguf / "mmproj.gguf", llama)
    loaded = time.monotonic() - started
    picture = np.asarray(Image.open(options.picture).convert("RGB"))

    position = 0

    def read(tokens: list[int] | np.ndarray, wanted: list[int]) -> np.ndarray:
        nonlocal position
        places = [Place(0, position + index) for index in range(len(tokens))]
        position += len(tokens)
        return llama.read(tokens, places, wanted)

    before = [token for token in ids[: ids.index(min(ids))] if token >= 0]
    after = [token for token in ids[len(before) :] if token >= 0]
    began = time.monotonic()
    features = tower.features(picture)
    seen = time.monotonic() - began
    assert len(before) + len(features) + len(after) == len(ids), "both read the same prompt"
    read(before, [])
    read(features, [])
    token = int(read(after, [len(after) - 1])[0].argmax())
    first = time.monotonic() - began
    began = time.monotonic()
    for _ in range(options.tokens - 1):
        token = int(read([token], [0])[0].argmax())
    decoding = time.monotonic() - began
    began = time.monotonic()
    read([token, *range(300, 300 + more)], [more])
    again = time.monotonic() - began
    result = {
        "model": options.model,
        "type": options.type,
        "load_s": round(loaded, 2),
        "prompt_tokens": len(ids),
        "vision_s": round(seen, 3),
        "first_token_s": round(first, 3),
        "tokens_per_s": round((options.tokens - 1) / decoding, 2),
        "follow_up_first_token_s": round(again, 3),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
