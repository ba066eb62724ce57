"""Answers on disk, in the original's format: a line each, whole or not there, so that a run that was killed goes on.

    {"question_id": 7, "prompt": "...", "text": "Yes", "answer_id": "...", "model_id": "...", "metadata": {}}

Questions are told apart by id and prompt (MME and TextVQA repeat ids); if those repeat, too, by how often.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from pumice.errors import PumiceError, UsageError
from pumice.evaluate.questions import Question, written
from pumice.files import fresh_file

Key: TypeAlias = tuple[str, str]
_ANSWER_ID = 22  # characters, as those of the original's


def key_of(question: Question) -> Key:
    """What a line of answers says about its question."""
    return question.id, question.prompt


class AnswersFile:
    """One file, one writer at a time. lines: what is in it, by key, each as it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[Key, list[bytes]] = defaultdict(list)

    @contextmanager
    def opened(self) -> Iterator[AnswersFile]:
        """Within, lines can be added. What was there is read; a last line that was cut off is removed.

        Raises UsageError: another process has the file, it holds something else, or the disk refuses.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            hint = "wait until it has ended, or choose another folder with -o"
            raise UsageError(f"another process is writing to {self.path}", hint=hint) from None
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror or error}") from error
        try:
            self._recover()
            yield self
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)

    def read(self) -> None:
        """Takes in what there is, without changing it. Raises UsageError for a line that is no answer."""
        self._lines.clear()
        for number, line in enumerate(self._whole().splitlines(), 1):
            self._lines[_key(line, f"{self.path}, line {number}")].append(line)

    def pending(self, questions: Iterable[Question]) -> list[Question]:
        """Those without a line, in their order."""
        left = Counter({key: len(lines) for key, lines in self._lines.items()})
        waiting = []
        for question in questions:
            if left[key_of(question)]:
                left[key_of(question)] -= 1
            else:
                waiting.append(question)
        return waiting

    def add(self, question: Question, text: str, model: str) -> None:
        """One line more: given to the system in one piece before this returns.

        Raises PumiceError: the disk refuses. What it has taken of the line is removed on the way back.
        """
        line = _line(question, text, model)
        rest = memoryview(line + b"\n")
        try:
            with self.path.open("ab", buffering=0) as file:
                while rest:  # a disk that becomes full takes a part first
                    rest = rest[file.write(rest) :]
        except OSError as error:
            hint = "free some space, then run the same command again: it goes on where it stopped"
            raise PumiceError(f"{self.path} cannot be written: {error.strerror or error}", hint=hint) from error
        self._lines[key_of(question)].append(line)

    def arrange(self, questions: Sequence[Question]) -> None:
        """Puts the lines into the questions' order, which some scorers go by; others stay behind them."""
        self.write([], questions)

    def write(self, parts: Sequence[AnswersFile], questions: Sequence[Question]) -> None:
        """This file's lines and those of its parts, in the order of the questions, in place of what is there.

        Answers to questions that are asked no more (of a larger limit) stay behind the others; a second answer to the
        same question goes.
        """
        self.read()
        waiting: dict[Key, deque[bytes]] = defaultdict(deque)
        for each in (self, *parts):
            for key, lines in each._lines.items():
                waiting[key].extend(lines)
        keys = [key_of(question) for question in questions]
        ordered = [waiting[key].popleft() for key in keys if waiting[key]]
        asked = set(keys)
        ordered += dict.fromkeys(line for key, lines in waiting.items() if key not in asked for line in lines)
        content = b"".join(line + b"\n" for line in ordered)
        if content != self._content():
            with fresh_file(self.path, overwrite=True) as file:
                file.write(content)

    def _recover(self) -> None:
        self.read()
        whole = len(self._whole())
        if whole < len(self._content()):
            os.truncate(self.path, whole)

    def _whole(self) -> bytes:
        """The file up to its last end of a line."""
        content = self._content()
        return content[: content.rfind(b"\n") + 1]

    def _content(self) -> bytes:
        """What is in the file; nothing if there is none."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror or error}") from error


def _line(question: Question, text: str, model: str) -> bytes:
    answer_id = hashlib.sha256(
        "\0".join((model, question.id, question.prompt)).encode("utf-8", "surrogatepass")
    ).hexdigest()
    line: dict[str, object] = {
        "question_id": int(question.id) if question.id_is_number else question.id,
        "prompt": question.prompt,
        "text": text,
        "answer_id": answer_id[:_ANSWER_ID],
        "model_id": model,
        "metadata": {},
    }
    return written(line)


def _key(line: bytes, place: str) -> Key:
    try:
        found = json.loads(line)
        return str(found["question_id"]), str(found["prompt"])
    except (ValueError, KeyError, TypeError):
        hint = "remove the line, or choose another folder with -o"
        raise UsageError(f"{place} was not written by pumice evaluate run", hint=hint) from None
