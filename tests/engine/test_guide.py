"""Answers after a schema: always valid, never cut off, whatever the model would rather say."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path

import pytest
import torch
from sentencepiece import SentencePieceTrainer
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, trainers

import tiny
from pumice.checkpoint.save import save_checkpoint
from pumice.engine.engine import Engine
from pumice.engine.grammar import MOST_BYTES, compile_schema
from pumice.engine.guide import Guide, Guides, Spelling
from pumice.engine.sampling import Sampler
from pumice.errors import UsageError
from pumice.options import SamplingOptions
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer
from pumice.quantize.plan import standard_plan
from schemas import HARD, is_valid

RECEIPT = {
    "type": "object",
    "properties": {
        "shop": {"type": "string"},
        "total": {"type": "number"},
        "items": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["shop", "total", "items"],
    "additionalProperties": False,
}


def pieces(folder: Path) -> Tokenizer:
    """SentencePiece, as LLaMA's: bytes that are no piece, and a space in front."""
    model = BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(tiny.SENTENCES * 3),
        model_writer=model,
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    return load_tokenizer(folder)


def letters(folder: Path) -> Tokenizer:
    """Byte-level, as Qwen's, with words that hold quotes and brackets."""
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|end|>"], initial_alphabet=alphabet)
    library.train_from_iterator([*tiny.SENTENCES, '{"a": [{"b": "c"}]}, "", ""]}' * 9], trainer)
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<|end|>"}')
    return load_tokenizer(folder)


