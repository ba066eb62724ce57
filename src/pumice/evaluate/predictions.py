"""Files of answers that anyone made: JSON, JSON lines, JSON written end to end, CSV, TSV, Excel; whatever the names.

    read_answers(Path("answers.jsonl"))  # the original's: {"question_id": 7, "prompt": ..., "text": "Yes", ...} a line
    read_answers(Path("upload.json"))    # a server's: [{"question_id": 7, "answer": "yes"}, ...]
    read_answers(Path("answers.json"))   # MM-Vet's: {"v1_0": "yes", ...}
    read_answers(Path("x_samples_mme.jsonl"))  # lmms-eval's: {"doc_id": 0, "doc": {...}, "filtered_resps": ["Yes"]}
    read_answers(Path("answers/split/model/"))  # a folder: merge.jsonl, or the parts that it is made of

Reading is liberal, but not blind: what is no answer is an error that names its place, never skipped.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from pumice.errors import UsageError
from pumice.evaluate import sheets
from pumice.evaluate.questions import JSON, Answer
from pumice.evaluate.sample_log import is_sample, row_of
from pumice.files import unreadable

Record: TypeAlias = Mapping[str, JSON]

#: Names under which tools write a question's id and an answer's text; the first that a row has counts.
IDS = ("question_id", "questionId", "questionid", "id", "index", "qid")
TEXTS = (
    *("prediction", "response", "output", "pred", "predicted_answer", "model_answer", "model_output", "model_response"),
    *("generated_text", "text", "answer"),
)
_TABLES = (".csv", ".tsv", ".xlsx", ".xlsm")
# What a folder holds its answers in: the first of these that is there. Parts are in the order of their numbers.
_IN_FOLDERS = (
    "merge.jsonl",
    "*_samples_*.jsonl",
    "*.jsonl",
    "*.jsonl.gz",
    "*.json",
    "*.json.gz",
    "*.xlsx",
    "*.tsv",
    "*.csv",
)
# Objects that hold the rows in one of these are unwrapped.
_WRAPPERS = ("data", "annotations", "questions", "results", "predictions", "answers", "logs")
_SHOWN = 60
# How files begin that are packed, and with what they can be read.
_GZIP, _OTHERS = (
    b"\x1f\x8b",
    {b"PK\x03\x04": "a ZIP archive", b"\x80\x04": "a pickle of Python", b"\x80\x05": "a pickle of Python"},
)
_WHOLE = re.compile(r"(\d+)\.0+")


def read_answers(path: Path, ids: Sequence[str] = IDS, texts: Sequence[str] = TEXTS) -> tuple[Answer, ...]:
    """The answers of a file, or of those of a folder, in their order, repeated ones too.

    ids, texts: the columns to look for, the likeliest first. A row without any of the ids gets "" for its question.

    Raises: UsageError for a file that is none, and for a row without a text.
    """
    answers = [
        _answer(record, ids, texts, f"{each}, row {number}")
        for each in answer_files(path)
        for number, record in enumerate(read_records(each), 1)
    ]
    if not answers:
        raise UsageError(f"{path} holds no answers")
    return tuple(answers)


def answer_files(path: Path) -> list[Path]:
    """The files that answers are in: the one that is named, or those of a folder. Raises UsageError if it has none."""
    if not path.is_dir():
        return [path]
    for pattern in _IN_FOLDERS:
        found = [each for each in path.glob(pattern) if each.is_file() and not each.name.startswith(".")]
        if found:
            return sorted(found, key=_in_order)
    raise UsageError(
        f"{path} holds no files of answers: expected {', '.join(_IN_FOLDERS)}", hint="name the file that holds them"
    )


def _in_order(path: Path) -> list[tuple[int, str]]:
    """So that part 10 comes behind part 9."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]+)", path.name)]


def _answer(record: Record, ids: Sequence[str], texts: Sequence[str], place: str) -> Answer:
    sample = is_sample(record)
    row = row_of(record) if sample else record
    text = "prediction" if sample else _text_key(row, texts)
    if text is None:
        columns = ", ".join(list(row)[:8]) or "nothing"
        raise UsageError(
            f"{place} has no answer: expected one of {', '.join(texts)}, found {columns}",
            hint="name the column of the answers so, or choose the benchmark that the file was made for",
        )
    name = next((each for each in ids if row.get(each) is not None), None)
    prompt = row.get("prompt")
    return Answer(
        question_id="" if name is None else _id(row[name]),
        text=_plain(row[text]),
        prompt=prompt if isinstance(prompt, str) else "",
        meta={key: value for key, value in row.items() if key not in (name, text, "prompt")},
    )


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
    except (RecursionError, ValueError) as error:
        raise _beyond(path) from error


def read_object(path: Path) -> Record:
    """One JSON object. Raises UsageError if the file holds anything else."""
    value = read_json(path)
    if not isinstance(value, Mapping):
        raise UsageError(f"{path}: expected a JSON object, found {_short(value)}")
    return value


def _content(path: Path) -> str:
    """The text of a file, unpacked if it is packed with gzip. Raises UsageError for a file of something else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    other = next((what for start, what in _OTHERS.items() if data.startswith(start)), None)
    if other is not None:
        raise UsageError(f"{path} is {other}: expected JSON, CSV, TSV or XLSX", hint="unpack it, or export it as JSON")
    try:
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode("utf-8-sig")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"{path} cannot be unpacked: {error}", hint="download it again, whole") from error
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
        except (RecursionError, ValueError) as error:
            raise _beyond(path) from error
        yield cast(JSON, value)


def _beyond(path: Path) -> UsageError:
    """JSON that Python will not read: thousands of brackets within each other, or of digits in a number."""
    return UsageError(f"{path} is JSON beyond all measure, of brackets or digits", hint="download it again, whole")


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


def _id(value: JSON) -> str:
    """7, "7", and 7.0, which is how pandas writes a column of numbers that has gaps."""
    text = _plain(value)
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


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
