"""What the web page is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from pumice.images.policy import FetchPolicy


def _own_folder() -> Path:
    return user_cache_path("pumice") / "web"


_FETCH = FetchPolicy(for_strangers=True)


@dataclass(frozen=True)
class WebSettings:
    """Where the page finds its API, and what it may do.

    api: the OpenAI-compatible server to ask, as a base URL; None if it is on the page's own server (``mount_web``).
    key: sent to it, and to nobody else.
    folder: uploads and the pictures of conversations; made for this user alone.
    log_folder: where conversations and votes are written down; None for nowhere, and then there are no votes.
    fetch: what may be fetched when a visitor gives a picture's URL; None for nothing.
    answers: how many are written at a time; waiting: how many visitors may wait behind them.
    upload_bytes: the largest file that is taken. poll_s: how often an open page asks which models there are.
    keep_s: how long a picture is kept after it was last used, for conversations that are opened again.
    """

    api: str | None = "http://127.0.0.1:8000/v1"
    key: str | None = field(default=None, repr=False)
    folder: Path = field(default_factory=_own_folder)
    log_folder: Path | None = None
    fetch: FetchPolicy | None = _FETCH
    answers: int = 32
    waiting: int = 64
    upload_bytes: int = 20 << 20
    poll_s: float = 3.0
    keep_s: float = 7 * 86400
