"""``pumice generate``: captions and boxes become instruction data whose claims were checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from typer import Argument, Option

from pumice.cli.settings import Debug
from pumice.errors import PumiceError

if TYPE_CHECKING:
    from pumice.datagen.tally import Tally

SourceName: TypeAlias = Literal["coco", "caps-boxes", "captions", "regions", "world"]
_TEACHER, _RULES = "A paid teacher (--teacher)", "The offline teacher"

Files: TypeAlias = Annotated[
    list[Path] | None,
    Argument(
        help="COCO's JSON; lines of captions and boxes; a CSV file or a folder of captions; Visual Genome's regions."
        " The world has none.",
        metavar="[FILES]...",
    ),
]
Kinds: TypeAlias = Annotated[
    str, Option("--kinds", metavar="KIND=N,...", help="Samples for each scene; 0.25 is one for every fourth.")
]
Images: TypeAlias = Annotated[
    Path | None,
    Option(
        "--images",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="Where the pictures are: scenes without one are left out, and the report shows some.",
    ),
]
First: TypeAlias = Annotated[int, Option("--first", metavar="N", min=0, help="Begin with this scene, from 0.")]
Count: TypeAlias = Annotated[
    int | None,
    Option(
        "--count", "--limit", metavar="N", min=1, help="Scenes at most, those without a picture counted. Default: all."
    ),
]
Verifying: TypeAlias = Annotated[
    Literal["strict", "lenient", "off"],
    Option(
        "--verify", help="Refuse what the annotations contradict; lenient forgives slips of number, place and size."
    ),
]
Tries: TypeAlias = Annotated[
    int, Option("--tries", metavar="N", min=1, help="Ask again where a reply was refused, so often in all.")
]
Alike: TypeAlias = Annotated[
    bool, Option("--keep-alike", help="Keep samples that are nearly the same as earlier ones.")
]
TeacherUrl: TypeAlias = Annotated[
    str | None,
    Option("--teacher", metavar="URL", help="Ask this OpenAI-compatible server.", rich_help_panel=_TEACHER),
]
TeacherModel: TypeAlias = Annotated[
    str | None, Option("--teacher-model", metavar="NAME", help="Its name for the model.", rich_help_panel=_TEACHER)
]
Prompts: TypeAlias = Annotated[
    Path | None,
    Option("--prompts", metavar="FOLDER", help="Prompts of your own; a folder a kind.", rich_help_panel=_TEACHER),
]
MaxTokens: TypeAlias = Annotated[
    int | None, Option("--max-tokens", min=1, help="Of an answer. Default: 1024.", rich_help_panel=_TEACHER)
]
Temperature: TypeAlias = Annotated[
    float | None, Option("--temperature", min=0, help="Default: the server's.", rich_help_panel=_TEACHER)
]
Parameters: TypeAlias = Annotated[
    list[str] | None,
    Option("--set", metavar="NAME=JSON", help="Another parameter of requests. Repeatable.", rich_help_panel=_TEACHER),
]
BudgetUsd: TypeAlias = Annotated[
    float | None,
    Option("--budget", metavar="USD", help="Stop before its ledger has more than that.", rich_help_panel=_TEACHER),
]
LedgerFile: TypeAlias = Annotated[
    Path | None,
    Option(
        "--ledger",
        metavar="FILE",
        help="Another run's ledger.sqlite: what it has paid for is not asked again.",
        rich_help_panel=_TEACHER,
    ),
]
PriceFile: TypeAlias = Annotated[
    Path | None, Option("--prices", metavar="FILE", help="TOML with prices of your own.", rich_help_panel=_TEACHER)
]
PerMinute: TypeAlias = Annotated[
    int | None, Option("--rpm", metavar="N", min=1, help="Requests a minute at most.", rich_help_panel=_TEACHER)
]
TokensPerMinute: TypeAlias = Annotated[
    int | None, Option("--tpm", metavar="N", min=1, help="Tokens a minute at most.", rich_help_panel=_TEACHER)
]
Concurrency: TypeAlias = Annotated[
    int | None,
    Option("--concurrency", metavar="N", min=1, help="Requests in flight. Default: 64.", rich_help_panel=_TEACHER),
]
Timeout: TypeAlias = Annotated[
    float | None, Option("--timeout", metavar="S", help="For one answer. Default: 300.", rich_help_panel=_TEACHER)
]
Batches: TypeAlias = Annotated[
    bool, Option("--batch", help="By its Batch API: cheaper, within a day.", rich_help_panel=_TEACHER)
]
Workers: TypeAlias = Annotated[
    int | None, Option("--workers", metavar="N", min=1, help="Processes. Default: 1.", rich_help_panel=_RULES)
]
OnRay: TypeAlias = Annotated[
    bool, Option("--ray", help="On the machines of RAY_ADDRESS, or on this one.", rich_help_panel=_RULES)
]


def generate(
    source: Annotated[SourceName, Argument(help="What the annotations are.")],
    files: Files = None,
    *,
    out: Annotated[Path, Option("--out", "-o", metavar="FOLDER", help="A new folder, or that of a run to go on with.")],
    kinds: Kinds = "conversation,detail,reasoning",
    images: Images = None,
    first: First = 0,
    count: Count = None,
    seed: Annotated[int, Option("--seed", help="Makes other choices where there are any.")] = 0,
    verify: Verifying = "strict",
    tries: Tries = 2,
    keep_alike: Alike = False,
    teacher: TeacherUrl = None,
    teacher_model: TeacherModel = None,
    prompts: Prompts = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    parameters: Parameters = None,
    budget: BudgetUsd = None,
    ledger: LedgerFile = None,
    prices: PriceFile = None,
    rpm: PerMinute = None,
    tpm: TokensPerMinute = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    batch: Batches = False,
    workers: Workers = None,
    ray: OnRay = False,
    estimate: Annotated[bool, Option("--estimate", help="Only tell what it would take, and end.")] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="No progress on stderr.")] = False,
    debug: Debug = False,
) -> None:
    """Generate instruction data in LLaVA's format, and check it against the annotations.

    Without --teacher, rules write it, offline and free. The same command goes on where it was stopped or killed, and
    pays for nothing twice. FOLDER gets records.json to train on, provenance.jsonl, rejections.jsonl and report.html.

    Kinds: conversation, detail, reasoning, negatives, counting, position, grounding. Exits with 1 if no sample is made.

    \b
    pumice generate world -o data --count 1000 --kinds conversation=2,detail
    pumice generate coco captions_train2017.json instances_train2017.json -o data --images train2017 --workers 8
    pumice generate caps-boxes table.jsonl -o data --estimate \\
        --teacher https://api.openai.com/v1 --teacher-model gpt-5.4-mini
    """
    from pumice.cli.generating import TeacherFlags, estimated, run, where
    from pumice.datagen.generation import Generation
    from pumice.datagen.plan import Plan, read_rates
    from pumice.datagen.supply import Supply

    asked = (teacher, teacher_model, prompts, max_tokens, temperature, tuple(parameters or ()))
    flags = TeacherFlags(*asked, budget, prices, rpm, tpm, concurrency, timeout, batch)
    plan = Plan(read_rates(kinds), seed, verify, tries, not keep_alike)
    supply = Supply(source, tuple(files or ()), first, count)
    generation = Generation(out, supply, plan, flags.paid(), images, where(workers, ray, teacher), ledger)
    if estimate:
        estimated(generation)
    else:
        _require_samples(run(generation, quiet))


def _require_samples(tally: Tally) -> None:
    """Raises PumiceError if nothing came of what was wanted: a script must not go on to train on it."""
    if tally.samples:
        return
    if tally.ordered:
        reason = tally.refused.most_common(1)[0][0]
        raise PumiceError(
            f"no sample was made: all replies were refused, most of them for {reason}",
            hint="rejections.jsonl and report.html show what was said; docs/datagen.md says what the reasons mean",
        )
    if tally.missing:
        raise PumiceError(
            "no sample was made: --images has the picture of no scene", hint="name the folder they are in"
        )
    print("no sample was wanted of these scenes: --kinds asks for fewer than one for each", file=sys.stderr)
