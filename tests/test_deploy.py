"""What is given along for operating the servers: the container, its composition, and the units of systemd."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pumice.cli.main import main
from pumice.cli.preferences import settings_of
from pumice.cli.settings import Settings
from pumice.serve.cluster.token import cluster_token
from pumice.serve.guard.keys import Keys
from serve.apis import Scripted, scripted

DEPLOY = Path(__file__).parent.parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
#: What is used of systemd, by section (systemd.unit, systemd.exec, systemd.kill, systemd.service).
DIRECTIVES = {
    "Unit": {"Description", "After", "Wants", "Conflicts"},
    "Service": {
        *("Type", "EnvironmentFile", "Environment", "ExecStart", "Restart", "RestartSec", "RestartPreventExitStatus"),
        *("KillSignal", "KillMode", "TimeoutStopSec", "DynamicUser", "User", "StateDirectory", "StateDirectoryMode"),
        *("CacheDirectory", "CacheDirectoryMode", "UMask", "NoNewPrivileges", "CapabilityBoundingSet"),
        *("AmbientCapabilities", "ProtectSystem", "ProtectHome", "ProtectProc", "ProtectClock", "ProtectHostname"),
        *("ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "PrivateTmp"),
        *("RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality"),
        *("SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber", "LimitNOFILE"),
    },
    "Install": {"WantedBy"},
}
SANDBOX = {
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "NoNewPrivileges": "yes",
    "DynamicUser": "yes",
    "StateDirectory": "pumice",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "Restart": "on-failure",
    "KillSignal": "SIGTERM",
}
_DRAIN = re.compile(r"--drain (\d+)")
_OWN_VARIABLE = re.compile(r"\bPUMICE_[A-Z0-9_]+")


def sections(unit: Path) -> dict[str, list[tuple[str, str]]]:
    """As systemd reads them: a directive may stand there several times."""
    found: dict[str, list[tuple[str, str]]] = {}
    here: list[tuple[str, str]] = []
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            here = found.setdefault(line.strip("[]"), [])
        elif line.strip() and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals and name.strip() == name, line
            here.append((name, value))
    return found


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = sections(unit)
    assert list(found) == list(DIRECTIVES)
    for section, known in DIRECTIVES.items():
        assert {name for name, _ in found[section]} <= known
    service = dict(found["Service"])
    assert service.items() >= SANDBOX.items()
    program, command, *words = service["ExecStart"].split()
    assert program == "/opt/pumice/bin/pumice"
    flags = {word for word in words if word.startswith("--")}
    shown = help_of(command, capsys)
    assert flags and all(re.search(rf"{flag}\b", shown) for flag in flags)
    drain = _DRAIN.search(service["ExecStart"])
    assert int(service["TimeoutStopSec"]) > (int(drain[1]) if drain else 30) + 5, "the drain needs its time"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """Only where there is systemd; what it knows is also in the table above."""
    for unit in UNITS:
        name = unit.name.replace("@", "@21002")
        text = unit.read_text(encoding="utf-8").replace("/opt/pumice/bin/pumice", sys.executable)
        (tmp_path / name).write_text(text, encoding="utf-8")
    names = sorted(str(each) for each in tmp_path.iterdir())
    assert len(names) == 4
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "pumice" in line]
    assert done.returncode == 0 and not ours, done.stderr


def composition() -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_composition(capsys: pytest.CaptureFixture[str]) -> None:
    found = composition()
    assert set(found) == {"name", "services", "volumes"}
    (service,) = found["services"].values()
    known = {
        *("image", "build", "command", "environment", "ports", "volumes", "user", "read_only", "tmpfs", "cap_drop"),
        *("security_opt", "pids_limit", "restart", "init", "stop_signal", "stop_grace_period", "healthcheck"),
        "logging",
    }
    assert set(service) == known
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [each.split(":")[0] for each in service["volumes"]] == list(found["volumes"]) == ["data", "models"]
    assert service["ports"] == ["${PUMICE_PUBLISH:-127.0.0.1}:8000:8000"], "nobody else's, unless it is wished"
    command, *words = service["command"]
    assert command == "serve" and words[words.index("--host") + 1] == "0.0.0.0", "so it ends without a key"
    shown = help_of(command, capsys)
    assert all(flag in shown for flag in words if flag.startswith("--"))
    assert int(service["stop_grace_period"].removesuffix("s")) > int(words[words.index("--drain") + 1]) + 5
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    variables = {each.variable for each in settings_of(Settings)}
    assert set(service["environment"]) <= variables


def test_the_image() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line.split() for line in text.replace("\\\n", " ").splitlines() if line and line[0] not in "# \t"]
    assert {line[0] for line in lines} <= {
        *("FROM", "ARG", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE"),
        *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
    users = [line[1] for line in lines if line[0] == "USER"]
    assert users == [composition()["services"]["pumice"]["user"]]
    assert "://" not in text.replace("http://127.0.0.1", ""), "packages come from where pip and apt look by themselves"
    for words in (line for line in lines if line[0] == "COPY" and not line[1].startswith("--")):
        assert (DEPLOY.parent / words[1]).exists()


def test_variables_are_ones_that_pumice_takes() -> None:
    """Except those that are only there to be put into a command line."""
    settings = {each.variable for each in settings_of(Settings)}
    own = {"PUMICE_DATA_DIR", "PUMICE_CLUSTER_TOKEN", "PUMICE_CONTROLLER", "PUMICE_PUBLISH", "PUMICE_HOSTNAME"}
    for file in (*UNITS, DEPLOY / "docker-compose.yml", DEPLOY / "Dockerfile"):
        used = set(_OWN_VARIABLE.findall(file.read_text(encoding="utf-8")))
        assert {each for each in used if not each.endswith("OPTIONS")} <= settings | own, file


@pytest.mark.parametrize("has_token", [True, False])
def test_the_health_check(has_token: bool, tmp_path: Path) -> None:
    keys, data = tmp_path / "keys", tmp_path / "data"
    token = cluster_token(data) if has_token else None

    def check(port: int) -> int:
        script = [sys.executable, str(DEPLOY / "ready.py"), f"http://127.0.0.1:{port}"]
        environment = {**os.environ, "PUMICE_DATA_DIR": str(data), "http_proxy": "http://127.0.0.1:1"}
        return subprocess.run(script, env=environment, capture_output=True, check=False).returncode

    if has_token:
        Keys(keys).create("somebody")
    with scripted(keys, Scripted(), cluster_token=token) as running:
        assert check(running.port) == 0
        running.drain.begin()
    assert check(running.port) == 1
