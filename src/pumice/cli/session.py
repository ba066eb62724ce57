"""What the commands need of an engine, and how they get the real one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pumice.cli.settings import Settings
from pumice.engine.answer import Answer, Sight
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation

if TYPE_CHECKING:
    from pumice.engine.engine import Engine
    from pumice.engine.looking import Look


class AnswerStream(Protocol):
    """Pieces of text as they come; ``answer`` is there once they have ended."""

    def __iter__(self) -> Iterator[str]: ...

    def cancel(self) -> None:
        """Ends the stream before its next piece. Safe to call from a signal handler."""

    @property
    def answer(self) -> Answer: ...


class AnsweringEngine(Protocol):
    """The part of ``pumice.engine.engine.Engine`` that the command line uses."""

    @property
    def name(self) -> str: ...

    @property
    def warnings(self) -> tuple[str, ...]: ...

    def sees(self, width: int, height: int, *, alone: bool = True) -> Sight | None:
        """None where nobody says. Raises UsageError for a model that cannot look at pictures."""

    most: int
    """How many requests are answered together; the others wait."""

    def look(self, conversation: Conversation) -> list[Look]:
        """What the last answer of ``conversation`` looked at in each picture."""

    def stream(self, conversation: Conversation, options: SamplingOptions) -> AnswerStream: ...


Opener: TypeAlias = Callable[[Settings], AnsweringEngine]


def open_answering(settings: Settings, guess: str | None = None) -> AnsweringEngine:
    """The server that the settings name; without one, the model that they name."""
    if settings.server is None:
        return open_engine(settings, guess)
    from pumice.cli.remote_session import open_remote

    return open_remote(settings)


def open_engine(settings: Settings, guess: str | None = None, *, kv_bytes: int | None = None) -> Engine:
    """Loads the model that the settings name. The first place of a command that imports torch.

    guess: the template of a checkpoint that does not tell its own. kv_bytes: as for the engine.
    """
    if settings.quiet:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"  # read when huggingface_hub is imported
    from pumice.checkpoint.load import Guess
    from pumice.engine.engine import Engine
    from pumice.quantize.plan import standard_plan

    return Engine.load(
        settings.model,
        base=settings.base,
        vision_tower=settings.vision_tower,
        template=settings.template if settings.template or guess is None else Guess(guess),
        device=settings.device,
        dtype=settings.dtype,
        offline=settings.offline,
        quantization=None if settings.bits is None else standard_plan(settings.bits),
        kv_8bit=settings.kv_8bit,
        kv_bytes=kv_bytes,
        writing=settings.text_in_images,
    )
