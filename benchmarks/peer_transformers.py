"""What ``load.py`` measures, for transformers: bf16, scaled dot product attention, its default cache.

    python benchmarks/peer_transformers.py FOLDER [--picture FILE] [--tokens 32]

FOLDER is in the llava-hf layout. A follow-up is asked the way its users do: the whole conversation again.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import torch
from PIL import Image
from transformers import AutoTokenizer, LlavaForConditionalGeneration

from pumice.checkpoint.load import load_checkpoint
from pumice.prompts.conversation import Conversation
from pumice.prompts.conversation import Image as Picture

QUESTION = "Describe the picture in detail."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--picture", default="examples/cups.png")
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    started = time.monotonic()
    model = LlavaForConditionalGeneration.from_pretrained(options.model, dtype=torch.bfloat16).eval()
    loaded = time.monotonic() - started
    # The same ids and pixels as ours: what is compared is the model's work, not the reading of templates.
    processor = load_checkpoint(options.model).processor
    inputs = processor(Conversation.ask(QUESTION, (Picture(Image.open(options.picture)),)))
    image_token = model.config.image_token_id
    ids = torch.tensor([[image_token if token < 0 else token for token in inputs.ids]])
    pixels = torch.from_numpy(inputs.tiles[0]).to(torch.bfloat16)
    AutoTokenizer.from_pretrained(options.model)  # counted into memory, as it is for everybody

    def answer(tokens: int) -> float:
        began = time.monotonic()
        with torch.inference_mode():
            model.generate(
                input_ids=ids,
                pixel_values=pixels,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
            )
        return time.monotonic() - began

    with torch.inference_mode():
        began = time.monotonic()
        model.get_image_features(pixel_values=pixels)
        vision = time.monotonic() - began
    first, whole = answer(1), answer(options.tokens)
    result = {
        "model": options.model,
        "dtype": "bfloat16",
        "load_s": round(loaded, 2),
        "prompt_tokens": len(inputs.ids),
        "vision_s": round(vision, 2),
        "first_token_s": round(first, 2),
        "tokens_per_s": round((options.tokens - 1) / (whole - first), 2),
        "follow_up_first_token_s": round(first, 2),
        "peak_rss_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
