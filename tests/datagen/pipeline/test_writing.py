"""Files that are written in pieces, cut off anywhere, and gone on with are those of an unbroken run."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.datagen.writing import GrowingFiles
from pumice.errors import UsageError

NAMES = ("a.json", "b.jsonl")
# Either a line for a file, or a commit, or a crash that leaves so many bytes of rubbish behind what was committed.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 1), st.text(max_size=8)),
        st.tuples(st.just("commit"), st.just(0), st.just("")),
        st.tuples(st.just("crash"), st.integers(0, 9), st.just("")),
    ),
    max_size=25,
)


def reopened(folder: Path, lengths: dict[str, int]) -> GrowingFiles:
    return GrowingFiles(folder, NAMES, lengths, lists=NAMES[:1])


@given(STEPS)
def test_a_run_with_crashes_writes_what_one_without_writes(steps: list[tuple[str, int, str]]) -> None:
    with TemporaryDirectory() as name:
        folder, lengths = Path(name), dict.fromkeys(NAMES, 0)
        kept: list[tuple[int, str]] = []
        waiting: list[tuple[int, str]] = []
        files = reopened(folder, lengths)
        for what, number, text in steps:
            if what == "add":
                files.add(NAMES[number], json.dumps(text))
                waiting.append((number, text))
            elif what == "commit":
                lengths, kept, waiting = files.commit(), kept + waiting, []
            else:
                files.__exit__(None, None, None)
                for each in NAMES:
                    with (folder / each).open("r+b") as file:
                        file.seek(lengths[each])
                        file.write(b"{" * number)
                files, waiting = reopened(folder, lengths), []
                assert json.loads((folder / NAMES[0]).read_bytes()) == [text for number, text in kept if number == 0]
        with files:
            files.commit()
        kept += waiting
        assert json.loads((folder / NAMES[0]).read_bytes()) == [text for number, text in kept if number == 0]
        lined = (folder / NAMES[1]).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lined] == [text for number, text in kept if number == 1]


def test_the_list_is_whole_after_every_commit_and_empty_at_first(tmp_path: Path) -> None:
    with reopened(tmp_path, {}) as files:
        assert json.loads((tmp_path / NAMES[0]).read_bytes()) == []
        for number in range(3):
            files.add(NAMES[0], str(number))
            files.commit()
            assert json.loads((tmp_path / NAMES[0]).read_bytes()) == list(range(number + 1))


def test_a_file_that_lost_something_is_not_gone_on_with(tmp_path: Path) -> None:
    with reopened(tmp_path, {}) as files:
        files.add(NAMES[1], "1")
        lengths = files.commit()
    (tmp_path / NAMES[1]).write_bytes(b"")
    with pytest.raises(UsageError, match="was changed"):
        reopened(tmp_path, lengths)
