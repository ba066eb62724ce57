"""What every layout calls the tensors, as tables that are read both ways.

A table is a list of pairs (foreign name, our name); ``{i}`` stands for a number. Aliases are further pairs that are
only read. A name in no table is an error, unless it is listed as known and dropped.
Sources: the state dictionaries of LLaVA 1.2.2 and of transformers 4 and 5 (reference of the formats).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias

from pumice.checkpoint.files import shape_text, shortened
from pumice.errors import ModelError
from pumice.model.config import ConnectorKind

Pairs: TypeAlias = tuple[tuple[str, str], ...]

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
_EITHER = ("weight", "bias")

LANGUAGE: Pairs = (
    ("embed_tokens.weight", "embed_tokens.weight"),
    *(
        (f"layers.{{i}}.{name}.weight", f"layers.{{i}}.{name}.weight")
        for name in (
            *(f"self_attn.{part}_proj" for part in "qkvo"),
            *(f"mlp.{part}_proj" for part in ("gate", "up", "down")),
            "input_layernorm",
            "post_attention_layernorm",
        )
    ),
    *((f"layers.{{i}}.self_attn.{part}_proj.bias",) * 2 for part in "qkv"),  # Qwen2
    ("norm.weight", "norm.weight"),
)
HEAD: Pairs = (("lm_head.weight", "lm_head.weight"),)
VISION: Pairs = (
    ("embeddings.class_embedding", "class_embedding"),
    *((f"embeddings.patch_embedding.{part}", f"patch_embedding.{part}") for part in _EITHER),  # a bias: SigLIP
    ("embeddings.position_embedding.weight", "position_embedding.weight"),
    *((f"pre_layrnorm.{part}", f"pre_norm.{part}") for part in _EITHER),  # the misspelling is CLIP's own
    *(
        (f"encoder.layers.{{i}}.{name}.{part}", f"layers.{{i}}.{name}.{part}")
        for name in (
            *(f"self_attn.{each}_proj" for each in ("q", "k", "v", "out")),
            "mlp.fc1",
            "mlp.fc2",
            "layer_norm1",
            "layer_norm2",
        )
        for part in _EITHER
    ),
    *((f"post_layernorm.{part}", f"post_norm.{part}") for part in _EITHER),
)
STAGES: Pairs = tuple((f"{{i}}.{part}", f"layers.{{i}}.{part}") for part in _EITHER)
ONE_STAGE: Pairs = tuple((part, f"layers.0.{part}") for part in _EITHER)
TWO_STAGES: Pairs = tuple(
    (f"linear_{number}.{part}", f"layers.{stage}.{part}") for number, stage in ((1, 0), (2, 2)) for part in _EITHER
)

ALWAYS_DROPPED = ("*rotary_emb.inv_freq", "*embeddings.position_ids")
_POOLING = ("probe", "attention.*", "layernorm.*", "mlp.*")  # SigLIP's head, which gives one feature for a picture


def _pooling(*towers: str) -> tuple[str, ...]:
    return tuple(f"{tower}head.{part}" for tower in towers for part in _POOLING)


def _under(pairs: Pairs, theirs: str, ours: str) -> Pairs:
    return tuple((theirs + foreign, ours + own) for foreign, own in pairs)


@dataclass(frozen=True)
class Layout:
    """One way of naming tensors.

    pairs: read and written. aliases: other spellings that are read. dropped: shell patterns of names that are known
    and not needed.
    """

    title: str
    pairs: Pairs
    aliases: Pairs = ()
    dropped: tuple[str, ...] = ()
    _read: dict[str, str] = field(init=False, repr=False, compare=False)
    _write: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_read", dict((*self.aliases, *self.pairs)))
        object.__setattr__(self, "_write", {ours: theirs for theirs, ours in self.pairs})

    def ours(self, name: str) -> str | None:
        """Our name for a foreign one, None if the layout does not know it."""
        return _look_up(self._read, name)

    def theirs(self, name: str) -> str | None:
        """The foreign name for ours, None if the layout has no place for it."""
        return _look_up(self._write, name)

    def drops(self, name: str) -> bool:
        """Whether a foreign name is known and not needed."""
        return any(fnmatchcase(name, pattern) for pattern in (*ALWAYS_DROPPED, *self.dropped))


_OUR_PAIRS: Pairs = (
    *((f"language.{ours}", f"language.{ours}") for _, ours in (*LANGUAGE, *HEAD)),
    *((f"vision.{ours}", f"vision.{ours}") for _, ours in VISION),
    *((f"connector.{ours}", f"connector.{ours}") for _, ours in STAGES),
    ("image_newline", "image_newline"),
)
_PLAIN: Pairs = (*_under(LANGUAGE, "model.", "language."), *_under(HEAD, "", "language."))

# Of quantised layers; see ``stored``.
_INTEGERS: Pairs = tuple(
    (f"{name.removesuffix('.weight')}.{part}",) * 2
    for name, _ in _OUR_PAIRS
    if name.endswith(".weight")
    for part in ("values", "scales")
)
PUMICE = Layout("Pumice", (*_OUR_PAIRS, *_INTEGERS))
LLAMA = Layout("LLaMA", _PLAIN)
TOWER = Layout(
    "vision tower",
    pairs=_under(VISION, "vision_model.", "vision."),
    aliases=_under(VISION, "", "vision."),  # CLIPVisionModel of transformers 5
    dropped=(
        *("text_model.*", "text_projection.weight", "visual_projection.weight", "logit_scale", "logit_bias"),
        *_pooling("vision_model.", ""),
    ),
)
LLAVA_HF = Layout(
    "llava-hf",
    pairs=(
        *_under(LANGUAGE, "language_model.model.", "language."),
        *_under(HEAD, "language_model.", "language."),
        *_under(VISION, "vision_tower.vision_model.", "vision."),
        *_under(TWO_STAGES, "multi_modal_projector.", "connector."),
        ("image_newline", "image_newline"),
    ),
    aliases=(
        # transformers >= 4.52 calls them so in memory, and some training code saves these names
        *_under(LANGUAGE, "model.language_model.", "language."),
        *_under(HEAD, "", "language."),
        *_under(VISION, "model.vision_tower.vision_model.", "vision."),
        *_under(TWO_STAGES, "model.multi_modal_projector.", "connector."),
        ("model.image_newline", "image_newline"),
        # transformers >= 5 leaves out vision_model
        *_under(VISION, "vision_tower.", "vision."),
        *_under(VISION, "model.vision_tower.", "vision."),
    ),
    dropped=_pooling(*(f"{model}vision_tower.{tower}" for model in ("", "model.") for tower in ("vision_model.", ""))),
)


def original_layout(connector: ConnectorKind | None = None) -> Layout:
    """LLaVA's own layout. A ``linear`` projector is a bare layer without a number in its name, others have numbers."""
    numbered, bare = (_under(stages, "model.mm_projector.", "connector.") for stages in (STAGES, ONE_STAGE))
    written, read = (bare, numbered) if connector == "linear" else (numbered, bare)
    return Layout(
        "LLaVA",
        pairs=(
            *_PLAIN,
            *written,
            ("model.image_newline", "image_newline"),
            *_under(VISION, "model.vision_tower.vision_tower.vision_model.", "vision."),
        ),
        aliases=(
            *read,
            *_under(VISION, "model.vision_tower.vision_tower.", "vision."),  # LLaVA upon transformers 5
        ),
        dropped=_pooling("model.vision_tower.vision_tower.vision_model.", "model.vision_tower.vision_tower."),
    )


