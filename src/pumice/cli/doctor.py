"""``pumice doctor``: what this machine has, what it lacks, and what to do about it."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from typer import Exit, Option

from pumice.cli.settings import Debug

LEAST_MEMORY = 2 << 30
LEAST_DISK = 5 << 30


@dataclass(frozen=True)
class Check:
    """What was looked at and found; ``fix`` says what to do where something does not work as it should."""

    name: str
    fine: bool
    found: str
    fix: str = ""


def doctor(
    as_json: Annotated[bool, Option("--json", help="Print one JSON object instead of text.")] = False,
    debug: Debug = False,
) -> None:
    """Check this installation: PyTorch, devices, the native library, memory, disk, and that the bundled model sees.

    Exits with 1 if anything does not work as it should.
    """
    found = []
    for each in (each for check in CHECKS for each in _done(check)):
        found.append(each)
        if not as_json:
            print(f"{'ok ' if each.fine else 'FIX'}  {each.name}: {each.found}")
            if each.fix:
                print(f"     {each.fix}")
    if as_json:
        print(json.dumps({"fine": all(each.fine for each in found), "checks": [asdict(each) for each in found]}))
    if not all(each.fine for each in found):
        raise Exit(1)


def _done(check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What ``check`` finds; that it fails is a finding too."""
    try:
        yield from check()
    except Exception as error:  # whatever it is, the other checks go on
        yield Check(check.__name__, False, f"this check failed: {error}", "install Pumice again, or report it")


def versions() -> Iterator[Check]:
    import torch

    from pumice import __version__

    system = f"{platform.system()} {platform.machine()}"
    yield Check(
        "versions",
        True,
        f"Pumice {__version__}, Python {platform.python_version()}, PyTorch {torch.__version__}, {system}",
    )


def devices() -> Iterator[Check]:
    import torch

    from pumice.model.device import choose_device

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    names += ["Apple MPS"] if torch.backends.mps.is_available() else []
    others = f"; also there: {', '.join(names)}" if names else ""
    yield Check("device", True, f"{choose_device('auto')} by default, {torch.get_num_threads()} CPU threads{others}")


def integers() -> Iterator[Check]:
    from pumice.quantize.library import native

    library = native()
    if library is not None:
        others = ", ".join(library.choices[1:])
        yield Check("native library", True, f"{library.instructions} (also built in: {others or 'nothing else'})")
        return
    yield Check(
        "native library",
        False,
        "absent: on the CPU, 4-bit and 8-bit models run with PyTorch's operators, several times slower",
        "install a C++ compiler (Debian: g++, macOS: xcode-select --install, Windows: Visual Studio Build Tools), then "
        "install Pumice again with pip install --force-reinstall --no-deps --no-cache-dir",
    )


def memory() -> Iterator[Check]:
    import torch

    from pumice.checkpoint.memory import available_memory, gib
    from pumice.model.device import choose_device

    for device in {torch.device("cpu"), choose_device("auto")}:
        free = available_memory(device)
        if free is None:
            yield Check(f"memory on {device}", True, "this system does not say how much is free")
            continue
        fine = free >= LEAST_MEMORY
        hint = "" if fine else "close other programs: a 7B model in 4 bits takes about 5 GiB"
        yield Check(f"memory on {device}", fine, f"{gib(free)} free", hint)


def disk() -> Iterator[Check]:
    from huggingface_hub.constants import HF_HUB_CACHE

    from pumice.checkpoint.memory import gib

    place = Path(HF_HUB_CACHE)
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    fine = free >= LEAST_DISK
    hint = "" if fine else "make room, or set HF_HOME to a larger disk: a 7B model takes 14 GB"
    yield Check("disk for models", fine, f"{gib(free)} free at {place}", hint)


def sight() -> Iterator[Check]:
    """A question about a picture that is drawn here: a model that does not see cannot answer it."""
    from PIL import Image as Pil

    from pumice.engine.engine import Engine
    from pumice.options import SamplingOptions
    from pumice.prompts.conversation import Conversation, Image
    from pumice.world.benchmark import held_out_questions, is_correct
    from pumice.world.draw import draw_scene
    from pumice.world.scene import make_scene

    asked = next(each for each in held_out_questions(1) if each.kind == "colour")
    picture: Pil.Image = draw_scene(make_scene("held_out", asked.index), 224)
    answer = Engine.load(device="cpu").ask(
        Conversation.ask(asked.question, (Image(picture),)), SamplingOptions(max_tokens=32)
    )
    fine = is_correct(asked.kind, asked.answer, answer.text)
    fix = "" if fine else f"expected {asked.answer!r}: the installation is damaged, install Pumice again"
    yield Check("bundled model", fine, f"asked {asked.question!r}, it says {answer.text.strip()!r}", fix)


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (versions, devices, integers, memory, disk, sight)
