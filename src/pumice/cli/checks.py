"""What ``pumice doctor`` looks at, and what to do where something does not work as it should."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from pumice.errors import PumiceError

LEAST_MEMORY = 2 << 30
LEAST_DISK = 5 << 30
#: Seconds for the hub to say anything at all.
PATIENCE = 3.0
#: What an extra of ``pip install pumice[...]`` brings, by the module that is looked for.
EXTRAS = {
    "schema": "llguidance",
    "serve": "fastapi",
    "client": "openai",
    "web": "gradio",
    "slack": "slack_bolt",
    "train": "matplotlib",
    "datagen": "openai",
    "eval": "openpyxl",
    "scale": "ray",
    "heif": "pillow_heif",
}

Verdict: TypeAlias = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True)
class Surroundings:
    """What the checks need to be told. config: in place of the user's file. offline: ask nobody outside."""

    config: Path | None = None
    offline: bool = False


@dataclass(frozen=True)
class Check:
    """What was looked at and found. fix: what to do where something does not work, or could work better.

    warning: something is missing that not everybody needs; it does not make the installation a broken one.
    """

    name: str
    fine: bool
    found: str
    fix: str = ""
    warning: bool = False

    @property
    def verdict(self) -> Verdict:
        return "wrong" if not self.fine else "warning" if self.warning else "ok"


Examination: TypeAlias = Callable[[Surroundings], Iterator[Check]]


def versions(_: Surroundings) -> Iterator[Check]:
    import torch

    from pumice import __version__

    system = f"{platform.system()} {platform.machine()}"
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
    built = built if torch.version.cuda or torch.version.hip else "CPU"
    torches = f"PyTorch {torch.__version__} (built for {built})"
    yield Check("versions", True, f"Pumice {__version__}, Python {platform.python_version()}, {torches}, {system}")


def devices(_: Surroundings) -> Iterator[Check]:
    import torch

    from pumice.model.device import choose_device

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    names += ["Apple MPS"] if torch.backends.mps.is_available() else []
    others = f"; also there: {', '.join(names)}" if names else ""
    yield Check("device", True, f"{choose_device('auto')} by default, {torch.get_num_threads()} CPU threads{others}")


def integers(_: Surroundings) -> Iterator[Check]:
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


def memory(_: Surroundings) -> Iterator[Check]:
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


def disk(_: Surroundings) -> Iterator[Check]:
    from pumice.checkpoint.hub import cache_folder, existing_part
    from pumice.checkpoint.memory import gib

    place = cache_folder()
    free = shutil.disk_usage(existing_part(place)).free
    fine = free >= LEAST_DISK
    hint = "" if fine else "make room, or set HF_HOME to a larger disk: a 7B model takes 14 GB"
    yield Check("disk for models", fine, f"{gib(free)} free at {place}", hint)


def settings(around: Surroundings) -> Iterator[Check]:
    """Environment and file, as a command would read them; and whether the default model is there."""
    from pumice.checkpoint.shelf import find_here
    from pumice.cli.settings import chosen_settings

    try:
        chosen = chosen_settings({}, around.config)
    except PumiceError as error:
        yield Check("settings", False, str(error), error.hint or "see `pumice config show`")
        return
    known = sum(origin.layer != "default" for origin in chosen.origins.values())
    there = "" if chosen.file.is_file() else " (does not exist)"
    yield Check("settings", True, f"{known} set, by environment or {chosen.file}{there}")
    if chosen.settings.model is not None and not chosen.settings.server:
        name = chosen.settings.model
        try:
            yield Check("default model", True, f"{name}, in {find_here(name).folder}")
        except PumiceError as error:
            fix = f"pumice models pull {name}, or choose another one with `pumice models default NAME`"
            yield Check("default model", True, str(error), fix, warning=True)


def files(_: Surroundings) -> Iterator[Check]:
    """The bundled model against the hashes that were written down when it was made."""
    from pumice.checkpoint.hub import BUNDLED
    from pumice.checkpoint.verify import known_hashes, wrong_hashes

    known = known_hashes(BUNDLED)
    wrong = list(wrong_hashes(BUNDLED))
    found = "; ".join(f"{each.where}: {each.what}" for each in wrong) or f"{len(known)} hashes agree"
    if not known:
        found = f"nothing says what the files in {BUNDLED} should be"
    yield Check(
        "bundled files", bool(known) and not wrong, found, "" if known and not wrong else "install Pumice again"
    )


def sight(_: Surroundings) -> Iterator[Check]:
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


def hub(around: Surroundings) -> Iterator[Check]:
    if around.offline or _wants_to_be_offline(around.config):
        return
    import httpx2
    from huggingface_hub import constants

    try:
        httpx2.head(constants.ENDPOINT, timeout=PATIENCE)  # any answer will do
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        found = f"{constants.ENDPOINT} does not answer: {error}"
        yield Check("hub", True, found, "models on this machine work without it (--offline)", warning=True)
        return
    yield Check("hub", True, f"{constants.ENDPOINT} answers")


def _wants_to_be_offline(config: Path | None) -> bool:
    from pumice.cli.settings import defaults

    try:
        return defaults(config).offline
    except PumiceError:  # a finding of its own
        return False


def extras(_: Surroundings) -> Iterator[Check]:
    absent = [name for name, module in EXTRAS.items() if find_spec(module) is None]
    there = [name for name in EXTRAS if name not in absent]
    found = f"installed: {', '.join(there) or 'none'}; not installed: {', '.join(absent) or 'none'}"
    yield Check("optional parts", True, found, f'pip install "pumice[{",".join(absent)}]"' if absent else "")


def clipboard(_: Surroundings) -> Iterator[Check]:
    """macOS and Windows bring it along; elsewhere a program of the desktop has it."""
    if sys.platform in ("darwin", "win32"):
        yield Check("clipboard", True, "part of the system")
        return
    program = next((name for name in ("wl-paste", "xclip") if shutil.which(name)), None)
    if program is not None:
        yield Check("clipboard", True, program)
    elif os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"):
        fix = "install wl-clipboard (Wayland) or xclip (X11), for example: apt install wl-clipboard"
        yield Check("clipboard", True, "no program gives pictures from it", fix, warning=True)
    else:
        yield Check("clipboard", True, "no desktop here, so there is none")


CHECKS: tuple[Examination, ...] = (
    versions,
    devices,
    integers,
    memory,
    disk,
    settings,
    files,
    sight,
    hub,
    extras,
    clipboard,
)
