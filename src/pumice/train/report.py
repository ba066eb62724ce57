"""What a finished run leaves to be read: ``report.html`` beside the log, and a model card beside the weights."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pumice.images.load import load_image
from pumice.model.llava import Llava
from pumice.train.arithmetic import weights_of
from pumice.train.curves import draw_curves
from pumice.train.held_out import Best, Sample, read_best
from pumice.train.meter import duration
from pumice.train.parts import OWNER
from pumice.train.recipe import Recipe
from pumice.train.starting import base_of

FILE, CARD = "report.html", "README.md"
MISSING = "curves need matplotlib: pip install 'pumice[train]', then start the same command again"
_THUMBNAIL = 224
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .2rem .9rem .2rem 0; text-align: left; vertical-align: top }
pre { background: #f4f4f2; padding: 1rem; overflow-x: auto } svg { max-width: 100%; height: auto }
figure { display: flex; gap: 1rem; margin: 1rem 0 } figure img { width: 14rem; height: 14rem; object-fit: contain }
"""


def write_report(
    recipe: Recipe, model: Llava, log: Path, result: Path, samples: Sequence[Sample], show: Callable[[str], None]
) -> None:
    """Write ``report.html`` into the recipe's output, and a card into ``result`` if that is a folder.

    show: is told what is missing; nothing of that makes the run fail.
    """
    lines, best = read_log(log), read_best(recipe.output)
    try:
        curves = draw_curves(lines, max(recipe.parts.values()), None if best is None else best.step)
    except ImportError:
        show(MISSING)
        curves = f"<p>{html.escape(MISSING)}</p>"
    facts = _facts(recipe, model, lines, best)
    _replace(recipe.output / FILE, _page(recipe, facts, curves, lines, samples))
    if result.is_dir():
        _replace(result / CARD, _card(recipe, facts))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Lines of a log in the order of their steps. What a killed run had done twice is there once."""
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            found[line["step"], "held_out_loss" in line] = line
    return [found[key] for key in sorted(found)]


def training_seconds(lines: Sequence[Mapping[str, Any]], batch: int) -> float:
    """How long the steps took, without pauses between runs and without checks."""
    seconds, before = 0.0, 0
    for line in lines:
        if line.get("rows_per_s"):
            seconds += (line["step"] - before) * batch / line["rows_per_s"]
            before = line["step"]
    return seconds


def _facts(recipe: Recipe, model: Llava, lines: Sequence[Mapping[str, Any]], best: Best | None) -> dict[str, str]:
    from pumice import __version__

    trained = [line for line in lines if "loss" in line]
    sizes = dict.fromkeys(OWNER.values(), 0)
    for name, count, _ in weights_of(model):
        sizes[OWNER[name.split(".")[0]]] += count
    facts = {
        "started from": _origin(recipe),
        "data": _data(recipe),
        "weights": ", ".join(f"{part} {count:,}" for part, count in sizes.items()),
        "learning": ", ".join(f"{part} at {rate:g}" for part, rate in recipe.parts.items()),
    }
    if recipe.lora:
        shapes = (f"{part} of rank {how.rank}, alpha {how.alpha:g}" for part, how in recipe.lora.items())
        facts["adapters"] = ", ".join(shapes)
    if recipe.quantize:
        facts["integers below them"] = ", ".join(f"{part} {how.bits} bits" for part, how in recipe.quantize.items())
    if recipe.average:
        facts["averaged"] = f"each step keeps {recipe.average:g} of the weights' average, which is what was saved"
    if trained:
        last = trained[-1]
        facts["steps"] = f"{last['step']} of {recipe.batch} rows"
        facts["time"] = duration(training_seconds(lines, recipe.batch))
        facts["last loss"] = f"{last['loss']} (token accuracy {last['accuracy']:.1%})"
        if last.get("memory_bytes"):
            facts["most memory"] = f"{last['memory_bytes'] / 2**30:.2f} GiB"
    if best is not None:
        facts["best held-out loss"] = f"{best.loss:.4f} (token accuracy {best.accuracy:.1%}) after step {best.step}"
    facts["versions"] = f"Pumice {__version__}, Python {platform.python_version()}, PyTorch {torch.__version__}"
    facts["machine"] = f"{platform.platform()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used"
    return facts


def _origin(recipe: Recipe) -> str:
    start = recipe.start
    if start.join is not None:
        return f"{start.join.language} and {start.join.vision}, joined by a new projector"
    tower = "" if start.tower is None else f" but for the tower {start.tower}"
    return str(start.folder) if start.folder is not None else f"random weights{tower}"


def _data(recipe: Recipe) -> str:
    if recipe.world is not None:
        return f"{recipe.world.scenes} scenes of Pumice's synthetic world ({recipe.world.task})"
    files = recipe.files or ()
    return ", ".join(f"{each.records}{'' if each.weight == 1 else f' x {each.weight:g}'}" for each in files)


def _page(
    recipe: Recipe,
    facts: Mapping[str, str],
    curves: str,
    lines: Sequence[Mapping[str, Any]],
    samples: Sequence[Sample],
) -> str:
    title = html.escape(f"Training of {recipe.output.name}")
    rows = "".join(f"<tr><th>{html.escape(a)}<td>{html.escape(b)}" for a, b in facts.items())
    told = [line for line in lines if line.get("answers")]
    spoken = "".join(_spoken(index, sample, told) for index, sample in enumerate(samples))
    answers = f"<h2>Sample answers</h2>{spoken}" if spoken else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><table>{rows}</table><h2>Curves</h2>{curves}{answers}"
        f"<h2>Recipe</h2><pre>{html.escape(_written(recipe))}</pre></html>\n"
    )


def _spoken(index: int, sample: Sample, told: Sequence[Mapping[str, Any]]) -> str:
    """One question with its picture, and what was answered at each check; an answer that stayed is shown once."""
    rows, before = "", None
    for line in told:
        said = line["answers"][index] if index < len(line["answers"]) else None
        if said is not None and said != before:
            rows += f"<tr><td>{line['step']}<td>{html.escape(said)}"
        before = said
    picture = "" if sample.picture is None else f'<img alt="" src="{_thumbnail(sample.picture.source)}">'
    return (
        f"<figure>{picture}<figcaption><b>{html.escape(sample.question)}</b><br>expected: "
        f"{html.escape(sample.expected)}<table><tr><th>step<th>answer{rows}</table></figcaption></figure>"
    )


def _thumbnail(source: Any) -> str:
    small = load_image(source).copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    written = io.BytesIO()
    small.save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")


def _card(recipe: Recipe, facts: Mapping[str, str]) -> str:
    """Markdown with the header that the Hugging Face hub reads."""
    header = "library_name: pumice\npipeline_tag: image-text-to-text\nlanguage: en\ntags:\n- llava\n- vision-language\n"
    base = f" These are adapters; they need {base_of(recipe.start)} beside them." if recipe.lora else ""
    table = "".join(f"| {name} | {value.replace('|', '/')} |\n" for name, value in facts.items())
    return (
        f"---\n{header}---\n\n# {recipe.output.name}\n\n"
        "A vision-language model of the LLaVA kind: it answers questions about pictures. "
        f"Trained with Pumice.{base}\n\n"
        '```bash\npip install pumice\npumice ask -m FOLDER -i picture.jpg "What is this?"\n```\n\n'
        f"## Training\n\n| | |\n|---|---|\n{table}\n"
        "## Limits\n\nIt knows what its data showed, and like all models of its kind it sometimes says with confidence "
        "what is not there. Nobody has tested it beyond the figures above.\n\n"
        f"## Recipe\n\n```json\n{_written(recipe)}\n```\n"
    )


def _written(recipe: Recipe) -> str:
    return recipe.model_dump_json(indent=2, exclude_none=True)


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
