"""Tokens to text while they arrive."""

from __future__ import annotations

import codecs

from pumice.prompts.tokens import Tokenizer


class Detokenizer:
    """Turns ids into text one at a time.

    Only whole characters come out: the bytes of an unfinished one wait for the rest. The pushes joined, with
    ``flush()`` at the end, equal ``tokenizer.decode`` of all ids; each push costs the length of its token alone.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._drop_space = tokenizer.drops_leading_space

    def push(self, token: int) -> str:
        """The text that this id completes, perhaps none."""
        piece = self._tokenizer.token_bytes(token)
        if piece and self._drop_space:
            self._drop_space = False
            piece = piece.removeprefix(b" ")
        return self._decoder.decode(piece)

    def flush(self) -> str:
        """The end: bytes still waiting become U+FFFD."""
        return self._decoder.decode(b"", final=True)
