"""Samples for ``train.py``: as long, as supervised and as often about a picture as LLaVA-1.5's instruction mix.

The mix has 665 thousand samples (Liu et al. 2023, table 7). Its parts are drawn by their share; how many turns a part's
conversations have, and how many tokens a question and an answer, are ranges we chose from the published examples.
A picture is a JPEG of 480 x 360 pixels, which the tower sees as SIDE x SIDE. Words are noise: what is measured is work,
which their ids do not change.
"""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pumice.images.config import Preprocessing
from pumice.images.preprocess import preprocess

SIDE, PATCH = 168, 14
PICTURE_TOKENS = (SIDE // PATCH) ** 2
VOCABULARY = 32000
IGNORE = -100
SYSTEM = 35  # tokens of vicuna_v1's system text
LONGEST = 2048


@dataclass(frozen=True)
class Part:
    """weight: thousands of samples. Ranges of the number of turns, of tokens of a question and of an answer."""

    name: str
    weight: int
    turns: tuple[int, int]
    asked: tuple[int, int]
    answered: tuple[int, int]
    picture: bool = True


MIX = (
    Part("short questions: VQAv2, GQA, OCR-VQA", 235, (3, 12), (8, 16), (2, 4)),
    Part("knowledge: OKVQA, A-OKVQA", 75, (1, 1), (15, 50), (2, 4)),
    Part("regions and captions: TextCaps, RefCOCO, Visual Genome", 156, (1, 10), (10, 30), (8, 20)),
    Part("conversations", 58, (2, 5), (10, 20), (15, 60)),
    Part("detailed descriptions", 23, (1, 1), (10, 15), (90, 150)),
    Part("reasoning", 77, (1, 1), (15, 30), (100, 200)),
    Part("text only: ShareGPT", 40, (2, 8), (20, 150), (80, 300), picture=False),
)


@dataclass(frozen=True)
class Sample:
    """ids and labels [L], negative ids at picture positions; picture: a JPEG file, or None."""

    ids: list[int]
    labels: list[int]
    picture: bytes | None

    def tile(self) -> NDArray[np.float32]:
        """The picture as the tower sees it [1, 3, SIDE, SIDE]; decoded each time, as training does."""
        assert self.picture is not None
        with Image.open(io.BytesIO(self.picture)) as opened:
            return preprocess(opened.convert("RGB"), Preprocessing(SIDE, PATCH, mode="pad"))[0]

    def hash(self) -> str:
        assert self.picture is not None
        return hashlib.sha256(self.picture).hexdigest()


def draw(count: int, seed: int) -> list[Sample]:
    """The same samples for the same numbers; each part as often as its share says, as nearly as whole samples can."""
    rng = random.Random(seed)
    whole = sum(part.weight for part in MIX)
    # Equal steps through the shares, so that few samples are as mixed as many.
    marks = [(at + 0.5) * whole / count for at in range(count)]
    parts = [next(p for n, p in enumerate(MIX) if mark < sum(q.weight for q in MIX[: n + 1])) for mark in marks]
    rng.shuffle(parts)
    return [_sample(part, rng) for part in parts]


def _sample(part: Part, rng: random.Random) -> Sample:
    def words(count: int) -> list[int]:
        return [rng.randrange(3, VOCABULARY - 1) for _ in range(count)]

    ids = words(SYSTEM) + [-1] * (PICTURE_TOKENS if part.picture else 0)
    labels = [IGNORE] * len(ids)
    for _ in range(rng.randint(*part.turns)):
        asked, answered = words(rng.randint(*part.asked)), words(rng.randint(*part.answered))
        ids += asked + answered
        labels += [IGNORE] * len(asked) + answered
    return Sample(ids[:LONGEST], labels[:LONGEST], _picture(rng.randrange(2**31)) if part.picture else None)


def _picture(seed: int) -> bytes:
    """Soft spots of colour, as large as a photograph on disk."""
    spots = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(spots).resize((480, 360), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def summary(samples: list[Sample]) -> dict[str, float]:
    """What there is to say about their lengths."""
    lengths = sorted(len(sample.ids) for sample in samples)
    supervised = sum(label != IGNORE for sample in samples for label in sample.labels)
    return {
        "samples": len(samples),
        "with_picture": sum(sample.picture is not None for sample in samples),
        "shortest": lengths[0],
        "median": lengths[len(lengths) // 2],
        "mean": round(sum(lengths) / len(lengths)),
        "longest": lengths[-1],
        "supervised_share": round(supervised / sum(lengths), 3),
    }
