"""What was meant by an unknown name: one rule, used by every room."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pumice.near import did_you_mean, nearest

KNOWN = ("temperature", "template", "top_p")


def test_the_nearest_is_offered() -> None:
    assert nearest("temprature", KNOWN) == "temperature"
    assert nearest("tmplate", dict.fromkeys(KNOWN)) == "template"
    assert nearest("zzz", KNOWN) is None
    assert nearest("top_k", KNOWN) == "top_p" and nearest("top_k", KNOWN, cutoff=0.85) is None
    assert nearest("x", iter(())) is None


def test_the_words() -> None:
    assert did_you_mean("top_p", "see the list") == "did you mean top_p?"
    assert did_you_mean("a b", "see the list", shown=repr) == "did you mean 'a b'?"
    assert did_you_mean(None, "see the list", shown=repr) == "see the list"
    assert did_you_mean(None, None) is None


@given(st.lists(st.text(max_size=12), max_size=6), st.text(max_size=12))
def test_only_what_is_known_is_offered(known: list[str], name: str) -> None:
    offered = nearest(name, known)
    assert offered in known if offered is not None else name not in known


def test_nobody_has_a_rule_of_their_own(project: Path) -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (project / "src" / "pumice").rglob("*.py")}
    assert {path.name for path, text in sources.items() if "difflib" in text} == {"near.py"}
    assert {path.name for path, text in sources.items() if '"did you mean' in text} == {"near.py"}
