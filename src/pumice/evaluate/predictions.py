"""Files of answers that anyone made: JSON, JSON lines, JSON written end to end, CSV, TSV, Excel; whatever the names.

    read_answers(Path("answers.jsonl"))  # the original's: {"question_id": 7, "prompt": ..., "text": "Yes", ...} a line
    read_answers(Path("upload.json"))    # a server's: [{"question_id": 7, "answer": "yes"}, ...]
    read_answers(Path("answers.json"))   # MM-Vet's: {"v1_0": "yes", ...}

Reading is liberal, but not blind: what is no answer is an error that names its place, never skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from pumice.errors import UsageError
from pumice.evaluate import sheets
from pumice.evaluate.questions import JSON, Answer
from pumice.files import unreadable

Record: TypeAlias = Mapping[str, JSON]

#: Names under which tools write a question's id and an answer's text; the first that a row has counts.
IDS = ("question_id", "questionId", "questionid", "id", "index", "qid")
TEXTS = ("prediction", "response", "output", "pred", "predicted_answer", "text", "answer")
_TABLES = (".csv", ".tsv", ".xlsx", ".xlsm")
# Objects that hold the rows in one of these are unwrapped.
_WRAPPERS = ("data", "annotations", "questions", "results", "predictions", "answers")
_SHOWN = 60


def read_answers(path: Path, ids: Sequence[str] = IDS, texts: Sequence[str] = TEXTS) -> tuple[Answer, ...]:
    """The answers of a file, in its order, repeated ones too.

    ids, texts: the columns to look for, the likeliest first. A row without any of the ids gets "" for its question.

    Raises: UsageError for a file that is none, and for a row without a text.
    """
    answers = []
    for number, record in enumerate(read_records(path), 1):
        text = _text_key(record, texts)
        if text is None:
            columns = ", ".join(list(record)[:8]) or "nothing"
            raise UsageError(
                f"{path}, row {number} has no answer: expected one of {', '.join(texts)}, found {columns}",
                hint="name the column of the answers so, or choose the benchmark that the file was made for",
            )
        name = next((each for each in ids if record.get(each) is not None), None)
        prompt = record.get("prompt")
        answers.append(
            Answer(
                question_id="" if name is None else _plain(record[name]),
                text=_plain(record[text]),
                prompt=prompt if isinstance(prompt, str) else "",
                meta={key: value for key, value in record.items() if key not in (name, text, "prompt")},
            )
        )
    if not answers:
        raise UsageError(f"{path} holds no answers")
    return tuple(answers)


def read_records(path: Path) -> list[Record]:
    """The rows of a file, whichever way it writes them. Raises UsageError for a file that has none."""
    if path.suffix.lower() in _TABLES:
        return list(sheets.records(path))
    values = list(_values(path))
    if len(values) == 1:
        values = _rows(values[0])
    for number, value in enumerate(values, 1):
        if not isinstance(value, Mapping):
            raise UsageError(f"{path}, row {number}: expected an object such as {{...}}, found {_short(value)}")
    return [cast(Record, value) for value in values]


def read_json(path: Path) -> JSON:
    """One JSON document. Raises UsageError if the file is none."""
    try:
        return cast(JSON, json.loads(_content(path)))
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}, line {error.lineno} is no JSON: {error.msg}", hint="download it again, whole"
        ) from error


def read_object(path: Path) -> Record:
    """One JSON object. Raises UsageError if the file holds anything else."""
    value = read_json(path)
    if not isinstance(value, Mapping):
        raise UsageError(f"{path}: expected a JSON object, found {_short(value)}")
    return value


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error


def _values(path: Path) -> Iterator[JSON]:
    """JSON values one after the other, whatever white space is between them: lines, a document, or end to end."""
    content = _content(path)
    decoder = json.JSONDecoder()
    place, length = 0, len(content)
    while True:
        while place < length and content[place].isspace():
            place += 1
        if place == length:
            return
        try:
            value, place = decoder.raw_decode(content, place)
        except json.JSONDecodeError as error:
            raise UsageError(
                f"{path}, line {error.lineno} is no JSON: {error.msg}",
                hint="a line that was cut off can be removed; its question then counts as unanswered",
            ) from error
        yield cast(JSON, value)


def _rows(value: JSON) -> list[JSON]:
    """The rows of a file that is one JSON value."""
    if isinstance(value, Mapping):
        for name in _WRAPPERS:
            inner = value.get(name)
            if isinstance(inner, Sequence) and not isinstance(inner, str):
                return list(inner)
        if value and all(isinstance(text, str) for text in value.values()) and not set(value) & {*IDS, *TEXTS}:
            return [{"question_id": key, "text": text} for key, text in value.items()]
        return [value]
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _text_key(record: Record, texts: Sequence[str]) -> str | None:
    found = [name for name in texts if name in record]
    # The original's rows have "prompt" and "text"; where the question stands under "text", the answer is "answer".
    if found[:2] == ["text", "answer"] and "prompt" not in record:
        return "answer"
    return found[0] if found else None


def _plain(value: JSON) -> str:
    """A cell as text; a list of one is its element, as tools write several tries."""
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1:
        return _plain(value[0])
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
