"""The options that every command which talks to a model shares: what they are called, mean and default to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Literal, TypeAlias

from typer import Option

from pumice.errors import UsageError
from pumice.options import SamplingOptions

Device: TypeAlias = Literal["auto", "cpu", "mps", "cuda"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

# Options that several commands have.
Base: TypeAlias = Annotated[
    str | None, Option("--base", metavar="NAME", help="Base model, for a LoRA or projector-only checkpoint.")
]
VisionTower: TypeAlias = Annotated[
    str | None,
    Option("--vision-tower", metavar="NAME", help="CLIP model, in place of the one the checkpoint names."),
]
Overwrite: TypeAlias = Annotated[bool, Option("--overwrite", help="Replace TARGET if it exists.")]
Offline: TypeAlias = Annotated[bool, Option("--offline", help="Use only what is on this machine.")]
Debug: TypeAlias = Annotated[bool, Option("--debug", help="Show the traceback of an error.")]

# What the original called them. Each is understood wherever the new name is, and shown nowhere.
LEGACY_FLAGS = {
    "--model-path": "--model",
    "--model-base": "--base",
    "--image-file": "--image",
    "--conv-mode": "--template",
    "--max-new-tokens": "--max-tokens",
    "--load-4bit": "--4bit",
    "--load-8bit": "--8bit",
}


@dataclass(frozen=True)
class Settings:
    """One command line's wishes about model, generation and output. Each field is an option of the same name."""

    model: Annotated[
        str | None,
        Option("--model", "-m", envvar="PUMICE_MODEL", metavar="NAME", help="Folder or hub name. Default: bundled."),
    ] = None
    base: Base = None
    vision_tower: VisionTower = None
    template: Annotated[
        str | None, Option("--template", metavar="NAME", help="Conversation template. Default: the checkpoint's own.")
    ] = None
    system: Annotated[str | None, Option("--system", "-s", metavar="TEXT", help="Replaces the system text.")] = None
    device: Annotated[Device, Option("--device", help="Where to compute.")] = "auto"
    dtype: Annotated[Dtype, Option("--dtype", help="Number format of the weights; auto follows the device.")] = "auto"
    temperature: Annotated[float, Option("--temperature", help="0 always takes the likeliest token.")] = 0.0
    top_p: Annotated[float, Option("--top-p", help="Sample from this share of the probability.")] = 1.0
    top_k: Annotated[int, Option("--top-k", help="Sample from the k likeliest tokens; 0 for all.")] = 0
    max_tokens: Annotated[int, Option("--max-tokens", help="The most new tokens of an answer.")] = 512
    seed: Annotated[int | None, Option("--seed", help="Makes sampling repeatable.")] = None
    stop: Annotated[
        list[str] | None, Option("--stop", metavar="TEXT", help="Ends the answer where it appears. Repeatable.")
    ] = None
    offline: Offline = False
    allow_private_urls: Annotated[
        bool, Option("--allow-private-urls", help="Also fetch pictures from private and local addresses.")
    ] = False
    stats: Annotated[bool, Option("--stats", help="Print times and token counts on stderr.")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False
    debug: Debug = False
    no_color: Annotated[bool, Option("--no-color", help="Plain text on a terminal, too.")] = False
    four_bit: Annotated[bool, Option("--4bit", help="Weights of 4 bits: a quarter of the memory, faster.")] = False
    eight_bit: Annotated[bool, Option("--8bit", help="Weights of 8 bits: half the memory, hardly a loss.")] = False
    kv_8bit: Annotated[bool, Option("--kv-8bit", help="Keys and values of 8 bits: twice the text in memory.")] = False

    def __post_init__(self) -> None:
        if self.four_bit and self.eight_bit:
            raise UsageError("--4bit and --8bit exclude each other")

    @property
    def bits(self) -> Literal[4, 8] | None:
        """Bits of a weight, if they are to be fewer than the checkpoint's."""
        return 4 if self.four_bit else 8 if self.eight_bit else None

    def sampling(self) -> SamplingOptions:
        """Raises UsageError when a value is out of its range."""
        return SamplingOptions(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=self.seed,
            max_tokens=self.max_tokens,
            stop=tuple(self.stop or ()),
        )


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its one parameter ``settings`` replaced by one option per field of ``Settings``.

    Typer reads options from a function's signature; this spells the shared ones out once instead of per command.
    """
    own = [one for one in signature(command, eval_str=True).parameters.values() if one.name != "settings"]
    fields = [
        one.replace(kind=Parameter.KEYWORD_ONLY) for one in signature(Settings, eval_str=True).parameters.values()
    ]

    @wraps(command)
    def run(**values: Any) -> None:  # typer has checked their types
        chosen = {field.name: values.pop(field.name) for field in fields}
        command(**values, settings=Settings(**chosen))

    run.__dict__["__signature__"] = Signature([*own, *fields])
    run.__annotations__ = {one.name: one.annotation for one in [*own, *fields]}
    del run.__wrapped__  # else the old annotations are found through it
    return run


def modern_flags(words: Sequence[str]) -> list[str]:
    """A command line with the original's flags replaced by ours; what follows ``--`` is not touched."""
    modern: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*modern, *words[index:]]
        flag, equals, value = word.partition("=")
        modern.append(LEGACY_FLAGS.get(flag, flag) + equals + value)
    return modern
