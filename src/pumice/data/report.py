"""What the doctor found as one HTML file: counts, histograms, and samples as the model sees them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.util import find_spec

from PIL.Image import Image as PilImage

from pumice.data.doctor import Summary
from pumice.data.faults import KINDS, Finding
from pumice.data.samples import Sample
from pumice.errors import UsageError

MOST_FINDINGS = 500  # shown; all are counted
_BINS = 40

_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse }} td, th {{ border-bottom: 1px solid #ddd; padding: .3em .7em; text-align: left }}
.error {{ color: #b00020 }} .warning {{ color: #8a5a00 }}
.sheet {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(20em, 1fr)); gap: 1em }}
.sample {{ border: 1px solid #ddd; padding: .8em; overflow-wrap: anywhere }}
.sample img {{ max-width: 100%; margin: 0 .2em .2em 0; image-rendering: pixelated }}
.sample p {{ white-space: pre-wrap }} .learned {{ background: #c8efc8 }} .picture {{ color: #06c }}
</style></head><body>
"""


def require_plots() -> None:
    """Raises: UsageError if there is nothing to draw histograms with."""
    if find_spec("matplotlib") is None:
        raise UsageError("a report needs matplotlib", hint="pip install 'pumice[train]'")


def write_report(records: str, summary: Summary, findings: Sequence[Finding], samples: Sequence[Sample]) -> str:
    """The page. Whatever comes from the data is shown as text: nothing in it can become markup."""
    title = f"Data of {records}"
    return "".join(
        [
            _HEAD.format(title=escape(title)),
            f"<h1>{escape(title)}</h1>\n<p>{summary.records} records, {len(summary.sizes)} pictures</p>\n",
            *_counts(summary),
            *_histograms(summary),
            *_sheet(samples),
            *_list(findings),
            "</body></html>\n",
        ]
    )


def _counts(summary: Summary) -> Iterator[str]:
    yield "<h2>Faults</h2>\n"
    if not summary.counts:
        yield "<p>None.</p>\n"
        return
    yield "<table><tr><th>kind</th><th>found</th><th>what it is</th><th>what to do</th></tr>\n"
    for name, kind in KINDS.items():
        if name in summary.counts:
            cells = "".join(f"<td>{escape(str(each))}</td>" for each in (summary.counts[name], kind.what, kind.fix))
            yield f'<tr><td class="{kind.severity}">{escape(name)}</td>{cells}</tr>\n'
    yield "</table>\n"


def _histograms(summary: Summary) -> Iterator[str]:
    yield "<h2>Sizes</h2>\n"
    yield _plot("tokens of a record, pictures included", summary.tokens)
    yield _plot("tokens of its answers", summary.learned)
    yield _plot("longer side of a picture, pixels", [max(size) for size in summary.sizes])


def _plot(title: str, values: Sequence[int]) -> str:
    if not values:
        return f"<p>{escape(title)}: nothing to show</p>\n"
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.hist(values, bins=min(_BINS, max(values) - min(values) + 1))
    axes.set_xlabel(title)
    axes.set_ylabel("how many")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    middle = sorted(values)[len(values) // 2]
    return f"{_image(drawn.getvalue(), f'{title}: {min(values)} to {max(values)}, half of them below {middle}')}\n"


def _sheet(samples: Iterable[Sample]) -> Iterator[str]:
    yield '<h2>Samples as the model sees them</h2>\n<p>It learns what is <span class="learned">marked</span>.</p>\n'
    yield '<div class="sheet">\n'
    for sample in samples:
        tiles = "".join(_image(_png(tile), f"tile {number}") for number, tile in enumerate(sample.tiles, start=1))
        said = "".join(f'<span class="{span.kind}">{escape(span.text)}</span>' for span in sample.spans)
        about = escape(f"{sample.where} [{sample.id}], {sample.tokens} tokens")
        yield f'<div class="sample">{tiles}<p>{said}</p><small>{about}</small></div>\n'
    yield "</div>\n"


def _list(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield "<h2>Findings</h2>\n<ul>\n"
        yield from (f"<li>{escape(str(each))}</li>\n" for each in findings[:MOST_FINDINGS])
        yield "</ul>\n"
    if len(findings) > MOST_FINDINGS:
        yield f"<p>and {len(findings) - MOST_FINDINGS} more</p>\n"


def _png(image: PilImage) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _image(png: bytes, title: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{escape(title)}" title="{escape(title)}">'