@pytest.fixture(scope="module", params=["pieces", "letters", "ours"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    if request.param == "ours":
        return tiny.tokenizer()
    return {"pieces": pieces, "letters": letters}[request.param](tmp_path_factory.mktemp(request.param))


def needed(guides: Guides, schema: str) -> int:
    """Tokens that a guide holds ready at the beginning."""
    return guides.guide(schema, 10_000)._needed


def written(guide: Guide, tokenizer: Tokenizer, room: int, seed: int, *, favour: int | None = None) -> list[int]:
    """What a model with random opinions writes, as the engine lets it."""
    chance = torch.Generator().manual_seed(seed)
    sampler = Sampler(SamplingOptions(temperature=1.0, seed=seed))
    ids: list[int] = []
    while len(ids) < room:
        logits = 3 * torch.randn(tokenizer.size + 7, generator=chance)  # some models have more rows than tokens
        if favour is not None:
            logits[favour] = 50.0
        token = guide.choose(logits, sampler, room - len(ids))
        if token == tokenizer.eos_id:
            assert guide.complete
            return ids
        ids.append(token)
        if guide.ended:
            return ids
    assert guide.complete, tokenizer.decode(ids)
    return ids


@pytest.mark.parametrize("name", HARD)
def test_random_opinions_write_valid_json_in_time(name: str, tokenizer: Tokenizer) -> None:
    guides, schema = Guides(tokenizer, [tokenizer.eos_id]), json.dumps(HARD[name])
    least = needed(guides, schema)
    for seed, more in enumerate((0, 25)):
        room = least + more
        ids = written(guides.guide(schema, room), tokenizer, room, seed)
        assert len(ids) <= room
        assert is_valid(tokenizer.decode(ids), HARD[name]), tokenizer.decode(ids)


def test_one_token_less_than_needed_is_refused(tokenizer: Tokenizer) -> None:
    guides, schema = Guides(tokenizer, [tokenizer.eos_id]), json.dumps(RECEIPT)
    with pytest.raises(UsageError, match="there is room for 9") as caught:
        guides.guide(schema, 9)
    assert "allow more tokens" in str(caught.value.hint)
    guides.guide(schema, needed(guides, schema))


def test_who_wants_to_stop_must_finish_first(tokenizer: Tokenizer) -> None:
    guides = Guides(tokenizer, [tokenizer.eos_id])
    ids = written(guides.guide(json.dumps(RECEIPT), 300), tokenizer, 300, 1, favour=tokenizer.eos_id)
    assert is_valid(tokenizer.decode(ids), RECEIPT)


def test_who_never_wants_to_stop_is_stopped(tokenizer: Tokenizer) -> None:
    quote = next(i for i in range(tokenizer.size) if tokenizer.token_bytes(i) == b"a")
    guides = Guides(tokenizer, [tokenizer.eos_id])
    for room in (60, 1200):  # with much room, not every token is looked at
        ids = written(guides.guide(json.dumps(RECEIPT), room), tokenizer, room, 1, favour=quote)
        assert is_valid(tokenizer.decode(ids), RECEIPT)
        assert len(ids) > room - 30, "it may write as long as there is room"


def test_spelling(tokenizer: Tokenizer) -> None:
    spelling = Spelling(tokenizer, [tokenizer.eos_id])
    data = '{"größe": [1, "日本"]}'.encode()
    assert b"".join(map(spelling.bytes_of, spelling.tokens_of(data))) == data
    assert spelling.writable == frozenset(range(256))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_engine_answers_after_a_schema(temperature: float) -> None:
    made = tiny.engine()
    options = SamplingOptions(temperature=temperature, seed=3, max_tokens=90, schema=json.dumps(RECEIPT))
    questions = [tiny.question("What is it?", 1), tiny.question("Sky?"), tiny.question("Describe it!", 2)]
    alone = [tiny.engine().ask(each, options) for each in questions]
    together = made.batch(questions, options, size=3)
    for answer, other in zip(alone, together, strict=True):
        assert answer.finish_reason == "stop"
        assert is_valid(answer.text, RECEIPT)
        assert answer.usage.completion_tokens <= 90
        assert other.text == answer.text
    assert "".join(made.stream(questions[1], options)) == alone[1].text


def test_with_and_without_in_one_batch() -> None:
    made, question = tiny.engine(), tiny.question("Sky?", 1)
    plain, guided = SamplingOptions(max_tokens=30), SamplingOptions(max_tokens=60, schema=json.dumps(RECEIPT))
    first, second = made.stream(question, plain), made.stream(question, guided)
    coming = [iter(first), iter(second)]
    while coming:
        coming = [each for each in coming if next(each, None) is not None]
    assert first.answer.text == tiny.engine().ask(question, plain).text
    assert is_valid(second.answer.text, RECEIPT)


def test_guessing_changes_nothing(tmp_path: Path) -> None:
    """Four bits on a CPU guess tokens ahead; keys and a dull model repeat themselves."""
    save_checkpoint(tiny.model(speak=tiny.language(intermediate_size=64)), tiny.processor(), tmp_path / "model")
    schema = json.dumps({"type": "array", "items": {"enum": ["dice", "cup"]}, "minItems": 12, "maxItems": 20})
    options = SamplingOptions(max_tokens=200, schema=schema)
    plain, fast = (Engine.load(tmp_path / "model", device="cpu", quantization=standard_plan(4)) for _ in range(2))
    plain.runner.speculates = False
    assert fast.runner.speculates
    wanted, found = plain.ask(tiny.question("Sky?", 1), options), fast.ask(tiny.question("Sky?", 1), options)
    assert found.text == wanted.text and is_valid(found.text, json.loads(schema))


def test_stop_texts_of_a_template_do_not_cut_json() -> None:
    """Older templates end an answer at a text; in JSON that text is only a text."""
    made = tiny.engine()
    made._stop_texts = ("a", '"', "}", "1")
    answer = made.ask(tiny.question("Sky?"), SamplingOptions(max_tokens=60, schema=json.dumps(RECEIPT)))
    assert is_valid(answer.text, RECEIPT)


def test_stop_strings_and_a_schema_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        SamplingOptions(stop=("x",), schema="{}")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("{", "no JSON"),
        ("[1]", r"a schema is a JSON object, found \[1\]"),
        ("true", "found true"),
        ('{"type": "strin"}', "Invalid type: strin"),
        ('{"type": "array", "uniqueItems": true}', "uniqueItems"),
        ('{"not": {}}', "not"),
        ('{"$ref": "#/nowhere"}', "nowhere"),
        ('{"type": "string", "pattern": "("}', "unclosed group"),
        ('{"enum": []}', "Unsatisfiable"),
        ('{"x-guidance": 1}', "x-guidance"),
        ('{"items": {"minProperties": 1}}', "minProperties 1 with 0 required"),
        ('{"description": "%s"}' % ("x" * MOST_BYTES), "may have 65536 bytes"),
        ("[" * 100_000, "no JSON|may have"),
        ('{"const": "\\ud800"}', "half of a character"),
        ('{"type": "string", "pattern": "a(?=b)"}', r"the pattern 'a\(\?=b\)': look-around"),
        ('{"$anchor": "x", "$ref": "#x"}', "no text is valid"),
        ('{"type": [[]]}', "cannot be used"),
    ],
)
@pytest.mark.parametrize("leading_space", [False, True])
def test_schemas_that_cannot_be_used(schema: str, words: str, leading_space: bool) -> None:
    """The error is a sentence: the grammar that llguidance was given is nobody's schema."""
    with pytest.raises(UsageError, match=words) as caught:
        compile_schema(schema, leading_space=leading_space)
    assert not any(each in str(caught.value) for each in ("\n", "start:", "x-guidance: ", "%json", "failed to compile"))


