"""What a judge is asked about the answers to each benchmark, and what counts as a reply.

Structure, scales and numbers are the papers' (reference/llava.md, section 7.3); the sentences are ours, as no published
judge can be asked any more. With the original's ``rule.json`` beside LLaVA-Bench's files, its words are used instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pumice.evaluate.predictions import read_object, read_records
from pumice.evaluate.questions import JSON, Answer
from pumice.evaluate.scoring.letters import NONE, mmbench_letter
from pumice.evaluate.scoring.marks import grade, review_pair
from pumice.evaluate.task import File, Profile
from pumice.evaluate.tasks import llava_bench, mm_vet, mmbench, original
from pumice.evaluate.tasks.mmbench_table import Entry
from pumice.evaluate.verdicts import name_of

Message: TypeAlias = Mapping[str, JSON]

_REVIEWER = "You are a helpful and precise assistant for checking the quality of the answer."
_REVIEW = """\
We ask for your opinion of how two AI assistants answered the user's question above. The user asked it about a \
picture, which you know by the sentences that describe it.
Mark how helpful, relevant, accurate and detailed each answer is, with an overall mark from 1 to 10; the higher the \
mark, the better the answer.
Write a first line that holds nothing but two numbers with a space between them: the mark of Assistant 1, then the \
mark of Assistant 2.
In the lines after it, explain your marks in full. Favour neither of the two, and do not let the order in which they \
answer sway you."""

_GRADING = """\
Compare a prediction of an AI model with the ground truth, and grade how correct it is. Where parts of the ground \
truth are joined by <AND>, a prediction is totally right only if it has every one of them; where they are joined by \
<OR>, any one of them will do. The grade is 0.0 (totally wrong), 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, or 1.0 \
(totally right). Fill in the last column of the last row, and write nothing else.

Question | Ground truth | Prediction | Correctness
--- | --- | --- | ---
What times do the two clocks show? | 3:15 <AND> 9:40 | half past four | 0.0
What times do the two clocks show? | 3:15 <AND> 9:40 | 3:15 | 0.5
What times do the two clocks show? | 3:15 <AND> 9:40 | It is 9:40 on one of them, and 3:20 on the other. | 0.5
What times do the two clocks show? | 3:15 <AND> 9:40 | 9:40 on the left, and a quarter past three on the right | 1.0
How many apples are in the bowl? | 6 <OR> six | There are six apples. | 1.0
Why is this sign funny? | The sign warns of a bump, but the road around it is perfectly flat, so that the only thing \
sticking out of the road is the sign itself. | The picture shows a sign that says "bump". | 0.3
Why is this sign funny? | The sign warns of a bump, but the road around it is perfectly flat, so that the only thing \
sticking out of the road is the sign itself. | It announces a bump where there is none: the road is flat as far as one \
can see, and the sign is the one thing that stands out of it. | 1.0
"""
_GRADE_AGAIN = "\nThe correctness as a number: "

_MATCHING = """\
Find the option that an answer to a multiple-choice question means. Reply with a single capital letter: that of the \
option, or Z if the answer means none of them.

Question: What stands on the table?
Options: A. a vase B. a lamp C. a cat D. a book
Answer: some flowers in a tall glass vase
Reply: A

Question: What stands on the table?
Options: A. a vase B. a lamp C. a cat D. a book
Answer: a bicycle
Reply: Z

Question: {question}
Options: {options}
Answer: {answer}
Reply:"""


@dataclass(frozen=True)
class Case:
    """One answer to be judged. name: as ``verdicts.name_of``. category: the benchmark's kind of question."""

    name: str
    messages: tuple[Message, ...]
    category: str = ""


@dataclass(frozen=True)
class Again:
    """Another try after a reply that could not be read. words: put behind the last message. parameters: in their
    place."""

    words: str = ""
    parameters: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class Rubric:
    """How a benchmark's answers are judged.

    model: the paper's judge. parameters: of each request. cases: what is to be judged. readable: whether a reply is
    one. again: what is done about those that are not, try after try.
    """

    model: str
    parameters: Mapping[str, JSON]
    cases: Callable[[Sequence[Answer], Path, Profile], Iterator[Case]]
    readable: Callable[[str, Profile], bool]
    papers: Mapping[str, JSON] = field(default_factory=dict)
    again: tuple[Again, ...] = ()


