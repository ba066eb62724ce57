"""What a worker says of itself: which models it has, how fast it is, how many wait. One shape on the wire, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pumice.errors import ServerError

MOST_MODELS = 64
LONGEST_NAME = 200  # characters
_MOST_INFO = 64 << 10  # bytes of JSON
_LARGEST = 1e6


@dataclass(frozen=True)
class Status:
    """speed: relative to other workers, above 0. queue: requests that run or wait. info: what ``/v1/models`` tells."""

    models: tuple[str, ...]
    speed: float = 1.0
    queue: int = 0
    info: Mapping[str, object] = field(default_factory=dict)

    def as_json(self, *, with_info: bool = True) -> dict[str, object]:
        """As the original writes it; ``info`` is an addition of ours."""
        shown: dict[str, object] = {"model_names": list(self.models), "speed": self.speed, "queue_length": self.queue}
        return {**shown, "info": dict(self.info)} if with_info else shown


def read_status(raw: object) -> Status:
    """The status in a decoded JSON value.

    Raises:
        ServerError: something is missing, of the wrong kind, or out of bounds.
    """
    if not isinstance(raw, Mapping):
        raise ServerError("a worker's status is a JSON object")
    models, speed, queue, info = (raw.get(name) for name in ("model_names", "speed", "queue_length", "info"))
    if not isinstance(models, list) or not 1 <= len(models) <= MOST_MODELS or not all(map(is_name, models)):
        raise ServerError(f"model_names are 1 to {MOST_MODELS} names of at most {LONGEST_NAME} printable characters")
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 < speed <= _LARGEST:  # refuses NaN
        raise ServerError("speed is a number above 0")
    if isinstance(queue, bool) or not isinstance(queue, int) or not 0 <= queue <= _LARGEST:
        raise ServerError("queue_length is a whole number, 0 or more")
    info = {} if info is None else info
    if not isinstance(info, Mapping) or not _is_small(info):
        raise ServerError(f"info is a JSON object of at most {_MOST_INFO} bytes")
    return Status(tuple(dict.fromkeys(models)), float(speed), queue, dict(info))


def is_name(value: object) -> bool:
    """Whether a model can be called that."""
    return isinstance(value, str) and 1 <= len(value) <= LONGEST_NAME and value.isprintable()


def _is_small(info: Mapping[str, object]) -> bool:
    try:
        return len(json.dumps(info, allow_nan=False)) <= _MOST_INFO
    except (ValueError, RecursionError):
        return False
