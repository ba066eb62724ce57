"""``pumice models``: which models are on this machine, what they are, and how more come or go."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated, TypeAlias

from typer import Argument, Exit, Option

from pumice.cli.model_tables import as_json_object, facts_or_error, lines, print_table, row, watching
from pumice.cli.settings import Base, Config, Debug, NoInput, Offline, VisionTower, complete_models, defaults
from pumice.errors import ModelError, PumiceError, UsageError

Name: TypeAlias = Annotated[
    str, Argument(help="As for -m: a folder, a hub name, or pumice-tiny.", autocompletion=complete_models)
]
AsJson: TypeAlias = Annotated[bool, Option("--json", help="Print one JSON object instead of text.")]
Quiet: TypeAlias = Annotated[bool, Option("--quiet", "-q", help="Nothing on stderr but errors.")]


def models() -> None:
    """See, fetch, check and remove models, and choose the default one."""


def list_models(as_json: AsJson = False, config: Config = None, debug: Debug = False) -> None:
    """List the models on this machine: bundled, in the hub's cache, and in the folders of the setting "folders".

    \b
    pumice models list
    """
    from pumice.checkpoint.shelf import models_here

    settings = defaults(config)
    for folder in settings.folders or ():
        if not os.path.isdir(os.path.expanduser(folder)):
            print(f'the setting "folders" names {folder!r}, which is no folder', file=sys.stderr)
    found = [(each, facts_or_error(each.folder)) for each in models_here(settings.folders or ())]
    default = _default_name(settings.model)
    if as_json:
        print(json.dumps({"default": default, "models": [as_json_object(*each, default) for each in found]}))
        return
    print_table([row(model, facts, default) for model, facts in found])
    for model, facts in found:
        if isinstance(facts, PumiceError):
            print(f"{model.name}: {facts}" + (f" ({facts.hint})" if facts.hint else ""), file=sys.stderr)


def pull(
    name: Annotated[str, Argument(help="A name on the hub: owner/name, or owner/name@revision.")],
    revision: Annotated[
        str | None, Option("--revision", metavar="REV", help="A branch, tag or commit. Default: the main branch.")
    ] = None,
    offline: Offline = False,
    quiet: Quiet = False,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Fetch a model from the Hugging Face Hub and print its folder. What was fetched before is continued.

    \b
    pumice models pull llava-hf/llava-1.5-7b-hf
    pumice models pull owner/name --revision v1.1     # later: pumice ask -m owner/name@v1.1
    """
    if offline or defaults(config).offline:
        raise UsageError(
            "offline, nothing can be fetched", hint="leave --offline out (or the setting, or the variable)"
        )
    if quiet or not sys.stderr.isatty():  # a log would be full of bars
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
    from pumice.checkpoint.hub import fetch, is_hub_name, split_name

    repo, named = split_name(name)
    if revision is not None and named not in (None, revision):
        raise UsageError(f"two revisions: {named} and {revision}")
    wanted = f"{repo}@{revision}" if revision else name
    if not is_hub_name(wanted):
        raise UsageError(f"{wanted!r} is no name on the hub", hint="expected owner/name or owner/name@revision")
    print(fetch(wanted, tell=lambda line: None if quiet else print(line, file=sys.stderr, flush=True)))


def info(
    name: Annotated[
        str | None, Argument(help="As for -m. Default: the default model.", autocompletion=complete_models)
    ] = None,
    base: Base = None,
    vision_tower: VisionTower = None,
    as_json: AsJson = False,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Tell what a model on this machine is, without loading it.

    \b
    pumice models info
    pumice models info llava-hf/llava-1.5-7b-hf --json
    """
    from pumice.checkpoint.facts import read_facts
    from pumice.checkpoint.shelf import find_here

    default = _default_name(defaults(config).model)
    model = find_here(name or default)
    facts = read_facts(model.folder, base=base, vision_tower=vision_tower)
    if as_json:
        print(json.dumps(as_json_object(model, facts, default)))
        return
    for title, text in lines(model, facts, default):
        print(f"{title:12}{text}")


def verify(name: Name, quiet: Quiet = False, as_json: AsJson = False, debug: Debug = False) -> None:
    """Check a model's files: hashes where they are known, keys and shapes, and that every number is one.

    Exits with 3 if something is wrong. Nothing is fetched.

    \b
    pumice models verify pumice-tiny
    """
    from pumice.checkpoint.shelf import find_here
    from pumice.checkpoint.verify import known_hashes
    from pumice.checkpoint.verify import verify as check

    model = find_here(name)
    known = known_hashes(model.folder)
    with watching(quiet) as tell:
        problems = list(check(model.folder, tell=tell))
    if as_json:
        about = {"model": model.name, "fine": not problems, "hashes": len(known)}
        print(json.dumps({**about, "problems": [asdict(each) for each in problems]}))
    else:
        for each in problems:
            print(f"FIX  {each.where}: {each.what}\n     {each.fix}")
        if not problems:
            hashes = f"{len(known)} known hashes agree" if known else "no hashes are known"
            print(f"ok   {model.name}: {hashes}; keys, shapes and numbers are as they should be")
    if problems:
        raise Exit(ModelError.exit_code)


def rm(
    name: Name,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask.")] = False,
    no_input: NoInput = False,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Remove a model from the hub's cache, or a folder in Pumice's own layout: one with pumice.json.

    The bundled model stays. Other folders, such as those of `pumice convert --to llava-hf`, are removed by hand.

    \b
    pumice models rm owner/name
    """
    from pumice.checkpoint.memory import gib
    from pumice.checkpoint.shelf import find_here, remover

    model = find_here(name)
    remove = remover(model)
    what = f"{model.name} ({gib(model.size)}, {model.folder})"
    settings = defaults(config)
    if not yes and (no_input or settings.no_input):
        raise UsageError(f"--no-input, but nobody has agreed to the removal of {what}", hint="add --yes")
    if not yes and not sys.stdin.isatty():
        raise UsageError(f"nobody is here to agree to the removal of {what}", hint="add --yes")
    if not yes and not _agrees(f"Remove {what}? [y/N] "):
        print("nothing was removed", file=sys.stderr)
        return
    remove()
    if _default_name(settings.model) == model.name:
        print("it was the default: choose another one with `pumice models default NAME`", file=sys.stderr)
    print(model.folder)


def _agrees(question: str) -> bool:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def default(
    name: Annotated[
        str | None, Argument(help="As for -m. Without it, the default is printed.", autocompletion=complete_models)
    ] = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Choose the model that is used where no -m is given. It is written to the user's file of settings.

    \b
    pumice models default llava-hf/llava-1.5-7b-hf
    pumice models default pumice-tiny
    """
    from pumice.checkpoint.shelf import find_here
    from pumice.cli.user_file import set_value

    if name is not None:
        model = find_here(name)
        print(f"written to {set_value('model', model.name, config)}", file=sys.stderr)
    held = defaults(config).model
    if name is not None and held != model.name:
        print(f"PUMICE_MODEL names another one, which comes first: {held}", file=sys.stderr)
    print(_default_name(held))


def _default_name(setting: str | None) -> str:
    from pumice.checkpoint.hub import BUNDLED

    return setting or BUNDLED.name
