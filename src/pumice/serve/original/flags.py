"""The flags of the original's commands, and ours that took their place. A table; ``translated`` reads it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """One flag of the original.

    ours: what it is called now; None if nothing takes its place. bare: it has no value. choices: its values, if they
    are few. why: shown when one without successor is used. fatal: whether that ends the command, because who uses it
    relies on it.
    """

    name: str
    ours: str | None = None
    bare: bool = False
    choices: tuple[str, ...] | None = None
    why: str = ""
    fatal: bool = False


@dataclass(frozen=True)
class Program:
    """One module of the original. command: ours. always: flags to set where the original had another default."""

    module: str
    command: str
    flags: tuple[Flag, ...]
    always: tuple[tuple[str, str], ...] = ()


_PLACE = (Flag("--host", "--host"), Flag("--port", "--port"))

CONTROLLER = Program(
    "pumice.serve.controller",
    "controller",
    (*_PLACE, Flag("--dispatch-method", "--dispatch", choices=("lottery", "shortest_queue"))),
)
MODEL_WORKER = Program(
    "pumice.serve.model_worker",
    "worker",
    (
        *_PLACE,
        Flag("--worker-address", "--address"),
        Flag("--controller-address", "--controller"),
        Flag("--model-path", "--model"),
        Flag("--model-base", "--base"),
        Flag("--model-name", "--name"),
        Flag("--device", "--device"),
        Flag("--limit-model-concurrency", "--slots"),
        Flag("--no-register", "--no-register", bare=True),
        Flag("--load-8bit", "--8bit", bare=True),
        Flag("--load-4bit", "--4bit", bare=True),
        Flag("--multi-modal", bare=True, why="whether a model sees pictures is written in its folder"),
        Flag("--stream-interval", why="every piece of text is sent as it comes"),
        Flag("--use-flash-attn", bare=True, why="the fastest attention for the device is chosen by itself"),
    ),
    always=(("--controller", "http://localhost:21001"),),
)
GRADIO_WEB_SERVER = Program(
    "pumice.serve.gradio_web_server",
    "web",
    (
        *_PLACE,
        Flag("--controller-url", "--controller"),
        Flag("--concurrency-count", why="the workers take as many requests as they have room for"),
        Flag("--model-list-mode", choices=("once", "reload"), why="the list of models is always a fresh one"),
        Flag("--embed", bare=True, why="the page has neither a large title nor terms of use"),
        Flag("--share", bare=True, why="nothing is published through servers of others", fatal=True),
        Flag("--moderate", bare=True, why="questions are not sent to another company to be checked", fatal=True),
    ),
    always=(("--controller", "http://localhost:21001"),),
)
REGISTER_WORKER = Program(
    "pumice.serve.register_worker",
    "llava-register-worker",
    (
        Flag("--controller-address", "--controller"),
        Flag("--worker-name", "--name"),
        Flag("--check-heart-beat", "--check-heart-beat", bare=True),
    ),
)
TEST_MESSAGE = Program(
    "pumice.serve.test_message",
    "llava-test-message",
    (
        Flag("--controller-address", "--controller"),
        Flag("--worker-address", "--worker"),
        Flag("--model-name", "--model"),
        Flag("--max-new-tokens", "--max-tokens"),
        Flag("--message", "--message"),
    ),
)


def translated(program: Program, words: Sequence[str]) -> list[str]:
    """Our command line for one of the original's; says on stderr which flags do nothing.

    Flags may be shortened as the original's parser allowed it. Ends the process as that did, with usage and exit
    code 2, if the words make no sense.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {program.module}",
        description=f"The original's command, done by `pumice {program.command}`.",
        argument_default=argparse.SUPPRESS,
    )
    for flag in program.flags:
        words_of_help = f"now {flag.ours}" if flag.ours else f"no effect: {flag.why}"
        if flag.bare:
            parser.add_argument(flag.name, action="store_true", help=words_of_help)
        else:
            parser.add_argument(flag.name, choices=flag.choices, help=words_of_help)
    given = vars(parser.parse_args(list(words)))
    ours = [program.command]
    for flag in program.flags:
        key = flag.name.removeprefix("--").replace("-", "_")
        if key not in given:
            continue
        if flag.ours is not None:
            ours += [flag.ours] if flag.bare else [flag.ours, given[key]]
        elif flag.fatal:
            parser.error(f"{flag.name} is not supported: {flag.why}")
        else:
            sys.stderr.write(f"note: {flag.name} has no effect: {flag.why}\n")
    for name, value in program.always:
        if name not in ours and "--no-register" not in ours:
            ours += [name, value]
    return ours
