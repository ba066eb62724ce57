"""Questions in, answers out: what is not answered yet is asked, and what comes is on disk at once.

    begin(place, made_with, about)
    run(questions, answerer, place, "llava-1.5-7b", shard=Shard(0, 2))
    if merge(questions, place, 2): ...                                   # the other part has ended, too

Run again after a crash, or with a larger limit, and only the rest is asked. Knows no engine and no server: an
``Answerer`` is whatever answers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from pumice.errors import AuthError, MemoryLimitError, ModelError, PumiceError, ServerError, UsageError
from pumice.evaluate.answers_file import AnswersFile, Key, key_of
from pumice.evaluate.controls import position
from pumice.evaluate.layout import WHOLE, Place, Shard
from pumice.evaluate.questions import JSON, Answerer, Question, written
from pumice.files import fresh_file

#: Failures of a server one after the other until a run gives up: a single one is a question's bad luck.
_MOST_FAILURES = 5
#: ``question_id``, ``prompt``, ``error``, ``hint``, exit ``code`` of a question that could not be answered.
Failed: TypeAlias = dict[str, JSON]
#: Nothing that another question would change.
_HOPELESS = (AuthError, MemoryLimitError, ModelError)


def limited(questions: Sequence[Question], limit: int | None) -> list[Question]:
    """About ``limit`` questions, in their order: whole pictures, from every category by its share.

    Which ones depends on the questions alone, and those of a smaller limit are among them.
    """
    if limit is None or limit >= len(questions):
        return list(questions)
    pictures: dict[str, set[str]] = defaultdict(set)  # of each category
    for question in questions:
        pictures[question.category].add(question.image_key)
    turns = [
        ((rank + 0.5) / len(keys), key)
        for keys in pictures.values()
        for rank, key in enumerate(sorted(keys, key=position))
    ]
    sizes = Counter(question.image_key for question in questions)
    chosen: set[str] = set()
    for _, key in sorted(turns, key=lambda turn: (turn[0], position(turn[1]))):
        if limit <= 0:
            break
        if key not in chosen:
            chosen.add(key)
            limit -= sizes[key]
    return [question for question in questions if question.image_key in chosen]


def digest(questions: Iterable[Question]) -> str:
    """Tells whether a benchmark's questions are the same as before."""
    hashed = hashlib.sha256()
    for question in questions:
        hashed.update(json.dumps([question.id, question.prompt, question.image_key]).encode())
    return hashed.hexdigest()[:16]


def require_same(place: Place, made_with: Mapping[str, JSON]) -> None:
    """Sees to it that answers that are there were made with the same. Raises UsageError if not, or if nobody knows."""
    hint = "choose another folder with -o, or begin anew with --overwrite"
    if not place.run.exists():
        if place.merged.exists():
            raise UsageError(f"{place.merged} is there, but not {place.run}, which tells how it was made", hint=hint)
        return
    before = run_facts(place)
    for name, value in made_with.items():
        if before.get(name) != value:
            what = f"{json.dumps(before.get(name))}, now {json.dumps(value)}"
            raise UsageError(f"{place.run.parent} was made with another {name}: {what}", hint=hint)


def begin(place: Place, made_with: Mapping[str, JSON], about: Mapping[str, JSON]) -> None:
    """Writes down what answers are made with, if that has not been done.

    about: what may differ between two halves of a run, such as versions; of the first half.
    """
    if not place.run.exists():
        with fresh_file(place.run, overwrite=True) as file:
            facts = {**made_with, "at_the_start": dict(about)}
            file.write(written(facts, indent=1) + b"\n")


