"""Templates render the strings that the released checkpoints know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Image, Part, Text, Turn
from pumice.prompts.templates import (
    ALIASES,
    TEMPLATES,
    Markup,
    Plain,
    Slot,
    Template,
    get_template,
    prompt_text,
    render,
)

PICTURE = Image("picture.png")
QUESTION = Conversation.ask("Q", (PICTURE,))
USER = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
HUMAN = USER.replace("user", "human")
CHATML = "<|im_start|>system\n{}<|im_end|><|im_start|>user\n<image>\nQ<|im_end|><|im_start|>assistant\n"
MPT_SYSTEM = (
    "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful and honest answers."
)
LLAVA_SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
QWEN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
LLAMA_3 = (
    f"<|start_header_id|>system<|end_header_id|>\n\n{LLAVA_SYSTEM}<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)
SINGLE_TURN = {
    "vicuna_v1": f"{USER} USER: <image>\nQ ASSISTANT:",
    "llava_v1": f"{HUMAN} USER: <image>\nQ ASSISTANT:",
    "llava_v0": f"{HUMAN}###Human: <image>\nQ###Assistant:",
    "mistral_instruct": "[INST] <image>\nQ [/INST]",
    "chatml_direct": CHATML.format("Answer the questions."),
    "mpt": CHATML.format(MPT_SYSTEM),
    "llava_llama_2": f"[INST] <<SYS>>\n{LLAVA_SYSTEM}\n<</SYS>>\n\n<image>\nQ [/INST]",
    "qwen_1_5": QWEN.format("<image>\nQ"),
    "llava_llama_3": LLAMA_3.format("<image>\nQ"),
    "plain": "<image>\nQ\n",
}


def said(*pairs: tuple[str, str]) -> Conversation:
    conversation = Conversation()
    for question, answer in pairs:
        conversation = conversation.then_ask(question).then_answer(answer)
    return conversation


def shown(template: str, conversation: Conversation) -> str:
    return prompt_text(render(get_template(template), conversation))


@pytest.mark.parametrize(("name", "prompt"), SINGLE_TURN.items())
def test_single_turn(name: str, prompt: str) -> None:
    assert shown(name, QUESTION) == prompt


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_ends_ready_for_the_answer(name: str) -> None:
    template = TEMPLATES[name]
    opening = "".join(mark.text for mark in template.layout.assistant.opening)
    prompt = shown(name, QUESTION)
    assert prompt.endswith(opening)
    assert not prompt.endswith(" ")
    assert prompt.count("<image>") == 1
    assert template.stops


@pytest.mark.parametrize(
    ("name", "tail"),
    [
        ("vicuna_v1", "USER: q1 ASSISTANT: a1</s>USER: q2 ASSISTANT:"),
        ("llava_v0", "###Human: q1###Assistant: a1###Human: q2###Assistant:"),
        ("llava_llama_2", "q1 [/INST] a1 </s><s>[INST] q2 [/INST]"),
        ("mistral_instruct", "[INST] q1 [/INST] a1 </s>[INST] q2 [/INST]"),
        (
            "mpt",
            "user\nq1<|im_end|><|im_start|>assistant\na1<|im_end|><|im_start|>user\nq2<|im_end|><|im_start|>assistant\n",
        ),
        (
            "qwen_1_5",
            "user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n"
            "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "llava_llama_3",
            "user<|end_header_id|>\n\nq1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nq2<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        ("v1_mmtag", "<Image>visual content</Image>. USER: q1 ASSISTANT: a1</s>USER: q2 ASSISTANT:"),
    ],
)
def test_further_turns(name: str, tail: str) -> None:
    assert shown(name, said(("q1", "a1")).then_ask("q2")).endswith(tail)


@pytest.mark.parametrize(
    ("name", "text", "learned"),
    [
        ("vicuna_v1", f"{USER} USER: q ASSISTANT: a</s>", " a</s>"),
        ("llava_llama_2", f"[INST] <<SYS>>\n{LLAVA_SYSTEM}\n<</SYS>>\n\nq [/INST] a </s>", " a </s>"),
        ("mistral_instruct", "[INST] q [/INST] a </s>", " a </s>"),
        ("v0", f"{HUMAN}\n\n### Human: q\n### Assistant: a\n### ", "###### Assistant: a\n### "),
        ("mpt", CHATML.format(MPT_SYSTEM).replace("<image>\nQ", "q") + "a<|im_end|>", "a<|im_end|>"),
        ("qwen_1_5", QWEN.format("q") + "a<|im_end|>\n", "a<|im_end|>"),
        ("llava_llama_3", LLAMA_3.format("q") + "a<|eot_id|>", "a<|eot_id|>"),
    ],
)
def test_complete_conversations_and_what_is_learned(name: str, text: str, learned: str) -> None:
    pieces = render(get_template(name), said(("q", "a")))
    assert prompt_text(pieces) == text
    assert "".join(p.text for p in pieces if not isinstance(p, Slot) and p.supervised) == learned


def test_plain_trains_on_the_caption_alone() -> None:
    pieces = render(get_template("plain"), QUESTION.then_answer("a caption"))
    assert pieces == (Slot(0), Plain("a caption", True), Markup("\n", True))


@pytest.mark.parametrize("conversation", [said(("q", "a")), QUESTION.then_answer("a").then_ask("q").then_answer("b")])
def test_plain_refuses_to_drop_a_conversation(conversation: Conversation) -> None:
    with pytest.raises(UsageError, match="pictures and one caption"):
        render(get_template("plain"), conversation)


def test_mmtag_wraps_pictures_in_training() -> None:
    assert "USER: <Image><image></Image>\nQ ASSISTANT: a</s>" in shown("v1_mmtag", QUESTION.then_answer("a"))
    assert "### Human: <Image><image></Image>\nQ\n### Assistant: a\n### " in shown(
        "v0_mmtag", QUESTION.then_answer("a")
    )


def test_few_shot_turns_are_spoken_but_not_learned() -> None:
    pieces = render(get_template("v0"), Conversation.ask("Q"))
    prompt = prompt_text(pieces)
    assert "###Human: What are the key differences between renewable" in prompt
    assert prompt.endswith("social instability.\n###Human: Q###Assistant:")
    assert not any(not isinstance(piece, Slot) and piece.supervised for piece in pieces)
    assert "renewable" not in shown("v0", said(("q", "a")))


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((PICTURE, Text("q")), "<image>\nq"),
        ((PICTURE, PICTURE, Text("q")), "<image>\n<image>\nq"),
        ((Text(""), PICTURE, Text("q")), "<image>\nq"),
        ((PICTURE,), "<image>"),
        ((Text("left "), PICTURE, Text(" or right "), PICTURE, Text("?")), "left <image> or right <image>?"),
        ((PICTURE, Text("and "), PICTURE), "<image>\nand <image>"),
        ((Text("q\n"), PICTURE), "q\n<image>"),
    ],
)
def test_where_pictures_stand(parts: tuple[Part, ...], text: str) -> None:
    conversation = Conversation((Turn("user", parts),))
    assert shown("mistral_instruct", conversation) == f"[INST] {text} [/INST]"


def test_an_empty_turn_is_its_opening() -> None:
    conversation = said(("", "a"), ("q", "")).then_ask("r")
    assert shown("vicuna_v1", conversation).endswith("USER:ASSISTANT: a</s>USER: q ASSISTANT:USER: r ASSISTANT:")
    assert shown("mistral_instruct", conversation) == "[INST]  [/INST] a </s>[INST] q [/INST][INST] r [/INST]"


def test_the_system_message_is_replaced_or_left_out() -> None:
    assert shown("vicuna_v1", Conversation.ask("q", system="Be brief.")) == "Be brief. USER: q ASSISTANT:"
    assert shown("vicuna_v1", Conversation.ask("q", system="")) == "USER: q ASSISTANT:"
    expected = "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nq [/INST]"
    assert shown("mistral_instruct", Conversation.ask("q", system="Be brief.")) == expected
    assert shown("llama_2", Conversation.ask("q", system="")) == "[INST] q [/INST]"


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases(alias: str, name: str) -> None:
    assert get_template(alias) is TEMPLATES[name]


def test_an_unknown_name_lists_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="'vicuna'") as caught:
        get_template("vicuna")
    assert caught.value.hint is not None
    assert all(name in caught.value.hint for name in (*TEMPLATES, *ALIASES))


def test_nothing_said_is_refused() -> None:
    with pytest.raises(UsageError, match="without turns"):
        render(get_template("v1"), Conversation())


words = st.text(max_size=12) | st.sampled_from(["</s>", "<image>", "###", "[INST]", "<|im_end|>"])
questions = st.lists(st.one_of(words.map(Text), st.just(PICTURE)), max_size=4).map(tuple)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    turns = [Turn("user", draw(questions))]
    for _ in range(draw(st.integers(0, 2))):
        turns += [Turn("assistant", (Text(draw(words)),)), Turn("user", draw(questions))]
    return Conversation(tuple(turns))


@given(st.sampled_from(sorted(TEMPLATES.values(), key=lambda t: t.name)), conversations())
def test_words_stay_words_and_pictures_stay_in_order(template: Template, conversation: Conversation) -> None:
    pieces = render(template, conversation)
    slots = [piece.index for piece in pieces if isinstance(piece, Slot)]
    assert slots == list(range(sum(1 for _ in conversation.images())))
    spoken = [part.text for turn in conversation.turns for part in turn.parts if isinstance(part, Text) and part.text]
    plain = [piece.text for piece in pieces if isinstance(piece, Plain)]
    assert plain[len(plain) - len(spoken) :] == spoken  # the system message and few-shot turns stand before
    marks = "".join(piece.text for piece in pieces if isinstance(piece, Markup))
    assert "<image>" not in marks
