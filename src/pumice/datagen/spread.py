"""The same work on many processors: chunks go out to processes here or to Ray, results come back in order.

What is done must depend on its chunk alone, so that the results are the same wherever they were made.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from importlib.util import find_spec
from multiprocessing import connection, get_context, parent_process
from typing import Any, Literal, TypeAlias, TypeVar

from pumice.errors import PumiceError, ServerError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")
#: This process alone, so many beside it, or the machines of a Ray cluster.
Where: TypeAlias = int | Literal["ray"]

_PATIENCE_S = 30.0  # for a cluster; Ray itself goes on trying for minutes, and says so on stderr all the while
_HERE = ("", "local")  # no address at all, in Ray's words
_KNOCK = """\
import logging, ray
ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
ray.shutdown()
"""
_AHEAD = 2  # chunks in hand for every processor: one at work, one waiting


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of ``size``; the last may be shorter."""
    left = iter(items)
    while chunk := list(itertools.islice(left, size)):
        yield chunk


def in_order(work: Callable[[Item], Result], items: Iterable[Item], where: Where) -> Generator[Result, None, None]:
    """``work`` of every item, in the order of the items; only a few are held at a time.

    work, items and results must be picklable unless ``where`` is 1. Close the iterator to end the processes early.

    Raises: UsageError if Ray is asked for and not installed; ServerError if a process or machine is lost; what ``work``
    raises.
    """
    if where == "ray":
        return _by_ray(work, items)
    if where == 1:
        return (work(item) for item in items)
    return _by_processes(work, items, where)


def _windowed(
    submit: Callable[[Item], Any], result: Callable[[Any], Result], items: Iterable[Item], most: int
) -> Iterator[Result]:
    under_way: deque[Any] = deque()
    for item in items:
        under_way.append(submit(item))
        if len(under_way) >= most:
            yield result(under_way.popleft())
    while under_way:
        yield result(under_way.popleft())


def _by_processes(work: Callable[[Item], Result], items: Iterable[Item], count: int) -> Generator[Result, None, None]:
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_attend_to_parent)
    try:
        yield from _windowed(
            lambda item: pool.submit(work, item), lambda future: future.result(), items, _AHEAD * count
        )
    except BrokenProcessPool as error:
        raise ServerError(
            "a process that was at work ended by itself, perhaps for want of memory",
            hint="run the same command again, with fewer --workers; it goes on where it was",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _attend_to_parent() -> None:
    """A worker leaves Ctrl-C to its parent, and ends with it, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def leave() -> None:
            connection.wait([sentinel])
            os._exit(1)

        threading.Thread(target=leave, daemon=True, name="parent").start()


def _by_ray(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
    if find_spec("ray") is None:
        raise UsageError("--ray needs Ray", hint="pip install 'pumice[scale]'")
    import ray

    mine = not ray.is_initialized()
    if mine:
        _require_cluster()
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise ServerError(
                f"Ray cannot be reached: {error}", hint="RAY_ADDRESS names the cluster; without it one is started here"
            ) from error
    try:
        with closing(_ray_results(work, items)) as results:
            yield from results
    finally:
        if mine:
            ray.shutdown()


def _require_cluster() -> None:
    """Raises ServerError if the cluster that RAY_ADDRESS names does not answer a process that can be given up."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address in _HERE:
        return
    hint = "is it running? RAY_ADDRESS names the cluster; without it one is started here"
    try:
        knocked = subprocess.run(
            [sys.executable, "-c", _KNOCK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"Ray's cluster at {address} did not answer within {_PATIENCE_S:g} s", hint=hint) from error
    if knocked.returncode:
        said = knocked.stderr.decode(errors="replace").strip().splitlines()
        raise ServerError(f"Ray's cluster at {address} cannot be reached: {said[-1] if said else ''}", hint=hint)


def _ray_results(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Any, None, None]:
    import ray
    from ray.exceptions import RayError, RayTaskError

    task: Any = ray.remote(num_cpus=1)(_done)
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # it has no types
    processors = max(1, int(resources.get("CPU", 1)))
    try:
        yield from _windowed(lambda item: task.remote(work, item), ray.get, items, _AHEAD * processors)
    except RayTaskError as error:
        if isinstance(error.cause, PumiceError):
            raise error.cause from error
        raise
    except RayError as error:
        raise ServerError(
            f"Ray lost a task: {error}", hint="run the same command again; it goes on where it was"
        ) from error


def _done(work: Callable[[Item], Result], item: Item) -> Result:
    return work(item)
