"""How far a long job is: a bar on a terminal, elsewhere a line for every tenth."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pumice.cli.output import note, shows_motion
from pumice.cli.settings import Settings


@contextmanager
def counting(total: int, done: int, settings: Settings) -> Iterator[Callable[[int], None]]:
    """Within, call what comes for every one of ``total`` that is done, with how many of all have failed.

    done: how many were done before.
    """
    if settings.quiet:
        yield lambda failed: None
    elif shows_motion(settings):
        yield from _bar(total, done)
    else:
        yield _lines(total, done, settings)


def _lines(total: int, done: int, settings: Settings) -> Callable[[int], None]:
    def one_more(failed: int) -> None:
        nonlocal done
        done += 1
        if 10 * done // total > 10 * (done - 1) // total:
            note(f"{done} of {total} done ({100 * done // total} %), {failed} errors", settings)

    return one_more


def _bar(total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]} errors"), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        bar = progress.add_task("", total=total, completed=done, failed=0)
        yield lambda failed: progress.update(bar, advance=1, failed=failed)
