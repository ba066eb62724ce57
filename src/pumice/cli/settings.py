"""The options that every command which talks to a model shares: what they are called, mean and default to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from typer import Context, Option

from pumice.cli.preferences import FLAG_ONLY, SECRET, Chosen, Marker, choose, settings_of
from pumice.cli.spelling import fields_of, shown_as
from pumice.errors import PumiceError, UsageError
from pumice.options import SamplingOptions, Writing

Device: TypeAlias = Literal["auto", "cpu", "mps", "cuda"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]


def complete_models(incomplete: str) -> list[str]:
    """Names of models on this machine, for a shell's completion."""
    from pumice.checkpoint.shelf import models_here

    try:
        here = models_here(defaults().folders or ())
    except PumiceError:  # whoever is typing will be told once the command runs
        return []
    return [each.name for each in here if each.name.startswith(incomplete)]


def complete_templates(incomplete: str) -> list[str]:
    """Names of conversation templates, for a shell's completion."""
    from pumice.prompts.templates import TEMPLATES

    return [name for name in TEMPLATES if name.startswith(incomplete)]


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
NoInput: TypeAlias = Annotated[
    bool, Option("--no-input", help="Never ask anything; what would need an answer is refused.")
]
Debug: TypeAlias = Annotated[bool, Option("--debug", help="Show the traceback of an error."), FLAG_ONLY]
Config: TypeAlias = Annotated[
    Path | None,
    Option("--config", metavar="FILE", help="Settings, in place of the user's own file or PUMICE_CONFIG."),
    FLAG_ONLY,
]
ModelName: TypeAlias = Annotated[
    str | None,
    Option(
        "--model", "-m", metavar="NAME", help="Folder or hub name. Default: bundled.", autocompletion=complete_models
    ),
]
TemplateName: TypeAlias = Annotated[
    str | None,
    Option(
        "--template",
        metavar="NAME",
        help="Conversation template. Default: the checkpoint's own.",
        autocompletion=complete_templates,
    ),
]

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
    """One command line's wishes about model, generation and output. Each field is an option of the same name.

    ``preferences`` makes variables and keys of a file out of them, too: a new field needs nothing else.
    """

    model: ModelName = None
    base: Base = None
    vision_tower: VisionTower = None
    template: TemplateName = None
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
    text_in_images: Annotated[
        Writing,
        Option("--text-in-images", help="Read it, warn of answers that change without it, or paint over it."),
    ] = "read"
    stats: Annotated[bool, Option("--stats", help="Print times and token counts on stderr.")] = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False
    no_input: NoInput = False
    debug: Debug = False
    no_color: Annotated[bool, Option("--no-color", help="Plain text on a terminal, too.")] = False
    four_bit: Annotated[bool, Option("--4bit", help="Weights of 4 bits: a quarter of the memory, faster.")] = False
    eight_bit: Annotated[bool, Option("--8bit", help="Weights of 8 bits: half the memory, hardly a loss.")] = False
    kv_8bit: Annotated[bool, Option("--kv-8bit", help="Keys and values of 8 bits: twice the text in memory.")] = False
    server: Annotated[
        str | None,
        Option("--server", metavar="URL", help="Ask this OpenAI-compatible server; -m is its name for the model."),
    ] = None
    api_key: Annotated[str | None, Marker("", "The key for --server."), SECRET] = None
    folders: Annotated[
        list[str] | None, Marker("", "Folders of models, which `pumice models list` shows beside the hub's cache.")
    ] = None
    config: Config = None

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


def _check(settings: Settings) -> None:
    """Raises UsageError for what would only be found once a model is loaded."""
    settings.sampling()
    if settings.template is not None:
        from pumice.prompts.templates import get_template

        get_template(settings.template)


def chosen_settings(flags: Mapping[str, object], config: Path | None = None) -> Chosen[Settings]:
    """``flags`` by field, over environment, over ``config`` or the user's file. Raises UsageError."""
    return choose(Settings, flags, named=config, rivals=(("four_bit", "eight_bit"),), check=_check)


