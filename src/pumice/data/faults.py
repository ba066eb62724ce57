"""What can be wrong with training data: one table of kinds, and the values that name a fault and its place.

An error would stop the training or teach something false. A warning is something that is handled, or may be meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True)
class Kind:
    """what: the fault in words. fix: what to do about it."""

    severity: Severity
    what: str
    fix: str


def _error(what: str, fix: str) -> Kind:
    return Kind("error", what, fix)


def _warning(what: str, fix: str) -> Kind:
    return Kind("warning", what, fix)


KINDS = {
    "encoding": _error("bytes that are not UTF-8", "save the file as UTF-8"),
    "bad-json": _error(
        "text that is not valid JSON", "correct it there; what is no JSON at all may be one for pumice data convert"
    ),
    "no-records": _error("a file without records", "check that it is the right file, and that writing it succeeded"),
    "not-object": _error("a record that is not a JSON object", "write an object for each record"),
    "no-conversations": _error("a record without turns", "give it a list of turns as 'conversations', or leave it out"),
    "bad-turn": _error("a turn that is not an object with a text", "give each turn 'from' and 'value', both text"),
    "bad-role": _error("a turn of an unknown role", "write human or gpt; a system text belongs to the template"),
    "roles-order": _error("roles that do not alternate", "join turns of one speaker, or add the turn that is missing"),
    "leading-answer": _warning("an answer before any question", "it is left out in training; remove it to be sure"),
    "no-answer": _error("no question is answered", "add the answer, or leave the record out"),
    "empty-answer": _error("an answer without words", "add the words, or leave the turn and its question out"),
    "empty-question": _warning("a question without words", "fine for the template plain; else write what is asked"),
    "placeholder-count": _error(
        "more or fewer <image> placeholders than pictures",
        "write <image> once for each picture; where it is meant as text, write \\<image>",
    ),
    "placeholder-in-answer": _warning(
        "<image> in an answer, where it is mere text", "remove it if a picture was meant: answers cannot hold one"
    ),
    "special-text": _warning(
        "the name of a special token among the words", "it is learned as text; remove it if it is a rest of a template"
    ),
    "damaged-text": _warning(
        "characters that are left of a faulty conversion, or control characters", "make the text again from its source"
    ),
    "bad-image-field": _error("'image' is no path", "write a path, a list of paths, or leave 'image' out"),
    "image-outside": _error(
        "a path that leaves the folder of pictures", "move the picture into it, or name a folder that holds them all"
    ),
    "missing-image": _error("a picture that is not there", "check --images, the spelling and the download"),
    "unsupported-image": _error("a file in a format that is not read", "convert it to PNG or JPEG"),
    "truncated-image": _error("a picture whose end is missing", "copy or download it again"),
    "unreadable-image": _error("a picture that is damaged or beyond the limits", "replace it, or make it smaller"),
    "rotated-image": _warning(
        "a picture that its EXIF note turns", "it is turned before the model sees it; check boxes and 'left' in answers"
    ),
    "tiny-image": _warning("a picture with very few pixels", "look for the original, or for a thumbnail by mistake"),
    "thin-image": _warning("a picture much longer than wide, or the reverse", "cut it: most of what is seen is border"),
    "blank-image": _warning("a picture in a single colour", "look for the original: failed downloads look so"),
    "duplicate-id": _warning("an id that an earlier record has", "give each record its own id, to find it again"),
    "duplicate-record": _warning(
        "the pictures and words of an earlier record", "leave one out, or give its file a weight in the recipe"
    ),
    "cannot-encode": _error("a record that the template cannot write", "choose the template that suits such records"),
    "no-supervised": _error("no token to learn from", "add words to the answers, or leave the record out"),
    "too-long": _error(
        "more tokens than there is room for, so that turns would be cut", "shorten or split it, or raise --max-tokens"
    ),
    "leaked-question": _error(
        "a question of the evaluation file, about the same picture", "leave it out, or the evaluation measures memory"
    ),
    "leaked-image": _warning(
        "a picture of the evaluation file", "leave it out if the evaluation is to measure what is new to the model"
    ),
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: its kind, a key of ``KINDS``, and what was found, in words."""

    kind: str
    found: str

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity


@dataclass(frozen=True)
class Finding:
    """A fault with its place. id: of the record, empty if it has none."""

    fault: Fault
    path: Path
    line: int
    id: str

    def __str__(self) -> str:
        named = f" [{self.id}]" if self.id else ""
        line = f"{self.fault.severity}: {self.path}:{self.line}{named} {self.fault.kind}: {self.fault.found}"
        # What comes from the data must not steer a terminal, nor break the line.
        return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)

    def as_json(self) -> dict[str, object]:
        """For ``--json``: everything, with what to do about it."""
        return {
            "kind": self.fault.kind,
            "severity": self.fault.severity,
            "file": str(self.path),
            "line": self.line,
            "id": self.id,
            "found": self.fault.found,
            "fix": KINDS[self.fault.kind].fix,
        }
