"""POPE's questions for any pictures: true, balanced, as adversarial as they say, and read by the task."""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cocos import random_pictures, write_coco
from pumice.annotations.scene import Scene, Thing
from pumice.cli.main import main
from pumice.errors import UsageError
from pumice.evaluate.beyond.pope_questions import EACH, STRATEGIES, Asked, Made, Strategy, make, write
from pumice.evaluate.questions import Answer
from pumice.evaluate.tasks.pope import TASK

NAMES = tuple(f"{letter}thing" for letter in "abcdefghijkl")
CLOSED = frozenset(NAMES)
SCENES = st.lists(st.sets(st.sampled_from(NAMES), max_size=10), min_size=1, max_size=25).map(
    lambda each: [scene(at, names) for at, names in enumerate(each)]
)


def scene(at: int, names: set[str], closed: frozenset[str] = CLOSED) -> Scene:
    things = tuple(Thing(name, (0, 0, 1, 1)) for name in sorted(names) for _ in range(1 + at % 2))
    return Scene(str(at), f"{at:04d}.jpg", 10, 10, (), things, closed=closed)


def present(each: Scene) -> set[str]:
    return {thing.category for thing in each.things}


def by_picture(made: Made, strategy: Strategy) -> dict[str, list[Asked]]:
    return {image: list(asked) for image, asked in groupby(made.questions[strategy], lambda each: each.image)}


@settings(deadline=None)
@given(SCENES, st.integers(0, 3))
def test_questions_are_true_and_balanced(scenes: list[Scene], seed: int) -> None:
    known = {name for each in scenes for name in present(each)}
    fit = [each for each in scenes if len(present(each)) >= EACH and len(known - present(each)) >= EACH]
    if not fit:
        with pytest.raises(UsageError, match="shows at least 3"):
            make(scenes, seed=seed)
        return
    made = make(scenes, pictures=5, seed=seed)
    assert made == make(scenes, pictures=5, seed=seed)
    assert (made.pictures, made.left_out) == (min(5, len(fit)), len(scenes) - len(fit))
    truth = {each.image: present(each) for each in scenes}
    asked = {strategy: by_picture(made, strategy) for strategy in STRATEGIES}
    assert asked["random"].keys() == asked["popular"].keys() == asked["adversarial"].keys()
    for strategy in STRATEGIES:
        for image, questions in asked[strategy].items():
            assert [each.there for each in questions] == [True, False] * EACH
            assert len({each.category for each in questions}) == 2 * EACH
            assert all((each.category in truth[image]) == each.there for each in questions)
            assert {each.category for each in questions} <= known
            same = [each.category for each in asked["random"][image] if each.there]
            assert [each.category for each in questions if each.there] == same, "the strategies differ in what is not"


@settings(deadline=None)
@given(SCENES)
def test_popular_and_adversarial_are_what_they_say(scenes: list[Scene]) -> None:
    try:
        made = make(scenes)
    except UsageError:
        return
    seen = Counter(name for each in scenes for name in present(each))
    truth = {each.image: present(each) for each in scenes}
    for image, questions in by_picture(made, "popular").items():
        chosen = sorted(seen[each.category] for each in questions if not each.there)
        assert chosen == sorted(seen[name] for name in seen if name not in truth[image])[-EACH:]
    for image, questions in by_picture(made, "adversarial").items():
        taken: set[str] = set()
        for positive, negative in zip(questions[::2], questions[1::2], strict=True):
            beside = Counter(name for each in truth.values() if positive.category in each for name in each)
            left = [beside[name] for name in seen if name not in truth[image] | taken]
            assert beside[negative.category] == max(left)
            taken.add(negative.category)


def test_what_nobody_looked_for_is_not_asked() -> None:
    open_world = [scene(at, {"athing", "bthing", "cthing", "dthing"}, frozenset()) for at in range(4)]
    with pytest.raises(UsageError):
        make(open_world)
    narrow = frozenset(NAMES[:7])
    made = make([scene(at, set(NAMES[at : at + 5]), narrow) for at in range(5)])
    assert {each.category for asked in made.questions.values() for each in asked} <= narrow


def test_the_task_reads_what_was_written(tmp_path: Path) -> None:
    made = make([scene(at, set(NAMES[at % 6 : at % 6 + 5])) for at in range(12)], pictures=10)
    paths = write(made, tmp_path)
    assert [path.name for path in paths] == [f"coco_pope_{strategy}.json" for strategy in STRATEGIES]
    first = json.loads(paths[0].read_text(encoding="utf-8").splitlines()[0])
    assert first.keys() == {"question_id", "image", "text", "label"} and first["question_id"] == 1
    assert first["text"].startswith(("Is there a ", "Is there an a")) and first["text"].endswith(" in the image?")
    asked = list(TASK.questions(tmp_path))
    assert len(asked) == 3 * 10 * 2 * EACH
    labels = {(strategy, at): each.there for strategy in STRATEGIES for at, each in enumerate(made.questions[strategy])}
    places: Counter[str] = Counter()
    right = []
    for each in asked:
        there = labels[each.category, places[each.category]]  # type: ignore[index]
        right.append(Answer(each.id, "Yes" if there else "No", each.prompt, {"category": each.category}))
        places[each.category] += 1
    assert TASK.score(right, tmp_path, "llava").value("F1") == 100
    always = [Answer(each.id, "Yes", each.prompt, {"category": each.category}) for each in asked]
    assert TASK.score(always, tmp_path, "llava").value("F1") == pytest.approx(200 / 3)
    with pytest.raises(UsageError, match="exists already"):
        write(made, tmp_path)
    assert write(made, tmp_path, overwrite=True) == paths


def test_the_command_makes_a_folder_that_can_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_coco(tmp_path / "coco", random_pictures(40, seed=1))
    assert main(["evaluate", "pope-questions", str(tmp_path / "mine"), "--data", str(data), "--pictures", "5"]) == 0
    assert "5 pictures, 90 questions" in capsys.readouterr().out
    asked = list(TASK.questions(tmp_path / "mine"))
    assert len(asked) == 90
    assert all(Path(str(image.source)).is_file() for each in asked for image in each.conversation.images())
    assert main(["evaluate", "pope-questions", str(tmp_path / "mine"), "--data", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["evaluate", "pope-questions", str(tmp_path / "other"), "--data", str(tmp_path)]) == 2
    assert "instances_val*.json" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
