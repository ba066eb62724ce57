"""``pumice ask`` for programs: schemas, extracts, several answers, events. The engine is scripted."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes import ScriptedEngine, ScriptedStream
from pumice.cli.main import main
from pumice.engine.answer import Answer, FinishReason, Timings, Usage
from pumice.errors import MemoryLimitError

WARM = ("--temperature", "0.7")


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object"}')
    return path


def test_a_schema_goes_to_the_engine_as_it_is(schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[['{"a"', ": 1}"]])
    assert main(["ask", "q", "--schema", str(schema)], engine) == 0
    assert capsys.readouterr().out == '{"a": 1}\n'
    assert engine.options[0].schema == '{"type": "object"}'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: no such file"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "a schema is a JSON object"),
        (b'{"type": "array", "uniqueItems": true}', "uniqueItems"),
        (b'{"$ref": "#"}', "no answer would ever end"),
        (b'{"type": "bogus"}', "schema.json: the schema cannot be used: Invalid type: bogus\nhint:"),
    ],
)
def test_a_schema_that_cannot_be_used(
    content: bytes | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, engine = tmp_path / "schema.json", ScriptedEngine()
    if content is not None:
        file.write_bytes(content)
    assert main(["ask", "q", "--schema", str(file)], engine) == 2
    captured = capsys.readouterr()
    assert words in captured.err and "schema.json" in captured.err and captured.out == ""
    assert not engine.opened, "found out before a model was loaded"


def test_a_schema_needs_its_library(
    schema: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    assert main(["ask", "q", "--schema", str(schema)], ScriptedEngine()) == 2
    assert capsys.readouterr().err.endswith('hint: pip install "pumice[schema]"\n')


def test_a_schema_and_stop_strings(schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--schema", str(schema), "--stop", "x"], ScriptedEngine()) == 2
    assert "exclude each other" in capsys.readouterr().err


@dataclass
class _CutStream(ScriptedStream):
    """Ends as a token limit ends an answer."""

    script: list[str]
    said: list[str] = field(default_factory=list)

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield from self.script

    @property
    def answer(self) -> Answer:
        reason: FinishReason = "length"
        return Answer("".join(self.script), reason, Usage(9, 0, 0, 21), Timings(0.0, 0.0, 0.0, 0.1), None)


class _CutEngine(ScriptedEngine):
    def stream(self, conversation, options):  # type: ignore[no-untyped-def]
        return _CutStream(['{"a": ', "1"])


@pytest.mark.parametrize("flags", [(), ("--json",), ("-x",)])
def test_half_of_a_json_text_is_not_printed(
    flags: tuple[str, ...], schema: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "q", "--schema", str(schema), *flags], _CutEngine()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "not complete after 21 tokens" in captured.err and "--max-tokens 42" in captured.err


def test_half_of_a_json_text_is_an_error_event(schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--schema", str(schema), "--jsonl"], _CutEngine()) == 2
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert [event["type"] for event in events] == ["start", "delta", "delta", "error"]
    assert events[-1]["error"] == json.loads(captured.err)["error"]


@pytest.mark.parametrize("flags", [(), ("--json",), ("-x",), ("--jsonl",)])
@pytest.mark.parametrize("text", ["", '{"a": ', "Two dice.", "{} {}"])
def test_what_is_no_json_is_not_printed(
    text: str, flags: tuple[str, ...], schema: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "q", "--schema", str(schema), *flags], ScriptedEngine(answers=[[text]])) == 1
    captured = capsys.readouterr()
    assert '"end"' not in captured.out if flags == ("--jsonl",) else captured.out == ""
    assert "the answer is not the JSON that the schema asks for" in captured.err


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "1" * 10_000], ids=["deep", "long"])
def test_json_beyond_what_python_reads_is_printed(text: str, schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--schema", str(schema)], ScriptedEngine(answers=[[text]])) == 0
    assert capsys.readouterr().out == f"{text}\n"


FENCED = "Look:\n\n```python\nprint('a')\n\nprint('b')\n```\nand\n```\nno\n```\n"


@pytest.mark.parametrize(
    ("answer", "extract"),
    [
        (FENCED, "print('a')\n\nprint('b')\n"),
        ("````md\n```\ninner\n```\n````", "```\ninner\n```\n"),
        ("~~~\ntilde\n~~~", "tilde\n"),
        ("```\n```", "\n"),
        ('The answer is {"a": [1, {"b": "}"}]}, I think [2].', '{"a": [1, {"b": "}"}]}\n'),
        ("{no} but [1, 2]", "[1, 2]\n"),
    ],
)
def test_extract(answer: str, extract: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "-x"], ScriptedEngine(answers=[[answer[:7], answer[7:]]])) == 0
    assert capsys.readouterr().out == extract


@pytest.mark.parametrize("answer", ["Two dice.", "```\nnever closed", "", "{"])
def test_nothing_to_extract(answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--extract"], ScriptedEngine(answers=[[answer]])) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: nothing to extract") and "hint:" in captured.err


def test_several_answers(capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[["one"], ["two\n"], ["three"]])
    assert main(["ask", "q", "--n", "3", *WARM, "--seed", "7", "--stop", "END", "--stats"], engine) == 0
    captured = capsys.readouterr()
    assert captured.out == "one\n\ntwo\n\nthree\n"
    assert [options.seed for options in engine.options] == [7, 8, 9]
    assert all(options.stop == ("END",) for options in engine.options)
    assert captured.err.count("stats: ") == 3


def test_several_answers_after_a_schema_are_a_line_each(schema: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[['{"a": 1}'], ['{"a": 2}']])
    assert main(["ask", "q", "--n", "2", *WARM, "--schema", str(schema)], engine) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [{"a": 1}, {"a": 2}]


def test_several_answers_in_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[["one"], ["two"]])
    assert main(["ask", "q", "--n", "2", *WARM, "--json"], engine) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report) == ["id", "model", "images", "warnings", "answers"]
    assert [answer["text"] for answer in report["answers"]] == ["one", "two"]
    assert list(report["answers"][0]) == ["text", "finish_reason", "usage", "timings", "seed"]


def test_without_a_seed_each_answer_draws_its_own() -> None:
    engine = ScriptedEngine()
    assert main(["ask", "q", "--n", "2", *WARM], engine) == 0
    assert [options.seed for options in engine.options] == [None, None]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--n", "2"], "the same answer 2 times"),
        (["--n", "0"], "between 1 and 64"),
        (["--n", "65", *WARM], "between 1 and 64"),
        (["--json", "--jsonl"], "exclude each other"),
        (["--json", "-x"], "exclude each other"),
    ],
)
def test_flags_that_make_no_sense(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine()
    assert main(["ask", "q", *flags], engine) == 2
    assert words in capsys.readouterr().err and not engine.opened


def test_events(capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[["Zwei ", "", "Würfel"], ["Drei"]], warnings=("careful",))
    assert main(["ask", "q", "--jsonl", "--n", "2", *WARM, "--seed", "1", "-q"], engine) == 0
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert [event["type"] for event in events] == ["start", "delta", "delta", "end", "delta", "end"]
    assert len({event["id"] for event in events}) == 1
    assert (events[0]["model"], events[0]["warnings"], events[0]["images"]) == ("scripted", ["careful"], [])
    assert [(event["index"], event["text"]) for event in events[1:]] == [
        (0, "Zwei "),
        (0, "Würfel"),
        (0, "Zwei Würfel"),
        (1, "Drei"),
        (1, "Drei"),
    ]
    assert (events[3]["finish_reason"], events[3]["seed"], events[5]["seed"]) == ("stop", 1, 2)
    assert "Würfel" in captured.out and captured.err == ""


def test_an_error_between_events(capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine(answers=[["some ", MemoryLimitError("full", hint="empty it")]])
    assert main(["ask", "q", "--jsonl"], engine) == 6
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert [event["type"] for event in events] == ["start", "delta", "error"]
    wanted = {"type": "MemoryLimitError", "message": "full", "hint": "empty it", "code": 6}
    assert events[-1]["error"] == wanted == json.loads(captured.err)["error"]


def test_an_error_before_all_events(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "q", "--jsonl", "-i", "missing.png"], ScriptedEngine()) == 4
    captured = capsys.readouterr()
    assert captured.out == "" and json.loads(captured.err)["error"]["code"] == 4
