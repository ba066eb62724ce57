"""Who answers a benchmark: the engine or a server, as an ``Answerer``, and what there is to write down about it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from pumice import __version__
from pumice.cli.output import note_warnings, waiting
from pumice.cli.pictures import load_pictures, picture_of
from pumice.cli.session import AnsweringEngine, AnswerStream, Opener, open_answering
from pumice.cli.settings import Settings
from pumice.cli.together import answers_in_order
from pumice.errors import PumiceError
from pumice.evaluate.questions import JSON, Answerer, Question, Reply
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image, Turn

if TYPE_CHECKING:
    from pumice.engine.engine import Engine

#: Pictures that are kept decoded: questions about one mostly follow each other.
_KEPT = 8
_LIBRARIES = ("torch", "numpy", "pillow", "tokenizers", "sentencepiece", "safetensors")


class Respondent:
    """A model or a server, opened when it is first asked."""

    def __init__(self, settings: Settings, jobs: int, opener: Opener | None = None) -> None:
        """jobs: answers that are made together. opener: how to get an engine; None gets the real one."""
        self._settings = settings
        self._jobs = jobs
        self._opener = opener or open_answering
        self._engine: AnsweringEngine | None = None

    @property
    def engine(self) -> AnsweringEngine:
        """Raises as ``Opener`` does."""
        if self._engine is None:
            with waiting("loading the model", self._settings):
                self._engine = self._opener(self._settings)
            note_warnings(self._engine, self._settings)
            self._engine.most = self._jobs
        return self._engine

    def answerer(self, options: SamplingOptions) -> Answerer:
        """Answers by the engine, in order, each as soon as it is there; a question's own errors in its place."""

        def answer(conversations: Sequence[Conversation]) -> Iterable[Reply]:
            return self._answers(conversations, options)

        return answer

    def _answers(self, conversations: Sequence[Conversation], options: SamplingOptions) -> Iterator[Reply]:
        engine, system = self.engine, self._settings.system
        read = lru_cache(_KEPT)(self._read)

        def begin(conversation: Conversation) -> AnswerStream:
            turns = tuple(
                Turn(turn.role, tuple(read(part) if isinstance(part, Image) else part for part in turn.parts))
                for turn in conversation.turns
            )
            words = conversation.system if system is None else system
            return engine.stream(replace(conversation, turns=turns, system=words), options)

        for _, found in answers_in_order(begin, conversations, engine.most):
            if isinstance(found, Exception) and not isinstance(found, PumiceError):
                raise found
            yield found if isinstance(found, PumiceError) else found.text

    def _read(self, image: Image) -> Image:
        source = image.source
        if isinstance(source, bytes):
            return picture_of("a picture of the benchmark's table", source).part
        if isinstance(source, str | Path):
            return load_pictures([str(source)], self._settings)[0].part
        return image

    def facts(self, first: Question) -> dict[str, JSON]:
        """What answers also depend on, besides what was asked for: the model as it was loaded, the prompt, versions.

        first: whose prompt is shown as the model gets it.
        """
        facts: dict[str, JSON] = {"pumice": __version__, "python": platform.python_version()}
        facts["platform"] = platform.platform()
        facts["libraries"] = {name: found for name in _LIBRARIES if (found := _version(name))}
        facts["model"] = self.engine.name
        if self._settings.server is None and self._opener is open_answering:
            facts |= _of_weights(self.engine, first)  # type: ignore[arg-type]
        return facts


def _of_weights(engine: Engine, first: Question) -> dict[str, JSON]:
    from pumice.prompts.templates import prompt_text, render

    how = engine.processor.preprocessing
    return {
        "template": engine.processor.template.name,
        "preprocessing": None if how is None else {name: _plain(value) for name, value in asdict(how).items()},
        "dtype": str(engine.model.dtype).removeprefix("torch."),
        "device": str(engine.model.device),
        "first_prompt": prompt_text(render(engine.processor.template, first.conversation)),
    }


def _plain(value: object) -> JSON:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
