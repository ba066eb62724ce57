"""The tokenizer of LLaMA, Vicuna, Mistral and Yi as their authors ship it: a SentencePiece ``tokenizer.model``.

``legacy`` says how text behind a special token is read. True: every stretch of text gets SentencePiece's leading
space, so ``</s>USER`` continues with ``▁US``. False: only the stretch that opens a chunk does, so it continues with
``USER``. Both are the behaviour of the ``LlamaTokenizer`` the checkpoints were trained with (transformers 4.37).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from pumice.errors import ModelError
from pumice.prompts.tokens import SpecialNames, Token, corrupt, defuse, read_special_names, text_of

# A ModelProto in wire format that says only normalizer_spec.add_dummy_prefix = false. Protocol buffers merge
# messages that are written one after the other, so appending it switches the leading space off.
_WITHOUT_PREFIX = b"\x1a\x02\x18\x00"
_SPACE = "\u2581"


class SentencePieceTokenizer:
    """A ``Tokenizer`` over ``tokenizer.model``; ``files`` must hold that file.

    Everything added to the vocabulary by the files beside it is markup, reached by ``special_id`` alone.

    Raises:
        ModelError: the file is no SentencePiece model, or a special token it needs does not exist.
    """

    def __init__(self, files: Mapping[str, bytes], folder: Path) -> None:
        self.files = dict(files)
        names = read_special_names(files, folder)
        path, model = folder / "tokenizer.model", files["tokenizer.model"]
        try:
            self._prefixed = SentencePieceProcessor(model_proto=model)
            self._bare = SentencePieceProcessor(model_proto=model + _WITHOUT_PREFIX)
        except (RuntimeError, ValueError) as error:
            raise corrupt(path, "it is not a SentencePiece model") from error
        count = self._prefixed.vocab_size()
        if not count:
            raise corrupt(path, "it is not a SentencePiece model with a vocabulary")
        self._legacy = names.legacy
        self.specials: Mapping[str, int] = self._find_specials(names, count)
        self._special_ids = frozenset(self.specials.values())
        self.size = max(count, *(index + 1 for index in self._special_ids))
        bos = self._named(names.bos, self._prefixed.bos_id())
        self.bos_id = bos if names.add_bos is not False else None
        self.unk_id = self._named(names.unk, self._prefixed.unk_id())
        # The unknown token is the one special token that words may become.
        self._markup_ids = self._special_ids - {self.unk_id}
        eos = self._named(names.eos, self._prefixed.eos_id())
        if eos is None:
            raise ModelError(f"{path} has no end-of-sequence token", hint="name it in tokenizer_config.json: eos_token")
        self.eos_id = eos
        # LLaMA has no padding token; the reference pads with the unknown one.
        pad = self._named(names.pad, -1)
        self.pad_id = next(index for index in (pad, self.unk_id, eos) if index is not None)
        self.drops_leading_space = True

    def special_id(self, text: str) -> int | None:
        """See ``Tokenizer``."""
        return self.specials.get(text)

    def encode(self, text: str, *, starts: bool) -> list[Token]:
        """See ``Tokenizer``."""
        tokens = self._run(self._prefixed if starts or self._legacy else self._bare, text)
        return defuse(text, tokens, self._markup_ids, lambda part: self._run(self._bare, part))

    def token_bytes(self, token: int) -> bytes:
        """See ``Tokenizer``."""
        if token in self._special_ids or not 0 <= token < self._prefixed.vocab_size():
            return b""
        piece: str = self._prefixed.id_to_piece(token)
        if self._prefixed.is_byte(token):
            return bytes([int(piece[1:-1], 16)])
        return piece.replace(_SPACE, " ").encode()

    def decode(self, ids: Sequence[int]) -> str:
        """See ``Tokenizer``."""
        return text_of(map(self.token_bytes, ids), drop_space=self.drops_leading_space)

    @staticmethod
    def _run(processor: SentencePieceProcessor, text: str) -> list[Token]:
        found = processor.encode(text, return_type="offset_mapping")
        return [Token(i, begin, end) for i, (begin, end) in zip(found["ids"], found["offsets"], strict=True)]

    def _find_specials(self, names: SpecialNames, count: int) -> dict[str, int]:
        """Control pieces, the unknown piece, what the config names, and everything added to the vocabulary."""
        model = self._prefixed
        found = {model.id_to_piece(i): i for i in range(count) if model.is_control(i) or model.is_unknown(i)}
        for text in (names.bos, names.eos, names.unk, names.pad):
            if text is not None and text not in names.added:
                index = model.piece_to_id(text)
                if model.id_to_piece(index) == text:
                    found[text] = index
        return {**found, **names.added}

    def _named(self, text: str | None, otherwise: int) -> int | None:
        if text is not None and text in self.specials:
            return self.specials[text]
        return otherwise if otherwise >= 0 else None
