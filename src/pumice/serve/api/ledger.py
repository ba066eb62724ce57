"""Every accepted request ends in exactly one way, and this is where it is written down; also what monitoring reads."""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Tally
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pumice.serve.api.events import Accepted, Event, Piece, Used
from pumice.serve.guard.errors import CODES, Failure, failure_of

Outcome: TypeAlias = Literal["completed", "cancelled", "failed", "rejected"]

#: What an accepted request is; another one is counted by its code alone.
QUESTION = ("POST", "/v1/chat/completions")
# Refusals of requests that nobody has begun with, though it is a server's fault.
_NOT_BEGUN = {"draining", "loading", "no_worker"}
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Ledger:
    """Of one server. Used on its event loop alone, so accepted = completed + cancelled + failed + in flight always."""

    def __init__(self, gauges: Callable[[], Mapping[str, float]] = dict) -> None:
        """gauges: further values for monitoring, by name (``queue_length``, ``cache_bytes:prefix``), looked up when
        they are asked for."""
        self.accepted = 0
        self.in_flight = 0
        self.ended: Tally[Outcome] = Tally()
        self._registry = CollectorRegistry()
        self._first = Histogram(
            "pumice_time_to_first_token_seconds",
            "From the request to its first text",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._between = Histogram(
            "pumice_inter_token_seconds", "Between two pieces of an answer", buckets=_SECONDS, registry=self._registry
        )
        self._tokens = Counter("pumice_tokens", "Tokens of answered requests", ["kind"], registry=self._registry)
        self._failures = Counter("pumice_failures", "Requests that did not succeed", ["code"], registry=self._registry)
        self._registry.register(_Figures(self, gauges))

    async def entered(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        """The same events, written down: what comes before ``Accepted`` is a rejection, unless a worker failed."""
        entry = _Entry(time.monotonic())
        try:
            async for event in events:
                self._note(entry, event)
                yield event
            if entry.outcome != "completed":
                self.failed("worker_failed")
        except Exception as error:
            failure = failure_of(error)
            self.failed(failure.code)
            if not entry.accepted and failure.status >= 500 and failure.code not in _NOT_BEGUN:
                self._note(entry, Accepted())  # somebody had it
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if entry.outcome != "completed":
                entry.outcome = "cancelled"
            raise
        finally:
            self._close(entry)
            await events.aclose()

    def refused(self, method: str, address: str, failure: Failure) -> None:
        """Counts what came to no answer and is not among ``entered``. To be not ready is no refusal."""
        if address == "/ready" and failure.status == 503:
            return
        self.failed(failure.code)
        self.ended["rejected"] += (method, address) == QUESTION

    def failed(self, code: str) -> None:
        """Counts the reason of a refusal or failure. An upstream's own words for it are counted together."""
        self._failures.labels(code if code in CODES else "other").inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _note(self, entry: _Entry, event: Event) -> None:
        if isinstance(event, Accepted):
            entry.accepted = True
            self.accepted += 1
            self.in_flight += 1
        elif isinstance(event, Piece):
            now = time.monotonic()
            if entry.last is None:
                self._first.observe(now - entry.began)
            else:
                self._between.observe(now - entry.last)
            entry.last = now
        elif isinstance(event, Used):
            entry.outcome = "completed"
            details = event.usage.prompt_tokens_details
            for kind, count in (
                ("prompt", event.usage.prompt_tokens),
                ("completion", event.usage.completion_tokens),
                ("image", details.image_tokens),
                ("cached", details.cached_tokens),
            ):
                self._tokens.labels(kind).inc(count)

    def _close(self, entry: _Entry) -> None:
        if not entry.accepted:
            self.ended["rejected"] += entry.outcome != "cancelled"
            return
        self.in_flight -= 1
        self.ended[entry.outcome] += 1


@dataclass
class _Entry:
    began: float
    accepted: bool = False
    last: float | None = None
    outcome: Outcome = "failed"  # an answer that never says it is complete


class _Figures(Collector):
    """The ledger's own numbers, taken in one go so that they always add up."""

    def __init__(self, ledger: Ledger, gauges: Callable[[], Mapping[str, float]]) -> None:
        self._ledger = ledger
        self._gauges = gauges

    def collect(self) -> list[Metric]:
        ledger = self._ledger
        requests = CounterMetricFamily("pumice_requests", "Requests by how they ended", labels=["outcome"])
        for outcome in ("completed", "cancelled", "failed", "rejected"):
            requests.add_metric([outcome], ledger.ended[outcome])
        found: list[Metric] = [
            requests,
            CounterMetricFamily("pumice_requests_accepted", "Requests that were accepted", ledger.accepted),
            GaugeMetricFamily("pumice_requests_in_flight", "Accepted and not ended yet", ledger.in_flight),
        ]
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for key, value in self._gauges().items():
            name, _, label = key.partition(":")
            labels = ["cache"] if label else []
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily  # Prometheus' own convention
            family = families.setdefault(name, kind(f"pumice_{name}", name.replace("_", " "), labels=labels))
            family.add_metric([label] if label else [], value)
        return [*found, *families.values()]
