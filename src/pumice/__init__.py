"""LLaVA, complete and light: ask questions about images on your own hardware, and make the model yours.

    from pumice import Conversation, Engine, Image

    engine = Engine.load(None)
    print(engine.ask(Conversation.ask("How many dice are there?", (Image("dice.png"),))).text)

The public names are looked up when they are first used, so that ``import pumice`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pumice.engine.engine import Engine
    from pumice.options import SamplingOptions
    from pumice.prompts.conversation import Conversation, Image, Text, Turn

__version__ = "0.1.0"
__all__ = ["Conversation", "Engine", "Image", "SamplingOptions", "Text", "Turn", "__version__"]

_HOMES = {
    "Conversation": "pumice.prompts.conversation",
    "Engine": "pumice.engine.engine",
    "Image": "pumice.prompts.conversation",
    "SamplingOptions": "pumice.options",
    "Text": "pumice.prompts.conversation",
    "Turn": "pumice.prompts.conversation",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pumice' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
