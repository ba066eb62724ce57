"""Continuous batching: requests join and leave between steps, and long prompts are read in pieces.

There is no thread of its own. One of those who wait for text makes a turn for everyone: one piece of one prompt, and
one more token for all who are answering. The others sleep until it is made. A single user has no detour, many share
every step.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from torch import Tensor

from pumice.engine.answering import Answering
from pumice.engine.decode import Runner
from pumice.engine.drafting import Drafter
from pumice.engine.memory import PrefixMemory, content_key
from pumice.model.cache import KVCache
from pumice.processor import Inputs

#: Features [n, D] of the image positions of a prompt from one position on.
Encode: TypeAlias = Callable[[Inputs, int], Tensor | None]


@dataclass(eq=False)
class Request:
    """One answer in the making. ``pieces`` is its text that nobody has taken yet."""

    answering: Answering
    key: list[Hashable]
    pieces: deque[str] = field(default_factory=deque)
    cache: KVCache | None = None
    read: int = 0  # positions of the prompt in the cache
    features: Tensor | None = None
    used: int = 0  # of the features
    drafter: Drafter | None = None
    error: Exception | None = None
    cancelled: bool = False
    ended: bool = False


class Scheduler:
    """Answers up to ``most`` requests together, first come, first served.

    piece: positions of a prompt that are read in one turn, so that answers under way pause no longer than that takes.
    """

    def __init__(
        self, runner: Runner, prefixes: PrefixMemory, encode: Encode, *, most: int = 8, piece: int = 256
    ) -> None:
        self._runner = runner
        self._prefixes = prefixes
        self._encode = encode
        self.most = most  # may be changed at any time
        self._piece = piece
        self._turns = threading.Condition(threading.Lock())
        self._busy = False  # somebody makes a turn: only that thread touches queues and caches, without the lock
        self._arrived: deque[Request] = deque()  # from any thread, at any time
        self._waiting: deque[Request] = deque()
        self._reading: deque[Request] = deque()
        self._answering: list[Request] = []
        self.turns = 0

    def submit(self, answering: Answering) -> Request:
        """Put a request at the end of the queue. Nothing is computed yet."""
        request = Request(answering, content_key(answering.inputs))
        self._arrived.append(request)
        return request

    def advance(self, request: Request, *, to_end: bool = False) -> None:
        """Make turns, or wait for those of other threads, until ``request`` has text or has ended.

        to_end: until it has ended, whatever text it has. Raises what went wrong with it.
        """

        def served() -> bool:
            return request.ended or (bool(request.pieces) and not to_end)

        while not served():
            with self._turns:
                self._turns.wait_for(lambda: served() or not self._busy)
                if served():
                    break
                self._busy = True
            self._made_turn()
        if request.error is not None:
            raise request.error

    def turn(self) -> bool:
        """Make one turn for everyone, for a caller who waits for nobody's text; whether there is more to do."""
        with self._turns:
            self._turns.wait_for(lambda: not self._busy)
            self._busy = True
        self._made_turn()
        return bool(self._arrived or self._waiting or self._reading or self._answering)

    def _made_turn(self) -> None:
        """A turn by whoever is ``_busy`` now."""
        try:
            self._turn()
        finally:
            with self._turns:
                self._busy = False
                self._turns.notify_all()

    @property
    def waiting(self) -> int:
        """Requests whose turn has not come yet."""
        return len(self._arrived) + len(self._waiting)

    @property
    def under_way(self) -> int:
        """Requests that are being read or answered."""
        return len(self._reading) + len(self._answering)

    def cancel(self, request: Request) -> None:
        """End ``request`` here: at once if no turn is under way, else with the next one."""
        request.cancelled = True
        # Never waits: the garbage collector may call this in the middle of a turn.
        if self._turns.acquire(blocking=False):
            try:
                if not self._busy:
                    self._drop_cancelled()
            finally:
                self._turns.release()

    def _turn(self) -> None:
        self.turns += 1
        self._drop_cancelled()
        while self._waiting and len(self._reading) + len(self._answering) < self.most:
            self._reading.append(self._waiting.popleft())
        if self._reading:
            self._read(self._reading[0])
        if self._answering:
            self._step()

    def _drop_cancelled(self) -> None:
        while self._arrived:
            self._waiting.append(self._arrived.popleft())
        for queue in (self._waiting, self._reading, self._answering):
            for request in [one for one in queue if one.cancelled]:
                queue.remove(request)
                if request.answering.finished is None:
                    request.pieces.append(request.answering.finish("cancelled"))
                self._end(request)

    def _read(self, request: Request) -> None:
        """One piece of a prompt; the last one gives the first token. Prompts that are being read take turns."""
        try:
            logits = self._read_piece(request)
            if logits is None:
                self._reading.rotate(-1)
                return
            self._take(request, logits)
        except Exception as error:  # concerns this request alone
            self._reading.remove(request)
            self._end(request, error)
            return
        self._reading.remove(request)
        if request.answering.finished is None:
            if self._runner.speculates and request.answering.greedy:
                request.drafter = Drafter([*request.answering.inputs.ids, *request.answering.ids])
            self._answering.append(request)
        else:
            self._end(request)

    def _read_piece(self, request: Request) -> Tensor | None:
        answering = request.answering
        ids = answering.inputs.ids
        if request.cache is None:
            cache, known = self._prefixes.take(request.key) or (self._runner.new_cache(len(ids)), 0)
            request.read = answering.cached_tokens = min(known, len(ids) - 1)  # the last position's logits are wanted
            request.cache = cache
            started = time.monotonic()
            request.features = self._encode(answering.inputs, request.read)
            answering.vision_s = time.monotonic() - started
        # With nobody to hold up, all at once: 16-bit weights are widened once for every piece.
        shared = bool(self._answering) or len(self._reading) > 1
        end = min(len(ids), request.read + self._piece) if shared else len(ids)
        pictures = sum(token < 0 for token in ids[request.read : end])
        features = None
        if pictures and request.features is not None:
            features = request.features[request.used : request.used + pictures]
        logits = self._runner.prefill(ids[:end], request.read, features, request.cache)
        request.read, request.used = end, request.used + pictures
        return logits if end == len(ids) else None

    def _step(self) -> None:
        """One more token for each. If that fails, each takes its step alone: only who fails again has to go."""
        running = list(self._answering)
        try:
            rows = self._rows(running)
        except Exception:
            rows = [([], []) for _ in running]
        for request, found in zip(running, rows, strict=True):
            try:
                self._accept(request, *(found if found[1] else self._rows([request])[0]))
            except Exception as error:
                self._answering.remove(request)
                self._end(request, error)
                continue
            if request.answering.finished is not None:
                self._answering.remove(request)
                self._end(request)

    def _rows(self, running: Sequence[Request]) -> list[tuple[list[int], list[Tensor]]]:
        """For each request what was guessed, and the logits after its newest token and after every guess.

        Guesses are further rows of the same cache.
        """
        drafts = [self._draft(request) for request in running]
        tokens: list[int] = []
        places: list[int] = []
        caches: list[KVCache] = []
        for request, draft in zip(running, drafts, strict=True):
            assert request.cache is not None
            tokens += [request.answering.ids[-1], *draft]
            places += range(request.answering.position, request.answering.position + 1 + len(draft))
            caches += [request.cache] * (1 + len(draft))
        rows = iter(self._runner.step(tokens, places, caches))
        return [(draft, [next(rows) for _ in range(1 + len(draft))]) for draft in drafts]

    def _draft(self, request: Request) -> list[int]:
        if request.drafter is None:
            return []
        return request.drafter.draft(request.answering.room - 1)

    def _accept(self, request: Request, draft: list[int], rows: list[Tensor]) -> None:
        """Take tokens as long as the guesses before them were right."""
        answering = request.answering
        right = 0
        for logits, guess in zip(rows, [*draft, None], strict=True):
            before = len(answering.ids)
            self._take(request, logits)
            if answering.finished is not None or len(answering.ids) == before:
                break
            if request.drafter is not None:
                request.drafter.push(answering.ids[-1])
            if answering.ids[-1] != guess:
                break
            right += 1
        if request.drafter is not None:
            request.drafter.learn(len(draft), right)

    def _take(self, request: Request, logits: Tensor) -> None:
        if piece := request.answering.take(logits):
            request.pieces.append(piece)

    def _end(self, request: Request, error: Exception | None = None) -> None:
        """What was computed is kept for a follow-up question. The newest token was chosen but never run."""
        if request.cache is not None and request.read:
            self._prefixes.keep([*request.key[: request.read], *request.answering.ids[:-1]], request.cache)
        request.error = error
        request.cache = request.features = None
        request.ended = True
