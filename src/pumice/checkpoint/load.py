"""A checkpoint folder -> a model that can answer. Strict: every tensor has its place, and every place its tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from pumice.checkpoint.description import Description
from pumice.checkpoint.files import LazyTensor
from pumice.checkpoint.hollow import hollow
from pumice.checkpoint.memory import allocation_errors, require_memory
from pumice.checkpoint.names import check_tensors
from pumice.checkpoint.sources import Source, open_checkpoint
from pumice.checkpoint.stored import WEIGHT, layer_read, planned_layers, shapes_on_disk
from pumice.errors import ModelError
from pumice.model.config import LlavaConfig
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.prompts.templates import get_template
from pumice.prompts.tokenizer import Tokenizer
from pumice.quantize.plan import LayerPlan, Plan
from pumice.quantize.swap import quantize_layers
from pumice.quantize.wide import widen_layers

EMBEDDINGS = "language.embed_tokens.weight"

#: Chooses a number format once the stored one and the number of weights are known.
DtypeRule: TypeAlias = Callable[[torch.dtype, int], torch.dtype]


@dataclass(frozen=True)
class Arithmetic:
    """plan: layers that become integers. wider: what the others compute in if that is wider than their weights.

    frozen: layers that become integers which let gradients through, for training. A checkpoint that is quantised
    already keeps its own plan.
    """

    plan: Plan | None = None
    wider: torch.dtype | None = None
    frozen: LayerPlan | None = None


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, what its checkpoint says about it, and its tokenizer if the folder has one."""

    model: Llava
    description: Description
    tokenizer: Tokenizer | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A model and its own way to read."""

    model: Llava
    processor: Processor
    description: Description
    warnings: tuple[str, ...] = ()


def load_model(
    path: str | Path,
    *,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
    dtype: torch.dtype | DtypeRule | None = None,
    device: str | torch.device = "cpu",
    offline: bool = False,
    how: Arithmetic = Arithmetic(),
) -> LoadedModel:
    """Load any supported checkpoint.

    path, base, vision_tower, offline: see ``open_checkpoint``. dtype: of all weights; None keeps the one in which
    the language model is stored. On the CPU and in the stored type weights stay memory-mapped: nothing is copied.
    how: layers that become integers while they are loaded, dtype is for the rest; and what those compute in.

    Raises:
        ModelError: the checkpoint is absent, incomplete, damaged or unsupported. MemoryLimitError: it does not fit.
    """
    source = open_checkpoint(path, base=base, vision_tower=vision_tower, offline=offline)
    model = build(source, str(path), dtype=dtype, device=torch.device(device), how=how)
    return LoadedModel(model, source.description, source.tokenizer, (*source.warnings, *source.doubts))


@dataclass(frozen=True)
class Guess:
    """The template to take only where the checkpoint does not tell its own."""

    name: str


def load_checkpoint(
    path: str | Path,
    *,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
    dtype: torch.dtype | DtypeRule | None = None,
    device: str | torch.device = "cpu",
    template: str | Guess | None = None,
    offline: bool = False,
    how: Arithmetic = Arithmetic(),
) -> Checkpoint:
    """``load_model`` with the processor that belongs to it.

    template: in place of the checkpoint's own, or a ``Guess``.

    Raises:
        ModelError, MemoryLimitError: as ``load_model``; also if there is no tokenizer. UsageError: unknown template.
    """
    name = template.name if isinstance(template, Guess) else template
    asked = None if name is None else get_template(name).name
    source = open_checkpoint(path, base=base, vision_tower=vision_tower, offline=offline)
    own = source.description.template
    chosen = own if asked is None or (isinstance(template, Guess) and not source.guessed) else asked
    description = replace(source.description, template=chosen)
    warnings = (*source.warnings, *(source.doubts if chosen == own else ()))
    if chosen != own and not source.guessed:
        warnings = (*warnings, f"template {chosen} in place of the checkpoint's own {own}")
    processor = processor_of(source, chosen, str(path))
    model = build(source, str(path), dtype=dtype, device=torch.device(device), how=how)
    return Checkpoint(model, processor, description, warnings)


def load_processor(
    path: str | Path, *, template: str | None = None, offline: bool = False
) -> tuple[Processor, Description]:
    """A checkpoint's own way to read, without weights, and what it says of itself. Raises as ``load_checkpoint``."""
    source = open_checkpoint(path, offline=offline)
    return processor_of(source, template or source.description.template, str(path)), source.description


def processor_of(source: Source, template: str, name: str) -> Processor:
    if source.tokenizer is None:
        raise ModelError(
            f"{name} has no tokenizer: expected tokenizer.json or tokenizer.model",
            hint="copy the tokenizer files of its language model into the folder",
        )
    _check_vocabulary(source, source.tokenizer, name)
    description = source.description
    return Processor(source.tokenizer, get_template(template), description.preprocessing, description.image_wrap)


