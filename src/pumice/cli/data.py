"""``pumice data``: training data is made and checked before a run spends hours on it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from typer import Argument, Exit, Option

from pumice.cli.settings import Debug, ModelName, Offline, Overwrite, defaults

if TYPE_CHECKING:
    from pumice.data.doctor import Summary, Task
    from pumice.data.faults import Finding

SourceKind: TypeAlias = Literal["csv", "captions", "coco", "llava"]
CaptionsKind: TypeAlias = Literal["captions", "coco", "caps-boxes"]
_BY_ENDING: dict[str, CaptionsKind] = {".json": "coco", ".jsonl": "caps-boxes"}
#: As of training, which refuses such data.
FAULTY = 2


def data() -> None:
    """Make training data from other formats, and check it."""


def convert(
    source: Annotated[
        Path, Argument(help="A CSV file, a folder of pictures with .txt files, COCO's captions, or records.")
    ],
    target: Annotated[Path, Argument(help="The file to write: .json for a list, .jsonl for a record a line.")],
    kind: Annotated[SourceKind | None, Option("--from", help="What SOURCE is. Default: told by its content.")] = None,
    images: Annotated[
        Path | None,
        Option(
            "--images",
            metavar="FOLDER",
            exists=True,
            file_okay=False,
            help="Where the pictures are; paths become relative to it.",
        ),
    ] = None,
    skip_missing: Annotated[
        bool, Option("--skip-missing", help="Leave out what has no picture in that folder, and say how much.")
    ] = False,
    merge: Annotated[
        bool, Option("--merge", help="CSV: rows about one picture become one record of several turns.")
    ] = False,
    apart: Annotated[
        bool, Option("--apart", help="Records: every question that can stand alone becomes a record of its own.")
    ] = False,
    prompt: Annotated[
        str, Option("--prompt", metavar="TEXT", help="Captions: the question before each.")
    ] = "Describe the image.",
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Write LLaVA's records from a CSV with the columns image, question, answer, from captions, or from records.

    \b
    pumice data convert questions.csv records.jsonl --images pictures
    pumice data convert pictures records.json         # a.jpg with a.txt beside it
    pumice data convert captions_val2017.json records.json --images val2017 --skip-missing
    pumice data convert records.json singles.jsonl --apart
    """
    from pumice.data.convert import Choices
    from pumice.data.convert import convert as run

    count = run(source, target, kind, Choices(images, skip_missing, merge, apart, prompt, overwrite))
    skipped = f", {count.skipped} left out for want of their pictures" if count.skipped else ""
    print(f"{count.records} records{skipped}", file=sys.stderr)
    print(target)


Images: TypeAlias = Annotated[
    Path | None,
    Option(
        "--images", metavar="FOLDER", exists=True, file_okay=False, help="Where its pictures are. Default: its folder."
    ),
]
Against: TypeAlias = Annotated[
    Path | None, Option("--against", metavar="FILE", help="Questions of an evaluation, which must not be learned.")
]
AgainstImages: TypeAlias = Annotated[
    Path | None,
    Option(
        "--against-images",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="Their pictures. Default: as --images.",
    ),
]


def doctor(
    records: Annotated[Path, Argument(help="LLaVA's JSON or JSONL.")],
    images: Images = None,
    model: ModelName = None,
    template: Annotated[
        str | None, Option("--template", metavar="NAME", help="As in the recipe. Default: the model's own.")
    ] = None,
    max_tokens: Annotated[
        int | None, Option("--max-tokens", min=1, help="The longest record. Default: the model's positions.")
    ] = None,
    against: Against = None,
    against_images: AgainstImages = None,
    report: Annotated[Path | None, Option("--report", metavar="FILE", help="Write a page of HTML as well.")] = None,
    samples: Annotated[int, Option("--samples", min=0, help="Records shown in the report.")] = 12,
    seed: Annotated[int, Option("--seed", help="Chooses them.")] = 0,
    show: Annotated[int, Option("--show", min=0, help="Lines printed for each kind of fault; 0 for all.")] = 20,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object, with everything found.")] = False,
    offline: Offline = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress on stderr.")] = False,
    debug: Debug = False,
) -> None:
    """Check training data as the trainer would read it, to the last record.

    Exits with 0 if there are no errors (warnings do not count), with 2 if there are, as training would.

    \b
    pumice data doctor records.json --images pictures --report report.html
    """
    from pumice.checkpoint.hub import BUNDLED
    from pumice.checkpoint.load import load_processor
    from pumice.data.doctor import Doctor, Task
    from pumice.data.leaks import read_evaluation
    from pumice.data.report import require_plots

    if report is not None:
        require_plots()  # rather than after hours
    folder = images or records.parent
    processor, description = load_processor(model or defaults().model or BUNDLED, template=template, offline=offline)
    asked = None if against is None else read_evaluation(against, against_images or folder)
    room = max_tokens or description.model.language.max_positions
    task = Task(records, folder, processor, room, asked, samples, seed)
    examination = Doctor(task)
    with _progress("checking", records.stat().st_size if records.is_file() else None, quiet) as watch:
        found = list(examination.findings(watch))
    _print(records, examination.summary, found, None if as_json else show)
    if report is not None:
        _write_page(report, task, examination.summary, found)
    if _errors(found):
        raise Exit(FAULTY)


