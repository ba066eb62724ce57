"""Ids of the templates of Qwen and Llama 3 equal those of transformers' chat templates, pictures among the words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from prompts.conftest import CORPUS
from pumice.prompts.conversation import Conversation, Image, Text, Turn
from pumice.prompts.encode import IGNORE, IMAGE_ID, encode, stopping
from pumice.prompts.templates import get_template, render
from pumice.prompts.tokenizer import Tokenizer, load_tokenizer

transformers = pytest.importorskip("transformers", reason="transformers is the parity oracle; install pumice[dev]")

BOS = "<|begin_of_text|>"
NAMES = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"]
#: How the makers of the language models write conversations, for Jinja.
TURNS = {
    "qwen_1_5": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "llava_llama_3": "{{ '<|begin_of_text|>' }}{% for m in messages %}{{ '<|start_header_id|>' + m.role "
    "+ '<|end_header_id|>\\n\\n' + m.content + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
}
PICTURE = Image("picture.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level vocabulary with the special tokens of both; it opens with Llama 3's."""
    engine = Engine(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=[BOS, *NAMES, "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    engine.train_from_iterator(CORPUS, trainer)
    opened = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, engine.token_to_id(BOS))])
    made = tmp_path_factory.mktemp("both")
    for name, opening in (("llava_llama_3", opened), ("qwen_1_5", processors.ByteLevel())):
        engine.post_processor = opening
        (made / name).mkdir()
        engine.save(str(made / name / "tokenizer.json"))
        ends = {"eos_token": "<|end_of_text|>", **({"bos_token": BOS} if name == "llava_llama_3" else {})}
        (made / name / "tokenizer_config.json").write_text(json.dumps(ends))
    return made


def theirs(folder: Path, name: str, messages: list[dict[str, str]], *, asks: bool) -> list[int]:
    reader: Any = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / name / "tokenizer.json"))
    ids = reader.apply_chat_template(
        messages, chat_template=TURNS[name], add_generation_prompt=asks, tokenize=True, return_dict=False
    )
    image = reader.convert_tokens_to_ids("<image>")
    return [IMAGE_ID if index == image else index for index in ids]


def opened(folder: Path, name: str) -> Tokenizer:
    return load_tokenizer(folder / name)


@pytest.mark.parametrize("name", TURNS)
@pytest.mark.parametrize("several", [False, True])
def test_a_question(name: str, several: bool, folder: Path) -> None:
    template, tokenizer = get_template(name), opened(folder, name)
    pictures = (PICTURE,) * (2 if several else 1)
    conversation = Conversation.ask("what is in the picture?", pictures).then_answer("two mugs").then_ask("a die?")
    messages = [
        {"role": "system", "content": template.system},
        {"role": "user", "content": "<image>\n" * len(pictures) + "what is in the picture?"},
        {"role": "assistant", "content": "two mugs"},
        {"role": "user", "content": "a die?"},
    ]
    found = encode(render(template, conversation), tokenizer)
    assert found.ids == theirs(folder, name, messages, asks=True)
    assert set(found.labels) >= {IGNORE}


@pytest.mark.parametrize("name", TURNS)
def test_pictures_between_words(name: str, folder: Path) -> None:
    template, tokenizer = get_template(name), opened(folder, name)
    parts = (Text("Here is "), PICTURE, Text(" and here "), PICTURE, Text(" with five pips"))
    conversation = Conversation((Turn("user", parts),), system="")
    messages = [{"role": "user", "content": "Here is <image> and here <image> with five pips"}]
    assert encode(render(template, conversation), tokenizer).ids == theirs(folder, name, messages, asks=True)


@pytest.mark.parametrize("name", TURNS)
def test_what_is_learned_is_the_answer_and_what_ends_it(name: str, folder: Path) -> None:
    template, tokenizer = get_template(name), opened(folder, name)
    conversation = Conversation.ask("what?", (PICTURE,)).then_answer("two mugs")
    messages = [
        {"role": "system", "content": template.system},
        {"role": "user", "content": "<image>\nwhat?"},
        {"role": "assistant", "content": "two mugs"},
    ]
    found = encode(render(template, conversation), tokenizer)
    assert found.ids == theirs(folder, name, messages, asks=False)
    learned = [index for index in found.labels if index != IGNORE]
    (end,) = (tokenizer.special_id(stop) for stop in template.stops)
    assert learned == [*(token.id for token in tokenizer.encode("two mugs", starts=False)), end]
    assert stopping(template, tokenizer) == (frozenset({end, tokenizer.eos_id}), ())