def run_facts(place: Place) -> dict[str, JSON]:
    """What ``begin`` wrote; empty if it has not. Raises UsageError: something else is there."""
    try:
        found = json.loads(place.run.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{place.run}, which tells how answers were made, cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{place.run} was not written by pumice evaluate run")
    return found


def forget(place: Place) -> None:
    """Throws away what there is of a benchmark's answers and figures."""
    for path in (place.result, *place.run.parent.glob("*.json*")):
        path.unlink(missing_ok=True)


def run(
    questions: Sequence[Question],
    answerer: Answerer,
    place: Place,
    model: str,
    *,
    shard: Shard = WHOLE,
    progress: Callable[[int], None] = lambda failed: None,
) -> int:
    """Asks what one part has no answers to yet; how many have failed. model: as it is called in the answers.

    progress: called for each question, with how many have failed so far. A question that cannot be answered (its
    picture cannot be read, it is too long) is written to the part's errors, and the rest goes on.

    Raises: AuthError, ModelError or MemoryLimitError at once, ServerError when several follow each other: the answers
    until then are kept.
    """
    part = questions[shard.slice(len(questions))]
    with AnswersFile(place.answers(shard)).opened() as file:
        pending = _pending(file, part, place)
        errors: list[tuple[Question, PumiceError]] = []
        in_a_row = 0
        replies = answerer([each.conversation for each in pending])
        for question, reply in zip(pending, replies, strict=True):
            if isinstance(reply, str):
                file.add(question, reply, model)
                in_a_row = 0
            else:
                in_a_row = in_a_row + 1 if isinstance(reply, ServerError) else 0
                if isinstance(reply, _HOPELESS) or in_a_row == _MOST_FAILURES:
                    raise reply
                errors.append((question, reply))
            progress(len(errors))
        file.arrange(part)
    _write_errors(place, shard, errors)
    return len(errors)


def waiting(questions: Sequence[Question], place: Place, shard: Shard) -> list[Question]:
    """Those of one part that have no answer yet. Raises UsageError for a file of answers that is none."""
    file = AnswersFile(place.answers(shard))
    file.read()
    return _pending(file, questions[shard.slice(len(questions))], place)


def merge(questions: Sequence[Question], place: Place, count: int) -> bool:
    """Joins the parts' answers once every part has ended, in the order of the questions.

    Returns whether it has: then whoever comes last has all answers. Several may try at once.
    """
    files = []
    for shard in (Shard(index, count) for index in range(count)):
        file = AnswersFile(place.answers(shard))
        file.read()
        files.append(file)
        left = _pending(file, questions[shard.slice(len(questions))], place)
        if len(_failed(left, place, shard)) < len({key_of(question) for question in left}):
            return False
    AnswersFile(place.merged).write(files if count > 1 else [], questions)
    return True


def failures(questions: Sequence[Question], place: Place, shard: Shard) -> list[Failed]:
    """What a part has last tried in vain, and nobody has answered since."""
    return list(_failed(waiting(questions, place, shard), place, shard).values())


def _failed(left: Sequence[Question], place: Place, shard: Shard) -> dict[Key, Failed]:
    """Of the questions that are left of a part, those that it has tried. The file may be of an earlier run, with
    questions that have their answers by now."""
    try:
        lines = [json.loads(line) for line in place.errors(shard).read_bytes().splitlines()]
    except FileNotFoundError:
        return {}
    keys = {key_of(question) for question in left}
    return {key: line for line in lines if (key := (str(line["question_id"]), str(line["prompt"]))) in keys}


def _pending(file: AnswersFile, part: Sequence[Question], place: Place) -> list[Question]:
    """Of a part's questions, those that neither its own file nor an earlier run of all parts has answered."""
    left = file.pending(part)
    if file.path != place.merged:
        before = AnswersFile(place.merged)
        before.read()
        left = before.pending(left)
    return left


def _write_errors(place: Place, shard: Shard, errors: Sequence[tuple[Question, PumiceError]]) -> None:
    path = place.errors(shard)
    if not errors:
        path.unlink(missing_ok=True)
        return
    with fresh_file(path, overwrite=True) as file:
        for question, error in errors:
            name, prompt = key_of(question)
            line = {"question_id": name, "prompt": prompt, "error": str(error), "hint": error.hint or ""}
            file.write(json.dumps({**line, "code": error.exit_code}).encode() + b"\n")
