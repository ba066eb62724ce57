"""The commands of a dialogue, as a table: what each is called, takes, and does.

A command works on the dialogue and says what it did; asking again and leaving are the loop's, which it tells so.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pumice.cli import transcript
from pumice.cli.dialogue import Dialogue
from pumice.engine.answer import Answer
from pumice.errors import UsageError
from pumice.files import require_folder
from pumice.near import did_you_mean, nearest

if TYPE_CHECKING:
    from pumice.cli.pictures import Picture

_COMMAND = re.compile(r"/([A-Za-z]+)(?=\s|$)")


class Desk(Protocol):
    """What commands work on besides the dialogue."""

    dialogue: Dialogue
    last: Answer | None

    @property
    def model(self) -> str: ...

    def attach(self, sources: list[str]) -> None:
        """Add pictures and say what the model will see of them."""

    def seen(self, picture: Picture, count: int) -> str:
        """What the model sees of ``picture``, one of ``count`` in the conversation."""

    def say(self, text: str) -> None:
        """Tell the person, not the data."""


@dataclass(frozen=True)
class Next:
    """What the loop does after a command. question: ask this. edit: let the person change this first."""

    question: str | None = None
    edit: str | None = None
    leave: bool = False


@dataclass(frozen=True)
class Command:
    """takes: how its arguments are shown. paths: whether they are files."""

    takes: str
    help: str
    run: Callable[[Desk, str], Next | None]
    paths: bool = False


def find(line: str) -> tuple[Command, str] | None:
    """The command that ``line`` is, and its arguments; None for a question.

    Raises: UsageError for a word that looks like a command and is none.
    """
    match = _COMMAND.match(line)
    if match is None:
        return None
    command = COMMANDS.get(match[1].lower())
    if command is None:
        known = [f"/{name}" for name in COMMANDS]
        hint = did_you_mean(nearest(f"/{match[1].lower()}", known), "/help lists the commands")
        raise UsageError(f"no command /{match[1]}", hint=hint)
    return command, line[match.end() :].strip()


def words(text: str, usage: str) -> list[str]:
    """Arguments as a shell would split them, so that a dropped file's quotes and backslashes work."""
    try:
        split = shlex.split(text, posix=os.name != "nt")
    except ValueError as error:
        raise UsageError(f"{error}", hint=usage) from None
    split = [each[1:-1] if len(each) > 1 and each[0] == each[-1] and each[0] in "'\"" else each for each in split]
    if not split:
        raise UsageError("something is missing", hint=usage)
    return [os.path.expanduser(each) if each.startswith("~") else each for each in split]


def _one_path(text: str, usage: str) -> Path:
    given = words(text, usage)
    if len(given) > 1:
        raise UsageError(f"expected one file, found {len(given)}", hint=f"{usage}, with quotes around spaces")
    return Path(given[0])


def _new_file(text: str, usage: str) -> Path:
    path = _one_path(text, usage)
    if path.exists():
        raise UsageError(f"{path} exists already", hint="choose another name")
    require_folder(path)
    return path


def _image(desk: Desk, text: str) -> None:
    desk.attach(words(text, "/image photo.jpg, /image 'my photo.jpg', /image https://..., /image clip:"))


def _images(desk: Desk, _: str) -> None:
    listed = list(desk.dialogue.pictures())
    for number, (picture, waits) in enumerate(listed, start=1):
        seen, waiting = desk.seen(picture, len(listed)), "; for the next question" if waits else ""
        desk.say(f"{number}. {picture.description}; {seen}{waiting}")
    if not listed:
        desk.say("no pictures yet: /image photo.jpg")


def _drop(desk: Desk, text: str) -> None:
    if not text.isdecimal():
        raise UsageError("expected the number of a picture", hint="/drop 1; /images lists them")
    desk.say(f"- {desk.dialogue.drop(int(text)).description}")


def _clear(desk: Desk, _: str) -> None:
    desk.dialogue.clear()
    desk.say("all forgotten")


def _undo(desk: Desk, _: str) -> None:
    last = desk.dialogue.take_back()
    kept = "; its pictures wait for the next question" if last.pictures else ""
    desk.say(f"taken back: {_shortened(last.question)}{kept}")


