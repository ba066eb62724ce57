"""Templates: how a conversation is written out for a language model, as one table of data.

A template's own text (``Markup``) and somebody's words (``Plain``) stay apart until they become tokens, so that
``</s>`` or ``<image>`` inside a question can never turn into the token of that name. The strings are those of the
released LLaVA checkpoints (llava/conversation.py); a space more or less would be a text the model never saw.

Where pictures stand: the pictures that lead a turn, before any words, each get a newline after them if anything
follows in that turn; a picture in the middle of the words stays where it is and gets nothing added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pumice.errors import UsageError
from pumice.prompts.conversation import Conversation, Image, Text, Turn

IMAGE_TEXT = "<image>"


@dataclass(frozen=True)
class Markup:
    """The template's own text; names of special tokens inside are recognised. ``supervised``: the model learns it."""

    text: str
    supervised: bool = False


@dataclass(frozen=True)
class Plain:
    """Somebody's words; nothing inside is recognised."""

    text: str
    supervised: bool = False


@dataclass(frozen=True)
class Slot:
    """The place of picture number ``index`` of the conversation, counted from 0 in reading order."""

    index: int


Piece: TypeAlias = Markup | Plain | Slot
Marks: TypeAlias = tuple[Markup, ...]


def _text(text: str) -> Marks:
    return (Markup(text),) if text else ()


def _learned(text: str) -> Marks:
    return (Markup(text, supervised=True),)


@dataclass(frozen=True)
class Frame:
    """What stands around one role's words: ``opening + gap + words + closing``.

    ``bare_if_empty``: a turn without words and pictures is its opening alone, as the reference renders it.
    """

    opening: Marks = ()
    gap: Marks = ()
    closing: Marks = ()
    bare_if_empty: bool = True


@dataclass(frozen=True)
class Layout:
    """One way of writing a conversation.

    ``system``: texts before and after the system message; left out when that is empty. ``system_in_turn`` puts it
    inside the first question, behind its opening and gap. ``between`` stands before each question but the first,
    ``end`` after the last answer, ``around_image`` around every picture. ``few_shot``: turns spoken beforehand.
    ``caption_only``: the words of the question are dropped, only its pictures stay.
    """

    user: Frame
    assistant: Frame
    system: tuple[str, str] = ("", "")
    system_in_turn: bool = False
    between: Marks = ()
    end: Marks = ()
    around_image: tuple[str, str] = ("", "")
    few_shot: tuple[str, ...] = ()
    caption_only: bool = False


@dataclass(frozen=True)
class Template:
    """A named way of talking to a model.

    ``layout`` writes conversations that end with a question; complete ones (training) use ``training`` where the
    reference trains on another text than it asks with. ``stops``: texts that end an answer; one that is a special
    token of the tokenizer ends it by its id, the others are searched in the text.
    """

    name: str
    layout: Layout
    stops: tuple[str, ...]
    system: str = ""
    training: Layout | None = field(default=None)


_USER_SENTENCE = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
_HUMAN_SENTENCE = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_MMTAG_SENTENCE = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant is able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
    "The visual content will be provided with the following format: <Image>visual content</Image>."
)
_LLAVA_SENTENCE = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
_LLAMA_SENTENCE = (
    "You are a helpful, respectful and honest assistant. "
    "Always answer as helpfully as possible, while being safe.  "
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. "
    "Please ensure that your responses are socially unbiased and positive in nature.\n\n"
    "If a question does not make any sense, or is not factually coherent, "
    "explain why instead of answering something not correct. "
    "If you don't know the answer to a question, please don't share false information."
)
_RENEWABLE = (
    "What are the key differences between renewable and non-renewable energy sources?",
    "Renewable energy sources are those that can be replenished naturally in a relatively short amount of time, "
    "such as solar, wind, hydro, geothermal, and biomass. "
    "Non-renewable energy sources, on the other hand, are finite and will eventually be depleted, "
    "such as coal, oil, and natural gas. "
    "Here are some key differences between renewable and non-renewable energy sources:\n"
    "1. Availability: Renewable energy sources are virtually inexhaustible, "
    "while non-renewable energy sources are finite and will eventually run out.\n"
    "2. Environmental impact: Renewable energy sources have a much lower environmental impact "
    "than non-renewable sources, which can lead to air and water pollution, greenhouse gas emissions, "
    "and other negative effects.\n"
    "3. Cost: Renewable energy sources can be more expensive to initially set up, "
    "but they typically have lower operational costs than non-renewable sources.\n"
    "4. Reliability: Renewable energy sources are often more reliable and can be used in more remote locations "
    "than non-renewable sources.\n"
    "5. Flexibility: Renewable energy sources are often more flexible and can be adapted to different situations "
    "and needs, while non-renewable sources are more rigid and inflexible.\n"
    "6. Sustainability: Renewable energy sources are more sustainable over the long term, "
    "while non-renewable sources are not, and their depletion can lead to economic and social instability.\n",
)
_IMAGE_TAGS = ("<Image>", "</Image>")

