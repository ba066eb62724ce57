"""JSON schemas as grammars of llguidance, and vocabularies as it wants them. Knows no tensors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pumice.engine.endless import is_endless
from pumice.engine.least import longest_repeat
from pumice.errors import UsageError
from pumice.prompts.tokens import Tokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

#: One way to put white space: without a choice, no model can fill an answer with it, and an answer is one line.
LAYOUT = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
#: No schema that is meant is longer, and none that is meant badly costs more.
MOST_BYTES = 64 << 10
#: Of a pattern's repetitions: the library unfolds them.
MOST_REPEATS = 10_000
#: The one token of ``bytewise`` that is no byte.
END = 256
#: Keywords that hold values, not schemas.
_VALUES = ("const", "enum", "default", "examples")
_CLASS = re.compile(r"\[[^]]*\]|\{[^}]*\}|\\[A-Za-z0-9]")
_LITERAL = re.compile(r"(?:\\[^A-Za-z0-9]|[^\\^$.|?*+()\[\]{}])+")
_LONGEST_LITERAL, _MOST_LITERALS = 64, 16
#: In front of a complaint of llguidance, and behind it, stand places in a grammar that nobody has written.
_BEFORE, _BEHIND = re.compile(r"at \d+\(\d+\): (failed to compile JSON schema: )?"), re.compile(r"\n +\d+ \| start:")
_IN_PATTERN = re.compile(r"regex parse error:\n +(?P<pattern>[^\n]*).*^error: (?P<why>.*)", re.M | re.S)
_HINT = "see docs/scripting.md for what a schema may hold"


@dataclass(frozen=True)
class Vocabulary:
    """The bytes of every token, and which tokens may end an answer. It is what llguidance calls a tokenizer wrapper."""

    tokens: Sequence[bytes]
    special_token_ids: Sequence[int]
    eos_token_id: int
    bos_token_id: int | None = None
    is_tokenizer_wrapper: bool = True

    def __call__(self, text: str | bytes) -> list[int]:
        """llguidance asks for the tokens of a text to learn about the tokenizer's manners; ours are told by bytes."""
        data = text.encode() if isinstance(text, str) else text
        alone = {piece: index for index, piece in enumerate(self.tokens) if len(piece) == 1}
        return [alone[byte] for byte in (bytes([each]) for each in data) if byte in alone]


def compile_schema(text: str, *, leading_space: bool = False) -> str:
    """The grammar of the JSON texts that are valid under a JSON schema.

    leading_space: a space in front is allowed, too, for tokenizers whose first word begins with one.
    Raises UsageError: llguidance is not installed, ``text`` is no schema, it asks for what is not supported, or no
    text that ends is valid under it.
    """
    try:
        from llguidance import LLMatcher
    except ImportError:
        raise UsageError(
            "answers after a schema need the library llguidance", hint='pip install "pumice[schema]"'
        ) from None
    content = _with_layout(text)
    if is_endless(content):
        raise UsageError(
            "the schema cannot be used: what must be there holds itself, so no answer would ever end",
            hint="let it end somewhere: leave the property out of required, or allow null with anyOf",
        )
    schema = json.dumps(content, ensure_ascii=False)
    grammar = LLMatcher.grammar_from_lark(f"start: value\nvalue: %json {schema}\n")
    wrong, messages = LLMatcher.validate_grammar_with_warnings(grammar, bytewise())
    if wrong:
        raise UsageError(f"the schema cannot be used: {complaint(messages[0])}", hint=_HINT)
    beginning = matcher(bytewise(), grammar)
    beginning.compute_bitmask()
    if beginning.is_error():  # no text can even begin, and the empty one would pass for the whole
        raise UsageError("the schema cannot be used: no text is valid under it", hint=_HINT)
    beginning.consume_tokens(list(beginning.compute_ff_bytes()))  # what each text begins with, such as a brace
    beginning.compute_bitmask()
    if beginning.is_error():
        raise UsageError(f"the schema is too complex: {complaint(beginning.get_error())}", hint="simplify it")
    if leading_space:
        return LLMatcher.grammar_from_lark(f'start: " "? value\nvalue: %json {schema}\n')
    return grammar


