"""Processes that are forked from one that has imported all that training needs, which takes longer than the training.

Run as a program, this is that one: it reads what to do, a line of JSON each, and answers with a line each. What it
forks runs as ``python`` would run it, in a process of its own that can be killed and whose exit code is its own.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Running:
    """Processes that work together. said: a file of what each has written on stdout and stderr."""

    nursery: Nursery
    numbers: tuple[int, ...]
    said: tuple[Path, ...]

    def poll(self) -> list[int | None]:
        """Exit codes, -9 after SIGKILL; None for who still runs."""
        return [self.nursery.ask(wait=number, patient=False) for number in self.numbers]

    def wait(self) -> list[int]:
        """Exit codes, once all have ended."""
        return [self.nursery.ask(wait=number, patient=True) for number in self.numbers]

    def text(self) -> str:
        return "\n".join(path.read_text() for path in self.said)


class Nursery:
    """Starts processes that begin with everything imported."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._asked: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout
        self._folder = folder
        self._started: list[Running] = []

    def ask(self, **what: Any) -> Any:
        self._asked.write(json.dumps(what) + "\n")
        self._asked.flush()
        return json.loads(self._answers.readline())

    def start(self, *words: str, processes: int = 1) -> Running:
        """``python WORDS``; ``processes`` of them find each other, as those do that ``torchrun`` starts."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        numbers, said = [], []
        for rank in range(processes):
            said.append(self._folder / f"{len(self._started)}-{rank}.txt")
            mine = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            told = {**meeting, **mine} if processes > 1 else {}
            numbers.append(self.ask(words=words, environment=told, said=str(said[-1])))
        self._started.append(Running(self, tuple(numbers), tuple(said)))
        return self._started[-1]

    def run(self, *words: str, processes: int = 1) -> Running:
        """As ``start``, to the end, which must be a good one."""
        started = self.start(*words, processes=processes)
        assert started.wait() == [0] * processes, started.text()
        return started

    def end(self) -> None:
        """Of those that a failed test has left."""
        for running in self._started:
            for number, code in zip(running.numbers, running.poll(), strict=True):
                if code is None:
                    os.kill(number, signal.SIGKILL)
        self._asked.close()


@contextmanager
def nursery(folder: Path, environment: dict[str, str]) -> Iterator[Nursery]:
    words = [sys.executable, "-m", "train.warm"]
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        opened = Nursery(process, folder)
        try:
            yield opened
        finally:
            opened.end()


def _become(words: list[str], environment: dict[str, str], said: str) -> None:
    """What the child of a fork does until its end, which is the exit that this raises."""
    os.environ.update(environment)
    nothing, out = os.open(os.devnull, os.O_RDONLY), os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor, stream in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(descriptor, stream)
    module, *rest = words[1:] if words[0] == "-m" else words
    sys.argv = [module, *rest]
    if words[0] == "-m":
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(module, run_name="__main__")
    sys.exit(0)


def _serve() -> None:
    import matplotlib.figure  # noqa: F401
    import torch._dynamo  # noqa: F401

    import pumice.cli.train
    import pumice.train.run  # noqa: F401

    ended: dict[int, int] = {}
    # Not sys.stdin: what is forked begins with one that nobody has read from.
    for line in os.fdopen(os.dup(0)):
        asked = json.loads(line)
        if "words" in asked:
            answer: int | None = os.fork()
            if answer == 0:
                _become(**asked)
        else:
            number = asked["wait"]
            if number not in ended:
                found, status = os.waitpid(number, 0 if asked["patient"] else os.WNOHANG)
                if found:
                    ended[number] = os.waitstatus_to_exitcode(status)
            answer = ended.get(number)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