def _reviews(answers: Sequence[Answer], folder: Path, profile: Profile) -> Iterator[Case]:
    """LLaVA-Bench: the reference answer is Assistant 1, the model Assistant 2."""
    told = {answer.question_id: answer for answer in answers}
    contexts_path, references_path = llava_bench.CONTEXTS.find(folder), llava_bench.REFERENCES.find(folder)
    contexts = {
        original.text(each, "image", str(contexts_path)): _lines(each.get("caption"))
        for each in read_records(contexts_path)
    }
    references = {
        original.text(each, "question_id", str(references_path)): original.text(each, "text", str(references_path))
        for each in read_records(references_path)
    }
    rules = read_object(llava_bench.RULES.find(folder)) if llava_bench.RULES.all(folder) else {}
    for question in read_records(llava_bench.QUESTIONS.find(folder)):
        name = original.text(question, "question_id", "questions.jsonl")
        if name not in told:
            continue
        category = llava_bench.PREFIX + original.text(question, "category", "questions.jsonl")
        rule = rules.get(category)
        parts = [
            f"[Context]\n{contexts.get(original.text(question, 'image', 'questions.jsonl'), '')}",
            f"[Question]\n{original.text(question, 'text', 'questions.jsonl')}",
            f"[Assistant 1]\n{original.text(references, name, str(references_path))}\n\n[End of Assistant 1]",
            f"[Assistant 2]\n{told[name].text}\n\n[End of Assistant 2]",
            f"[System]\n{rule['prompt'] if isinstance(rule, Mapping) and 'prompt' in rule else _REVIEW}\n\n",
        ]
        yield Case(name, (_message("system", _REVIEWER), _message("user", "\n\n".join(parts))), category)


def _grades(answers: Sequence[Answer], folder: Path, profile: Profile) -> Iterator[Case]:
    """MM-Vet: a table of examples, and a last row to be completed."""
    told = {answer.question_id: answer for answer in answers}
    for name, truth in mm_vet.truths(folder).items():
        if name in told:
            wanted = truth.answer.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
            row = " | ".join((truth.question, wanted, told[name].text, ""))
            yield Case(name, (_message("user", f"{_GRADING}\n{row}"),), "+".join(truth.capabilities))


def _matches(file: File) -> Callable[[Sequence[Answer], Path, Profile], Iterator[Case]]:
    """MMBench: only answers in which the profile's rules recognise no option."""

    def cases(answers: Sequence[Answer], folder: Path, profile: Profile) -> Iterator[Case]:
        rows: dict[int, Entry] = {row.index: row for row in mmbench.table_rows(answers, file, folder)}
        for answer in answers:
            place = mmbench.place_of(answer)
            if place is None or place[0] not in rows or not answer.text.strip():
                continue
            row = rows[place[0]]
            options, _ = mmbench.shown_to(answer, row.options)
            if mmbench_letter(answer.text, options, profile) is None:
                listed = " ".join(f"{letter}. {text}" for letter, text in options.items())
                words = _MATCHING.format(question=row.question, options=listed, answer=answer.text)
                yield Case(name_of(answer), (_message("user", words),), row.cells.get("category", ""))

    return cases


def _is_letter(reply: str, profile: Profile) -> bool:
    """Options without words of their own: only the letter counts."""
    return reply.strip(" .()\n") == NONE or mmbench_letter(reply, dict.fromkeys("ABCD", "\0"), profile) is not None


def _lines(caption: JSON) -> str:
    """A caption, or several in lines of their own."""
    return "\n".join(map(str, caption)) if isinstance(caption, list) else "" if caption is None else str(caption)


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _matching(file: File) -> Rubric:
    return Rubric(
        model="gpt-3.5-turbo-0613",
        parameters={"temperature": 0.0, "max_tokens": 16},
        cases=_matches(file),
        readable=_is_letter,
        again=(Again(parameters={"temperature": 0.5}), Again(parameters={"temperature": 1.0})),
    )


#: By the names of tasks.
RUBRICS: Mapping[str, Rubric] = {
    "llava-bench": Rubric(
        model="gpt-4-0314",
        parameters={"temperature": 0.2, "max_tokens": 1024},
        cases=_reviews,
        readable=lambda reply, profile: review_pair(reply, profile) is not None,
    ),
    "mm-vet": Rubric(
        model="gpt-4-0613",
        # The paper's three tokens are a grade as GPT-4 writes it; of another's "0.5" they may leave "0.".
        parameters={"temperature": 0.0, "max_tokens": 16},
        papers={"max_tokens": 3},
        cases=_grades,
        readable=lambda reply, profile: grade(reply, profile) is not None,
        # As MM-Vet's evaluator: four more tries, with other words and at rising temperatures.
        again=tuple(Again(_GRADE_AGAIN, {"temperature": temperature}) for temperature in (0.0, 0.5, 1.0, 1.5)),
    ),
    "mmbench": _matching(mmbench.ENGLISH),
    "mmbench-cn": _matching(mmbench.CHINESE),
}