def balance(
    source: Annotated[Path, Argument(help="Captions: a CSV or TSV file, a folder with .txt files, COCO's or LLaVA's.")],
    out: Annotated[Path, Option("--out", "-o", metavar="FILE", help="The JSON file to write.")],
    kind: Annotated[
        CaptionsKind | None,
        Option("--from", help="What SOURCE is. Default: .json is COCO's, .jsonl LLaVA's, all else captions."),
    ] = None,
    images: Annotated[
        Path | None,
        Option("--images", metavar="FOLDER", exists=True, file_okay=False, help="Leave out what has no picture there."),
    ] = None,
    least: Annotated[int, Option("--least", min=1, help="Captions that a phrase must be in to count.")] = 3,
    most: Annotated[int, Option("--most", min=1, help="Captions that are taken for one phrase.")] = 100,
    seed: Annotated[int, Option("--seed", help="Chooses them, and the instructions.")] = 0,
    workers: Annotated[int, Option("--workers", min=1, metavar="N", help="Processes.")] = 1,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress on stderr.")] = False,
    debug: Debug = False,
) -> None:
    """Choose captions for the first stage so that frequent noun phrases do not crowd out the rare ones.

    As LLaVA chose its 595K: phrases in fewer than 3 captions do not count; of each other one, all captions are taken,
    or 100 at random. Each becomes a record that asks for a brief caption, in one of eleven ways.

    \b
    pumice data balance captions.csv -o stage1.json --images pictures --workers 8
    """
    from pumice.annotations.sources.table import open_source
    from pumice.datagen.balance import Options, Rule
    from pumice.datagen.balance import balance as run
    from pumice.datagen.phrases import require_tagger

    require_tagger()
    opened = open_source(kind or _BY_ENDING.get(source.suffix.lower(), "captions"), [source])
    with _progress("captions", None, quiet) as watch:
        found = run(opened, out, Rule(least, most, seed), Options(images, workers, overwrite, watch))
    phrase, before, after = found.commonest
    told = f"; {phrase!r} is in {after:,} of them, was in {before:,}" if phrase else ""
    print(
        f"{found.count:,} of {found.captions:,} captions, for {found.frequent:,} of {found.phrases:,} phrases{told}",
        file=sys.stderr,
    )
    for what, count in opened.left_out.items():
        print(f"left out: {count:,} {what}", file=sys.stderr)
    print(out)


def _print(records: Path, summary: Summary, found: Sequence[Finding], show: int | None) -> None:
    """As JSON, or in words with ``show`` lines of a kind."""
    if show is None:
        print(json.dumps(_as_json(records, summary, found)))
    else:
        _print_found(found, show)
        _print_summary(records, summary, found)


def _errors(found: Sequence[Finding]) -> int:
    return sum(each.fault.severity == "error" for each in found)


def _print_found(found: Sequence[Finding], most: int) -> None:
    """In the file's order, at most ``most`` of a kind; 0 for all."""
    told: Counter[str] = Counter()
    for each in found:
        told[each.fault.kind] += 1
        if not most or told[each.fault.kind] <= most:
            print(each)
    hidden = sum(max(0, count - most) for count in told.values()) if most else 0
    if hidden:
        print(f"and {hidden} more; --show 0 prints them all")


def _print_summary(records: Path, summary: Summary, found: Sequence[Finding]) -> None:
    from pumice.data.faults import KINDS

    tokens = f", {max(summary.tokens)} tokens in the longest" if summary.tokens else ""
    errors = _errors(found)
    print(
        f"{records}: {summary.records} records, {len(summary.sizes)} pictures{tokens}; "
        f"{errors} errors, {len(found) - errors} warnings"
    )
    for name, kind in KINDS.items():
        if name in summary.counts:
            print(f"{summary.counts[name]:>7} {name}: {kind.what}\n        {kind.fix}")


def _as_json(records: Path, summary: Summary, found: Sequence[Finding]) -> dict[str, object]:
    errors = _errors(found)
    return {
        "file": str(records),
        "records": summary.records,
        "pictures": len(summary.sizes),
        "tokens": sum(summary.tokens),
        "longest": max(summary.tokens, default=0),
        "errors": errors,
        "warnings": len(found) - errors,
        "counts": dict(summary.counts),
        "findings": [each.as_json() for each in found],
    }


def _write_page(path: Path, task: Task, summary: Summary, found: Sequence[Finding]) -> None:
    from pumice.data.report import write_report
    from pumice.data.samples import as_seen
    from pumice.files import fresh_file

    shown = [as_seen(each, task.processor) for each in summary.samples]
    page = write_report(str(task.records), summary, found, shown)
    with fresh_file(path, overwrite=True) as file:
        file.write(page.encode("utf-8", "replace"))  # half a surrogate pair, which JSON can spell, is no UTF-8


@contextmanager
def _progress(what: str, total: int | None, quiet: bool) -> Iterator[Callable[[int], object]]:
    """A bar on stderr, on a terminal only; told how much has been dealt with."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
