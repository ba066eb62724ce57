"""Teachers: whoever writes a draft for an order, be it by rules or by asking a paid model.

reply = await RulesTeacher(seed=0).write(scene, order, attempt=0)
reply.draft        # a Draft, or a Rejection that says why there is none
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Protocol

from pumice.annotations.scene import Scene
from pumice.datagen.gates.gates import check
from pumice.datagen.gates.refusal import refusal
from pumice.datagen.parsing import parse
from pumice.datagen.plan import Order, share
from pumice.datagen.prompting import PromptSet, messages
from pumice.datagen.rules.write import write
from pumice.datagen.samples import Draft, Json, Rejection
from pumice.paid.answers import Answer, GaveUpError, RefusedForGoodError
from pumice.paid.request import Request

#: Codes of rejections after which asking again would be of no use.
FINAL = frozenset({"nothing-to-say", "refused-by-server", "no-answer"})
_CUT_OFF, _FILTERED = {"length", "max_tokens"}, {"content_filter", "refusal"}
_REPEATS = 1000  # between the numbers of attempts, room for the numbers of orders


@dataclass(frozen=True)
class Reply:
    """What one attempt gave. time: UTC, ISO 8601. cost: USD, None if unknown. request: its key in a ledger, if any."""

    draft: Draft | Rejection
    time: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    request: str = ""


class Teacher(Protocol):
    """Writes drafts. name, parameters, prompt_version: for the provenance of what it writes."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Json]: ...

    @property
    def prompt_version(self) -> str: ...

    async def write(self, scene: Scene, order: Order, attempt: int) -> Reply:
        """One draft. attempt: from 0; a later one may come out differently.

        Raises: PumiceError if no order can be filled any more.
        """
        ...

    def gate(self, draft: Draft) -> Rejection | None:
        """Why what it wrote is not taken, whatever the picture shows."""
        ...


class Asks(Protocol):
    """Who answers a request; a client of a server, or a ledger with answers that came by another way."""

    async def ask(self, request: Request) -> Answer:
        """As ``PaidClient.ask``."""
        ...


@dataclass(frozen=True)
class RulesTeacher:
    """The offline teacher. Costs nothing, needs no network, and writes the same for the same scene, order and seed."""

    seed: int
    name: str = field(default="rules", init=False)
    prompt_version: str = field(default="", init=False)

    @property
    def parameters(self) -> Mapping[str, Json]:
        """What decides its words."""
        return {"seed": self.seed}

    async def write(self, scene: Scene, order: Order, attempt: int) -> Reply:
        """Never waits."""
        earlier = [self._seed(number, 0) for number in range(order.number)]
        draft = write(scene, order.kind, self._seed(order.number, attempt), earlier)
        nothing = Rejection("nothing-to-say", f"the annotations say too little for the kind {order.kind}")
        return Reply(draft or nothing, now())

    def _seed(self, number: int, attempt: int) -> int:
        if not (number or attempt):
            return self.seed
        return int(share(f"{self.seed}:{number}:{attempt}") * 2**31)

    def gate(self, draft: Draft) -> None:
        """Nothing: the gates know what models do wrong. Rules do not, and their answers may be a word or many boxes."""


@dataclass(frozen=True)
class PaidTeacher:
    """A model behind an OpenAI-compatible server. parameters: of every request, such as ``max_tokens``."""

    asks: Asks
    name: str
    parameters: Mapping[str, Json]
    prompts: PromptSet

    @property
    def prompt_version(self) -> str:
        """Of the texts that it is sent."""
        return self.prompts.version

    def request(self, scene: Scene, order: Order, attempt: int) -> Request | None:
        """What it is asked; None if the scene says too little."""
        said = messages(scene, order.kind, self.prompts)
        if said is None:
            return None
        return Request(self.name, said, self.parameters, repeat=_REPEATS * attempt + order.number)

    async def write(self, scene: Scene, order: Order, attempt: int) -> Reply:
        """Raises: one of ``paid.answers.HOPELESS``; what concerns this order alone becomes a rejection."""
        request = self.request(scene, order, attempt)
        if request is None:
            reason = Rejection("nothing-to-say", f"the annotations say too little for the kind {order.kind}")
            return Reply(reason, now())
        try:
            answer = await self.asks.ask(request)
        except RefusedForGoodError as error:
            return Reply(Rejection("refused-by-server", str(error)), now(), request=request.key)
        except GaveUpError as error:
            return Reply(Rejection("no-answer", str(error)), now(), request=request.key)
        usage = answer.usage
        draft = _read(order, answer)
        return Reply(draft, now(), usage.prompt_tokens, usage.completion_tokens, answer.cost, request.key)

    def gate(self, draft: Draft) -> Rejection | None:
        """As ``gates.check``."""
        return check(draft)


def _read(order: Order, answer: Answer) -> Draft | Rejection:
    if answer.finish_reason in _CUT_OFF:
        return Rejection("cut-off", f"the answer ended at its longest, {answer.usage.completion_tokens} tokens")
    if answer.finish_reason in _FILTERED:
        return Rejection("refusal", answer.text or f"the server ended it: {answer.finish_reason}")
    draft = parse(order.kind, answer.text)
    declined = refusal(answer.text) if isinstance(draft, Rejection) else None
    return Rejection("refusal", declined) if declined else draft


def now() -> str:
    """The moment, in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
