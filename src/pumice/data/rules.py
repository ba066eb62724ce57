"""What a record must be, and what it had better not be: rules over parsed JSON, for the reader and the doctor alike.

The only place that knows the placeholder ``<image>``. In a question it stands for a picture; ``\\<image>`` stands for
the seven characters themselves, and so on with more backslashes. In an answer nothing is a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pumice.data.faults import Fault
from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Role, Text, Turn

PLACEHOLDER = "<image>"
_ROLES: dict[str, Role] = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
_PLACEHOLDER = re.compile(r"(?<!\\)<image>")
_LITERAL = re.compile(r"(?<!\\)(\\*<image>)")
_ESCAPED = re.compile(r"(?<!\\)\\(\\*<image>)")
# U+FFFD, half a surrogate pair that JSON spelt, and control characters that no text needs.
_DAMAGE = re.compile("[\ufffd\ud800-\udc7f\udd00-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Of templates that data sets are often made with; a tokenizer's own come on top.
_MARKUP = ("<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "[INST]", "[/INST]")


def escape(text: str) -> str:
    """Words for a question, in which ``<image>`` stays words."""
    return _LITERAL.sub(r"\\\1", text)


def between_placeholders(text: str) -> list[str]:
    """The words of a question before, between and behind its placeholders, escapes resolved."""
    return [_ESCAPED.sub(r"\1", piece) for piece in _PLACEHOLDER.split(text)]


def image_names(raw: Mapping[str, object]) -> list[str] | None:
    """The pictures that a record names, none for text alone; None if ``image`` is no path and no list of paths."""
    named = raw.get("image") or []
    names = named if isinstance(named, list) else [named]
    return [str(name) for name in names] if all(isinstance(name, str) for name in names) else None


def said(raw: Mapping[str, object]) -> list[tuple[Role, str]]:
    """Who says what in a record that is not ``broken``. As in the reference, a leading answer is dropped."""
    turns = raw["conversations"]
    assert isinstance(turns, list)
    return _without_leading([(_ROLES[turn["from"]], turn["value"]) for turn in turns])


def broken(raw: object) -> Iterator[Fault]:
    """Why a record cannot be read; one without any of these can."""
    if not isinstance(raw, dict):
        yield Fault("not-object", f"a record must be a JSON object, found {type(raw).__name__}")
        return
    names = image_names(raw)
    if names is None:
        yield Fault("bad-image-field", "'image' must be a path or a list of paths")
    turns = raw.get("conversations")
    if not isinstance(turns, list) or not turns:
        found = "" if "conversations" in raw else f", found only {[*raw]!s:.80}"
        yield Fault("no-conversations", f"'conversations' must be a list of turns{found}")
        return
    wrong = [fault for turn in turns for fault in _wrong_turn(turn)]
    yield from wrong
    if not wrong:
        yield from _wrong_talk(said(raw), names)


def _wrong_turn(turn: object) -> Iterator[Fault]:
    if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
        yield Fault("bad-turn", f"a turn needs 'from' (human or gpt) and 'value' (text), found {turn!r:.80}")
    elif not isinstance(turn.get("from"), str) or turn["from"] not in _ROLES:
        yield Fault("bad-role", f"a turn needs 'from' to be human or gpt, found {turn.get('from')!r:.80}")


def _wrong_talk(turns: Sequence[tuple[Role, str]], names: Sequence[str] | None) -> Iterator[Fault]:
    if all(role != "assistant" for role, _ in turns):
        yield Fault("no-answer", "no question is answered, so there is nothing to learn")
    found = sum(len(_PLACEHOLDER.findall(text)) for role, text in turns if role == "user")
    if names is not None and found != len(names):
        yield Fault("placeholder-count", f"{found} {PLACEHOLDER} placeholders for {len(names)} pictures")
    try:
        Conversation(tuple(Turn(role, (Text(text),)) for role, text in turns))
    except UsageError as error:
        yield Fault("roles-order", str(error))


def doubtful(raw: Mapping[str, object], specials: Sequence[str] = ()) -> Iterator[Fault]:
    """What a record that is not ``broken`` hardly means. specials: names of the tokenizer's special tokens."""
    turns, all_turns = said(raw), raw["conversations"]
    assert isinstance(all_turns, list)
    if len(turns) < len(all_turns):
        yield Fault("leading-answer", "the first turn is an answer")
    for number, (role, text) in enumerate(turns, start=1 + len(all_turns) - len(turns)):
        words = text if role == "assistant" else "".join(between_placeholders(text))
        if not words.strip():
            kind, what = ("empty-answer", "answer") if role == "assistant" else ("empty-question", "question")
            yield Fault(kind, f"turn {number} is an empty {what}")
        if role == "assistant" and PLACEHOLDER in text:
            yield Fault("placeholder-in-answer", f"turn {number} holds {PLACEHOLDER}")
        names = sorted(name for name in {*_MARKUP, *specials} - {PLACEHOLDER} if name in words)
        if names:
            yield Fault("special-text", f"turn {number} holds {', '.join(names)}")
        damage = _DAMAGE.search(words)
        if damage is not None:
            yield Fault("damaged-text", f"turn {number} holds U+{ord(damage.group()):04X}")


def _without_leading(turns: list[tuple[Role, str]]) -> list[tuple[Role, str]]:
    return turns[1:] if turns and turns[0][0] == "assistant" else turns
