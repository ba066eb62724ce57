"""What holds for every test: no network but loopback, and a home of its own."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_HOME = pytest.StashKey[str]()
# Reserved for documentation and tests (RFC 2606): nobody answers there, so nobody needs to be asked.
_NEVER_EXISTS = (".invalid", ".test", ".example")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything is imported: libraries read these once."""
    # Many containers forbid byte code; then each of the hundreds of processes here would compile PyTorch again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"  # one process for each core, and one thread for each process
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background; it would be handed on
        signal.signal(signal.SIGINT, signal.default_int_handler)
    home = tempfile.mkdtemp(prefix="pumice-tests-")
    config.stash[_HOME] = home
    os.environ["HOME"] = home
    os.environ["HF_HOME"] = os.path.join(home, "huggingface")
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        os.environ[name] = os.path.join(home, name.lower())
    for name in [name for name in os.environ if name.startswith("PUMICE_") and name != "PUMICE_GOLDEN"]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no process is left with one of them when the others have finished."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_HOME], ignore_errors=True)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return host in ("localhost", "")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that reaches for the network fails, whatever the code under test makes of the error."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def check(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            assert isinstance(address, tuple)
            if not _is_loopback(str(address[0])):
                pytest.fail(f"a test connects to {address}; only loopback is allowed")

    def guarded_connect(self: socket.socket, address: object) -> object:
        check(self, address)
        return connect(self, address)  # type: ignore[arg-type]

    def guarded_connect_ex(self: socket.socket, address: object) -> int:
        check(self, address)
        return connect_ex(self, address)  # type: ignore[arg-type]

    def guarded_getaddrinfo(host: object, *rest: object, **options: object) -> object:
        name = host.decode() if isinstance(host, bytes) else str(host or "")
        if name.rstrip(".").endswith(_NEVER_EXISTS):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        try:
            ipaddress.ip_address(name.split("%", maxsplit=1)[0])
        except ValueError:
            if name not in ("localhost", "", socket.gethostname()):
                pytest.fail(f"a test looks up {name!r}; only localhost is allowed")
        return getaddrinfo(host, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
    yield


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent
