"""What the model makes of data that it does not learn from: loss, accuracy, answers; and the best model so far."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from pumice.data.packing import NOTHING, Row
from pumice.errors import UsageError
from pumice.model.cache import KVCache
from pumice.model.llava import Llava
from pumice.processor import Inputs, Processor
from pumice.prompts.conversation import Conversation, Image
from pumice.prompts.encode import IGNORE
from pumice.prompts.tokens import Tokenizer
from pumice.train.loader import RowSource
from pumice.train.portions import portion
from pumice.train.ranks import Ranks
from pumice.train.step import Task

RECORD = "best.json"


@dataclass(frozen=True)
class Sample:
    """A question that is asked at every check. inputs: with the answer; expected: that answer."""

    question: str
    expected: str
    picture: Image | None
    inputs: Inputs

    @property
    def prompt(self) -> int:
        """How many of the ids stand before the first supervised one."""
        return next(at for at, label in enumerate(self.inputs.labels) if label != IGNORE)


def make_sample(conversation: Conversation, processor: Processor) -> Sample:
    """The first question of ``conversation``, asked as training shows it."""
    first = Conversation(conversation.turns[:2], conversation.system)
    question, answer = first.turns
    return Sample(question.text, answer.text, next(first.images(), None), processor(first))


@dataclass(frozen=True)
class Found:
    """Of one check: mean loss and share of right predictions over all supervised tokens, and the samples' answers."""

    loss: float
    accuracy: float
    predictions: int
    answers: tuple[str, ...]


class Examiner:
    """Asks the model from time to time; leaves weights, modes and random numbers as they were."""

    def __init__(
        self,
        task: Task,
        source: RowSource,
        batch: int,
        ranks: Ranks,
        samples: Sequence[Sample] = (),
        speak: Callable[[Sample], str] | None = None,
        *,
        pack: int = 0,
    ) -> None:
        """batch, pack: rows, or tokens of joined rows, at a time. speak: answers a sample in words.

        Of several processes each reads its share of the rows. Raises: UsageError if no row fits the model.
        """
        self._task, self._ranks = task, ranks
        self.samples, self._speak = tuple(samples), speak
        mine = [source[index] for index in range(ranks.index, len(source), ranks.count)]
        mine.sort(key=lambda row: len(row.ids) if isinstance(row, Row) else 0)
        cut = portion(task.collate, mine, micro=batch, pack=pack)
        self._batches = cut.batches
        #: Processes that share their weights go through the model equally often.
        self._rounds = ranks.most(len(cut.batches)) if ranks.sharded else len(cut.batches)
        (rows,) = ranks.total([cut.rows])
        if not rows:
            raise UsageError(
                f"none of the {len(source)} held-out rows fits the model", hint="hold out shorter ones, or more of them"
            )

    @torch.no_grad()
    def ask(self) -> Found:
        """All processes call this, and all get the loss of all rows; only the first one's answers are told."""
        assert isinstance(self._task, nn.Module)
        loss, right, count = 0.0, 0, 0
        device = next(self._task.parameters()).device
        with _evaluating(self._task):
            company = self._task.collate([NOTHING]) if self._ranks.sharded else None
            for batch in (*self._batches, *[company] * (self._rounds - len(self._batches))):
                number = self._task.counts(batch).predictions
                found = self._task.loss(batch.to(device))
                loss += float(found.value) * number if number else 0.0
                right, count = right + int(found.right), count + number
            spoken: tuple[str, ...] = ()
            if self._speak is not None and (self._ranks.first or self._ranks.sharded):
                spoken = tuple(self._speak(sample) for sample in self.samples)
        loss, hits, all_of_them = self._ranks.total((loss, right, count))
        return Found(loss / max(1, all_of_them), hits / max(1, all_of_them), int(all_of_them), spoken)


@contextmanager
def _evaluating(task: nn.Module) -> Iterator[None]:
    learning = [module for module in task.modules() if module.training]
    task.eval()
    try:
        yield
    finally:
        for module in learning:
            module.training = True


@torch.no_grad()
def answer(model: Llava, tokenizer: Tokenizer, sample: Sample, limit: int) -> str:
    """The likeliest words, at most ``limit`` tokens of them."""
    inputs, length = sample.inputs, sample.prompt
    features = None
    if inputs.grids:
        features = model.features([torch.from_numpy(each).to(model.device) for each in inputs.tiles], inputs.grids)
    cache = KVCache.empty(model.config.language, 1, length + limit, model.device, model.dtype)
    ids = torch.tensor([inputs.ids[:length]], device=model.device)
    hidden = model(ids, features, cache=cache)
    said: list[int] = []
    while True:
        token = int(model.language.logits(hidden[0, -1]).argmax())
        if token == tokenizer.eos_id:
            break
        said.append(token)
        if len(said) == limit:
            break
        place = torch.tensor([[length + len(said) - 1]], device=model.device)
        hidden = model(torch.tensor([[token]], device=model.device), positions=place, cache=cache)
    return tokenizer.decode(said).strip()


@dataclass(frozen=True)
class Best:
    """The lowest loss so far and the step after which it was found."""

    step: int
    loss: float
    accuracy: float


class Keeper:
    """Keeps the best model so far on disk, also from one run to its continuation.

    The model is written first, the record after it: if the process is killed between the two, the continuation comes
    to the same check again and finds the same.
    """

    def __init__(self, folder: Path, save: Callable[[], None], *, writes: bool = True) -> None:
        """save: replaces the kept model by the present one. writes: another process does not keep the record."""
        self._path, self._save, self._writes = folder / RECORD, save, writes
        self.best: Best | None = None

    def begin(self, done: int) -> None:
        """Take up the record of an earlier run; a run that begins anew knows none."""
        self.best = read_best(self._path.parent) if done else None
        if not done and self._writes:
            self._path.unlink(missing_ok=True)

    def consider(self, step: int, found: Found) -> bool:
        """Whether the model after ``step`` is the best so far; it is kept then."""
        if self.best is not None and not found.loss < self.best.loss:
            return step == self.best.step
        self._save()
        self.best = Best(step, found.loss, found.accuracy)
        if self._writes:
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(asdict(self.best)) + "\n", encoding="utf-8")
            os.replace(fresh, self._path)
        return True


def read_best(folder: Path) -> Best | None:
    """The record in ``folder``, if there is one."""
    try:
        return Best(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
