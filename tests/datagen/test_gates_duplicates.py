"""Near-duplicates: found among many, and not where two pictures merely show the same."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pumice.datagen.gates.duplicates import Duplicates
from pumice.datagen.samples import Exchange, Provenance, Sample

_ORIGIN = Provenance("rules", {}, "", (), "2026-01-01T00:00:00+00:00")
_WORDS = [
    f"{first}{second}" for first in "bdfgklmnprst" for second in ("ado", "emi", "iru", "ola", "une", "yso", "atil")
]


def sample(number: int, answer: str, *, image: str = "", question: str = "What is going on here?") -> Sample:
    return Sample(f"s{number}", image or f"{number}.jpg", "detail", (Exchange(question, answer),), _ORIGIN)


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS, k=words))


def edited(rng: random.Random, whole: str, changes: int) -> str:
    words = whole.split()
    for at in rng.sample(range(len(words)), changes):
        words[at] = rng.choice(_WORDS)
    return " ".join(words)


def test_small_changes_do_not_hide_a_copy_among_many() -> None:
    rng = random.Random(5)
    seen, kept = Duplicates(), []
    for number in range(1500):
        kept.append(text(rng, 100))
        assert seen.seen(sample(number, kept[-1])) is None
    found = 0
    for number in range(200):
        original = rng.randrange(1500)
        copy = sample(2000 + number, edited(rng, kept[original], 2))
        rejection = seen.seen(copy)
        found += rejection is not None
        assert rejection is None or (
            rejection.reason == "near-duplicate" and rejection.detail.endswith(f" s{original}")
        )
    assert found >= 195
    # Half of the words changed is another text.
    assert all(seen.seen(sample(9000 + number, edited(rng, kept[number], 50))) is None for number in range(100))


def test_short_answers_are_compared_within_their_picture() -> None:
    seen = Duplicates()
    assert seen.seen(sample(1, "There are two dogs on the grass.", image="a.jpg")) is None
    assert seen.seen(sample(2, "There are two dogs on the grass.", image="b.jpg")) is None
    assert seen.seen(sample(3, "There are two dogs on the grass.", image="a.jpg")) is not None
    assert seen.seen(sample(4, "There are two cats on the sofa.", image="a.jpg")) is None


def test_long_answers_are_compared_with_everything() -> None:
    long = text(random.Random(1), 80)
    seen = Duplicates()
    assert seen.seen(sample(1, long, image="a.jpg")) is None
    rejection = seen.seen(sample(2, long, image="b.jpg"))
    assert rejection is not None and rejection.detail == "100% as s1"
    # What was refused is not remembered: the first stays the one that is named.
    assert seen.seen(sample(3, long.upper(), image="c.jpg")) == rejection


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.text(max_size=30)), max_size=8))
def test_the_same_samples_are_refused_every_time(rows: list[tuple[str, str]]) -> None:
    samples = [sample(number, answer, image=image) for number, (image, answer) in enumerate(rows)]
    first, second = Duplicates(), Duplicates()
    refused = [first.seen(each) for each in samples]
    assert refused == [second.seen(each) for each in samples]
    assert not samples or refused[0] is None
    assert all(first.seen(each) is not None for each in samples)
