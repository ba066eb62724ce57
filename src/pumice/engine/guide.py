"""Answers that are JSON after a schema: a guide says which tokens may come next, and sees to it that the end comes.

llguidance knows the tokens that keep the text valid. A guide also keeps in mind one way to finish (``finishing``): a
token after which the rest of the room would not suffice is not taken, and the answer is finished in that way instead.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Collection, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pumice.engine.finishing import SECONDS, Place, way_to_end
from pumice.engine.grammar import bytewise, compile_schema, complaint, literals_of, matcher, vocabulary_of
from pumice.engine.least import least_bytes
from pumice.engine.sampling import Sampler
from pumice.errors import UsageError
from pumice.prompts.tokens import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

#: With more room than so many times what the last look at the end needed, and a reserve, nobody looks at every token.
AMPLE, RESERVE = 16, 512
LONGEST = 1 << 16  # bytes of a way to the end
#: Seconds that one answer's guide may look for ways to the end, in all: others wait meanwhile.
PATIENCE_S = 6.0


class Guides:
    """Makes the guides of one engine's answers; what is the same for all of them is made once, when first needed."""

    def __init__(self, tokenizer: Tokenizer, ends: Collection[int]) -> None:
        """ends: the tokens that end an answer."""
        self._tokenizer = tokenizer
        self._ends = sorted(index for index in ends if index < tokenizer.size)
        self._compiled = lru_cache(maxsize=16)(self._compile)

    def guide(self, schema: str, room: int) -> Guide:
        """A guide for one answer of at most ``room`` tokens.

        Raises UsageError: the schema cannot be used, or no answer to it is so short.
        """
        self._refuse_long(schema, room)
        grammar, literals = self._compiled(schema)
        words, letters = matcher(self._vocabulary, grammar), matcher(self._bytewise, grammar)
        return Guide(words, letters, self._spelling, literals, room)

    def _refuse_long(self, schema: str, room: int) -> None:
        """Raises UsageError for a schema whose shortest text has more tokens than there is room for."""
        least = -(-self._least(schema) // self._spelling.longest)
        if least > room:
            raise UsageError(
                f"an answer after this schema takes at least {least} tokens, and there is room for {room}",
                hint="allow more tokens, or ask for less: look at minItems and minLength",
            )

    @staticmethod
    def _least(schema: str) -> int:
        try:
            return least_bytes(json.loads(schema))
        except (ValueError, RecursionError):  # is no schema, which is said when it is compiled
            return 0

    def _compile(self, schema: str) -> tuple[str, tuple[bytes, ...]]:
        grammar = compile_schema(schema, leading_space=self._tokenizer.drops_leading_space)
        return grammar, literals_of(schema)

    @cached_property
    def _vocabulary(self) -> LLTokenizer:
        return vocabulary_of(self._tokenizer, self._ends)

    @cached_property
    def _bytewise(self) -> LLTokenizer:
        return bytewise()

    @cached_property
    def _spelling(self) -> Spelling:
        return Spelling(self._tokenizer, self._ends)


class Spelling:
    """Bytes as tokens and tokens as bytes. Of tokens with the same bytes the last: the first stand for bytes alone."""

    def __init__(self, tokenizer: Tokenizer, ends: Sequence[int]) -> None:
        self.bytes_of = tokenizer.token_bytes
        self.ends = ends
        words = (index for index in range(tokenizer.size) if index not in ends)
        self._tokens = {tokenizer.token_bytes(index): index for index in words}
        self._tokens.pop(b"", None)
        #: Bytes of the longest token.
        self.longest = max(map(len, self._tokens), default=1)
        #: Bytes that have a token for themselves.
        self.writable = frozenset(piece[0] for piece in self._tokens if len(piece) == 1)

    def tokens_of(self, data: bytes) -> list[int]:
        """Tokens that spell ``data``, each as long as can be; every byte must be writable."""
        found: list[int] = []
        begin = 0
        while begin < len(data):
            ends = range(min(len(data), begin + self.longest), begin, -1)
            end = next(end for end in ends if data[begin:end] in self._tokens)
            found.append(self._tokens[data[begin:end]])
            begin = end
        return found


class Guide:
    """Chooses the tokens of one answer together with its sampler."""

    def __init__(
        self, words: LLMatcher, letters: LLMatcher, spelling: Spelling, literals: Sequence[bytes], room: int
    ) -> None:
        """words, letters: the beginning of the grammar, over the model's tokens and over single bytes.

        literals: what the schema's patterns spell out.
        """
        self._words, self._letters, self._spelling, self._literals = words, letters, spelling, literals
        self._place = Place()
        self._patience_s = PATIENCE_S
        self._forced: deque[int] | None = None  # once the end has to be written, its tokens
        self._way = self._found_way()
        self._promises = self._way is not None  # without a way to begin with, nobody can say that it ends in time
        self._needed = 0 if self._way is None else self._cost(self._way)
        if self._needed > room:
            raise UsageError(
                f"an answer after this schema takes about {self._needed} tokens, and there is room for {room}",
                hint=f"allow more tokens, such as {4 * self._needed}",
            )

    @property
    def complete(self) -> bool:
        """Whether the text so far is valid as it is."""
        return self._words.is_accepting()

    @property
    def ended(self) -> bool:
        """Whether nothing may follow."""
        return self._words.is_stopped() or (self._forced is not None and not self._forced)

    def choose(self, logits: Tensor, sampler: Sampler, room: int) -> int:
        """The next token, given ``logits`` [V] and how many tokens the answer may still have, this one included.

        The guide follows it. A token that ends the answer comes only where the text is complete.
        Raises UsageError: the schema is too complex to go on.
        """
        if self._forced is None:
            token = sampler.choose(self._allowed(logits))
            if token in self._spelling.ends:
                return token
            if self._leaves_an_end(self._spelling.bytes_of(token), room):
                self._read(token)
                return token
            assert self._way is not None
            self._forced = deque(self._spelling.tokens_of(self._way))
        if not self._forced:
            return self._spelling.ends[0]
        token = self._forced.popleft()
        self._read(token)
        return token

    def _allowed(self, logits: Tensor) -> Tensor:
        mask = np.frombuffer(self._words.compute_bitmask(), np.uint8)
        if self._words.is_error():  # at one of its limits the library lets the text end wherever it is
            raise self._too_complex()
        allowed = torch.zeros(len(logits), dtype=torch.bool)
        bits = torch.from_numpy(np.unpackbits(mask, count=min(8 * len(mask), len(logits)), bitorder="little"))
        allowed[: len(bits)] = bits.bool()
        if not allowed.any():
            why = complaint(self._words.get_error()) or "the vocabulary lacks a character that has to follow"
            raise UsageError(f"no token can go on after this schema: {why}", hint="simplify the schema")
        return logits.masked_fill(~allowed.to(logits.device), -torch.inf)

    def _leaves_an_end(self, data: bytes, room: int) -> bool:
        """Reads ``data``, unless what is left of ``room`` after its token would not suffice for the end then."""
        before, place = self._letters, self._place
        ample = room > AMPLE * self._needed + RESERVE
        if self._promises and not ample and self._way is None:
            self._way = self._found_way()
        self._letters, self._place = before.deep_copy(), place.after(data)
        self._letters.consume_tokens(list(data))
        if not self._promises or ample:
            self._way = None  # was of a place that is left now
            return True
        way = self._known_way(data, room - 1)
        way = self._found_way() if way is None else way
        if way is not None and self._cost(way) < room:
            self._way, self._needed = way, self._cost(way)
            return True
        if self._way is None:  # none was found here, either: go on, a later place may have one
            return True
        self._letters, self._place = before, place
        return False

    def _known_way(self, data: bytes, room: int) -> bytes | None:
        """The way of before, if it still leads to the end: the text has gone along it, or beside it."""
        way = self._way
        if way is None:
            return None
        for rest in dict.fromkeys((way[len(data) :], way)):
            if self._cost(rest) <= room and self._ends_with(rest):
                return rest
        return None

    def _ends_with(self, rest: bytes) -> bool:
        copy = self._letters.deep_copy()
        if copy.validate_tokens(list(rest)) < len(rest):
            return False
        return copy.consume_tokens(list(rest)) and copy.is_accepting()

    def _found_way(self) -> bytes | None:
        seconds = min(SECONDS, self._patience_s)
        began = time.thread_time()
        way = way_to_end(self._letters, self._place, LONGEST, self._spelling.writable, self._literals, seconds)
        self._patience_s -= time.thread_time() - began
        return way

    def _cost(self, way: bytes) -> int:
        return len(self._spelling.tokens_of(way))

    def _read(self, token: int) -> None:
        if not self._words.consume_token(token):
            raise self._too_complex()

    def _too_complex(self) -> UsageError:
        why = complaint(self._words.get_error())
        return UsageError(f"the schema is too complex to follow: {why}", hint="simplify it")
