"""``pumice keys``: what is printed where, and what the file holds afterwards."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pumice.cli.main import main
from pumice.serve.guard.keys import Keys


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PUMICE_DATA_DIR", str(tmp_path))
    return tmp_path


def test_a_key_goes_to_stdout_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "phone"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"pumice-[A-Za-z0-9_-]{43}\n", out)
    assert out.strip() not in err
    assert str(folder / "keys.json") in err
    found = Keys(folder).find(out.strip().encode())
    assert found is not None
    assert (found.name, found.scopes) == ("phone", ("infer",))


def test_scopes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "boss", "--scope", "admin"]) == 0
    assert Keys(folder).all()[0].scopes == ("admin",)
    assert main(["keys", "create", "root", "--scope", "everything"]) == 2
    assert "infer or admin" in capsys.readouterr().err


def test_list_and_revoke(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "list"]) == 0
    assert "no key yet" in capsys.readouterr().err
    main(["keys", "create", "phone"])
    key = capsys.readouterr().out.strip()
    main(["keys", "create", "boss", "--scope", "admin"])
    assert main(["keys", "revoke", "phone"]) == 0
    capsys.readouterr()
    assert main(["keys", "list"]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(r"phone  infer  created \S+  revoked \S+\nboss   admin  created \S+  in use\n", out)
    assert main(["keys", "list", "--json"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out)
    assert [each["name"] for each in told["keys"]] == ["phone", "boss"]
    assert key not in out
    assert "sha256" not in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["create", "bad name"], "expected a name"),
        (["create", ""], "expected a name"),
        (["revoke", "nobody"], "no key 'nobody'"),
        (["create"], "name"),
    ],
)
def test_mistakes(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err
    assert "hint:" in err


def test_a_name_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "phone"]) == 0
    assert main(["keys", "create", "phone"]) == 2
    assert "already" in capsys.readouterr().err


def test_a_damaged_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "keys.json").write_text("[", encoding="utf-8")
    for words in (["list"], ["create", "a"], ["revoke", "a"]):
        assert main(["keys", *words]) == 2
        assert "not a file of keys" in capsys.readouterr().err
    assert (folder / "keys.json").read_text(encoding="utf-8") == "["