# The space that leads an answer is supervised with it: SentencePiece makes it part of the answer's first token.
_VICUNA = Layout(
    system=("", " "),
    user=Frame(_text("USER:"), _text(" "), _text(" ")),
    assistant=Frame(_text("ASSISTANT:"), _learned(" "), _learned("</s>")),
)
_SHARP = Layout(
    system=("", "###"),
    user=Frame(_text("Human:"), _text(" "), _text("###")),
    assistant=Frame(_text("Assistant:"), _learned(" "), _learned("###")),
)
# Both roles' "###" is supervised: it is how these models end a turn.
_SHARP_TRAINING = Layout(
    system=("", "\n\n"),
    user=Frame(_learned("###") + _text(" Human: "), (), _text("\n"), bare_if_empty=False),
    assistant=Frame(_learned("### Assistant: "), (), _learned("\n"), bare_if_empty=False),
    end=_learned("### "),
)
_LLAMA_2 = Layout(
    system=("<<SYS>>\n", "\n<</SYS>>\n\n"),
    system_in_turn=True,
    user=Frame(_text("[INST] "), (), _text(" [/INST]"), bare_if_empty=False),
    assistant=Frame((), _learned(" "), _learned(" </s>")),
    between=_text("<s>"),
)
_CHATML = Layout(
    system=("<|im_start|>system\n", "<|im_end|>"),
    user=Frame(_text("<|im_start|>user\n"), (), _text("<|im_end|>")),
    assistant=Frame(_text("<|im_start|>assistant\n"), (), _learned("<|im_end|>")),
)
# Unlike ChatML's, a newline follows what ends a turn; it is not learned, for answers end before it.
_QWEN = Layout(
    system=("<|im_start|>system\n", "<|im_end|>\n"),
    user=Frame(_text("<|im_start|>user\n"), (), _text("<|im_end|>\n")),
    assistant=Frame(_text("<|im_start|>assistant\n"), (), _learned("<|im_end|>") + _text("\n")),
)
_LLAMA_3 = Layout(
    system=("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
    user=Frame(_text("<|start_header_id|>user<|end_header_id|>\n\n"), (), _text("<|eot_id|>")),
    assistant=Frame(_text("<|start_header_id|>assistant<|end_header_id|>\n\n"), (), _learned("<|eot_id|>")),
)
_PLAIN = Layout(user=Frame(closing=_text("\n")), assistant=Frame(closing=_learned("\n"), bare_if_empty=False))

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template("vicuna_v1", _VICUNA, ("</s>",), _USER_SENTENCE),
        Template("llava_v1", _VICUNA, ("</s>",), _HUMAN_SENTENCE),
        Template("v0", replace(_SHARP, few_shot=_RENEWABLE), ("###",), _HUMAN_SENTENCE, _SHARP_TRAINING),
        Template("llava_v0", _SHARP, ("###",), _HUMAN_SENTENCE, _SHARP_TRAINING),
        Template("llama_2", _LLAMA_2, ("</s>",), _LLAMA_SENTENCE),
        Template("llava_llama_2", _LLAMA_2, ("</s>",), _LLAVA_SENTENCE),
        Template("mistral_instruct", replace(_LLAMA_2, between=()), ("</s>",)),
        Template("chatml_direct", _CHATML, ("<|im_end|>",), "Answer the questions."),
        Template(
            "mpt",
            _CHATML,
            ("<|im_end|>",),
            "A conversation between a user and an LLM-based AI assistant. "
            "The assistant gives helpful and honest answers.",
        ),
        Template("qwen_1_5", _QWEN, ("<|im_end|>",), "You are a helpful assistant."),
        Template("llava_llama_3", _LLAMA_3, ("<|eot_id|>",), _LLAVA_SENTENCE),
        Template("plain", _PLAIN, ("\n",), training=replace(_PLAIN, user=Frame(), caption_only=True)),
        Template("v0_mmtag", _SHARP, ("###",), _MMTAG_SENTENCE, replace(_SHARP_TRAINING, around_image=_IMAGE_TAGS)),
        Template("v1_mmtag", _VICUNA, ("</s>",), _MMTAG_SENTENCE, replace(_VICUNA, around_image=_IMAGE_TAGS)),
    )
}
ALIASES = {
    "default": "v0",
    "v1": "vicuna_v1",
    "mistral_direct": "chatml_direct",
    "v0_plain": "plain",
    "qwen_2": "qwen_1_5",
}


