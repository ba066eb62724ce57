"""What the commands that serve have in common: options, and how their applications are guarded and run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from typer import Option

from pumice.errors import PumiceError

if TYPE_CHECKING:
    from pumice.images.policy import FetchPolicy

Host: TypeAlias = Annotated[str, Option("--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 for all networks.")]
AllowedHosts: TypeAlias = Annotated[
    list[str] | None,
    Option("--allowed-host", metavar="NAME", help="Name under which it may be called. Repeatable."),
]
MediaDomains: TypeAlias = Annotated[
    list[str] | None,
    Option("--media-domain", metavar="NAME", help="Fetch pictures from these hosts only. Repeatable."),
]
NoRemoteImages: TypeAlias = Annotated[bool, Option("--no-remote-images", help="Fetch no pictures from the web.")]
LogFolder: TypeAlias = Annotated[
    Path | None, Option("--log-folder", metavar="FOLDER", help="Also write the log there, a file for each day.")
]
LogJson: TypeAlias = Annotated[bool, Option("--log-json", help="Write the log as lines of JSON.")]
RateLimit: TypeAlias = Annotated[
    float | None, Option("--rate-limit", metavar="N", min=0.1, help="Questions a minute of each API key.")
]
DrainS: TypeAlias = Annotated[float, Option("--drain", metavar="S", help="Longest wait for answers at the end.")]


def fetch_policy(domains: list[str] | None, refused: bool) -> FetchPolicy | None:
    """Where a server may fetch pictures: public addresses, and never its own network."""
    from pumice.images.policy import FetchPolicy

    return None if refused else FetchPolicy(domains=tuple(domains) if domains else None, for_strangers=True)


def served_name(model: str) -> str:
    """What callers name a model: a hub name as it is, a folder by its last part, as the original did it.

    The rest of a folder's path is nobody's business.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    last = folder.resolve().name
    return f"{folder.resolve().parent.name}_{last}" if re.fullmatch(r"checkpoint-\d+", last) else last


def require(extra: str, *modules: str) -> None:
    """Raises PumiceError if a library of an extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise PumiceError(f"this needs {' and '.join(missing)}", hint=f"pip install 'pumice[{extra}]'")
