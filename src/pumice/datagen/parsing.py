"""A teacher's reply, read into questions and answers, or refused with a reason.

    Question:
    What stands on the table?
    ===
    Answer:
    A vase with tulips.
    ===

What does no harm is put up with: other labels for the same (``Q:``, ``**Answer 2:**``), Windows' line ends, fences,
a word of greeting. A pair that is not whole is not.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pumice.datagen.samples import Draft, Exchange, Kind, Rejection

#: Ways to ask for a detailed description, one of which is put before each (the original drew from such a list, too).
DETAIL_QUESTIONS: tuple[str, ...] = (
    "Describe this picture in detail.",
    "Give a thorough description of what can be seen here.",
    "What does the image show? Please be as complete as you can.",
    "Walk me through everything in this photo.",
    "Can you describe the scene for me in full?",
    "Write a rich description of the image.",
    "Explain in detail what is going on in this picture.",
    "What is in the picture, and how is it arranged?",
    "Please give a careful account of the image.",
    "Tell me all that you notice in this photograph.",
    "How would you describe this image to someone who cannot see it?",
    "Look closely at the image and describe what is there.",
)

_Role: TypeAlias = Literal["question", "answer"]
_LABEL = re.compile(
    r"^[\s>#*_\-\d.)]*(?:\*\*|__)?\s*(?P<label>[Qq]uestion|QUESTION|Q|[Aa]nswer|ANSWER|A)\s*#?\d*\s*(?:\*\*|__)?\s*"
    r"[:：]\s*(?:\*\*|__)?(?P<rest>.*)$"
)
_END = re.compile(r"^\s*(?:\*\*)?={3,}(?:\*\*)?\s*$")
_NOISE = re.compile(r"^\s*(?:```\w*|-{3,}|\*{3,}|_{3,})\s*$")
_WHOLE = re.compile(r"[.!?…。！？:;\"'”’)\]*`|\d%]\s*$")
_STRAY = 200  # characters outside of pairs that are taken for politeness


@dataclass
class _Said:
    role: _Role
    lines: list[str] = field(default_factory=list)
    closed: bool = False

    @property
    def text(self) -> str:
        lines = [line for line in self.lines if not _NOISE.match(line)]
        text = "\n".join(lines).strip()
        bold = re.fullmatch(r"\*\*([^*]+)\*\*", text)
        return bold[1].strip() if bold else text


def parse(kind: Kind, text: str) -> Draft | Rejection:
    """The reply as a draft of the kind, or why it is none.

    Codes: "empty-reply", "no-pairs", "cut-off", "empty-turn", "out-of-order", "stray-text", "too-many-pairs".
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        return Rejection("empty-reply", "the reply has no words")
    said, stray = _read(text)
    if kind == "detail":
        return _described(text, said)
    return _paired(kind, said, stray)


def _read(text: str) -> tuple[list[_Said], str]:
    """What stands under each label in order, and what stands under none."""
    said: list[_Said] = []
    stray: list[str] = []
    for line in text.split("\n"):
        label = _LABEL.match(line)
        if label:
            role: _Role = "question" if label["label"][0] in "Qq" else "answer"
            said.append(_Said(role, [label["rest"]]))
        elif _END.match(line):
            if said:
                said[-1].closed = True
        elif said and not said[-1].closed:
            said[-1].lines.append(line)
        elif not _NOISE.match(line):
            stray.append(line)
    return said, "\n".join(stray).strip()


def _paired(kind: Kind, said: list[_Said], stray: str) -> Draft | Rejection:
    if not said:
        return Rejection("no-pairs", f"expected Question: and Answer:, found {stray[:80]!r}")
    if len(stray) > _STRAY:
        return Rejection("stray-text", f"{len(stray)} characters belong to no question and no answer: {stray[:80]!r}")
    for number, each in enumerate(said):
        if each.role != ("answer" if number % 2 else "question"):
            return Rejection("out-of-order", f"part {number + 1} of the reply is one {each.role} too many")
    last = said[-1]
    begun = stray.rpartition("\n")[2].strip("*#>_ ").lower()
    if begun and "question:".startswith(begun):
        return Rejection("cut-off", f"the reply breaks off where one more question begins: {begun!r}")
    if last.role == "question" or not (last.closed or _WHOLE.search(last.text)):
        return Rejection("cut-off", f"the reply breaks off in its last {last.role}: {last.text[-80:]!r}")
    exchanges = tuple(
        Exchange(asked.text, answered.text) for asked, answered in zip(said[::2], said[1::2], strict=True)
    )
    if not all(each.question and each.answer for each in exchanges):
        return Rejection("empty-turn", "a question or an answer has no words")
    if kind == "reasoning" and len(exchanges) > 1:
        return Rejection("too-many-pairs", f"expected one question, found {len(exchanges)}")
    return Draft(kind, exchanges)


def _described(text: str, said: list[_Said]) -> Draft | Rejection:
    """A description, be it alone or under a label. The question is chosen by its words, the same one every time."""
    answers = [each for each in said if each.role == "answer"]
    if said and (len(answers) != 1 or said[-1] is not answers[0]):
        return Rejection("out-of-order", f"expected one description, found {len(said)} labelled parts")
    if answers:
        described = answers[0]
    else:
        described = _Said("answer", [line for line in text.split("\n") if not _END.match(line)])
        described.closed = bool(_END.match(text.rstrip().rpartition("\n")[2]))
    if not described.text:
        return Rejection("empty-turn", "the description has no words")
    if not (described.closed or _WHOLE.search(described.text)):
        return Rejection("cut-off", f"the description breaks off: {described.text[-80:]!r}")
    digest = hashlib.sha256(described.text.encode("utf-8", "backslashreplace")).digest()
    question = DETAIL_QUESTIONS[int.from_bytes(digest[:8], "big") % len(DETAIL_QUESTIONS)]
    return Draft("detail", (Exchange(question, described.text),))
