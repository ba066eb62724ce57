"""One answer in the making: ids become text, and something decides when it is over. Knows no tensors but logits."""

from __future__ import annotations

import time
from collections.abc import Sequence

from torch import Tensor

from pumice.engine.answer import Answer, FinishReason, Timings, TokenChances, Usage
from pumice.engine.chances import chances
from pumice.engine.guide import Guide
from pumice.engine.sampling import Sampler
from pumice.engine.stopping import StopScanner
from pumice.options import SamplingOptions
from pumice.processor import Inputs
from pumice.prompts.detokenizer import Detokenizer
from pumice.prompts.tokens import Tokenizer


class Answering:
    """Takes logits, gives text, until ``finished`` says why it ended."""

    def __init__(
        self,
        inputs: Inputs,
        options: SamplingOptions,
        tokenizer: Tokenizer,
        stop_ids: frozenset[int],
        stop_texts: Sequence[str],
        room: int,
        started: float,
        *,
        guide: Guide | None = None,
    ) -> None:
        """guide: of an answer after a schema; it alone ends such an answer, no text does."""
        self.inputs = inputs
        self.ids: list[int] = []
        self.finished: FinishReason | None = None
        self.cached_tokens = 0
        self.vision_s = 0.0
        self.greedy = options.temperature == 0
        #: Of the tokens so far, if asked for; those whose text a stop string cut off are among them.
        self.chances: list[TokenChances] | None = None if options.logprobs is None else []
        self._sampler = Sampler(options)
        self._likeliest = options.logprobs or 0
        self._tokenizer = tokenizer
        self._guide = guide
        self._stop_ids = stop_ids
        self._most = min(options.max_tokens, room)
        self._text: list[str] = []
        self._detokenizer = Detokenizer(tokenizer)
        self._scanner = StopScanner((*stop_texts, *options.stop) if guide is None else ())
        self._started, self._prepared = started, time.monotonic()
        self._first: float | None = None
        self._last: float | None = None

    @property
    def position(self) -> int:
        """Where the newest token stands."""
        return len(self.inputs.ids) + len(self.ids) - 1

    @property
    def room(self) -> int:
        """Tokens that the answer may still have."""
        return self._most - len(self.ids)

    def take(self, logits: Tensor) -> str:
        """Choose the next token from ``logits`` [V]; returns the text that has become certain."""
        guide = self._guide
        token = self._sampler.choose(logits) if guide is None else guide.choose(logits, self._sampler, self.room)
        self._first = self._first or time.monotonic()
        if token in self._stop_ids:
            return self.finish("stop")
        self.ids.append(token)
        if self.chances is not None:
            self.chances.append(chances(logits, token, self._likeliest, self._tokenizer))
        piece = self._scanner.push(self._detokenizer.push(token))
        self._text.append(piece)
        if self._scanner.stopped:
            self._end("stop")
        elif guide is not None and guide.ended:
            return piece + self.finish("stop")
        elif len(self.ids) >= self._most:
            return piece + self.finish("stop" if guide is not None and guide.complete else "length")
        return piece

    def finish(self, reason: FinishReason) -> str:
        """End here; returns the text that was still held back."""
        rest = self._scanner.push(self._detokenizer.flush()) + self._scanner.flush()
        self._text.append(rest)
        self._end("stop" if self._scanner.stopped else reason)
        return rest

    def _end(self, reason: FinishReason) -> None:
        self.finished, self._last = reason, time.monotonic()

    def answer(self) -> Answer:
        """The finished answer."""
        assert self.finished is not None, "asked for the answer before its end"
        last = self._last or self._prepared
        return Answer(
            text="".join(self._text),
            finish_reason=self.finished,
            usage=Usage(len(self.inputs.ids), self.inputs.image_tokens, self.cached_tokens, len(self.ids)),
            timings=Timings(
                prepare_s=self._prepared - self._started,
                vision_s=self.vision_s,
                first_token_s=(self._first or last) - self._started,
                total_s=last - self._started,
            ),
            seed=self._sampler.seed,
            logprobs=None if self.chances is None else tuple(self.chances),
        )