def rename(names: Iterable[str], layout: Layout, origin: str) -> dict[str, str]:
    """Our name -> the foreign name, for every tensor that is not dropped.

    Raises:
        ModelError: a name is neither in the layout's table nor among its dropped ones, or two mean the same tensor.
    """
    renamed: dict[str, str] = {}
    unknown = []
    for name in names:
        ours = layout.ours(name)
        if ours is None:
            if not layout.drops(name):
                unknown.append(name)
        elif ours in renamed:
            raise ModelError(f"{origin}: {renamed[ours]} and {name} are the same tensor; expected one of them")
        else:
            renamed[ours] = name
    if unknown:
        raise ModelError(
            f"{origin}: {len(unknown)} tensors do not belong to a {layout.title} model: {shortened(sorted(unknown))}",
            hint="the checkpoint may be of a kind that Pumice does not support",
        )
    return renamed


def check_tensors(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], origin: str) -> None:
    """Compare names and shapes, ours on both sides.

    Raises:
        ModelError: tensors are missing, superfluous, or of another shape; the first kind that occurs is reported.
    """
    missing = sorted(expected.keys() - found.keys())
    if missing:
        raise ModelError(
            f"{origin}: {len(missing)} of {len(expected)} tensors are missing: {shortened(missing)}",
            hint="the checkpoint is incomplete, or its config describes another model",
        )
    extra = sorted(found.keys() - expected.keys())
    if extra:
        raise ModelError(
            f"{origin}: {len(extra)} tensors have no place in the model that its config describes: {shortened(extra)}",
            hint="the config and the weights do not belong together",
        )
    for name in sorted(expected):
        if expected[name] != found[name]:
            raise ModelError(
                f"{origin}: {name} must have the shape {shape_text(expected[name])}, found {shape_text(found[name])}",
                hint="the config and the weights do not belong together",
            )


def _look_up(table: Mapping[str, str], name: str) -> str | None:
    if name in table:
        return table[name]
    numbers = _NUMBER.findall(name)
    if len(numbers) != 1:
        return None
    pattern = table.get(_NUMBER.sub("{i}", name))
    return None if pattern is None else pattern.replace("{i}", numbers[0])
