"""Several processes of this machine, each with one part of the work, on a device of its own if there are several."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TypeAlias

from pumice.errors import PumiceError

#: Does part ``index``; calls the function for everything that is done, with how many of all have failed.
Work: TypeAlias = Callable[[int, Callable[[int], None]], None]
_GPUS = Path("/proc/driver/nvidia/gpus")


def in_parts(work: Work, count: int, done: Callable[[int], None]) -> None:
    """Does all parts at once, in processes that end with this one. work: a function that other processes can be sent.

    Raises: the first error of any part, once the others have been stopped; PumiceError if one was killed.
    """
    context = multiprocessing.get_context("spawn")
    devices = visible_devices()
    connections: dict[Connection, int] = {}
    processes = []
    failed = [0] * count
    try:
        for index in range(count):
            mine, theirs = context.Pipe(duplex=False)
            environment = _environment(index, count, devices)
            process = context.Process(target=_part, args=(work, index, environment, theirs), daemon=True)
            with _deaf_to_interrupts():
                process.start()
            theirs.close()
            processes.append(process)
            connections[mine] = index
        while connections:
            for connection in wait(list(connections)):
                assert isinstance(connection, Connection)
                index = connections[connection]
                try:
                    news = connection.recv()
                except EOFError:
                    raise PumiceError(
                        f"part {index + 1} of {count} ended without a word",
                        hint="was it out of memory? run the same command again: it goes on where it stopped",
                    ) from None
                if isinstance(news, BaseException):
                    raise news
                if news is None:
                    del connections[connection]
                else:
                    failed[index] = news
                    done(sum(failed))
    finally:
        for process in processes:
            if connections:
                process.terminate()
            process.join()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that begin within never hear of Ctrl-C, at which each of them would print a traceback: whoever began
    them hears it, and ends them."""
    if threading.current_thread() is not threading.main_thread():  # only there may it be set
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _part(work: Work, index: int, environment: dict[str, str], connection: Connection) -> None:
    """Runs in the new process. That nobody listens any more ends it, too."""
    os.environ.update(environment)
    try:
        work(index, connection.send)
        connection.send(None)
    except BrokenPipeError:
        return
    except Exception as error:
        connection.send(_sendable(error))


def _sendable(error: Exception) -> Exception:
    """The error itself, or its words: not every library's errors can be put together again in another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _environment(index: int, count: int, devices: Sequence[str]) -> dict[str, str]:
    if len(devices) > 1:
        return {"CUDA_VISIBLE_DEVICES": devices[index % len(devices)]}
    if devices:
        return {}
    cores = os.cpu_count() or 1
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // count)))}


def visible_devices() -> list[str]:
    """Names of the GPUs that a process may be given, without loading what could use them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name]
    return [str(index) for index, _ in enumerate(_GPUS.iterdir())] if _GPUS.is_dir() else []
