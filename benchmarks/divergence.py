"""How far quantised models are from float32: the Kullback-Leibler divergence of their next-token distributions.

    python benchmarks/divergence.py MODEL [--gguf FOLDER --types Q4_0,Q8_0] [--questions 40 | --noise 256] [--kv-8bit]

With --questions the bundled world's held-out pictures, questions and right answers are read, and every position of an
answer counts; with --noise one text of so many random tokens, every position of which counts. All systems get the very
same embeddings, pictures included. Mean divergence in nats, and how often the likeliest token is another.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pumice.checkpoint.load import Arithmetic, load_model
from pumice.engine.decode import Runner
from pumice.engine.engine import Engine
from pumice.prompts.conversation import Conversation, Image
from pumice.quantize.plan import standard_plan
from pumice.world.benchmark import held_out_questions
from pumice.world.draw import draw_scene
from pumice.world.scene import make_scene

SIDE = 224
#: Embeddings [L, D] and the first position that counts.
Text = tuple[Tensor, int]
System = Callable[[Text], Tensor]


def noise(engine: Engine, length: int) -> Iterator[Text]:
    ids = torch.randint(
        300, engine.model.config.language.vocab_size, (1, length), generator=torch.Generator().manual_seed(1)
    )
    yield engine.model.embed(ids, None)[0], 0


def questions(engine: Engine, count: int) -> Iterator[Text]:
    """Held-out pictures with their right answers."""
    for item in held_out_questions(max(1, count // 8)):
        asked = Conversation.ask(item.question, (Image(draw_scene(make_scene("held_out", item.index), SIDE)),))
        inputs = engine.processor(asked)
        answered = engine.processor(asked.then_answer(item.answer)).ids
        ids = torch.tensor([answered[:-1]])  # the last one ends the answer, nothing follows it
        tiles = torch.from_numpy(inputs.tiles[0])
        yield engine.model.embed(ids, engine.model.features([tiles], inputs.grids))[0], len(inputs.ids) - 1


@torch.inference_mode()
def exact(engine: Engine) -> System:
    """PyTorch in float32: the definition."""

    def run(text: Text) -> Tensor:
        embeddings, first = text
        positions = torch.arange(len(embeddings))[None]
        hidden = engine.model.language(embeddings[None], positions)
        return engine.model.language.logits(hidden[0, first:])

    return run


def ours(path: str, bits: int, group: int, *, kv_8bit: bool = False) -> System:
    """Pumice's native path, prompt read at once up to the first position that counts, then step by step."""
    plan = standard_plan(8 if bits == 8 else 4, group=group)
    runner = Runner(load_model(path, how=Arithmetic(plan, torch.float32)).model, kv_8bit=kv_8bit)
    native = runner.native
    assert native is not None and native.reads, f"no native path for groups of {group}"

    def run(text: Text) -> Tensor:
        embeddings, first = text
        cache, places = runner.new_cache(len(embeddings)), torch.arange(len(embeddings))
        rows = [native.read(embeddings[: first + 1], places[: first + 1], cache)]
        rows += [
            native.read(embeddings[at : at + 1], places[at : at + 1], cache) for at in range(first + 1, len(places))
        ]
        return torch.cat(rows)

    return run


def theirs(path: Path) -> System:
    from llama import Llama, Place

    llama = Llama(path, positions=2048)

    def run(text: Text) -> Tensor:
        embeddings, first = text
        llama.shorten(0)
        places = [Place(0, at) for at in range(len(embeddings))]
        return torch.from_numpy(llama.read(np.asarray(embeddings), places, list(range(first, len(embeddings)))))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--types", default="Q4_0,Q4_K_M,Q8_0")
    parser.add_argument("--groups", default="32", help="of Pumice's weights; all layers must divide into them")
    parser.add_argument("--kv-8bit", action="store_true", help="Pumice also with keys and values of 8 bits")
    parser.add_argument("--questions", type=int, default=0)
    parser.add_argument("--noise", type=int, default=0)
    options = parser.parse_args()
    with torch.inference_mode():
        engine = Engine.load(options.model, dtype="float32", device="cpu")
        texts = list(questions(engine, options.questions) if options.questions else noise(engine, options.noise or 256))
        reference = [F.log_softmax(exact(engine)(text), -1) for text in texts]
        del engine
        systems: dict[str, Callable[[], System]] = {}
        for bits, group in product((4, 8), map(int, options.groups.split(","))):
            make_ours = partial(ours, options.model, bits, group)
            systems[f"Pumice {bits}-bit, group {group}"] = make_ours
            if options.kv_8bit:
                systems[f"Pumice {bits}-bit, group {group}, keys and values 8-bit"] = partial(make_ours, kv_8bit=True)
        for kind in options.types.split(",") if options.gguf else ():
            systems[f"llama.cpp {kind}"] = lambda kind=kind: theirs(options.gguf / f"{kind}.gguf")
        found = {}
        for name, make in systems.items():
            system = make()
            rows = [
                (wanted, F.log_softmax(system(text).float(), -1)) for text, wanted in zip(texts, reference, strict=True)
            ]
            divergence = torch.cat([(wanted.exp() * (wanted - given)).sum(-1) for wanted, given in rows])
            other = torch.cat([wanted.argmax(-1) != given.argmax(-1) for wanted, given in rows])
            found[name] = {"kl": float(divergence.mean()), "other_token": float(other.float().mean())}
            print(f"| {name} | {found[name]['kl']:.3g} | {found[name]['other_token']:.2%} |", flush=True)
    print(json.dumps({"model": options.model, "positions": sum(len(each) for each in reference), "found": found}))


if __name__ == "__main__":
    main()
