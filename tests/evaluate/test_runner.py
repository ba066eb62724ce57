"""The runner with answerers that fail, stop and change their mind: nothing is asked twice, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pumice.errors import AuthError, ImageError, PumiceError, ServerError, UsageError
from pumice.evaluate.layout import Place, Shard
from pumice.evaluate.questions import Question, Reply
from pumice.evaluate.runner import begin, failures, forget, merge, require_same, run, run_facts, waiting
from pumice.prompts.conversation import Conversation

QUESTIONS = [Question(str(n), Conversation.ask(f"What is {n}?"), f"{n // 2}.jpg", id_is_number=True) for n in range(20)]


class Asked:
    """Answers with the question's own words; remembers what it was asked. faults: what comes in their place."""

    def __init__(self, faults: dict[int, PumiceError | type[BaseException]] | None = None) -> None:
        self.faults = faults or {}
        self.prompts: list[str] = []

    def __call__(self, conversations: Sequence[Conversation]) -> Iterable[Reply]:
        for conversation in conversations:
            prompt = conversation.turns[-1].text
            self.prompts.append(prompt)
            fault = self.faults.get(int(prompt.split()[-1][:-1]))
            if isinstance(fault, type):
                raise fault
            yield prompt[::-1] if fault is None else fault


def _texts(place: Place) -> list[str]:
    return [json.loads(line)["text"] for line in place.merged.read_bytes().splitlines()]


EXPECTED = [question.prompt[::-1] for question in QUESTIONS]


@given(st.lists(st.integers(0, 19), max_size=6, unique=True), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_stopped_anywhere_every_question_is_answered_once(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], count: int
) -> None:
    """The process ends in the middle of some questions; in the end all parts have been joined."""
    place = Place(tmp_path_factory.mktemp("run"), "toy")
    prompts: list[str] = []
    left = list(stops)
    while not merge(QUESTIONS, place, count):
        for index in range(count):
            asked = Asked(dict.fromkeys(left[:1], KeyboardInterrupt))
            try:
                run(QUESTIONS, asked, place, "model", shard=Shard(index, count))
            except KeyboardInterrupt:
                prompts += asked.prompts[:-1]
                left.pop(0)
            else:
                prompts += asked.prompts
    assert _texts(place) == EXPECTED
    assert sorted(prompts) == sorted(question.prompt for question in QUESTIONS)
    assert not waiting(QUESTIONS, place, Shard())
    again = Asked()
    assert run(QUESTIONS, again, place, "model") == 0
    assert not again.prompts


def test_what_cannot_be_answered_is_written_down_and_asked_again(tmp_path: Path) -> None:
    place = Place(tmp_path, "toy")
    seen: list[int] = []
    faults: dict[int, PumiceError | type[BaseException]] = {
        3: ImageError("no picture", hint="find it"),
        7: ServerError("busy"),
    }
    assert run(QUESTIONS, Asked(faults), place, "model", progress=seen.append) == 2
    assert seen == [0, 0, 0, 1, 1, 1, 1, *[2] * 13]
    first, second = failures(QUESTIONS, place, Shard())
    assert (first["question_id"], first["error"], first["hint"], first["code"]) == ("3", "no picture", "find it", 4)
    assert second["code"] == 5
    assert len(_texts(place)) == 18
    assert merge(QUESTIONS, place, 1)
    again = Asked()
    assert run(QUESTIONS, again, place, "model") == 0
    assert again.prompts == ["What is 3?", "What is 7?"]
    assert _texts(place) == EXPECTED
    assert not failures(QUESTIONS, place, Shard())


def test_what_a_part_could_not_answer_is_forgotten_once_another_run_could(tmp_path: Path) -> None:
    place, last = Place(tmp_path, "toy"), Shard(1, 2)
    run(QUESTIONS, Asked(), place, "model", shard=Shard(0, 2))
    run(QUESTIONS, Asked({12: ImageError("no picture")}), place, "model", shard=last)
    assert merge(QUESTIONS, place, 2)
    assert [each["question_id"] for each in failures(QUESTIONS, place, last)] == ["12"]
    assert not failures(QUESTIONS[:10], place, last), "it was not asked"
    run(QUESTIONS, Asked(), place, "model")
    assert not failures(QUESTIONS, place, last)


def test_a_part_that_failed_has_ended_all_the_same(tmp_path: Path) -> None:
    place = Place(tmp_path, "toy")
    run(QUESTIONS, Asked({2: ImageError("no picture")}), place, "model", shard=Shard(0, 2))
    assert not merge(QUESTIONS, place, 2)
    assert not place.merged.exists()
    run(QUESTIONS, Asked(), place, "model", shard=Shard(1, 2))
    assert merge(QUESTIONS, place, 2)
    assert _texts(place) == EXPECTED[:2] + EXPECTED[3:]
    again = Asked()
    run(QUESTIONS, again, place, "model")  # the rest, whoever asks
    assert again.prompts == ["What is 2?"]


@pytest.mark.parametrize(("fault", "asked"), [(AuthError("no key"), 5), (ServerError("gone"), 9)])
def test_where_all_is_lost_it_ends(tmp_path: Path, fault: PumiceError, asked: int) -> None:
    """A key that is refused at once, a server that is gone after a few more."""
    place = Place(tmp_path, "toy")
    answerer = Asked(dict.fromkeys(range(4, 20), fault))
    with pytest.raises(type(fault), match=str(fault)):
        run(QUESTIONS, answerer, place, "model")
    assert len(answerer.prompts) == asked
    assert _texts(place) == EXPECTED[:4]
    assert len(waiting(QUESTIONS, place, Shard())) == 16


def test_a_server_s_single_failures_do_not_end_it(tmp_path: Path) -> None:
    answerer = Asked({n: ServerError("busy") for n in range(20) if n % 5})
    assert run(QUESTIONS, answerer, Place(tmp_path, "toy"), "model") == 16


def test_answers_that_are_too_few_are_a_fault_of_ours(tmp_path: Path) -> None:
    def short(conversations: Sequence[Conversation]) -> Iterator[Reply]:
        yield "one"

    with pytest.raises(ValueError, match="shorter"):
        run(QUESTIONS, short, Place(tmp_path, "toy"), "model")


def test_answers_of_another_making_are_not_mixed(tmp_path: Path) -> None:
    place = Place(tmp_path, "toy", "blind")
    require_same(place, {"model": "a"})
    begin(place, {"model": "a"}, {"torch": "2"})
    run(QUESTIONS[:5], Asked(), place, "a")
    require_same(place, {"model": "a"})
    begin(place, {"model": "a"}, {"torch": "3"})
    assert run_facts(place) == {"model": "a", "at_the_start": {"torch": "2"}}
    with pytest.raises(UsageError, match='another model: "a", now "b"') as caught:
        require_same(place, {"model": "b"})
    assert caught.value.hint is not None
    assert "--overwrite" in caught.value.hint
    with pytest.raises(UsageError, match="another template: null"):
        require_same(place, {"model": "a", "template": "v1"})
    for content in ("{", "[]"):
        place.run.write_text(content)
        with pytest.raises(UsageError, match=r"run\.json"):
            require_same(place, {"model": "a"})
    place.run.unlink()
    with pytest.raises(UsageError, match="but not"):
        require_same(place, {"model": "a"})
    forget(place)
    require_same(place, {"model": "b"})
    assert len(waiting(QUESTIONS, place, Shard())) == 20
