"""Exact match of the bundled model on held-out scenes, and of the same model shown grey pictures.

    python benchmarks/accuracy.py [--model FOLDER] [--per-kind 300] [--side 224]

Prints a table with 95 % intervals and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence

from PIL.Image import Image as PilImage

from pumice.engine.engine import Engine
from pumice.options import SamplingOptions
from pumice.prompts.conversation import Conversation, Image
from pumice.world.benchmark import Report, held_out_questions, run_benchmark


def answer_with(engine: Engine, questions: Sequence[tuple[PilImage, str]]) -> Iterable[str]:
    """Greedy answers, each question a conversation of its own."""
    asked = [Conversation.ask(question, (Image(picture),)) for picture, question in questions]
    answers = engine.batch(asked, SamplingOptions(max_tokens=96), size=32)
    ended = [answer.text if answer.finish_reason == "stop" else f"{answer.text} [not ended]" for answer in answers]
    return ended


def rows(report: Report) -> dict[str, object]:
    """The report as plain values."""
    each = {row.kind: [row.correct, row.total, *row.interval] for row in (*report.rows, report.overall)}
    return {kind: [round(value, 4) for value in values] for kind, values in each.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=None)
    parser.add_argument("--per-kind", type=int, default=300)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--wrong", type=int, default=0, help="how many wrong answers to show")
    options = parser.parse_args()
    engine = Engine.load(options.model, dtype="float32")
    questions = held_out_questions(options.per_kind)
    result: dict[str, object] = {"questions": len(questions), "side": options.side}
    for name, blind in (("seeing", False), ("blind", True)):
        report = run_benchmark(questions, lambda some: answer_with(engine, some), side=options.side, blind=blind)
        print(f"{name}\n{report.table()}\n")
        result[name] = rows(report)
        for question, answer in report.wrong[: 0 if blind else options.wrong]:
            print(f"  {question.index} {question.kind}: {question.question!r} -> {answer!r}, not {question.answer!r}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
