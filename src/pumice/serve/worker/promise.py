"""What an answer must be before it is called whole."""

from __future__ import annotations

import json
from contextlib import suppress

from pumice.serve.guard.errors import ApiError, Failure


def require_json(text: str) -> None:
    """Raises ApiError for an answer after a schema that is none, whatever went wrong: nobody may take it for one."""
    try:
        with suppress(RecursionError):  # deeper than Python reads is no fault of the text
            json.loads(text, parse_int=str)
    except ValueError:
        message = "the answer is not the JSON that the schema asks for"
        raise ApiError(Failure(500, "internal_error", message, "simplify the schema")) from None
