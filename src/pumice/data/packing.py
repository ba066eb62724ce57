"""Several conversations about the same pictures in one row, each as if it stood alone.

Instruction data asks many questions about one picture. Encoded one by one, the picture and the system text are
repeated for each; here they are the row's shared head, and every conversation is a tail that sees the head and
itself. Positions continue from the head, so loss and gradients equal those of separate rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pumice.errors import UsageError
from pumice.images.grid import Grid
from pumice.processor import Inputs, Tiles
from pumice.prompts.encode import IGNORE, IMAGE_ID

HEAD = 0
NOWHERE = -1


@dataclass(frozen=True)
class Grounding:
    """Where in the picture the words of a row are to be found.

    regions: [L], the region of the picture that a position shows, ``NOWHERE`` for text. count: regions there are.
    spoken: positions of text, each with the regions it speaks of, one or more.
    """

    regions: tuple[int, ...]
    count: int
    spoken: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Row:
    """One row of a batch; the first four have the row's length L.

    ids, positions: as the model takes them. groups: ``HEAD`` or the number of the tail, from 1.
    sources, targets: the supervised predictions, from the row's position to the id that follows it.
    grounding: where its words are in the picture, if that is known. cut: turns of the sample that did not fit.
    hashes: per picture, a fingerprint of its pixels.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    groups: tuple[int, ...]
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    tiles: tuple[Tiles, ...]
    grids: tuple[Grid, ...]
    grounding: Grounding | None = None
    cut: int = 0
    hashes: tuple[str, ...] = ()


#: One position that predicts nothing, for a process that keeps others company.
NOTHING = Row(ids=(0,), positions=(0,), groups=(HEAD,), sources=(), targets=(), tiles=(), grids=())


def pack(inputs: Sequence[Inputs]) -> Row:
    """Pack conversations about the same pictures.

    Raises: UsageError if their pictures differ or nothing is supervised.
    """
    first = inputs[0]
    if any(each.hashes != first.hashes for each in inputs):
        raise UsageError("only conversations about the same pictures can share a row")
    head = _common_head(inputs)
    ids, positions, groups = list(first.ids[:head]), list(range(head)), [HEAD] * head
    # What the head supervises counts once for each conversation, as it would in rows of their own.
    learned = [at for at in range(1, head) if first.labels[at] != IGNORE] * len(inputs)
    sources, targets = [at - 1 for at in learned], [first.labels[at] for at in learned]
    for group, each in enumerate(inputs, start=1):
        for at in range(head, len(each.ids)):
            if at and each.labels[at] != IGNORE:
                # A tail's first token is predicted from the head's last position, wherever the tail stands.
                sources.append(len(ids) - 1 if at > head else head - 1)
                targets.append(each.labels[at])
            ids.append(each.ids[at])
            positions.append(at)
            groups.append(group)
    if not targets:
        raise UsageError("a training sample has no supervised token: its answer is empty")
    return Row(
        ids=tuple(ids),
        positions=tuple(positions),
        groups=tuple(groups),
        sources=tuple(sources),
        targets=tuple(targets),
        tiles=first.tiles,
        grids=first.grids,
        hashes=first.hashes,
    )


def _common_head(inputs: Sequence[Inputs]) -> int:
    """Length of the head that all share: up to the last picture's end, or as far as ids and labels agree."""
    first = inputs[0]
    if len(inputs) == 1:
        return len(first.ids)
    agree = min(len(each.ids) for each in inputs) - 1  # every tail keeps at least one token
    for at in range(agree):
        if any(each.ids[at] != first.ids[at] or each.labels[at] != first.labels[at] for each in inputs):
            agree = at
            break
    ends = [at + 1 for at, each in enumerate(first.ids) if each == IMAGE_ID]
    last_image = ends[-1] if ends else 0
    if agree < last_image:
        raise UsageError("conversations that share a row must have their pictures at the same place")
    return last_image or agree


def fill(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Which of ``lengths`` go together into rows of at most ``capacity`` tokens: first fit, the longest first.

    First fit decreasing needs at most 11/9 of the fewest rows possible (Johnson 1973). What is longer than
    ``capacity`` stands alone. Every index comes once; each row's are in order.
    """
    rows: list[list[int]] = []
    left: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda at: (-lengths[at], at)):
        place = next((at for at, room in enumerate(left) if lengths[index] <= room), len(rows))
        if place == len(rows):
            rows.append([])
            left.append(capacity)
        rows[place].append(index)
        left[place] -= lengths[index]
    return [sorted(row) for row in rows]
