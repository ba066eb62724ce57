"""What a benchmark is to the rest of evaluation: its files, its questions, how it is scored, and what was published.

    task = TASKS["pope"]                       # pumice.evaluate.tasks.table
    for question in task.questions(folder): ...
    scored = task.score(task.answers(path), folder, task.default_profile)

A benchmark's folder holds its official files as they were downloaded, under the names and in the places that the
benchmark's own archive or the original's ``eval.zip`` gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from pumice.errors import UsageError
from pumice.evaluate.questions import Answer, Question
from pumice.evaluate.statistic import Scored

#: Whose rules a file of answers is scored by: the benchmark's authors', the original's scripts', or those of a harness.
Profile: TypeAlias = Literal["official", "llava", "lmms-eval", "vlmevalkit"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

#: What the original appends to questions whose answer is short, and to those with options.
SHORT = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."


@dataclass(frozen=True)
class File:
    """A file or folder that a benchmark needs.

    names: where it may be, relative to the benchmark's folder, the usual place first; ``*`` stands for any characters.
    what: what it holds, in a few words. source: where to get it, for whoever has not.
    """

    names: tuple[str, ...]
    what: str
    source: str

    def all(self, folder: Path) -> list[Path]:
        """Every one that is there, in the order of the names."""
        return list(dict.fromkeys(path for name in self.names for path in sorted(folder.glob(name))))

    def find(self, folder: Path) -> Path:
        """The first that is there. Raises UsageError that says what to download, and where to put it."""
        found = self.all(folder)
        if found:
            return found[0]
        if not folder.is_dir():
            raise UsageError(f"there is no folder {str(folder)!r}", hint=f"it is to hold {self.what}: {self.advice}")
        others = f" (or {', '.join(self.names[1:])})" if len(self.names) > 1 else ""
        raise UsageError(f"{folder} has no {self.names[0]}{others}: {self.what}", hint=self.advice)

    @property
    def advice(self) -> str:
        """What to do if it is missing."""
        return f"get it from {self.source} and put it there as {self.names[0]}"


@dataclass(frozen=True)
class Task:
    """One benchmark.

    name: on the command line. title: in reports. folder: its place below the original's ``playground/data/eval``.
    files: everything that ``questions`` and ``score`` may ask for, for help and documentation.
    questions: of a folder, prompts as in the paper; pictures are named, not read.
    answers: reads a file of predictions in any of the shapes that the benchmark's tools write.
    score: by the rules of a profile. submission: writes the file that the benchmark's server takes, if it has one.
    default_profile: the one that the paper's column was made with.
    published: LLaVA-1.5's figures by model ("7B", "13B"), of the headline metric.
    max_tokens: what the original lets a model answer at most.
    """

    name: str
    title: str
    folder: str
    files: tuple[File, ...]
    questions: Callable[[Path], Iterable[Question]]
    answers: Callable[[Path], Sequence[Answer]]
    score: Callable[[Sequence[Answer], Path, Profile], Scored]
    profiles: tuple[Profile, ...] = PROFILES
    default_profile: Profile = "llava"
    published: Mapping[str, float] = field(default_factory=dict)
    submission: Callable[[Sequence[Answer], Path, Path], None] | None = None
    max_tokens: int = 128

    def require(self, profile: str) -> Profile:
        """A profile by its name. Raises UsageError if the benchmark has none of this name."""
        for each in self.profiles:
            if each == profile:
                return each
        raise UsageError(f"{self.name} has no scoring profile {profile!r}", hint=f"it has {', '.join(self.profiles)}")
