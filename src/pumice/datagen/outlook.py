"""What a run would take, before anything is asked: every question is put together, counted, and not sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pumice.datagen.generation import Generation
from pumice.datagen.paying import Paid
from pumice.datagen.run import Work
from pumice.datagen.samples import KINDS, Kind
from pumice.datagen.teacher import PaidTeacher
from pumice.paid.answers import Answer
from pumice.paid.estimate import estimate
from pumice.paid.request import Request

#: Tokens of a usual answer, as GPT-4 wrote them for LLaVA.
USUAL: dict[Kind, int] = {
    "conversation": 350,
    "detail": 180,
    "reasoning": 220,
    "negatives": 200,
    "counting": 150,
    "position": 200,
    "grounding": 150,
}


@dataclass
class Outlook:
    """Of one kind, or of all. cost, cost_at_most: USD, None without a price; at most: if all tries are taken."""

    name: str
    samples: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    cost_at_most: float | None = 0.0

    def add(self, other: Outlook) -> None:
        """Counts it in."""
        self.samples += other.samples
        self.requests += other.requests
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out
        self.cost = _sum(self.cost, other.cost)
        self.cost_at_most = _sum(self.cost_at_most, other.cost_at_most)


class _Nobody:
    async def ask(self, request: Request) -> Answer:
        raise AssertionError("an estimate asks nobody")


def outlook(generation: Generation) -> list[Outlook]:
    """For every kind that is wanted, then for all together. What an earlier call has paid for is not taken off.

    Raises: what the source raises.
    """
    rows = {kind: Outlook(kind) for kind in KINDS if kind in generation.plan.rates}
    for kind, each in _each(generation):
        rows[kind].add(each)
    total = Outlook("all")
    for row in rows.values():
        total.add(row)
    return [*rows.values(), total]


def _each(generation: Generation) -> Iterator[tuple[Kind, Outlook]]:
    work = Work(generation.plan, images=generation.images)
    paid = generation.paid
    teacher = None if paid is None else PaidTeacher(_Nobody(), paid.model, paid.parameters, paid.prompts)
    for scene in generation.supply.scenes(0):
        for order in work.orders(scene):
            request = None if teacher is None else teacher.request(scene, order, 0)
            if paid is None or request is not None:
                yield order.kind, _of(request, paid, order.kind, generation.plan.tries)


def _of(request: Request | None, paid: Paid | None, kind: Kind, tries: int) -> Outlook:
    if request is None or paid is None:
        return Outlook(kind, samples=1)
    found = estimate([request], paid.prices, answer_tokens=USUAL[kind], batch=paid.batches)
    most = None if found.cost_at_most is None else tries * found.cost_at_most
    return Outlook(kind, 1, 1, found.prompt_tokens, found.completion_tokens, found.cost, most)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
