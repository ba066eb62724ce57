"""A foreign checkpoint folder: its JSON files, its tokenizer, and the other folders it names."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pumice.checkpoint import configs
from pumice.checkpoint.fields import Fields
from pumice.checkpoint.files import read_json
from pumice.checkpoint.hub import find_model
from pumice.checkpoint.vocabulary import with_specials
from pumice.prompts.tokenizer import FILES as TOKENIZER_FILES
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer


@dataclass(frozen=True)
class Folder:
    """A checkpoint folder and what the caller said about it. notes: warnings met on the way."""

    path: Path
    config: Fields
    base: str | Path | None = None
    vision_tower: str | Path | None = None
    offline: bool = False
    notes: list[str] = field(default_factory=list)

    def json(self, *names: str) -> Fields:
        """The first of these JSON files that exists; empty if there is none."""
        for name in names:
            if (self.path / name).is_file():
                return Fields(read_json(self.path / name), name)
        return Fields({}, names[0])

    def find(self, name: str | Path, *, weights: bool = True) -> Path:
        """Another folder, which this one names, or the caller: what the caller says counts from where they are."""
        given = name in (self.base, self.vision_tower) and os.path.isdir(name)
        beside = None if given else self.path
        return find_model(name, beside=beside, offline=self.offline, weights=weights, warn=self.notes.append)


def image_processor(folder: Folder) -> Fields:
    """The image processor's config, which transformers 5 stores inside the processor's."""
    if (folder.path / "preprocessor_config.json").is_file():
        return folder.json("preprocessor_config.json")
    return folder.json("processor_config.json").inner("image_processor")


def own_tokenizer(folder: Folder) -> Tokenizer | None:
    """The tokenizer in this folder, None if there is none."""
    has_one = any((folder.path / name).is_file() for name in TOKENIZER_FILES[:2])
    return load_tokenizer(folder.path) if has_one else None


def tokenizer_for_pictures(folder: Folder, otherwise: Tokenizer | None = None) -> Tokenizer | None:
    """The folder's own or its base's, which may not know the names that training added and did not save."""
    return with_specials(own_tokenizer(folder) or otherwise, configs.image_names(folder.config), folder.path)
