"""JSON of any size, member by member."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.annotations.sources import stream
from pumice.annotations.sources.stream import members
from pumice.errors import UsageError

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
_FILES = st.lists(_VALUES, max_size=8) | st.dictionaries(st.text(), _VALUES, max_size=6)


def gathered(path: Path) -> object:
    """The file put together again."""
    whole: dict[str, object] = {}
    listed: list[object] = []
    for member in members(path):
        if member.key not in whole and member.number == 0:
            whole[member.key] = listed = []
        if member.number < 0:
            whole[member.key] = member.value
        else:
            assert member.number == len(listed)
            listed.append(member.value)
    return whole


@given(_FILES, st.integers(1, 40), st.sampled_from([None, 1]), st.booleans())
def test_members_are_what_the_file_holds(
    tmp_path_factory: pytest.TempPathFactory, value: object, piece: int, indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=ascii_only), encoding="utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_PIECE", piece)
        try:
            found = gathered(path)
        except UsageError as error:
            assert "UTF-8" in str(error) and not ascii_only  # halves of surrogates
            return
    expected = {"": value} if isinstance(value, list) else value
    assert isinstance(expected, dict)
    # An empty list has no members.
    assert found == {key: each for key, each in expected.items() if each != []}


@given(_FILES, st.integers(0, 400), st.binary(max_size=3))
def test_a_damaged_file_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, value: object, at: int, noise: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    whole = json.dumps(value).encode()
    path.write_bytes(whole[:at] + noise + whole[at + 2 :])
    try:
        list(members(path))
    except UsageError as error:
        assert str(path) in str(error)
    else:
        json.loads(path.read_text(encoding="utf-8-sig"))


def test_every_beginning_of_a_file_is_told_from_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    whole = json.dumps({"images": [{"id": 12, "name": "ü"}, {"id": 3}], "info": {"year": 2017}, "n": 12}).encode()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"cut\.json"):
            list(members(path))


def test_the_place_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text, place in (
        ('{"annotations": [{"id": 1}, {"id": 2,}]}', r"annotations\[1\]"),
        ('{"annotations": [{"id": 1}, {"id": 2', r"ends in the middle, at annotations\[1\]"),
        ('{"annotations": [1] "images": []}', "expected a comma"),
        ("[1, 2, ]", "a comma stands before the end"),
        ("[1] [2]", "something follows"),
        ("<html>", "expected JSON"),
        ("{1: 2}", "expected a name"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "1" * 5_000 + "]", "this is not JSON: Exceeds the limit"),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=place):
            list(members(path))
    with pytest.raises(UsageError, match="cannot read"):
        list(members(tmp_path / "b.json"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_PIECE", 1 << 16)
    path = tmp_path / "large.json"
    record = json.dumps({"id": 1, "segmentation": [[float(number) for number in range(200)]], "bbox": [1, 2, 3, 4]})
    with path.open("w") as file:
        file.write('{"annotations": [' + ",".join([record] * 4_000) + "]}")
    assert path.stat().st_size > 5e6
    tracemalloc.start()
    try:
        assert sum(1 for _ in members(path)) == 4_000
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
