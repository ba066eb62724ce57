"""Packed rows and padded batches: the same loss and the same gradients as every conversation by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import tiny
from pumice.data.batch import Batch, collate
from pumice.data.packing import HEAD, Row, pack
from pumice.errors import UsageError
from pumice.model.llava import Llava
from pumice.processor import Inputs, Processor
from pumice.prompts.conversation import Conversation, Image
from pumice.prompts.encode import IGNORE, IMAGE_ID
from pumice.prompts.templates import get_template
from pumice.train.step import InstructionTuning

WORDS = ("What is in the picture?", "How many dice are there?", "Sky?", "Describe it, please!")
ANSWERS = ("A red cup.", "Two dice; they add up to seven.", "0.35", "Seven polite answers, curious and red.")


def talk(seed: int | None, turns: Sequence[tuple[int, int]]) -> Conversation:
    """A conversation of these questions and answers, about the picture of ``seed`` if there is one."""
    made = Conversation(system="Be brief.")
    for number, (asked, said) in enumerate(turns):
        picture = (Image(tiny.picture(seed)),) if seed is not None and number == 0 else ()
        made = made.then_ask(WORDS[asked], picture).then_answer(ANSWERS[said])
    return made


TURNS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=3)


def mean_loss(model: Llava, batch: Batch) -> Tensor:
    return InstructionTuning(model).loss(batch).value


def separate_loss(model: Llava, inputs: Sequence[Inputs]) -> Tensor:
    """The definition: every conversation alone, without masks; the mean over all supervised tokens."""
    losses = []
    for each in inputs:
        logits = model.logits_for(torch.tensor([each.ids]), tiny.features(model, each))[0]
        losses.append(
            F.cross_entropy(logits[:-1], torch.tensor(each.labels[1:]), reduction="none", ignore_index=IGNORE)
        )
    count = sum(label != IGNORE for each in inputs for label in each.labels[1:])
    return torch.cat(losses).sum() / count


def gradients(model: Llava, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(model: Llava, first: Tensor, second: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)
    one, other = gradients(model, first), gradients(model, second)
    assert one.keys() == other.keys()
    scale = max(float(each.abs().max()) for each in other.values())
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], rtol=1e-4, atol=1e-5 * max(1.0, scale), msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("window", [None, 12])
@settings(deadline=None, max_examples=8)
@given(talks=st.lists(TURNS, min_size=1, max_size=4), seed=st.sampled_from([None, 1]))
def test_a_packed_row_equals_separate_conversations(
    window: int | None, talks: list[list[tuple[int, int]]], seed: int | None
) -> None:
    """Loss and every gradient, with a picture in the shared head and without, also under a sliding window."""
    model, read = tiny.model(speak=tiny.language(sliding_window=window)), tiny.processor()
    inputs = [read(talk(seed, turns)) for turns in talks]
    assert_same(model, mean_loss(model, collate([pack(inputs)])), separate_loss(model, inputs))


@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.tuples(st.sampled_from([None, 1, 2]), st.lists(TURNS, min_size=1, max_size=2)), min_size=1, max_size=3)
)
def test_a_padded_batch_equals_separate_conversations(
    rows: list[tuple[int | None, list[list[tuple[int, int]]]]],
) -> None:
    model, read = tiny.model(), tiny.processor()
    inputs = [[read(talk(seed, turns)) for turns in talks] for seed, talks in rows]
    batch = collate([pack(each) for each in inputs])
    assert_same(model, mean_loss(model, batch), separate_loss(model, [each for row in inputs for each in row]))


def test_a_head_with_an_answer_counts_once_for_each_conversation() -> None:
    """Two talks that begin with the same question and answer share them; they were supervised twice before."""
    model, read = tiny.model(), tiny.processor()
    inputs = [read(talk(None, [(0, 1), (2, last)])) for last in (0, 3)]
    row = pack(inputs)
    assert len(row.ids) < sum(len(each.ids) for each in inputs) - 10
    assert_same(model, mean_loss(model, collate([row])), separate_loss(model, inputs))


def test_a_second_picture_after_an_answer() -> None:
    model, read = tiny.model(), tiny.processor()
    begun = talk(1, [(0, 0)])
    inputs = [read(begun.then_ask(words, (Image(tiny.picture(2)),)).then_answer("Two.")) for words in WORDS]
    row = pack(inputs)
    assert row.ids.count(IMAGE_ID) == 8
    assert_same(model, mean_loss(model, collate([row])), separate_loss(model, inputs))


def test_without_a_token_in_front() -> None:
    """A tokenizer that opens prompts with nothing: conversations may differ from their very first token on."""

    class Bare:
        bos_id = None

        def __getattr__(self, name: str) -> object:
            return getattr(tiny.tokenizer(), name)

    read = Processor(Bare(), get_template("vicuna_v1"), None)  # type: ignore[arg-type]
    talks = [Conversation.ask(words, system=words).then_answer("Red.") for words in ("Sky?", "How many?")]
    inputs = [read(each) for each in talks]
    assert inputs[0].ids[0] != inputs[1].ids[0]
    model = tiny.model()
    assert_same(model, mean_loss(model, collate([pack(inputs)])), separate_loss(model, inputs))


def logits_of(row: Row) -> Tensor:
    """Logits [L, V] of a packed row."""
    model, batch = tiny.model(), collate([row])
    with torch.inference_mode():
        seen = model.features(batch.tiles, batch.grids)
        hidden = model(batch.ids, seen, positions=batch.positions, mask=batch.mask())
        return model.language.logits(hidden)[0]


@settings(deadline=None, max_examples=10)
@given(changed=st.integers(0, 2), token=st.integers(3, tiny.VOCABULARY - 1))
def test_tails_do_not_see_one_another(changed: int, token: int) -> None:
    """Another token in one tail changes no bit of any other tail's logits."""
    read = tiny.processor()
    row = pack([read(talk(1, [(number, number)])) for number in range(3)])
    ids = tuple(token if group == changed + 1 else old for old, group in zip(row.ids, row.groups, strict=True))
    first, second = logits_of(row), logits_of(dataclasses.replace(row, ids=ids))
    others = torch.tensor([group != changed + 1 for group in row.groups])
    assert torch.equal(first[others], second[others])
    if ids != row.ids:
        assert not torch.equal(first[~others], second[~others])


