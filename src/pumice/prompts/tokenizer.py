"""A model folder's tokenizer: load it, save it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pumice.errors import ModelError
from pumice.prompts.json_tokenizer import JsonTokenizer
from pumice.prompts.sentencepiece_tokenizer import SentencePieceTokenizer
from pumice.prompts.tokens import Token, Tokenizer

__all__ = ["FILES", "Token", "Tokenizer", "load_tokenizer", "make_tokenizer", "save_tokenizer"]

FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer of a model folder: ``tokenizer.json`` if there is one, else ``tokenizer.model``.

    LLaVA's own folders hold ``tokenizer.model`` alone. Those with both come from transformers, which reads the first;
    the ``tokenizer_class`` that they name is the same whichever of the two a model was trained with.

    Raises:
        ModelError: the folder holds neither, or a file is damaged.
    """
    folder = Path(folder)
    try:
        files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    except OSError as error:
        raise ModelError(f"the tokenizer in {folder} cannot be read: {error.strerror}") from error
    return make_tokenizer(files, folder)


def make_tokenizer(files: Mapping[str, bytes], folder: Path) -> Tokenizer:
    """The tokenizer that these files make up. ``folder`` is for messages. Raises as ``load_tokenizer``."""
    if "tokenizer.json" in files:
        return JsonTokenizer(files, folder)
    if "tokenizer.model" in files:
        return SentencePieceTokenizer(files, folder)
    raise ModelError(
        f"no tokenizer in {folder}: expected tokenizer.json or tokenizer.model",
        hint="copy the tokenizer files of the language model into this folder",
    )


def save_tokenizer(tokenizer: Tokenizer, folder: str | Path) -> None:
    """Write the files from which ``load_tokenizer`` makes the same tokenizer again. The folder must exist.

    Raises:
        ModelError: the files cannot be written.
    """
    folder = Path(folder)
    try:
        for name in FILES:
            if name in tokenizer.files:
                (folder / name).write_bytes(tokenizer.files[name])
            else:  # a file left by another tokenizer would win over, or contradict, those written here
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"the tokenizer cannot be written to {folder}: {error.strerror}") from error