def defaults(config: Path | None = None) -> Settings:
    """What holds where the command line says nothing. Raises UsageError."""
    return chosen_settings({}, config).settings


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its one parameter ``settings`` replaced by one option per field of ``Settings``."""
    return _spelled_out(command, {each.field for each in settings_of(Settings) if each.flags}, _for_one_place)


#: What only a model on this machine can be told.
_OF_WEIGHTS = (
    *("base", "vision_tower", "template", "device", "dtype"),
    *("four_bit", "eight_bit", "kv_8bit", "text_in_images"),
)
_LAYERS = ("default", "file", "environment", "flag")  # the later, the stronger


def _for_one_place(chosen: Chosen[Settings]) -> Settings:
    """Settings for a model of this machine, or for a server. ``--server ''`` is none.

    Beside a server, what a weaker layer says of the model is meant for those of this machine, and does not count.
    Raises UsageError for what the same layer or a stronger one says, and a server cannot be told.
    """
    settings, origins, plain = chosen.settings, chosen.origins, Settings()
    if not settings.server:
        return replace(settings, server=None)
    strength, weaker = _LAYERS.index(origins["server"].layer), {}
    for each in settings_of(Settings):
        usual = getattr(plain, each.field)
        if each.field not in ("model", *_OF_WEIGHTS) or getattr(settings, each.field) == usual:
            continue
        origin = origins[each.field]
        if _LAYERS.index(origin.layer) < strength:
            weaker[each.field] = usual
        elif each.field in _OF_WEIGHTS:
            place = each.flags[0] if origin.layer == "flag" else origin.place
            hint = "leave it out, or take a model of this machine: --server ''"
            raise UsageError(f"{place} is for a model on this machine, and {settings.server} is to answer", hint=hint)
    return replace(settings, **weaker)


#: What a server is told of its model; how it answers is for each request to say.
OF_THE_MODEL = (
    *("model", "base", "vision_tower", "template", "device", "dtype", "offline"),
    *("four_bit", "eight_bit", "kv_8bit", "text_in_images", "debug", "config"),
)


def with_model_settings(command: Callable[..., None]) -> Callable[..., None]:
    """As ``with_settings``, but only what concerns the model."""
    return _spelled_out(command, set(OF_THE_MODEL), lambda chosen: chosen.settings)


def require_one_answer(settings: Settings) -> None:
    """Raises UsageError where a server would have to answer twice: its streams are read as they come."""
    if settings.text_in_images == "warn":
        hint = "read leaves writing in pictures as it is, hide paints it over"
        raise UsageError("--text-in-images warn answers twice, and a server does not", hint=hint)


def model_flags(settings: Settings) -> list[str]:
    """The command line that gives another process the same model."""
    plain = Settings()
    words: list[str] = []
    for each in settings_of(Settings):
        value = getattr(settings, each.field)
        if each.field in OF_THE_MODEL and value != getattr(plain, each.field):
            words += [each.flags[0]] if value is True else [each.flags[0], str(value)]
    return words


def _spelled_out(
    command: Callable[..., None], flags: Collection[str], settled: Callable[[Chosen[Settings]], Settings]
) -> Callable[..., None]:
    """Typer reads options from a function's signature; this writes the shared ones once instead of per command.

    What was not given on the command line comes from the environment or the user's file.
    """
    own = [one for one in signature(command, eval_str=True).parameters.values() if one.name != "settings"]
    fields = [one for one in fields_of(Settings) if one.name in flags]
    asks = next((one for one in own if one.annotation is Context), None)
    context = asks or Parameter("context", Parameter.KEYWORD_ONLY, annotation=Context)

    @wraps(command)
    def run(**values: Any) -> None:  # typer has checked their types
        about = values[context.name] if asks else values.pop(context.name)
        options = {field.name: values.pop(field.name) for field in fields}
        given = {name: value for name, value in options.items() if _was_given(about, name)}
        command(**values, settings=settled(chosen_settings(given, options["config"])))

    return shown_as(run, [*own, *([] if asks else [context]), *fields])


def _was_given(context: Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def modern_flags(words: Sequence[str]) -> list[str]:
    """A command line with the original's flags replaced by ours; what follows ``--`` is not touched."""
    modern: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*modern, *words[index:]]
        flag, equals, value = word.partition("=")
        modern.append(LEGACY_FLAGS.get(flag, flag) + equals + value)
    return modern