def complaint(message: str) -> str:
    """The sentence in a message of llguidance, without the grammar, the state and the places in it."""
    told = _BEHIND.split(_BEFORE.sub("", message, count=1))[0]
    if in_pattern := _IN_PATTERN.search(told):
        told = f"the pattern '{in_pattern['pattern'][:_LONGEST_LITERAL]}': {in_pattern['why']}"
    return told.strip().partition("\n")[0]


def literals_of(text: str) -> tuple[bytes, ...]:
    """What the patterns of a schema spell out, such as ``.jpg`` in ``\\.jpg$``: ways to match them lead through it."""
    runs = [run for pattern in _patterns(json.loads(text)) for run in _LITERAL.findall(_CLASS.sub("|", pattern))]
    plain = [re.sub(r"\\(.)", r"\1", run) for run in runs]
    fitting = [run.encode() for run in plain if not set(run) & {'"', "\\"} and run.isprintable()]
    return tuple(dict.fromkeys(run for run in fitting if len(run) <= _LONGEST_LITERAL))[:_MOST_LITERALS]


def vocabulary_of(tokenizer: Tokenizer, ends: Sequence[int]) -> LLTokenizer:
    """``tokenizer`` for llguidance. ``ends``: the tokens that may follow once the JSON is complete."""
    from llguidance import LLTokenizer

    tokens = [tokenizer.token_bytes(index) for index in range(tokenizer.size)]
    silent = [index for index, piece in enumerate(tokens) if not piece or index in ends]
    for index in silent:
        tokens[index] = b"\xff<%d>" % index  # llguidance's mark of what is no text
    return LLTokenizer(Vocabulary(tokens, silent, ends[0]), n_vocab=len(tokens), eos_token=list(ends))  # type: ignore[arg-type]


def bytewise() -> LLTokenizer:
    """A vocabulary of single bytes, in which a way to the end is looked for."""
    from llguidance import LLTokenizer

    tokens = [*(bytes([byte]) for byte in range(END)), b"\xff<end>"]
    return LLTokenizer(Vocabulary(tokens, [END], END), n_vocab=END + 1, eos_token=[END], slices=[])  # type: ignore[arg-type]


def matcher(vocabulary: LLTokenizer, grammar: str) -> LLMatcher:
    """Where a text stands in a grammar, at its beginning. Silent: what goes wrong is asked for."""
    from llguidance import LLMatcher

    return LLMatcher(vocabulary, grammar, log_level=0)


def _with_layout(text: str) -> dict[str, object]:
    size = len(text.encode("utf-8", errors="replace"))
    if size > MOST_BYTES:
        raise UsageError(f"a schema may have {MOST_BYTES} bytes, found {size}")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the schema is no JSON: {error}", hint=_HINT) from None
    if not isinstance(schema, dict):
        raise UsageError(f"a schema is a JSON object, found {json.dumps(schema)[:40]}", hint=_HINT)
    try:
        json.dumps(schema, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError("the schema holds half of a character (a lone surrogate)", hint=_HINT) from None
    _refuse_uncounted(schema)
    if (repeats := longest_repeat(_patterns(schema))) > MOST_REPEATS:
        raise UsageError(f"a pattern may repeat something {MOST_REPEATS} times, found {repeats}", hint=_HINT)
    own = schema.get("x-guidance", {})
    if not isinstance(own, dict):
        raise UsageError("x-guidance in a schema is an object", hint=_HINT)
    return {**schema, "x-guidance": {**LAYOUT, **own}}


def _patterns(schema: object) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _patterns(each)
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "pattern" and isinstance(value, str):
                yield value
            elif key not in _VALUES:
                yield from _patterns(value)


def _refuse_uncounted(schema: object) -> None:
    """llguidance counts names of an object, but not whether they differ: JSON keeps the last of two that are equal."""
    if isinstance(schema, list):
        for each in schema:
            _refuse_uncounted(each)
    if not isinstance(schema, dict):
        return
    least, required = schema.get("minProperties"), schema.get("required", ())
    if isinstance(least, int) and isinstance(required, list | tuple) and least > len(required):
        raise UsageError(
            f"the schema cannot be used: minProperties {least} with {len(required)} required properties",
            hint="name the properties that must be there under required",
        )
    for key, value in schema.items():
        if key not in _VALUES:
            _refuse_uncounted(value)
