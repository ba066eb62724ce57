"""Exact match of the bundled model on held-out scenes, and of the same model shown grey pictures.

    python benchmarks/accuracy.py [--model FOLDER] [--per-kind 300] [--side 224] [--write docs/accuracy.md]

Prints a table with 95 % intervals and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

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


def rows(report: Report) -> dict[str, list[float]]:
    """The report as plain values: right, asked, and the ends of the interval."""
    each = {row.kind: [row.correct, row.total, *row.interval] for row in (*report.rows, report.overall)}
    return {kind: [round(value, 4) for value in values] for kind, values in each.items()}


def page(result: dict[str, dict[str, list[float]]], side: int) -> str:
    """``docs/accuracy.md``."""
    lines = [
        "# How well the bundled model sees",
        "",
        "Exact match on held-out scenes: whole answers, letter by letter; for a box, an overlap (IoU) of more than",
        "one half. The scenes come from a sequence of their own that training never draws from. *Blind* is the same",
        f"model, the same questions, and a grey picture. Pictures are {side} pixels wide, decoding is greedy,",
        "intervals are Wilson's at 95 %.",
        "",
        "| kind | questions | right | 95 % interval | blind |",
        "|---|---|---|---|---|",
    ]
    for kind, (_, total, low, high) in result["seeing"].items():
        right, blind = (result[name][kind][0] / total for name in ("seeing", "blind"))
        lines.append(f"| {kind} | {total:.0f} | {right:.1%} | {low:.1%} to {high:.1%} | {blind:.1%} |")
    return "\n".join([*lines, "", "Made by `python benchmarks/accuracy.py --write docs/accuracy.md`.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=None)
    parser.add_argument("--per-kind", type=int, default=300)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--wrong", type=int, default=0, help="how many wrong answers to show")
    parser.add_argument("--write", type=Path, help="also write the table as a page")
    options = parser.parse_args()
    engine = Engine.load(options.model, dtype="float32")
    questions = held_out_questions(options.per_kind)
    result: dict[str, dict[str, list[float]]] = {}
    for name, blind in (("seeing", False), ("blind", True)):
        report = run_benchmark(questions, lambda some: answer_with(engine, some), side=options.side, blind=blind)
        print(f"{name}\n{report.table()}\n")
        result[name] = rows(report)
        for question, answer in report.wrong[: 0 if blind else options.wrong]:
            print(f"  {question.index} {question.kind}: {question.question!r} -> {answer!r}, not {question.answer!r}")
    if options.write:
        options.write.write_text(page(result, options.side), encoding="utf-8")
    print(json.dumps({"questions": len(questions), "side": options.side, **result}))


if __name__ == "__main__":
    main()
