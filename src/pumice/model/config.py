"""The numbers that define a model: frozen values, checked when made, stored with the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pumice.errors import ModelError

Tower: TypeAlias = Literal["clip", "siglip"]
Activation: TypeAlias = Literal["quick_gelu", "gelu", "gelu_tanh"]
Feature: TypeAlias = Literal["patch", "cls_patch"]
ConnectorKind: TypeAlias = Literal["linear", "mlp", "identity"]


MOST_LAYERS = 1000
MOST_DEPTH = 16  # of a projector


def _require_positive(owner: str, **values: int | float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ModelError(f"{owner}: {name} must be above 0, found {value}")
        if name == "layers" and value > MOST_LAYERS:
            raise ModelError(f"{owner}: at most {MOST_LAYERS} layers are supported, found {value}")


@dataclass(frozen=True)
class VisionConfig:
    """A CLIP (Radford et al. 2021, section 2.4) or SigLIP (Zhai et al. 2023) vision tower.

    kind: SigLIP has no class token and no norm before the first layer, and its patches have a bias.
    layers: transformer layers in the checkpoint. select_layer: which hidden state is read, as LLaVA counts them:
    0 is the embedding, ``layers`` or -1 the last layer's output, -2 the one before. Layers past it are never built.
    select_feature: ``patch`` drops the class token if there is one, ``cls_patch`` keeps it in front.
    """

    image_size: int
    patch_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kind: Tower = "clip"
    activation: Activation = "quick_gelu"
    norm_eps: float = 1e-5
    select_layer: int = -2
    select_feature: Feature = "patch"

    def __post_init__(self) -> None:
        _require_positive(
            "vision tower",
            image_size=self.image_size,
            patch_size=self.patch_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            layers=self.layers,
            heads=self.heads,
        )
        if self.hidden_size % self.heads:
            raise ModelError(f"vision tower: hidden size {self.hidden_size} is not a multiple of {self.heads} heads")
        if self.kind not in ("clip", "siglip"):
            raise ModelError(f"vision tower: kind must be clip or siglip, found {self.kind!r}")
        if self.activation not in ("quick_gelu", "gelu", "gelu_tanh"):
            raise ModelError(
                f"vision tower: activation must be quick_gelu, gelu or gelu_tanh, found {self.activation!r}"
            )
        if self.select_feature not in ("patch", "cls_patch"):
            raise ModelError(f"vision tower: feature must be patch or cls_patch, found {self.select_feature!r}")
        if self.kind == "siglip" and self.select_feature == "cls_patch":
            raise ModelError("vision tower: SigLIP has no class token to be kept, found select_feature cls_patch")
        if not -self.layers - 1 <= self.select_layer <= self.layers:
            raise ModelError(f"vision tower: select layer {self.select_layer} is outside its {self.layers} layers")

    @property
    def side(self) -> int:
        """Patches along one side."""
        return self.image_size // self.patch_size

    @property
    def has_class_token(self) -> bool:
        """Whether a class token runs along with the patches, in front of them."""
        return self.kind == "clip"

    @property
    def used_layers(self) -> int:
        """How many layers must run for the selected hidden state."""
        return self.select_layer if self.select_layer >= 0 else self.layers + 1 + self.select_layer


@dataclass(frozen=True)
class ConnectorConfig:
    """From vision features to word embeddings. ``mlp`` with depth N is LLaVA's ``mlpNx_gelu``."""

    kind: ConnectorKind = "mlp"
    depth: int = 2

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "mlp", "identity"):
            raise ModelError(f"projector must be linear, mlp or identity, found {self.kind!r}")
        if not 1 <= self.depth <= MOST_DEPTH:
            raise ModelError(f"projector depth must be 1 to {MOST_DEPTH}, found {self.depth}")


@dataclass(frozen=True)
class RopeScaling:
    """Stretched rotary positions.

    ``linear`` divides positions by ``factor``. ``llama3`` leaves high frequencies alone, divides low ones by
    ``factor`` and blends between (Llama 3.1), with wavelengths counted against ``original_max_positions``.
    """

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_positions: int = 8192

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "llama3"):
            raise ModelError(f"rope scaling must be linear or llama3, found {self.kind!r}")
        if self.factor < 1:
            raise ModelError(f"rope scaling factor must be at least 1, found {self.factor}")
        if self.kind == "llama3" and self.high_freq_factor <= self.low_freq_factor:
            raise ModelError("rope scaling: the high frequency factor must exceed the low one")


@dataclass(frozen=True)
class LanguageConfig:
    """A LLaMA-shaped decoder: Vicuna, Llama 2 and 3, Mistral, Yi and Qwen2 differ only in these values.

    qkv_bias: queries, keys and values have biases (Qwen2).
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    max_positions: int = 4096
    sliding_window: int | None = None
    tied_embeddings: bool = False
    qkv_bias: bool = False

    def __post_init__(self) -> None:
        _require_positive(
            "language model",
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            max_positions=self.max_positions,
        )
        if self.heads % self.kv_heads:
            raise ModelError(f"language model: {self.heads} heads cannot share {self.kv_heads} key/value heads evenly")
        if self.head_dim % 2:
            raise ModelError(f"language model: rotary positions need an even head size, found {self.head_dim}")


@dataclass(frozen=True)
class LlavaConfig:
    """The whole model. Without ``vision`` it is a text-only language model."""

    language: LanguageConfig
    vision: VisionConfig | None = None
    connector: ConnectorConfig | None = None
    has_newline: bool = False

    def __post_init__(self) -> None:
        if (self.vision is None) != (self.connector is None):
            raise ModelError("a vision tower and a projector come together: found only one of them")
        if self.has_newline and self.vision is None:
            raise ModelError("image_newline needs a vision tower, found none")