def _regen(desk: Desk, _: str) -> Next:
    question = desk.dialogue.take_back().question
    if desk.dialogue.options.temperature == 0:
        desk.say("at temperature 0 the answer stays the same: /set temperature 0.7")
    return Next(question=question)


def _edit(desk: Desk, text: str) -> Next:
    last = desk.dialogue.take_back()
    return Next(question=text) if text else Next(edit=last.question)


def _system(desk: Desk, text: str) -> None:
    if text:
        desk.dialogue.system = None if text == "off" else text
    own = desk.dialogue.system
    desk.say("the model's own system text" if own is None else f"system: {own}")


def _set(desk: Desk, text: str) -> None:
    name, _, value = text.partition(" ")
    if name and not value.strip():
        raise UsageError(f"/set {name}: a value is missing", hint="/set temperature 0.7")
    if name:
        desk.dialogue.set_option(name, value.strip())
    desk.say(", ".join(f"{key} {_shown(each)}" for key, each in desk.dialogue.settings().items()))


def _save(desk: Desk, text: str) -> None:
    path = _new_file(text, "/save dialogue.json")
    transcript.save(desk.dialogue, path, desk.model)
    desk.say(f"saved {path}")


def _load(desk: Desk, text: str) -> None:
    path = _one_path(text, "/load dialogue.json")
    desk.dialogue = transcript.load(path)
    said, shown = len(desk.dialogue.exchanges), len(list(desk.dialogue.pictures()))
    desk.say(f"loaded {path}; questions: {said}, pictures: {shown}")


def _export(desk: Desk, text: str) -> None:
    path = _new_file(text, "/export dialogue.md, or .json for a record to train on")
    transcript.export(desk.dialogue, path, desk.model)
    desk.say(f"exported {path}")


def _copy(desk: Desk, _: str) -> None:
    from pumice.cli.clipboard import copy_text

    answer = desk.dialogue.last().answer
    if not answer:
        raise UsageError("the last answer is empty")
    desk.say(f"copied the last answer, {len(answer)} characters, by {copy_text(answer)}")


def _stats(desk: Desk, _: str) -> None:
    from pumice.cli.output import stats_line

    desk.say("no answer yet" if desk.last is None else stats_line(desk.last))


def _text(desk: Desk, text: str) -> Next:
    if not text:
        raise UsageError("nothing to send", hint="/text what does cat.jpg mean?")
    return Next(question=text)


def _help(desk: Desk, _: str) -> None:
    width = max(len(f"{name} {each.takes}") for name, each in COMMANDS.items())
    for name, each in COMMANDS.items():
        desk.say(f"/{f'{name} {each.takes}':{width}}  {each.help}")
    desk.say(MANNERS)


def _exit(desk: Desk, _: str) -> Next:
    return Next(leave=True)


MANNERS = '''\
A picture's path or address in a question adds the picture; so does a file dropped here.
Alt-Enter begins a new line, and so does everything between """ and """.
Ctrl-C stops an answer and keeps what is there; Ctrl-C twice, or Ctrl-D, leaves.'''

COMMANDS = {
    "image": Command("FILE|URL|clip: ...", "add pictures to the next question", _image, paths=True),
    "images": Command("", "list the pictures and what the model sees of them", _images),
    "drop": Command("N", "take picture N out of the conversation", _drop),
    "clear": Command("", "forget the conversation and its pictures", _clear),
    "undo": Command("", "take back the last question and its answer", _undo),
    "regen": Command("", "answer the last question again", _regen),
    "edit": Command("[TEXT]", "change the last question, then ask it", _edit),
    "system": Command("[TEXT|off]", "show or replace the system text", _system),
    "set": Command("[NAME VALUE]", "show or change temperature, top_p, top_k, max_tokens, seed, stop", _set),
    "save": Command("FILE", "keep the conversation, pictures included", _save, paths=True),
    "load": Command("FILE", "go on with a saved conversation", _load, paths=True),
    "export": Command("FILE.md|.json", "write it to be read, or to train on", _export, paths=True),
    "copy": Command("", "put the last answer on the clipboard", _copy),
    "stats": Command("", "times and token counts of the last answer", _stats),
    "text": Command("QUESTION", "ask without looking for pictures' names in it", _text),
    "help": Command("", "show this", _help),
    "exit": Command("", "leave", _exit),
}


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return repr(value[0]) if value else "off"
    return "off" if value is None else f"{value}"