def build(
    source: Source,
    name: str,
    *,
    dtype: torch.dtype | DtypeRule | None,
    device: torch.device,
    how: Arithmetic = Arithmetic(),
) -> Llava:
    """The model of an opened checkpoint, in evaluation mode. ``name`` is for messages. Raises as ``load_model``."""
    config, own = source.description.model, source.description.quantization
    plan: LayerPlan | None = _agreed(how.plan, own, name) or how.frozen
    expected = expected_shapes(config)
    layers = {} if plan is None else planned_layers(expected, plan)
    tensors = needed_tensors(source.tensors, config)
    on_disk = expected if own is None else shapes_on_disk(expected, layers)
    check_tensors(on_disk, {each: tensor.shape for each, tensor in tensors.items()}, name)
    plain = {each: tensors[each] for each in expected if each.removesuffix(WEIGHT) not in layers}
    stored, count = tensors["language.norm.weight"].dtype, sum(tensor.size for tensor in plain.values())
    if not isinstance(dtype, torch.dtype):
        # Beside integers the rest is small: it stays as it is, in the file.
        as_stored = dtype is None or (bool(layers) and device.type == "cpu")
        dtype = stored if as_stored or dtype is None else dtype(stored, count)
    integers = sum(each.nbytes(expected[layer + WEIGHT]) for layer, each in layers.items())
    require_memory(count * dtype.itemsize + integers, device, name)
    with hollow():
        model = Llava(config)
        quantized = {} if plan is None else quantize_layers(model, plan, frozen=how.frozen is not None)
        narrow = _widened(model, dtype, how.wider)
    wide = how.wider if narrow and how.wider is not None else dtype
    with allocation_errors(f"loading {name}"):
        state = {each: _placed(tensor, dtype if each in narrow else wide, device) for each, tensor in plain.items()}
        model.load_state_dict(state, strict=True, assign=True)
        for layer, module in quantized.items():
            with layer_read(tensors, layer, layers[layer]) as grouped:
                module.fill(grouped, device)
    return model.eval()


def _widened(model: Llava, dtype: torch.dtype, wider: torch.dtype | None) -> set[str]:
    """The tensors that stay in ``dtype`` while ``model`` computes in ``wider``; none if that is not wider.

    Of the embeddings only rows are read, so they need no width either.
    """
    if wider is None or wider.itemsize <= dtype.itemsize:
        return set()
    return widen_layers(model) | {EMBEDDINGS}


def _agreed(wanted: Plan | None, own: Plan | None, name: str) -> Plan | None:
    """The plan to follow: that of the folder, if it has one."""
    if wanted is not None and own is not None and wanted.language.bits != own.language.bits:
        raise ModelError(
            f"{name} is quantized already, with {own.language.bits} bits",
            hint="load it without --4bit and --8bit, or quantize the checkpoint that it was made from",
        )
    return own or wanted


def expected_shapes(config: LlavaConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model's tensors, without building it."""
    with hollow():
        model = Llava(config)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def needed_tensors(tensors: Mapping[str, LazyTensor], config: LlavaConfig) -> dict[str, LazyTensor]:
    """Without the parts of a vision tower behind the layer that is read, which the model does not have."""
    used = 0 if config.vision is None else config.vision.used_layers
    return {name: tensor for name, tensor in tensors.items() if not is_unread(name, used)}


def is_unread(name: str, used_layers: int) -> bool:
    """Whether a tensor belongs to a vision layer from ``used_layers`` on, or to the final norm behind them."""
    if name.startswith("vision.post_norm."):
        return True
    return name.startswith("vision.layers.") and int(name.split(".")[2]) >= used_layers


def _placed(tensor: LazyTensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return tensor.read().to(device=device, dtype=dtype)


def _check_vocabulary(source: Source, tokenizer: Tokenizer, name: str) -> None:
    """Ids without an embedding are harmless only where they are special tokens that nobody asks for."""
    rows = source.description.model.language.vocab_size
    wrap = [tokenizer.special_id(text) for text in source.description.image_wrap or ()]
    needed = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.unk_id, *wrap} - {None}
    beyond = set(range(rows, tokenizer.size))
    if beyond - set(tokenizer.specials.values()) or beyond & needed:
        raise ModelError(
            f"{name}: the tokenizer has ids up to {tokenizer.size - 1}, the model embeddings for {rows}",
            hint="the tokenizer belongs to another model; use the one the model was trained with",
        )
    for text in source.description.image_wrap or ():
        if tokenizer.special_id(text) is None:
            raise ModelError(
                f"{name}: the model puts {text} around pictures, but its tokenizer does not know it",
                hint="use the tokenizer that was saved with the model",
            )
