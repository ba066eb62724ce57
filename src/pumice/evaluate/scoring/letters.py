"""Which option an answer to a multiple choice means, as each of the field's tools reads it.

    mmbench_letter("The answer is B.", {"A": "a cat", "B": "a dog"}, "llava")     # "B"
    mmbench_letter("The answer is B.", {"A": "a cat", "B": "a dog"}, "vlmevalkit")  # "B"
    seed_letter("B. a dog", {...}, "llava")                                       # None: only "B" would do

The rules are facts about the tools and are kept with their oddities (reference/training.md, section 6); None stands for
"no option was recognised", which is wrong everywhere.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from typing import TypeAlias

from pumice.errors import UsageError

Options: TypeAlias = Mapping[str, str]
Reader: TypeAlias = Callable[[str, Options], str | None]

#: What VLMEvalKit reads as "none of the options"; no benchmark has an option with this letter.
NONE = "Z"
# VLMEvalKit: answers of services that refuse, and the sign that a service failed.
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_FAILED = "Failed to obtain answer via API"
# MMBench's own evaluator: what may stand before and after a letter, in the order in which it is tried.
_AROUND = (
    ("", "."), ("", ","), ("", ":"), ("", ")"), ("", ")."), ("(", ")"), ("(", ")."),
    (":", ""), (":", ","), (":", "."), (":", ")"), (":", ")."),
)  # fmt: skip
# Chinese has no spaces: only a Latin letter or digit behind it makes the letter a part of a word.
_QBENCH_START = re.compile(r"\W*([A-D])(?![A-Za-z0-9_'’])")


def mmbench_letter(answer: str, options: Options, profile: str) -> str | None:
    """The option that an answer to MMBench means. options: letter to text, as shown.

    official: the evaluator that MMBench's authors published: a letter that stands alone, then letters between marks,
    then an option's text that occurs. llava: ``eval_mmbench.py``. lmms-eval: a copy of the official one, for which
    options that do not exist are called "nan". vlmevalkit: ``can_infer``.
    """
    if profile == "lmms-eval":
        return _evaluator(answer, {letter: options.get(letter, "nan") for letter in "ABCD"})
    return _reader(_MMBENCH, profile)(answer, options)


def seed_letter(answer: str, options: Options, profile: str) -> str | None:
    """The option that an answer to SEED-Bench means: official and llava want the bare letter, lmms-eval reads the first
    character, vlmevalkit infers."""
    return _reader(_SEED, profile)(answer, options)


def qbench_letter(answer: str, options: Options, profile: str) -> str | None:
    """The option that an answer to Q-Bench means.

    official and llava: the letter at the start, else the one option whose text occurs (the authors use an LLM for
    what a letter does not say; this is its offline half). lmms-eval: MMMU's rules, without their dice. vlmevalkit:
    infers.
    """
    return _reader(_QBENCH, profile)(answer, options)


def _reader(readers: Mapping[str, Reader], profile: str) -> Reader:
    if profile not in readers:
        raise UsageError(f"no profile {profile!r} here", hint=f"there are {', '.join(readers)}")
    return readers[profile]


def _evaluator(answer: str, options: Options) -> str | None:
    """MMBench's evaluator of 2023: a letter, else the one option whose text occurs."""
    return _letter(answer) or _only([letter for letter, text in options.items() if text.lower() in answer.lower()])


def _letter(answer: str) -> str | None:
    """The evaluator knows letters up to E, whether or not the question has that many options."""
    if _FAILED in answer:
        return None
    letters, words = string.ascii_uppercase[:5], answer.split()
    alone = [letter for letter in letters if letter in words]
    # "A" in a sentence may be an article.
    if len(alone) == 1 and not ("A" in words and len(words) > 3):
        return alone[0]
    for before, after in _AROUND:
        marked = [letter for letter in letters if before + letter + after in words]
        if len(marked) == 1:
            return marked[0]
    return None


def _original(answer: str, options: Options) -> str | None:
    """``auto_parse_answer``: the bare letter, "the answer is X.", or a fragment of one option's text."""
    letter = answer.strip(".").strip().upper()
    if letter in options:
        return letter
    for each in options:
        if f"the answer is {each}.".lower() in answer.lower():
            return each
    return _only([letter for letter, text in options.items() if answer.lower() in text.lower()])


def _inferred(answer: str, options: Options) -> str | None:
    """``can_infer``: the one letter among an answer's last words, else the one option's text in a short answer."""
    if any(refusal in answer for refusal in _REFUSALS) and _FAILED not in answer:
        return NONE
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", answer).split()
    alone = [letter for letter in options if letter in words]
    if _FAILED not in answer:
        if len(alone) == 1 and words.index(alone[0]) > len(words) - 5:
            return alone[0]
        if not alone and NONE in words:
            return NONE
    if len(answer) > 2 * sum(len(text) for text in options.values()):
        return None
    return _only([letter for letter, text in options.items() if text.lower() in answer.lower()])


def _bare(answer: str, options: Options) -> str | None:
    return answer if answer in options else None


def _first_character(answer: str, options: Options) -> str | None:
    return _bare(answer.strip()[:1], options)


def _start_or_text(answer: str, options: Options) -> str | None:
    said = answer.strip(" .").lower()
    for letter, text in options.items():
        if text.strip(" .").lower() == said:
            return letter
    start = _QBENCH_START.match(answer)
    if start and start[1] in options:
        return start[1]
    return _only([letter for letter, text in options.items() if text.strip(" .").lower() in said])


def _mmmu(answer: str, options: Options) -> str | None:
    """MMMU's rules, of which lmms-eval has a copy: the last of "(A)", else of "A ", else of "A.", else of the texts."""
    for mark in ",.!?;:'":
        answer = answer.strip(mark)
    answer = f" {answer} "
    for written, sought in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in options if written.format(letter) in answer]
        if found:
            # Of several the one furthest back, sought as it stands in the copy; the first where none is found so.
            return max(found, key=lambda letter: answer.rfind(sought.format(letter)))
    if len(answer.split()) > 5:
        found = [letter for letter, text in options.items() if text.lower() in answer.lower()]
        if found:
            return max(found, key=lambda letter: answer.lower().rfind(options[letter].lower()))
    return None


def _only(letters: list[str]) -> str | None:
    return letters[0] if len(letters) == 1 else None


_MMBENCH: Mapping[str, Reader] = {
    "official": _evaluator,
    "llava": _original,
    "lmms-eval": _evaluator,
    "vlmevalkit": _inferred,
}
_SEED: Mapping[str, Reader] = {
    "official": _bare,
    "llava": _bare,
    "lmms-eval": _first_character,
    "vlmevalkit": _inferred,
}
_QBENCH: Mapping[str, Reader] = {
    "official": _start_or_text,
    "llava": _start_or_text,
    "lmms-eval": _mmmu,
    "vlmevalkit": _inferred,
}
