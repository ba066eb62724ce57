"""Where the key of a paid server comes from."""

from __future__ import annotations

import os

#: In the order in which they are looked at.
KEY_VARIABLES = ("PUMICE_API_KEY", "OPENAI_API_KEY")
KEY_HINT = f"put the server's key into {KEY_VARIABLES[0]}, else {KEY_VARIABLES[1]}"


def key_of_environment() -> str | None:
    """The key of ``PUMICE_API_KEY``, else of ``OPENAI_API_KEY``; None if neither says anything."""
    return next((key for name in KEY_VARIABLES if (key := os.environ.get(name, "").strip())), None)
