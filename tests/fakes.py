"""Small stand-ins with the real ones' manners, for tests that are not about the model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pumice.cli.settings import Settings
from pumice.engine.answer import Answer, FinishReason, Sight, Timings, Usage
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation

#: How an answer ends that nobody stops.
REASON: FinishReason = "stop"


class ScriptedStream:
    """Yields the given pieces; an exception among them is raised, a callable is called."""

    def __init__(self, script: Sequence[str | BaseException | Callable[[], None]], seed: int | None) -> None:
        self._script = script
        self._seed = seed
        self._cancelled = False
        self._said: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for step in self._script:
            if self._cancelled:
                return
            if isinstance(step, BaseException):
                raise step
            if callable(step):
                step()
            else:
                self._said.append(step)
                yield step

    def cancel(self) -> None:
        self._cancelled = True

    @property
    def answer(self) -> Answer:
        reason = "cancelled" if self._cancelled else REASON
        usage = Usage(prompt_tokens=40, image_tokens=25, cached_tokens=0, completion_tokens=len(self._said))
        return Answer("".join(self._said), reason, usage, Timings(0.01, 0.02, 0.05, 0.25), self._seed)


@dataclass
class ScriptedEngine:
    """Answers question after question from a script, the last answer for ever; remembers what it was asked."""

    answers: Sequence[Sequence[str | BaseException | Callable[[], None]]] = (("Two ", "dice."),)
    name: str = "scripted"
    warnings: tuple[str, ...] = ()
    most: int = 8
    asked: list[Conversation] = field(default_factory=list)
    options: list[SamplingOptions] = field(default_factory=list)
    opened: list[Settings] = field(default_factory=list)

    def __call__(self, settings: Settings) -> ScriptedEngine:
        """Stands in for ``pumice.cli.session.open_engine``."""
        self.opened.append(settings)
        return self

    def sees(self, width: int, height: int, *, alone: bool = True) -> Sight:
        """As a model with small tiles would."""
        return Sight("pad", 28, 1, 4)

    def stream(self, conversation: Conversation, options: SamplingOptions) -> ScriptedStream:
        self.asked.append(conversation)
        self.options.append(options)
        return ScriptedStream(self.answers[min(len(self.asked), len(self.answers)) - 1], options.seed)


def python_path(project: Path) -> str:
    """For processes of their own: this source tree, then whatever this process was told."""
    return os.pathsep.join([str(project / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
