"""Keys in their file: hashed, private, whole at every moment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.serve.cluster.token import cluster_token, proof
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.run import guarded
from pumice.serve.guard.secret_files import data_folder, kept_secret
from serve.served import doorkeeping, get, running, sample_app

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_shown_once_and_kept_as_its_hash(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    key = keys.create("phone")
    assert re.fullmatch(r"pumice-[A-Za-z0-9_-]{43}", key)
    text = keys.file.read_text(encoding="utf-8")
    assert key not in text
    assert key.removeprefix("pumice-") not in text
    (entry,) = json.loads(text)["keys"]
    assert entry["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert (entry["name"], entry["scopes"], entry["revoked"]) == ("phone", ["infer"], None)
    assert entry["created"].endswith("+00:00")


@posix
def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys = Keys(tmp_path / "made" / "here")
        keys.create("a")
        keys.create("b")
        keys.revoke("a")
        token = cluster_token(tmp_path / "made" / "here")
    finally:
        os.umask(before)
    assert token
    assert {_mode(each) for each in (tmp_path / "made" / "here").iterdir()} == {0o600}
    assert _mode(tmp_path / "made" / "here") == 0o700


@posix
def test_a_file_that_was_open_to_others_is_closed_by_the_next_change(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.create("a")
    keys.file.chmod(0o644)
    keys.create("b")
    assert _mode(keys.file) == 0o600


def test_finding(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    assert not keys.exist
    assert keys.find(b"") is None
    infer, admin = keys.create("phone"), keys.create("boss", "admin")
    found = keys.find(infer.encode())
    assert found is not None
    assert (found.name, found.may("infer"), found.may("admin")) == ("phone", True, False)
    boss = keys.find(admin.encode())
    assert boss is not None
    assert (boss.may("infer"), boss.may("admin")) == (True, True)
    assert keys.by_id(boss.id) == boss
    for wrong in (
        b"",
        infer[:-1].encode(),
        f"{infer} ".encode(),
        infer.upper().encode(),
        b"\xff",
        found.sha256.encode(),
    ):
        assert keys.find(wrong) is None


def test_another_process_sees_a_change_at_once(tmp_path: Path) -> None:
    writer, reader = Keys(tmp_path), Keys(tmp_path)
    assert reader.all() == ()
    key = writer.create("phone")
    assert reader.find(key.encode()) is not None
    ended = writer.revoke("phone")
    assert ended.revoked is not None
    assert reader.find(key.encode()) is None
    assert reader.by_id(ended.id) is None
    assert reader.exist
    assert not reader.usable
    again = writer.create("phone")
    assert again != key
    assert reader.find(again.encode()) is not None
    assert [each.revoked is None for each in reader.all()] == [False, True]


@pytest.mark.parametrize("name", ["", " ", "a b", "ü", "a/b", "..\n", "a" * 65, "a\x00", "$x"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected a name"):
        Keys(tmp_path).create(name)
    assert not (tmp_path / "keys.json").exists()


def test_mistakes(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.create("a")
    with pytest.raises(UsageError, match="already"):
        keys.create("a")
    with pytest.raises(UsageError, match="no key 'b'"):
        keys.revoke("b")
    with pytest.raises(UsageError, match="infer or admin"):
        keys.create("b", "root")
    keys.revoke("a")
    with pytest.raises(UsageError, match="no key 'a'"):
        keys.revoke("a")


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_a_file_that_is_none_is_an_error_and_stays(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    keys = Keys(tmp_path_factory.mktemp("damaged"))
    text = json.dumps({"keys": value if isinstance(value, list) and value else [value]})
    keys.file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="not a file of keys"):
        keys.find(b"x")
    with pytest.raises(UsageError, match="not a file of keys"):
        keys.create("a")
    assert keys.file.read_text(encoding="utf-8") == text


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        keys = Keys(tmp_path)
        for step in range(5):
            keys.create(f"k{number}-{step}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(Keys(tmp_path).all()) == 30
    assert {each.name for each in tmp_path.iterdir()} == {"keys.json", ".keys.json.lock"}


def test_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert data_folder().name == "pumice"
    monkeypatch.setenv("PUMICE_DATA_DIR", str(tmp_path / "x"))
    assert data_folder() == tmp_path / "x"
    assert Keys().file == tmp_path / "x" / "keys.json"


def test_the_clusters_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = cluster_token(tmp_path)
    assert re.fullmatch(r"pumice-cluster-[A-Za-z0-9_-]{43}", token)
    assert cluster_token(tmp_path) == token
    monkeypatch.setenv("PUMICE_CLUSTER_TOKEN", "of-the-environment-1")
    assert cluster_token(tmp_path) == "of-the-environment-1"
    for bad in ("short", "with a space in the middle", "ü" * 20, "x" * 300):
        monkeypatch.setenv("PUMICE_CLUSTER_TOKEN", bad)
        with pytest.raises(UsageError, match="PUMICE_CLUSTER_TOKEN"):
            cluster_token(tmp_path)
    monkeypatch.delenv("PUMICE_CLUSTER_TOKEN")
    (tmp_path / "cluster-token").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="empty"):
        cluster_token(tmp_path)


def test_processes_that_start_together_agree_on_a_token(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from pumice.serve.cluster.token import cluster_token\n"
    code += "print(cluster_token(Path(sys.argv[1])))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(4)
    ]
    printed = {each.communicate()[0] for each in started}
    assert len(printed) == 1
    assert printed.pop().strip() == (tmp_path / "cluster-token").read_text(encoding="utf-8").strip()


def test_the_proof_of_a_token() -> None:
    assert proof("t" * 16, "n") == proof("t" * 16, "n")
    assert len({proof("t" * 16, "n"), proof("t" * 16, "m"), proof("u" * 16, "n")}) == 3
    assert re.fullmatch(r"[0-9a-f]{64}", proof("t" * 16, "\ud800"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        Keys(tmp_path / "file").create("a")
    with pytest.raises(UsageError, match="cannot be written"):
        kept_secret(tmp_path / "file" / "secret", lambda: "x")


@pytest.mark.parametrize("scope", ["api", "cluster", "web"])
def test_no_server_starts_with_a_damaged_file(tmp_path: Path, scope: str) -> None:
    """Not even for this machine alone: nobody knows who may come in."""
    (tmp_path / "keys.json").write_text('{"keys": [', encoding="utf-8")
    with pytest.raises(UsageError, match="is not a file of keys") as caught:
        guarded(sample_app(), doorkeeping(tmp_path, scope=scope, cluster_token="a-cluster-token"))
    assert caught.value.exit_code == 2 and "move it away" in str(caught.value.hint)


def test_a_file_that_is_damaged_later_changes_nothing(tmp_path: Path) -> None:
    key = Keys(tmp_path).create("one")
    with running(sample_app(), doorkeeping(tmp_path)) as server:
        (tmp_path / "keys.json").write_text("{", encoding="utf-8")
        assert get(server.port, "/v1/models", ("x-api-key", key)).status == 200
        assert get(server.port, "/v1/models").status == 401
