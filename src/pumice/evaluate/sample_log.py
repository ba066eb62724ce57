"""What lmms-eval logs of each question (``--log_samples``), as a row like anyone's.

    {"doc_id": 0, "doc": {"question_id": "1", "question": "Is it?", "answer": "yes"}, "target": "yes",
     "filtered_resps": ["Yes"], "pope_accuracy": {"question_id": "1", ...}}
    row_of(...)    # {"question_id": "1", "question": "Is it?", "answer": "yes", "prediction": "Yes", ...}

Its versions differ: the document may be missing, or what has to do with pictures in it; then a metric still names the
question. A reply stands in two lists, in one, or in none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pumice.evaluate.questions import JSON

_REPLIES = ("filtered_resps", "resps")
# Where the prompt is, if the document has no question.
_PROMPTS = ("input", "arguments")


def is_sample(record: Mapping[str, JSON]) -> bool:
    """Whether a row is one of such a log."""
    return "doc_id" in record and any(name in record for name in _REPLIES)


def row_of(record: Mapping[str, JSON]) -> dict[str, JSON]:
    """The document, what metrics add to it, and the reply as ``prediction``."""
    parts = [each for name, each in record.items() if name not in ("doc", *_PROMPTS) and isinstance(each, Mapping)]
    document = record.get("doc")
    parts += [document] if isinstance(document, Mapping) else []
    row = {name: value for part in parts for name, value in part.items()}
    asked = row.get("question")
    prompts = [asked, *(_first_text(record.get(name)) for name in _PROMPTS)]
    replies = [_first_text(record[name]) for name in _REPLIES if name in record]
    row |= {"doc_id": record["doc_id"], "target": record.get("target")}
    row["prompt"] = next((each for each in prompts if isinstance(each, str) and each), "")
    row["prediction"] = next((each for each in replies if each is not None), "")
    return row


def _first_text(value: JSON) -> str | None:
    """A text, or the first one within lists and objects."""
    if isinstance(value, str):
        return value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, Sequence) else ()
    return next((text for each in inner if (text := _first_text(each)) is not None), None)