def test_names_that_must_be_there_may_be_counted() -> None:
    compile_schema('{"type": "object", "properties": {"a": {}}, "required": ["a"], "minProperties": 1}')
    compile_schema('{"const": {"minProperties": 5}}')


ENDLESS = (
    '{"$ref": "#"}',
    '{"anyOf": [{"$ref": "#"}]}',
    '{"oneOf": [{"$ref": "#"}, {"allOf": [{}, {"$ref": "#"}]}]}',
    '{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}',
    '{"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}',
    '{"type": "array", "minItems": 2, "items": {"$ref": "#"}}',
    '{"type": "array", "minItems": 2, "prefixItems": [{}], "items": {"$ref": "#"}}',
    '{"type": ["array", "object"], "minItems": 1, "items": {"$ref": "#"}, "required": ["a"], '
    '"properties": {"a": {"$ref": "#/items"}}}',
    '{"$ref": "#/$defs/a~1b/anyOf/1", "$defs": {"a/b": {"anyOf": [{}, {"$ref": "#/%24defs/a~1b/anyOf/1"}]}}}',
)
ENDING = (
    '{"type": "object", "properties": {"a": {"$ref": "#"}}}',
    '{"type": "object", "required": ["a"], "properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}',
    '{"type": "object", "required": ["a"], "properties": {"b": {"$ref": "#"}}}',
    '{"type": ["object", "null"], "required": ["a"], "properties": {"a": {"$ref": "#"}}}',
    '{"type": "array", "items": {"$ref": "#"}}',
    '{"type": "array", "minItems": 1, "prefixItems": [{}], "items": {"$ref": "#"}}',
    '{"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/b"}}, '
    '"$defs": {"b": {"enum": [1, {"$ref": "#"}]}}}',
)


@pytest.mark.parametrize("schema", ENDLESS)
def test_a_schema_whose_answers_never_end(schema: str) -> None:
    with pytest.raises(UsageError, match="no answer would ever end") as caught:
        compile_schema(schema)
    assert "required" in str(caught.value.hint)


@pytest.mark.parametrize("schema", ENDING)
def test_a_schema_that_holds_itself_and_can_end(schema: str) -> None:
    tokenizer = tiny.tokenizer()
    ids = written(Guides(tokenizer, [tokenizer.eos_id]).guide(schema, 60), tokenizer, 60, 1)
    assert is_valid(tokenizer.decode(ids), json.loads(schema))


def test_what_only_the_library_finds_out_is_a_sentence_too() -> None:
    """``required`` stands apart from ``type``, so that the end can not be told from the keywords alone."""
    schema = '{"allOf": [{"type": "object"}, {"required": ["a"], "properties": {"a": {"$ref": "#"}}}]}'
    with pytest.raises(UsageError, match="too complex: parser error: Too many items") as caught:
        tiny.engine().ask(tiny.question("Sky?"), SamplingOptions(max_tokens=60, schema=schema))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_at_a_limit_of_the_library_the_text_does_not_end() -> None:
    """It lets the end of the text follow then, wherever the text is."""
    schema = '{"type": "string", "pattern": "^(([a-z]{0,500}){0,500}){0,500}$"}'
    with pytest.raises(UsageError, match="too complex to follow: lexer error: too many expressions"):
        Engine.load().ask(tiny.question("Say something."), SamplingOptions(max_tokens=200, schema=schema))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(UsageError, match="llguidance") as caught:
        compile_schema("{}")
    assert caught.value.hint == 'pip install "pumice[schema]"'
