"""Windows, macOS and Linux: what one of them lacks is not used, as far as the source tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from test_architecture import MODULES, Module

# What Windows lacks, and where it is used behind a guard.
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
POSIX_CALLS = {
    "chown",
    "fchmod",
    "fork",
    "forkpty",
    "getuid",
    "geteuid",
    "killpg",
    "mkfifo",
    "nice",
    "setsid",
    "sysconf",
    "uname",
}
GUARDED = {("pumice.train.meter", "resource"), ("pumice.checkpoint.memory", "sysconf")}


def _posix_only(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in POSIX_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES:
            yield node.module
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            yield from {node.attr} & POSIX_CALLS
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "signal":
            yield from {node.attr} & {"SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGCHLD"}


def test_nothing_that_windows_lacks() -> None:
    found = {(module.name, what) for module in MODULES.values() for what in _posix_only(module)}
    assert found == GUARDED


def test_text_files_name_their_encoding() -> None:
    """Else it is the machine's own, which on Windows is not UTF-8."""
    silent = [
        module.place(node)
        for module in MODULES.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _reads_or_writes_text(node)
    ]
    assert not silent, f"no encoding is given: {silent}"


def _reads_or_writes_text(call: ast.Call) -> bool:
    assert isinstance(call.func, ast.Attribute)
    named = {each.arg for each in call.keywords}
    encoding_at = {"read_text": 0, "write_text": 1}.get(call.func.attr)
    return encoding_at is not None and "encoding" not in named and len(call.args) <= encoding_at
