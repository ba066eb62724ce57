"""Which questions of a benchmark are asked, how, and by whose rules answers are scored: options of ``evaluate run``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from typer import Option

from pumice.errors import UsageError
from pumice.evaluate.controls import Control, require_control
from pumice.evaluate.layout import Shard

MOST_JOBS = 256
Profile: TypeAlias = Annotated[
    str | None,
    Option(
        "--profile", metavar="NAME", help="Whose rules: official, llava, lmms-eval, vlmevalkit. Default: the paper's."
    ),
]


@dataclass(frozen=True)
class Asking:
    """Each field is an option of the same name. Raises UsageError for values that do not go together."""

    limit: Annotated[
        int | None,
        Option("--limit", min=1, metavar="N", help="About N questions of each: whole pictures, always the same."),
    ] = None
    control: Annotated[
        list[str] | None,
        Option(
            "--control", metavar="blind|shuffled", help="Ask again without pictures, or with other ones. Repeatable."
        ),
    ] = None
    profile: Profile = None
    jobs: Annotated[int, Option("--jobs", "-j", metavar="N", min=1, max=MOST_JOBS, help="Answers made together.")] = 8
    shards: Annotated[int, Option("--shards", metavar="N", min=1, help="Cut the questions into N parts.")] = 1
    shard: Annotated[
        int | None,
        Option(
            "--shard",
            metavar="K",
            min=1,
            help="Do part K of N only. Default: all, each in a process, on a GPU of its own.",
        ),
    ] = None
    overwrite: Annotated[bool, Option("--overwrite", help="Throw away answers that are there.")] = False

    def __post_init__(self) -> None:
        if self.shard is not None and self.shard > self.shards:
            hint = "with --shards N they are numbered from 1 to N"
            raise UsageError(f"--shard {self.shard} is none of {self.shards} parts", hint=hint)
        if self.shard is not None and self.overwrite:
            hint = "remove the folder's files first"
            raise UsageError("--overwrite with --shard would throw away other parts", hint=hint)
        for each in self.control or ():
            require_control(each)

    @property
    def controls(self) -> tuple[Control, ...]:
        """Each once, in their order."""
        return tuple(dict.fromkeys(map(require_control, self.control or ())))

    @property
    def parts(self) -> Sequence[Shard]:
        """Those that this process sees to."""
        indices = range(self.shards) if self.shard is None else [self.shard - 1]
        return [Shard(index, self.shards) for index in indices]