def get_template(name: str) -> Template:
    """The template of that name or alias.

    Raises:
        UsageError: there is none; the hint lists the valid names.
    """
    template = TEMPLATES.get(ALIASES.get(name, name))
    if template is None:
        valid = ", ".join(sorted({*TEMPLATES, *ALIASES}))
        raise UsageError(f"unknown template {name!r}", hint=f"choose one of {valid}")
    return template


def render(template: Template, conversation: Conversation) -> tuple[Piece, ...]:
    """Write a conversation out.

    A conversation that ends with a question is opened for the answer. One that ends with an answer is complete: it is
    written as for training, with the answers and what ends them supervised.

    Raises:
        UsageError: there are no turns, or a caption-only template is asked to train on anything but pictures and
            one caption.
    """
    if not conversation.turns:
        raise UsageError("a conversation without turns cannot be rendered", hint="ask a question first")
    complete = conversation.turns[-1].role == "assistant"
    layout = template.training if complete and template.training else template.layout
    if layout.caption_only:
        _check_caption(template.name, conversation)
    system = template.system if conversation.system is None else conversation.system
    return tuple(_pieces(layout, system, conversation, complete=complete))


def prompt_text(pieces: tuple[Piece, ...]) -> str:
    """The rendered prompt as one string, ``<image>`` in place of every picture. To look at, never to tokenise."""
    return "".join(IMAGE_TEXT if isinstance(piece, Slot) else piece.text for piece in pieces)


def read_prompt(prompt: str) -> tuple[Piece, ...]:
    """The pieces of a prompt that ``prompt_text`` or the original's ``get_prompt`` wrote: markup, and pictures."""
    first, *rest = prompt.split(IMAGE_TEXT)
    pieces: list[Piece] = [Markup(first)]
    for index, text in enumerate(rest):
        pieces += (Slot(index), Markup(text))
    return tuple(pieces)


def _check_caption(name: str, conversation: Conversation) -> None:
    pictures = sum(1 for _ in conversation.images())
    if [turn.role for turn in conversation.turns] != ["user", "assistant"] or not pictures:
        raise UsageError(
            f"template {name!r} trains on pictures and one caption, "
            f"found {len(conversation.turns)} turns with {pictures} pictures",
            hint="use a chat template such as vicuna_v1 for conversations",
        )


def _pieces(layout: Layout, system: str, conversation: Conversation, *, complete: bool) -> Iterator[Piece]:
    system_pieces: tuple[Piece, ...] = ()
    if system:
        system_pieces = (*_text(layout.system[0]), Plain(system), *_text(layout.system[1]))
    if not layout.system_in_turn:
        yield from system_pieces
        system_pieces = ()
    for index, said in enumerate(layout.few_shot):
        frame = layout.assistant if index % 2 else layout.user
        yield from (replace(mark, supervised=False) for mark in (*frame.opening, *frame.gap))
        yield Plain(said)
        yield from (replace(mark, supervised=False) for mark in frame.closing)
    slot = 0
    for index, turn in enumerate(conversation.turns):
        words, slot = _words(layout, turn, slot)
        if turn.role == "user":
            if index:
                yield from layout.between
            yield from _framed(layout.user, (*system_pieces, *words))
            system_pieces = ()
        else:
            yield from _framed(layout.assistant, words)
    yield from layout.end if complete else layout.assistant.opening


def _framed(frame: Frame, words: tuple[Piece, ...]) -> Iterator[Piece]:
    yield from frame.opening
    if words or not frame.bare_if_empty:
        yield from (*frame.gap, *words, *frame.closing)


def _words(layout: Layout, turn: Turn, slot: int) -> tuple[tuple[Piece, ...], int]:
    """A turn's words and pictures, the first picture numbered ``slot``, and the next free number."""
    supervised = turn.role == "assistant"
    drop = layout.caption_only and not supervised
    parts = [part for part in turn.parts if isinstance(part, Image) or (part.text and not drop)]
    pieces: list[Piece] = []
    leading = True
    for position, part in enumerate(parts):
        if isinstance(part, Text):
            leading = False
            pieces.append(Plain(part.text, supervised))
            continue
        pieces += (*_text(layout.around_image[0]), Slot(slot), *_text(layout.around_image[1]))
        slot += 1
        if leading and position + 1 < len(parts):
            pieces.append(Markup("\n"))
    return tuple(pieces), slot
