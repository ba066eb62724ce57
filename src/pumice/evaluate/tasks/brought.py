"""What a row says of its own question, for files that do not number questions as the benchmark does.

    known = {item.id: words(item.asked, item.answer) for item in items}
    pair(known, paired(known, answers, by_id, lambda answer: words_of(answer, "question", "answer")), "GQA")

VLMEvalKit numbers the rows of its own tables, and lmms-eval's logs may have no number at all; but both repeat the
question and the right answer. Rows that have all of this in common cannot be told apart, and need not be: each of them
is right with the same answer, so that the figures do not depend on which of them gets which.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

from pumice.evaluate import sheets
from pumice.evaluate.questions import JSON, Answer

Key = TypeVar("Key")
#: The question first, then whatever else tells it apart from others.
Words: TypeAlias = tuple[str, ...]
_LETTERS = "ABCDE"
# Under which names the options of a multiple choice stand, one each; or all of them in one list.
_COLUMNS = (tuple(_LETTERS), tuple(f"choice_{letter.lower()}" for letter in _LETTERS))
_LISTS = ("choices", "candidates")


def words(*parts: str) -> Words:
    """Texts as they are compared: without regard to size and white space."""
    return tuple(" ".join(part.split()).casefold() for part in parts)


def words_of(answer: Answer, *names: str) -> Words | None:
    """The values of a row by name; None if it lacks one."""
    found = [answer.meta.get(name) for name in names]
    return None if None in found else words(*map(_text, found))


def choice_of(answer: Answer) -> Words | None:
    """Question, options and right letter of a multiple choice, as a row brings them along; None if it does not."""
    row = answer.meta
    listed = next((value for name in _LISTS if isinstance(value := row.get(name), list)), None)
    columns = [[_text(row.get(name)) for name in names] for names in _COLUMNS if names[0] in row]
    options = [_text(each) for each in listed] if listed is not None else next(iter(columns), [])
    asked, right = row.get("question"), row.get("answer")
    if not options or right is None or asked is None:
        return None
    letter = _LETTERS[right] if isinstance(right, int) and 0 <= right < len(_LETTERS) else _text(right)
    return choice(_text(asked), options, letter)


def choice(asked: str, options: Sequence[str], letter: str) -> Words:
    """The same of a question of the benchmark."""
    return words(asked, letter, *(each for each in options if not sheets.is_missing(each)))


def paired(
    known: Mapping[Key, Words],
    given: Sequence[Answer],
    key_of: Callable[[Answer], Key | None],
    said_by: Callable[[Answer], Words | None],
) -> list[tuple[Key | None, Answer]]:
    """Answers with their questions: by the id, unless the row's own words are those of another question.

    known: the words of every question. key_of: the question that an id stands for. said_by: the words of a row, None
    if it has none. Of several questions with the same words each gets one answer, in order; what is too many replaces
    the answer of its id. Words that no question has leave a row to its id if at least the question is the same.
    """
    keyed: list[tuple[Key | None, Answer]] = []
    unsure: list[tuple[int, Words]] = []
    taken: set[Key] = set()
    for place, answer in enumerate(given):
        key, said = key_of(answer), said_by(answer)
        if said is not None and (key is None or key in taken or known.get(key) != said):
            unsure.append((place, said))
            key = key if key is not None and key in known and known[key][0] == said[0] else None
        elif key is not None and said is not None:
            taken.add(key)
        keyed.append((key, answer))
    every = set(known.values())
    waiting: dict[Words, deque[Key]] = defaultdict(deque)
    for key, each in known.items():
        if key not in taken:
            waiting[each].append(key)
    for place, said in unsure:
        found, answer = keyed[place]
        if waiting[said]:
            keyed[place] = (waiting[said].popleft(), answer)
        elif said in every and (found is None or known[found] != said):
            keyed[place] = (None, answer)
    return keyed


def _text(value: JSON) -> str:
    return "" if value is None else str(value)
