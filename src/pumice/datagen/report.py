"""The page about a run: what was made, what was refused and why, what it cost, and examples with their pictures."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pumice.datagen.charts import histogram, middle
from pumice.datagen.samples import KINDS, Json
from pumice.datagen.tally import Tally
from pumice.errors import PumiceError
from pumice.page import Html, cards, details, facts, heading, page, paragraph, picture, preformatted, table

if TYPE_CHECKING:
    from pumice.paid.ledger import Totals

_WIDTH = 320  # pixels of an example's picture
_SMALLEST = 0.00005  # USD that are shown
_VERDICTS = ("supported", "unknown", "contradicted")


def write_report(
    arguments: Mapping[str, Json], tally: Tally, totals: Totals | None, pictures: Path | None, *, finished: bool
) -> str:
    """The page as HTML. totals: of the ledger, if the teacher was paid. pictures: their folder, if there is one."""
    body = [
        paragraph("" if finished else "This run has not come to its end yet; what is here is what it has made so far."),
        heading("What was made"),
        table(COUNTED, counts(tally), numeric=frozenset(range(1, len(COUNTED)))),
        *_charts(tally),
        *_refusals(tally),
        *_claims(tally),
        heading("What it cost"),
        facts(cost_facts(tally, totals)),
        *_examples(tally, pictures),
        heading("What was asked for"),
        preformatted("\n".join(_flat(arguments))),
    ]
    return page("Generated instruction data", [each for each in body if each])


COUNTED = ("kind", "wanted", "samples", "questions", "replies", "words of an answer")


def counts(tally: Tally) -> list[tuple[str, ...]]:
    """Rows of ``COUNTED`` for every kind and for all together; the words are a median."""
    rows, together = [], Counter[str]()
    for kind in KINDS:
        of = tally.kinds.get(kind)
        if of:
            together.update(of)
            rows.append((kind, *_row(of), _median(tally.words.get(kind, {}))))
    words = Counter[str]()
    for each in tally.words.values():
        words.update(each)
    return [*rows, ("all", *_row(together), _median(words))]


def _row(of: Mapping[str, int]) -> list[str]:
    return [f"{of.get(name, 0):,}" for name in ("ordered", "samples", "exchanges", "attempts")]


def cost_facts(tally: Tally, totals: Totals | None) -> list[tuple[str, str]]:
    """What a run took, by name; for the page and for the terminal."""
    if totals is None:
        return [("teacher", "rules, without any request")]
    cost = "unknown: the model has no price" if totals.cost is None else f"${totals.cost:,.4f}"
    found = [
        ("requests answered", f"{totals.answered:,} of {totals.requests:,}, in {totals.attempts:,} sendings"),
        ("tokens in", f"{totals.prompt_tokens:,}"),
        ("tokens out", f"{totals.completion_tokens:,}"),
        ("cost", cost),
    ]
    if tally.samples and totals.cost is not None:
        if totals.cost - tally.cost > _SMALLEST:
            found.append(("of that, for replies of this run", f"${tally.cost:,.4f}"))
        found.append(("cost of a sample", f"${tally.cost / tally.samples:,.5f}"))
    if totals.spoilt:
        found.append(("charged for nothing", f"{totals.spoilt:,} replies without an answer"))
    if totals.unsure:
        most = "at unknown cost" if totals.at_risk is None else f"${totals.at_risk:,.4f} at most"
        found.append(("perhaps charged", f"{totals.unsure:,} sendings without a reply, {most}"))
    return found


def _median(words: Mapping[str, int]) -> str:
    return f"{middle(words):,}" if words else ""


def _charts(tally: Tally) -> Iterator[Html]:
    words: dict[str, Counter[str]] = {kind: tally.words[kind] for kind in KINDS if tally.words.get(kind)}
    if words:
        yield heading("How long it is")
        yield histogram("words of an answer", words)
        yield histogram("questions of a sample", {"samples": tally.turns})


def _refusals(tally: Tally) -> Iterator[Html]:
    yield heading("What was refused")
    if tally.missing:
        yield paragraph(f"Scenes that were left out, for there is no picture of them: {tally.missing:,}.")
    if not tally.refused:
        yield paragraph("No reply was.")
        return
    rows = [
        (reason, f"{count:,}", f"{tally.given_up.get(reason, 0):,}")
        for reason, count in sorted(tally.refused.items(), key=lambda each: (-each[1], each[0]))
    ]
    yield table(("reason", "replies", "samples given up"), rows, numeric={1, 2})
    for reason in sorted(tally.lost):
        shown = [_said(each, None) for each in tally.lost[reason] if isinstance(each, dict)]
        yield details(f"{reason}: examples", cards(shown))


def _claims(tally: Tally) -> Iterator[Html]:
    if not tally.verdicts:
        return
    yield heading("What was checked")
    yield paragraph("Claims of the samples, compared with what people annotated; unknown is what they did not say.")
    rows = [
        (name.replace("_", "/"), *(f"{of.get(verdict, 0):,}" for verdict in _VERDICTS))
        for name, of in sorted(tally.verdicts.items())
    ]
    yield table(("claims about", *_VERDICTS), rows, numeric={1, 2, 3})


def _examples(tally: Tally, pictures: Path | None) -> Iterator[Html]:
    yield heading("Examples")
    for kind in KINDS:
        shown = [_said(each, pictures) for each in tally.kept.get(kind, ()) if isinstance(each, dict)]
        if shown:
            yield heading(kind, 3)
            yield cards(shown)


def _said(example: Mapping[str, Json], pictures: Path | None) -> list[Html]:
    parts = [] if pictures is None else _picture(pictures, pictures / str(example["image"]), str(example["id"]))
    if "detail" in example:
        parts.append(paragraph(str(example["detail"])))
    exchanges = example["exchanges"]
    assert isinstance(exchanges, list)
    pairs = [(str(each["question"]), str(each["answer"])) for each in exchanges if isinstance(each, dict)]
    checks = example.get("checks")
    told = [_verdict(each) for each in checks if isinstance(each, dict)] if isinstance(checks, list) else []
    parts += [facts(pairs)] if pairs else []
    parts += [details(f"claims checked: {len(told)}", facts(told))] if told else []
    return [*parts, paragraph(str(example["id"]))]


def _verdict(check: Mapping[str, Json]) -> tuple[str, str]:
    return f"{check['verdict']}: {check['text']}", str(check["reason"])


def _picture(folder: Path, path: Path, name: str) -> list[Html]:
    """None where it cannot be read, or lies elsewhere: the page is about the words."""
    from pumice.images.load import load_image

    if not path.resolve().is_relative_to(folder.resolve()):
        return []
    try:
        image = load_image(path)
    except PumiceError:
        return []
    image.thumbnail((_WIDTH, _WIDTH))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return [picture(file.getvalue(), f"the picture of {name}")]


def _flat(arguments: Mapping[str, Json], before: Sequence[str] = ()) -> Iterator[str]:
    for name, value in arguments.items():
        if isinstance(value, dict):
            yield from _flat(value, (*before, name))
        else:
            yield f"{'.'.join((*before, name))} = {value}"
