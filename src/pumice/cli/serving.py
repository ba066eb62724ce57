"""What the commands that serve have in common: options, and how their applications are guarded and run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

from typer import Option

from pumice.errors import PumiceError, UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pumice.images.policy import FetchPolicy
    from pumice.serve.guard.run import Doorkeeping, Drain

Port: TypeAlias = Annotated[int, Option("--port", min=0, max=65535, help="0 takes any that is free.")]
RateLimit: TypeAlias = Annotated[
    float | None, Option("--rate-limit", metavar="N", min=0.1, help="Questions a minute of each API key.")
]
Conversations: TypeAlias = Annotated[
    Path | None, Option("--conversations", metavar="FOLDER", help="Write the page's conversations and votes there.")
]
DrainS: TypeAlias = Annotated[
    float, Option("--drain", metavar="S", min=0, help="Longest wait for answers in progress at the end.")
]
#: Where a controller is, unless told otherwise.
CONTROLLER = "http://localhost:21001"


@dataclass(frozen=True)
class Serving:
    """Where a server listens, where it writes down what happens, how it ends. Each field is an option of that name."""

    host: Annotated[str, Option("--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 for all networks.")] = (
        "127.0.0.1"
    )
    allowed_hosts: Annotated[
        list[str] | None,
        Option("--allowed-host", metavar="NAME", help="Name under which it may be called. Repeatable."),
    ] = None
    log_folder: Annotated[
        Path | None, Option("--log-folder", metavar="FOLDER", help="Also write the log there, a file for each day.")
    ] = None
    log_json: Annotated[bool, Option("--log-json", help="Write the log as lines of JSON.")] = False
    drain: DrainS = 30

    def log(self, role: str, *secrets: str | None) -> None:
        """Begins the log. secrets: what must never stand in it. Raises UsageError for a folder that cannot be made."""
        from pumice.serve.guard.logs import setup_logging

        setup_logging(role, folder=self.log_folder, as_json=self.log_json, secrets=[each for each in secrets if each])

    def doors(self, token: str | None = None, **more: object) -> Doorkeeping:
        """Whom the server lets in. token: the cluster's, if it opens this server. more: as ``Doorkeeping`` has it."""
        from pumice.serve.guard.keys import Keys
        from pumice.serve.guard.run import Doorkeeping

        return Doorkeeping(self.host, Keys(), token, tuple(self.allowed_hosts or ()), **more)  # type: ignore[arg-type]

    def run(
        self,
        role: str,
        app: ASGIApp,
        how: Doorkeeping,
        port: int,
        drain: Drain,
        on_ready: Callable[[int], None] | None = None,
    ) -> int:
        """Serves ``app`` behind its guard until it is to end; the exit code. Raises as ``guarded`` and ``serve`` do."""
        from pumice.serve.guard.run import guarded, serve

        return serve(guarded(app, how), self.host, port, drain=drain, on_ready=on_ready, drain_s=self.drain, role=role)


@dataclass(frozen=True)
class Fetching:
    """Where a server may fetch pictures. Each field is an option of the same name."""

    media_domains: Annotated[
        list[str] | None,
        Option("--media-domain", metavar="NAME", help="Fetch pictures from these hosts only. Repeatable."),
    ] = None
    no_remote_images: Annotated[bool, Option("--no-remote-images", help="Fetch no pictures from the web.")] = False

    def policy(self) -> FetchPolicy | None:
        """Public addresses, and never the server's own network."""
        from pumice.images.policy import FetchPolicy

        domains = tuple(self.media_domains) if self.media_domains else None
        return None if self.no_remote_images else FetchPolicy(domains=domains, for_strangers=True)


@dataclass(frozen=True)
class Capacity:
    """What a worker is called, and how much it takes on. Each field is an option of the same name."""

    name: Annotated[str | None, Option("--name", metavar="NAME", help="What callers name the model.")] = None
    slots: Annotated[int, Option("--slots", metavar="N", help="Answers that a worker makes together.")] = 8
    queue: Annotated[
        int, Option("--queue", metavar="N", help="Questions that may wait for a worker; more are refused.")
    ] = 64
    deadline: Annotated[float, Option("--deadline", metavar="S", help="Longest time of an answer.")] = 600
    cache_mib: Annotated[
        int | None,
        Option(
            "--cache-mib",
            metavar="N",
            help="MiB in which a worker remembers conversations. Default: 8 full contexts, at most 2048.",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.slots < 1 or self.queue < 0 or (self.cache_mib or 0) < 0:
            raise UsageError("--slots must be at least 1, --queue and --cache-mib at least 0")
        if not 0 < self.deadline < math.inf:  # also refuses nan
            raise UsageError(f"--deadline must be a finite number of seconds above 0, found {self.deadline:g}")
        from pumice.serve.cluster.status import LONGEST_NAME, is_name

        if self.name is not None and not is_name(self.name):
            raise UsageError(f"--name must be 1 to {LONGEST_NAME} printable characters, found {self.name[:50]!r}")

    @property
    def cache_bytes(self) -> int | None:
        """As an engine is told it."""
        return None if self.cache_mib is None else self.cache_mib << 20

    def flags(self) -> list[str]:
        """The command line that makes another process such a worker."""
        named = ["--name", self.name] if self.name else []
        cache = [] if self.cache_mib is None else ["--cache-mib", str(self.cache_mib)]
        limits = ["--slots", str(self.slots), "--queue", str(self.queue), "--deadline", str(self.deadline)]
        return [*named, *limits, *cache]


def served_name(model: str) -> str:
    """What callers name a model: a hub name as it is, a folder by its last part, as the original did it.

    The rest of a folder's path is nobody's business.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    last = folder.resolve().name
    return f"{folder.resolve().parent.name}_{last}" if re.fullmatch(r"checkpoint-\d+", last) else last


def require_server() -> None:
    """Raises PumiceError if what every server needs is not installed."""
    require("serve", "fastapi", "uvicorn", "prometheus_client")


def require(extra: str, *modules: str) -> None:
    """Raises PumiceError if a library of an extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise PumiceError(f"this needs {' and '.join(missing)}", hint=f"pip install 'pumice[{extra}]'")