def test_the_row_of_a_packed_picture() -> None:
    """The head once, up to the picture's end; positions go on from it in every tail."""
    read = tiny.processor()
    inputs = [read(talk(1, [(number, 0)])) for number in range(3)]
    row = pack(inputs)
    head = inputs[0].ids.index(IMAGE_ID) + 4
    assert row.groups.count(HEAD) == head and row.positions[:head] == tuple(range(head))
    assert len(row.tiles) == len(row.grids) == 1
    for group, each in enumerate(inputs, start=1):
        places = [at for at, owner in enumerate(row.groups) if owner == group]
        assert tuple(row.ids[at] for at in places) == each.ids[head:]
        assert [row.positions[at] for at in places] == list(range(head, len(each.ids)))
    wanted = [(each.labels[at]) for each in inputs for at in range(1, len(each.ids)) if each.labels[at] != IGNORE]
    assert list(row.targets) == wanted
    assert len(row.ids) == len(row.positions) == len(row.groups)


def test_a_plain_captions_first_token_is_predicted_from_the_picture() -> None:
    """The caption follows the picture directly; every caption's first token has the picture's last place as source."""
    read = tiny.processor("plain")
    inputs = [read(talk(1, [(0, said)])) for said in range(3)]
    row = pack(inputs)
    last = max(at for at, token in enumerate(row.ids) if token == IMAGE_ID)
    starts = [source for source in row.sources if source == last]
    assert len(starts) == 3
    captions = ["".join(tiny.tokenizer().decode([t for t in each.labels if t != IGNORE])) for each in inputs]
    assert captions == [f"{answer}\n" for answer in ANSWERS[:3]]
    model = tiny.model()
    assert_same(model, mean_loss(model, collate([row])), separate_loss(model, inputs))


def test_one_conversation_is_its_own_row() -> None:
    each = tiny.processor()(talk(1, [(0, 0), (1, 1)]))
    row = pack([each])
    assert row.ids == each.ids and set(row.groups) == {HEAD}
    assert [(s + 1, t) for s, t in zip(row.sources, row.targets, strict=True)] == [
        (at, label) for at, label in enumerate(each.labels) if label != IGNORE
    ]


def test_what_cannot_share_a_row() -> None:
    read = tiny.processor()
    with pytest.raises(UsageError, match="same pictures"):
        pack([read(talk(1, [(0, 0)])), read(talk(2, [(0, 0)]))])
    with pytest.raises(UsageError, match="same pictures"):
        pack([read(talk(1, [(0, 0)])), read(talk(None, [(0, 0)]))])
    late = Conversation(system="Be brief.").then_ask("Sky?").then_answer("Red.")
    late = late.then_ask("Sky?", (Image(tiny.picture(1)),)).then_answer("Red.")
    with pytest.raises(UsageError, match="same place"):
        pack([read(talk(1, [(0, 0)])), read(late)])


def test_nothing_to_learn_is_an_error() -> None:
    read = tiny.processor()
    for conversation in (tiny.question("Sky?"), tiny.question("Sky?").then_answer("")):
        with pytest.raises(UsageError, match="no supervised token"):
            pack([read(conversation)])


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 20), st.integers(0, tiny.VOCABULARY - 1))
def test_padding_changes_nothing(longer: int, token: int) -> None:
    """However long the padding is and whatever stands in it."""
    row = pack([tiny.processor()(talk(1, [(0, 0)]))])
    alone = collate([row])
    filler = Row(
        (5,) * (len(row.ids) + longer),
        tuple(range(len(row.ids) + longer)),
        (HEAD,) * (len(row.ids) + longer),
        (0,),
        (5,),
        (),
        (),
    )
    padded = collate([row, filler])
    used = len(row.ids)
    assert not padded.ids[0, used:].any()
    padded.ids[0, used:] = token
    model = tiny.model()
    with torch.inference_mode():
        seen = model.features(alone.tiles, alone.grids)
        wanted = model(alone.ids, seen, positions=alone.positions, mask=alone.mask())[0]
        got = model(padded.ids, seen, positions=padded.positions, mask=padded.mask())[0, :used]
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_a_batch_keeps_pictures_in_row_order() -> None:
    read = tiny.processor(mode="anyres", merge="spatial_unpad")
    rows = [pack([read(talk(seed, [(0, 0)]))]) for seed in (1, None, 2)]
    batch = collate(rows)
    assert batch.rows == 3 and len(batch.grids) == 2
    assert [tiles.shape for tiles in batch.tiles] == [torch.Size(row.tiles[0].shape) for row in (rows[0], rows[2])]
    assert torch.equal(batch.tiles[1], torch.from_numpy(rows[2].tiles[0]))
    length = batch.ids.shape[1]
    assert [int(source) // length for source in batch.sources] == [
        index for index, row in enumerate(rows) for _ in row.sources
    ]
    model = tiny.model()
    inputs = [read(talk(seed, [(0, 0)])) for seed in (1, None, 2)]
    assert_same(model, mean_loss(model, batch), separate_loss(model, inputs))
