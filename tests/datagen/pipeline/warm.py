"""Everything that a run loads, loaded once: processes that are forked from here start at once."""

from __future__ import annotations

import importlib

from pumice.datagen.gates.language import foreign

for name in ("matplotlib.figure", "openai.resources.chat", "openai.resources.batches", "datagen.pipeline.runs"):
    importlib.import_module(name)
foreign("There are two dogs on the grass beside the bench.")
