"""A conversation about one picture: seconds to the first token of each question, remembered and from scratch.

    python benchmarks/follow_up.py MODEL [--questions 4] [--tokens 24]

From scratch is the same engine with an empty memory, and the same conversation so far. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json

from load import FOLLOW_UP, QUESTION

from pumice.engine.engine import Engine
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--picture", default="examples/cups.png")
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=24)
    options = parser.parse_args()
    engine, how = Engine.load(options.model, device="cpu"), SamplingOptions(max_tokens=options.tokens)
    conversation = Conversation.ask(QUESTION, (Image(options.picture),))
    rows = []
    print("| question | tokens | remembered | first token, s | from scratch, s |\n|---|---|---|---|---|")
    for number in range(1, options.questions + 1):
        answer = engine.ask(conversation, how)
        fresh = Engine(engine.model, engine.processor).ask(conversation, how)
        row = {
            "prompt_tokens": answer.usage.prompt_tokens,
            "cached_tokens": answer.usage.cached_tokens,
            "first_token_s": round(answer.timings.first_token_s, 3),
            "from_scratch_s": round(fresh.timings.first_token_s, 3),
        }
        rows.append(row)
        print(f"| {number} | {' | '.join(map(str, row.values()))} |", flush=True)
        conversation = conversation.then_answer(answer.text).then_ask(FOLLOW_UP)
    print(json.dumps({"model": options.model, "questions": rows}))


if __name__ == "__main__":
    main()
