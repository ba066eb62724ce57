"""Prompts, ids and labels are those of the reference implementation, row by row."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pumice.prompts.conversation import Conversation, Image, Text, Turn
from pumice.prompts.encode import IGNORE, IMAGE_ID, Encoded, encode
from pumice.prompts.templates import get_template, prompt_text, read_prompt, render
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer

TRAINED = ("v1", "llava_llama_2", "v0", "mpt", "plain")
ASKED = (
    *("vicuna_v1", "llava_v1", "v0", "llava_v0", "llava_llama_2", "llama_2"),
    *("mistral_instruct", "chatml_direct", "mpt", "v0_mmtag", "v1_mmtag", "plain"),
)
Row = dict[str, Any]


@pytest.fixture(scope="module", params=[True, False], ids=["legacy", "not-legacy"])
def legacy(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def tokenizer(golden: Path, legacy: bool, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    shutil.copy(golden / "text" / "tokenizer.model", folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"legacy": legacy}))
    return load_tokenizer(folder)


def rows(golden: Path, kind: str, legacy: bool) -> list[Row]:
    path = golden / "text" / f"{kind}_legacy_{str(legacy).lower()}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def trained(conversations: list[dict[str, str]]) -> Conversation:
    """The reference's normalisation: a leading answer is dropped, a sentence's picture is moved to its front."""
    if conversations[0]["from"] != "human":
        conversations = conversations[1:]
    turns = []
    for sentence in conversations:
        words = sentence["value"]
        if sentence["from"] == "gpt":
            turns.append(Turn("assistant", (Text(words),)))
        elif "<image>" in words:
            turns.append(Turn("user", (Image("picture.png"), Text(words.replace("<image>", "").strip()))))
        else:
            turns.append(Turn("user", (Text(words),)))
    return Conversation(tuple(turns))


def asked(turns: list[list[str | None]]) -> Conversation:
    """Prompts were given to the reference as text with the picture in front."""
    conversation = Conversation()
    for question, answer in turns:
        assert question is not None
        words = question.removeprefix("<image>\n")
        conversation = conversation.then_ask(words, (Image("picture.png"),) if words != question else ())
        if answer is not None:
            conversation = conversation.then_answer(answer)
    return conversation


def learned(encoded: Encoded, tokenizer: Tokenizer) -> str:
    """The supervised tokens as text, special tokens by name."""
    names = {index: text for text, index in tokenizer.specials.items()}
    labels = [label for label in encoded.labels if label != IGNORE]
    pieces = [names[i] if i in names else tokenizer.token_bytes(i).decode("latin-1") for i in labels]
    return "".join(pieces).encode("latin-1").decode("utf-8")


def what_the_rule_says(template: str, conversation: Conversation) -> str:
    """Answer and end of turn for every turn, as a pattern; a Llama token may reach over the end of the turn."""
    answers = [turn.text for turn in conversation.turns if turn.role == "assistant" and turn.text]
    form = {"v1": " {}</s>", "llava_llama_2": " {} </s>", "mpt": "{}<\\|im_end\\|><?"}[template]
    return "".join(form.format(re.escape(answer)) for answer in answers)


@pytest.mark.parametrize("name", TRAINED)
def test_training_ids_and_labels(name: str, golden: Path, legacy: bool, tokenizer: Tokenizer) -> None:
    chosen = [row for row in rows(golden, "train", legacy) if row["template"] == name]
    assert chosen
    template = get_template(name)
    for number, row in enumerate(chosen):
        conversation = trained(row["conversations"])
        encoded = encode(render(template, conversation), tokenizer)
        assert len(encoded.ids) == len(encoded.labels)
        if "reference_error" not in row:
            assert encoded.ids == row["input_ids"], f"ids of {name} row {number}"
        if "reference_error" in row or row["reference_masked_everything"]:
            pattern = what_the_rule_says(name, conversation)
            assert re.fullmatch(pattern, learned(encoded, tokenizer)), f"labels of {name} row {number}"
        else:
            assert encoded.labels == row["labels"], f"labels of {name} row {number}"


def test_no_training_row_is_left_out(golden: Path, legacy: bool) -> None:
    assert {row["template"] for row in rows(golden, "train", legacy)} <= set(TRAINED)
    assert {row["template"] for row in rows(golden, "prompts", legacy)} <= set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_prompt_and_ids_at_inference(name: str, golden: Path, legacy: bool, tokenizer: Tokenizer) -> None:
    chosen = [row for row in rows(golden, "prompts", legacy) if row["template"] == name]
    assert chosen
    for number, row in enumerate(chosen):
        pieces = render(get_template(name), asked(row["turns"]))
        assert prompt_text(pieces) == row["prompt"], f"{name} row {number}"
        assert encode(pieces, tokenizer).ids == row["input_ids"], f"{name} row {number}"


@pytest.mark.parametrize("name", ASKED)
def test_ids_of_a_prompt_that_came_rendered(name: str, golden: Path, legacy: bool, tokenizer: Tokenizer) -> None:
    chosen = [row for row in rows(golden, "prompts", legacy) if row["template"] == name]
    assert chosen
    for number, row in enumerate(chosen):
        assert encode(read_prompt(row["prompt"]), tokenizer).ids == row["input_ids"], f"{name} row {number}"


def test_documented_vector(tokenizer: Tokenizer, legacy: bool) -> None:
    """LLaVA-1.5, ``llava_v1``, "Please describe this image in detail.": 50 ids with the picture as one of them."""
    pieces = render(get_template("llava_v1"), asked([["<image>\nPlease describe this image in detail.", None]]))
    encoded = encode(pieces, tokenizer)
    head = "1 319 13563 1546 263 12758 5199 322 385 23116 21082 20255 29889 450 20255 4076 8444 29892 13173 29892 322"
    system = "1248 568 6089 304 278 5199 29915 29879 5155 29889 3148 1001 29901 29871"
    rest = "29871 13 12148 8453 445 1967 297 9493 29889 319 1799 9047 13566 29901"
    assert encoded.ids == [*map(int, head.split()), *map(int, system.split()), IMAGE_ID, *map(int, rest.split())]
    assert len(encode(pieces, tokenizer, (576,)).ids) == 625
