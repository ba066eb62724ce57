"""Gates: what a teacher must not have said is refused, and what people and GPT-4 say is not."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumice.annotations.sources.table import open_source
from pumice.datagen.gates.gates import MOST_EXCHANGES, MOST_WORDS, check
from pumice.datagen.gates.language import foreign
from pumice.datagen.gates.mentions import source_mention
from pumice.datagen.gates.refusal import refusal
from pumice.datagen.gates.repetition import repetition
from pumice.datagen.parsing import parse
from pumice.datagen.prompting import PromptSet
from pumice.datagen.samples import Draft, Exchange, Kind, Rejection

KINDS: dict[str, Kind] = {"conv": "conversation", "detail": "detail", "complex": "reasoning"}

REFUSED = (
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I cannot see the picture.",
    "I am very sorry, but that is not possible.",
    "Sorry, I can't do that.",
    "I apologize, but there is a misunderstanding.",
    "My apologies, the request is unclear.",
    "As an AI language model, I cannot look at photographs.",
    "As a large language model trained on text I have no eyes.",
    "The scene is nice. However, as an AI, I do not feel hunger.",
    "I am an AI assistant and have no body.",
    "I'm just a language model.",
    "I cannot assist with this request.",
    "I can't view images directly.",
    "I am unable to process this picture.",
    "I'm not able to provide a description of real people.",
    "I won't answer this question.",
    "I don't have access to the photo.",
    "Unfortunately, no image was provided.",
    "That would be against our content policy.",
    "I must respectfully decline.",
)
NOT_REFUSED = (
    "The sign says: Sorry, we are closed.",
    "I cannot see a phone on this desk.",
    "He looks as if he wanted to say that he is sorry.",
    "The robot is shown as an AI with a human face.",
    "There is no picture on the wall.",
    "The cat cannot assist the man, since it sleeps.",
    "The policy of the shop is written on the door.",
    "I can see the picture frame above the bed.",
)
LEAKED = (
    "According to the captions, two men are walking.",
    "The caption mentions a dog.",
    "As the first caption says, it rains.",
    "The bounding box of the cat is large.",
    "The bounding-boxes overlap.",
    "The coordinates indicate that it is on the left.",
    "Given its coordinates, the car is far away.",
    "The descriptions mention a lake.",
    "Based on the given sentences there are two dogs.",
    "The provided context says nothing about it.",
    "From the information in the list provided, I count three.",
    "The sentences describe a kitchen.",
    "According to the annotations there are four.",
    "The weather is not mentioned.",
    "There is no mention of a cat.",
    "The cat is at [0.12, 0.40, 0.35, 0.80].",
    "It stands at (0.5, 0.72).",
    "A person (crowd) stands there.",
    "Based on the available information, it is noon.",
)
NOT_LEAKED = (
    "In the context of a wedding, this is usual.",
    "In this context, the umbrella protects from the sun.",
    "A caption at the bottom of the poster reads SALE.",
    "The caption below the cartoon is in French.",
    "Closed captions run across the screen.",
    "She coordinates the team, and the colours are coordinated.",
    "He describes the menu, and the waiter mentions the soup.",
    "The list on the blackboard is long.",
    "There is a box around the plant, and the box is bound with a ribbon.",
    "A shopping list lies on the table; the text is hard to read.",
    "The clock shows 10.30, and the price is 0.99, not 1.20.",
    "Based on the shadows, it is late in the day.",
    "The scene is not easy to describe in a sentence.",
)
LOOPED = (
    "The man is walking, the man is walking, the man is walking, the man is walking.",
    "very very very very very good",
    "It is nice. It is nice today in the park. It is nice today in the park. Yes. It is nice today in the park.",
    "aaaaaaaaaaaaaaaaaaaa",
    "Great!!!!!!!!!!!!!!!!!",
)
NOT_LOOPED = (
    "It is very, very, very good, step by step by step.",
    "There is a cup on the left. There is a cup on the right. There is a cup at the top. There is a plate below.",
    "The numbers are 1 1 1 1 1 1 1 1, and the score is 10000000000000.",
    "To the left ----------------------- and so on ......................",
    "On the first shelf there are books, on the second shelf there are cups, on the third shelf there are plates.",
)
FOREIGN = (
    "Auf dem Bild sind zwei Hunde zu sehen, die im Gras spielen.",
    "Sur l'image, on voit deux chiens qui jouent dans l'herbe.",
    "En la imagen se ven dos perros que juegan en la hierba.",
    "Nell'immagine si vedono due cani che giocano nell'erba.",
    "Na imagem vemos dois cães que brincam na relva verde.",
    "Op de foto zijn twee honden te zien die in het gras spelen.",
    "На картинке видны две собаки, которые играют в траве.",
    "Na obrazku widać dwa psy, które bawią się w trawie.",
    "图片里有两只狗在草地上玩耍,旁边还有一个红色的球。",
    "写真には、草の上で遊んでいる二匹の犬が写っています。",
    "사진에는 풀밭에서 놀고 있는 두 마리의 개가 보입니다.",
    "Resimde çimlerin üzerinde oynayan iki köpek görülüyor.",
    "في الصورة كلبان يلعبان على العشب الأخضر.",
    "Trên ảnh có hai con chó đang chơi đùa trên cỏ.",
)  # fmt: skip
ENGLISH = "The picture shows two dogs that play in the grass near a red ball."


def said(answer: str, question: str = "What can be seen here?", kind: Kind = "conversation") -> Draft:
    return Draft(kind, (Exchange(question, answer),))


def reason(draft: Draft, language: str = "en") -> str | None:
    found = check(draft, language)
    return None if found is None else found.reason


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_are_refused(text: str) -> None:
    assert refusal(text) and reason(said(text)) == "refusal"


@pytest.mark.parametrize("text", LEAKED)
def test_sources_must_not_be_mentioned(text: str) -> None:
    assert source_mention(text) and reason(said(text)) == "mentions-source"
    assert reason(said("Two dogs play in the grass.", question=text)) == "mentions-source"


@pytest.mark.parametrize("text", LOOPED)
def test_loops_are_refused(text: str) -> None:
    assert repetition(text) and reason(said(text)) == "repetition"


@pytest.mark.parametrize("text", [*NOT_REFUSED, *NOT_LEAKED, *NOT_LOOPED, ENGLISH, "Yes.", "Two.", "It says TAXI."])
def test_what_only_sounds_like_it_passes(text: str) -> None:
    assert check(said(text)) is None


@pytest.mark.parametrize("text", FOREIGN)
def test_other_languages_are_refused_alone_and_among_english(text: str) -> None:
    assert reason(said(text)) == "language"
    assert reason(said(f"{ENGLISH} {text} {ENGLISH[:-1]}, too.")) == "language"
    assert reason(said(ENGLISH, question=text)) == "language"


def test_another_language_can_be_wanted() -> None:
    german = said(FOREIGN[0], question="Was ist auf diesem Bild zu sehen?")
    assert check(german, "de") is None and reason(said(ENGLISH), "de") == "language"


def test_boxes_are_the_answer_of_grounding_alone() -> None:
    boxed = Exchange("Where is the dog? Give its bounding box.", "[0.12, 0.40, 0.35, 0.80]")
    assert check(Draft("grounding", (boxed,))) is None
    assert reason(Draft("position", (boxed,))) == "mentions-source"


def test_lengths() -> None:
    words = [f"word{number}" for number in range(MOST_WORDS + 1)]
    assert reason(said(" ".join(words))) == "too-long"
    assert reason(said("x" * 12 * MOST_WORDS + "y")) == "too-long"
    assert reason(said("A dog.", kind="detail")) == reason(said("", kind="counting")) == "too-short"
    assert check(said("A dog.", kind="counting")) is None
    many = tuple(Exchange(f"What is number {number}?", f"A thing with the number {number}.") for number in range(30))
    assert reason(Draft("conversation", many)) == "too-long"
    assert check(Draft("conversation", many[:MOST_EXCHANGES])) is None


def test_a_question_is_asked_once() -> None:
    twice = (Exchange("What is this?", "A dog."), Exchange("what  is this?", "It is a dog, as I said."))
    assert reason(Draft("conversation", twice)) == "repetition"


@given(
    st.lists(st.sampled_from(["a", "dog", "runs", "over", "the", "green", "grass"]), min_size=2, max_size=12),
    st.integers(5, 9),
)
def test_every_block_of_words_that_comes_again_and_again_is_a_loop(block: list[str], times: int) -> None:
    assert repetition(" ".join(block * times))


@given(st.integers(0, 2**32), st.integers(1, 400))
def test_words_by_chance_are_no_loop(seed: int, length: int) -> None:
    rng = random.Random(seed)
    words = [f"w{number}" for number in range(200)]
    letters = str.maketrans("0123456789", "abcdefghij")
    assert repetition(" ".join(rng.choice(words).translate(letters) for _ in range(length))) is None


@given(st.text())
def test_no_text_breaks_a_gate(text: str) -> None:
    found = check(said(text, question=text))
    assert found is None or found.detail


def test_gpt4s_real_answers_pass(coco: Path) -> None:
    lines = (coco / "coco2014_val_gpt4_qa_30x3.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    drafts = [Draft(KINDS[each["type"]], (Exchange(each["instruction"], each["output"]),)) for each in answers]
    assert len(drafts) == 90
    assert [rejected for draft in drafts if (rejected := check(draft))] == []


def test_what_people_wrote_passes(coco: Path) -> None:
    sources = (
        open_source("caps-boxes", [coco / "caps_boxes_coco2014_val_80.jsonl"]),
        open_source("coco", [coco / "captions_val2017.json"]),
    )
    captions = [caption for source in sources for scene in source for caption in scene.captions]
    assert len(captions) > 790
    assert [(caption, rejected) for caption in captions if (rejected := check(said(caption)))] == []


def test_what_the_world_says_passes() -> None:
    for scene in open_source("world", numbers=range(60)):
        for caption in scene.captions:
            kind: Kind = "grounding" if re.search(r"\[\d", caption) else "conversation"
            rejected = check(said(caption, kind=kind))
            assert rejected is None, (caption, rejected)


def test_the_worked_examples_pass() -> None:
    for kind, prompt in PromptSet.load().prompts.items():
        for example in prompt.examples:
            draft = parse(kind, example.reply)
            assert not isinstance(draft, Rejection) and check(draft) is None
            assert foreign(prompt.system) is None
