"""The thread that makes an engine's turns for all callers of a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pumice.engine.engine import Engine

#: Is told after every turn; with the error if there will be no other.
Told = Callable[[Exception | None], None]


class Turns:
    """Makes turns as long as there is something to do, and sleeps in between."""

    def __init__(self, engine: Engine, told: Told) -> None:
        self._engine = engine
        self._told = told
        self._work = threading.Event()
        self._stopped = False
        self._since: float | None = None  # when the turn under way began
        self._thread = threading.Thread(target=self._run, name="pumice-engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something to do; from any thread."""
        self._work.set()

    def stop(self, patience_s: float = 5.0) -> None:
        """End after the turn that is being made, if that takes no longer than ``patience_s``."""
        self._stopped = True
        self._work.set()
        if self._thread.ident is not None:
            self._thread.join(patience_s)

    def still_for(self) -> float:
        """Seconds that the turn under way has taken so far; 0 between turns."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            more = True
            while more and not self._stopped:
                self._since = time.monotonic()
                try:
                    more = self._engine.turn()
                except Exception as error:  # no single request's: the scheduler keeps those apart
                    self._told(error)
                    return
                finally:
                    self._since = None
                self._told(None)
            if self._stopped:
                return
