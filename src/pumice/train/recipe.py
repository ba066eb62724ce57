"""A training run as a value; ``recipe_file`` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pumice.images.config import Mode
from pumice.world.wording import QuestionKind

Part = Literal["vision", "connector", "language"]
#: Parts that are stacks of layers.
Tower = Literal["vision", "language"]
#: Whole numbers; without ``strict`` pydantic takes ``true`` for 1.
Count = Annotated[int, Field(strict=True, gt=0)]
Number = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class VisionShape(_Strict):
    """Numbers of a vision tower that starts from random weights; every layer is built and the last one read."""

    image_size: Count
    patch_size: Count
    hidden_size: Count
    intermediate_size: Count
    layers: Count
    heads: Count


class LanguageShape(_Strict):
    """Numbers of a language model that starts from random weights; embeddings are tied."""

    vocab_size: Count
    hidden_size: Count
    intermediate_size: Count
    layers: Count
    heads: Count
    kv_heads: Count


class Join(_Strict):
    """Two models that nobody has joined yet: folders or hub names of a LLaMA-shaped one and of a CLIP tower."""

    language: str
    vision: str


class Start(_Strict):
    """Where the weights come from: a finished ``folder`` (or hub name), two models to ``join`` by a new projector, or
    ``vision`` and ``language`` shapes to draw at random.

    pictures: how they are cut, in place of the folder's own way; of joined models ``pad`` is that. tower: a vision
    tower that stage 0 has made, in place of a random one. projector: of joined or random models, ``linear`` or ``mlp``.
    """

    folder: Path | None = None
    join: Join | None = None
    pictures: Mode | None = None
    tower: Path | None = None
    vision: VisionShape | None = None
    language: LanguageShape | None = None
    projector: Literal["linear", "mlp"] = "mlp"


class LoraShape(_Strict):
    """Adapters on all linear layers of a part but the head: ``alpha / rank`` times what they have learned is added."""

    rank: Count
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Integers(_Strict):
    """Weights below adapters, as integers of so many bits; so many in a row share a scale."""

    bits: Literal[4, 8] = 4
    group: Literal[32, 64, 128] = 32


class WorldData(_Strict):
    """Scenes of the synthetic world, drawn while training: ``first`` to ``first + scenes``.

    task: ``patches`` is stage 0, the vision tower alone; ``caption`` is stage 1, up to ``captions`` of each scene;
    ``instruct`` is stage 2, up to ``questions`` questions about each scene, those of ``favoured`` kinds first. details,
    several_turns: the share of scenes that are also described in detail, and of those with a conversation of several
    turns. sizes: sides in pixels at which scenes are drawn, by chance, so that no one resampling is learned by heart.
    """

    task: Literal["patches", "caption", "instruct"]
    first: Number = 0
    scenes: Count
    captions: Count = 1
    questions: Count = 10
    favoured: tuple[QuestionKind, ...] = ()
    details: Share = 1.0
    several_turns: Share = 1.0
    sizes: tuple[Count, ...] = (160, 224, 288)


class GroundingData(_Strict):
    """Attention that is taught where to look: the first head of these ``layers``, counted from 0.

    weight: of its loss beside the words' loss.
    """

    layers: Annotated[tuple[Number, ...], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.3


class FileData(_Strict):
    """LLaVA JSON or JSONL with its folder of pictures.

    weight: its share of an epoch, in passes: of 0.5 another half in every epoch, of 2 everything twice. together: how
    many records about one picture share a row, each learned as if it stood alone; the picture is seen once for all.
    """

    records: Path
    images: Path
    together: Annotated[int, Field(ge=1, le=1000)] = 1
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)] = 1.0


def _listed(value: object) -> object:
    """One table stands for a list of one."""
    return [value] if isinstance(value, dict | FileData) else value


class HeldOut(_Strict):
    """Data that training does not see; every ``every`` steps and at the end the model is asked what it makes of it.

    rows: how many, the first ones. records, images: LLaVA JSON or JSONL with its pictures; without them scenes of the
    synthetic world, from number ``first`` of a sequence of their own. samples: how many of the first rows are also
    answered in words, ``tokens`` tokens at most.
    """

    every: Count = 100
    rows: Count = 64
    records: Path | None = None
    images: Path | None = None
    first: Number = 1_000_000
    samples: Number = 4
    tokens: Count = 48


class Recipe(_Strict):
    """One stage of training.

    template: how conversations are written. parts: the peak learning rate of each part that learns; others are frozen.
    files: one table, or a list of tables that are mixed by their weights.
    lora: parts of which adapters learn, and nothing else. quantize: those of them whose own weights become integers.
    grounding: attention that is taught as well. batch: rows a step. epochs: passes over the data. warmup: share of all
    steps with a rising rate; then a cosine falls to ``final_rate`` of the peak. average: how much of the
    weights' running average each step keeps; then the average is what is saved, 0 saves the weights themselves. dtype:
    what matrices are multiplied in; weights stay float32. max_tokens: records lose their last turns to fit; 0 is all
    that the model can read. held_out: what the model is tried on. trackers: other programs that get the figures.

    What follows changes speed and memory, not what is learned. micro: rows that go through the model at a time. pack:
    tokens instead, of rows that are joined without padding. recompute: of a tower that learns, how many layers are
    computed again in the backward pass and not remembered. compile: let torch compile what it can. keep_features: of
    pictures, on disk, for later epochs; the vision tower must be frozen. shard: each of several processes holds a share
    of the language model (FSDP2), not a copy.

    save_every: steps between resumable states, of which the last ``keep_states`` stay. log_every: steps between log
    lines. device: auto, cpu, mps or cuda. threads: of the processor, 0 is all. workers: processes that prepare batches,
    0 for none. peak_flops: operations a second that the machine could do at best, 0 to measure it.
    """

    output: Path
    start: Start
    template: str
    parts: dict[Part, Annotated[float, Field(gt=0, allow_inf_nan=False)]]
    lora: dict[Part, LoraShape] = Field(default_factory=dict)
    quantize: dict[Part, Integers] = Field(default_factory=dict)
    world: WorldData | None = None
    files: Annotated[tuple[FileData, ...], Field(min_length=1), BeforeValidator(_listed)] | None = None
    grounding: GroundingData | None = None
    batch: Count = 16
    epochs: Count = 1
    warmup: float = Field(default=0.03, ge=0, lt=1)
    final_rate: float = Field(default=0.0, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    beta2: float = Field(default=0.999, gt=0, lt=1)
    seed: Number = 0
    average: float = Field(default=0.0, ge=0, lt=1)
    dtype: Literal["float32", "bfloat16"] = "float32"
    max_tokens: Number = 0
    micro: Number = 0
    pack: Number = 0
    recompute: dict[Tower, Count] = {}
    compile: bool = False
    shard: bool = False
    keep_features: bool = False
    save_every: Count = 200
    keep_states: Count = 2
    log_every: Count = 10
    device: str = "auto"
    threads: Number = 0
    workers: Number = 1
    held_out: HeldOut | None = None
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    peak_flops: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
