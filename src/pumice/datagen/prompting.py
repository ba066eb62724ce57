"""What a teacher is asked: a system message and worked examples for each kind, from text files that anyone can replace.

    prompts/conversation/system_message.txt
    prompts/conversation/000_caps.txt    what the teacher would be told
    prompts/conversation/000_conv.txt    what it should reply

The names are the original's, so a folder of its prompts can be used as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, get_args

from pumice.annotations.scene import Scene
from pumice.datagen.context import context
from pumice.datagen.parsing import parse
from pumice.datagen.samples import Kind, Rejection
from pumice.errors import UsageError
from pumice.files import unreadable

Message: TypeAlias = Mapping[str, str]

_SYSTEM = "system_message.txt"
_TOLD = re.compile(r"(\w+)_caps\.txt")
#: As the original's folders are called.
_ORIGINAL: dict[Kind, str] = {"detail": "detail_description", "reasoning": "complex_reasoning"}


@dataclass(frozen=True)
class Example:
    """What the teacher is told, and what it should reply."""

    told: str
    reply: str


@dataclass(frozen=True)
class Prompt:
    """The prompt of one kind."""

    system: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class PromptSet:
    """The prompts of all kinds that there are texts for. version: changes with any of their words."""

    prompts: Mapping[Kind, Prompt]
    version: str

    @staticmethod
    def load(folder: Path | None = None) -> PromptSet:
        """Pumice's own prompts; kinds that ``folder`` has a folder for are taken from there.

        Raises: UsageError naming the file that is missing, unreadable or no example of its kind.
        """
        found = dict(_prompts(Path(__file__).with_name("prompts")))
        if folder is not None:
            if not folder.is_dir():
                raise UsageError(f"expected a folder of prompts, found no folder {str(folder)!r}")
            own = dict(_prompts(folder))
            if not own:
                kinds = ", ".join(sorted(found))
                raise UsageError(f"{str(folder)!r} has no prompts", hint=f"it needs a folder named as a kind: {kinds}")
            found |= own
        return PromptSet(found, _version(found))


def messages(scene: Scene, kind: Kind, prompts: PromptSet) -> tuple[Message, ...] | None:
    """The conversation that ends with the scene; None if there is no prompt of this kind or too little to say."""
    prompt = prompts.prompts.get(kind)
    told = context(scene, kind)
    if prompt is None or not told:
        return None
    shots = [
        message
        for example in prompt.examples
        for message in ({"role": "user", "content": example.told}, {"role": "assistant", "content": example.reply})
    ]
    return ({"role": "system", "content": prompt.system}, *shots, {"role": "user", "content": told})


def _prompts(folder: Path) -> Iterator[tuple[Kind, Prompt]]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        for name in (kind, _ORIGINAL.get(kind, kind)):
            own = folder / name
            if own.is_dir():
                yield kind, _prompt(own, kind)
                break


def _prompt(folder: Path, kind: Kind) -> Prompt:
    names = sorted(each.name for each in folder.iterdir())
    if _SYSTEM not in names:
        raise UsageError(f"the prompt in {str(folder)!r} has no {_SYSTEM}")
    examples = []
    for name in names:
        numbered = _TOLD.fullmatch(name)
        if numbered is None:
            continue
        answer = f"{numbered[1]}_conv.txt"
        if answer not in names:
            raise UsageError(f"the example {name!r} in {str(folder)!r} has no reply: {answer} is missing")
        example = Example(_text(folder / name), _text(folder / answer))
        read = parse(kind, example.reply)
        if isinstance(read, Rejection):
            raise UsageError(
                f"{str(folder / answer)!r} shows the teacher a reply that would be refused: {read.detail}",
                hint="a reply is Question:, the question, ===, Answer:, the answer, ===; of kind detail the text alone",
            )
        examples.append(example)
    return Prompt(_text(folder / _SYSTEM), tuple(examples))


def _text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8").lstrip("\ufeff").strip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(file)!r} is not UTF-8 text: byte {error.start} is wrong") from None
    except OSError as error:
        raise unreadable(file, error) from error
    if not text:
        raise UsageError(f"{str(file)!r} is empty")
    return text


def _version(prompts: Mapping[Kind, Prompt]) -> str:
    """Twelve hexadecimal digits of the hash of all words, in an order that no file system decides."""
    digest = hashlib.sha256()
    for kind in sorted(prompts):
        prompt = prompts[kind]
        for text in (kind, prompt.system, *(part for each in prompt.examples for part in (each.told, each.reply))):
            encoded = text.encode("utf-8")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()[:12]
