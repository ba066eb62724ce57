"""From a scene to its samples: ask, read, gate, verify, and ask again where it was in vain.

What happens to a scene depends on nothing but the scene, the plan and the teacher, so scenes can be dealt with anywhere
and in any order. Only what compares samples with one another waits until they stand in order (``run``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pumice.annotations.scene import Scene
from pumice.data.rules import PLACEHOLDER, broken, doubtful, escape
from pumice.datagen.plan import Order, Plan
from pumice.datagen.samples import Draft, Exchange, Json, Provenance, Rejection, Sample
from pumice.datagen.teacher import FINAL, Reply, Teacher
from pumice.datagen.verification.claims import Claim, refused
from pumice.datagen.verification.verify import verify


@dataclass(frozen=True)
class Attempt:
    """One reply that became no sample, and why. draft: what it said, if that could be read."""

    rejection: Rejection
    reply: Reply
    claims: tuple[Claim, ...] = ()

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What was said, if it could be read."""
        return self.reply.draft.exchanges if isinstance(self.reply.draft, Draft) else ()


@dataclass(frozen=True)
class Outcome:
    """How one order ended. sample: None if it was given up. attempts: those in vain. request: of the sample's reply."""

    order: Order
    sample: Sample | None
    attempts: tuple[Attempt, ...]
    request: str = ""


@dataclass(frozen=True)
class Made:
    """Everything that was made of one scene.

    picture: the bytes of a PNG, where the source draws its pictures. missing: nothing was made, for want of a picture.
    """

    scene: str
    image: str
    outcomes: tuple[Outcome, ...]
    picture: bytes | None = None
    missing: bool = False


async def make(scene: Scene, plan: Plan, teacher: Teacher) -> tuple[Outcome, ...]:
    """All orders of one scene, one after the other.

    Raises: PumiceError if the teacher can fill none any more.
    """
    return tuple([await fill_order(scene, order, plan, teacher) for order in plan.orders(scene.id)])


async def fill_order(scene: Scene, order: Order, plan: Plan, teacher: Teacher) -> Outcome:
    """One order: asked again where it was in vain, as often as the plan allows. Raises as ``make``."""
    attempts: list[Attempt] = []
    for number in range(plan.tries):
        reply = await teacher.write(scene, order, number)
        judged = _judged(scene, order, plan, teacher, reply)
        if isinstance(judged, Sample):
            return Outcome(order, judged, tuple(attempts), reply.request)
        attempts.append(judged)
        if judged.rejection.reason in FINAL:
            break
    return Outcome(order, None, tuple(attempts))


def _judged(scene: Scene, order: Order, plan: Plan, teacher: Teacher, reply: Reply) -> Sample | Attempt:
    draft = reply.draft
    if isinstance(draft, Rejection):
        return Attempt(draft, reply)
    rejection = teacher.gate(draft)
    if rejection is not None:
        return Attempt(rejection, reply)
    claims = () if plan.verify == "off" else verify(scene, draft.exchanges)
    sample = _sample(scene, order, teacher, reply, claims)
    rejection = (None if plan.verify == "off" else refused(claims, plan.verify)) or _faulty(sample)
    return sample if rejection is None else Attempt(rejection, reply, claims)


def _sample(scene: Scene, order: Order, teacher: Teacher, reply: Reply, claims: Sequence[Claim]) -> Sample:
    assert isinstance(reply.draft, Draft)
    origin = Provenance(
        teacher=teacher.name,
        parameters=teacher.parameters,
        prompt_version=teacher.prompt_version,
        annotation_ids=scene.annotation_ids,
        time=reply.time,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        cost=reply.cost,
        checks=tuple(claim.as_json() for claim in claims),
    )
    return Sample(order.id, scene.image, order.kind, reply.draft.exchanges, origin)


def record(sample: Sample) -> dict[str, Json]:
    """As LLaVA's JSON has it: the picture stands in front of the first question."""
    return {"id": sample.id, "image": sample.image, "conversations": _turns(sample.exchanges)}


def sample_of(found: Mapping[str, Any]) -> Sample:
    """The sample behind such a record, as far as it can be told: its words and its picture."""
    turns = [str(turn["value"]) for turn in found["conversations"]]
    turns[0] = turns[0].removeprefix(f"{PLACEHOLDER}\n")
    exchanges = tuple(Exchange(*pair) for pair in zip(turns[::2], turns[1::2], strict=True))
    return Sample(str(found["id"]), str(found["image"]), "conversation", exchanges, Provenance("", {}, "", (), ""))


def _turns(exchanges: Sequence[Exchange]) -> list[Json]:
    turns: list[Json] = []
    for number, each in enumerate(exchanges):
        opening = "" if number else f"{PLACEHOLDER}\n"
        turns.append({"from": "human", "value": opening + escape(each.question)})
        turns.append({"from": "gpt", "value": each.answer})
    return turns


def _faulty(sample: Sample) -> Rejection | None:
    """What ``pumice data doctor`` would say about the record, before anything learns from it."""
    raw: Mapping[str, object] = dict(record(sample))
    fault = next(chain(broken(raw), doubtful(raw)), None)
    return None if fault is None else Rejection(fault.kind, fault.found)
