"""What was learned beside a base model, in the original LLaVA's LoRA layout: its loader, PEFT and ours read it.

``adapter_model.safetensors`` holds the factors, ``non_lora_trainables.bin`` the projector and whatever else learned,
``vision_tower`` the tower, and ``config.json`` says how they belong together. Only the base model is not there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from pumice.checkpoint.convert import Options, with_whole_tower, write_tower
from pumice.checkpoint.files import LazyTensor
from pumice.checkpoint.foreign import original_json
from pumice.checkpoint.load import expected_shapes
from pumice.checkpoint.lora import CONFIG
from pumice.checkpoint.names import Layout, original_layout
from pumice.checkpoint.save import describe, stored
from pumice.checkpoint.sources import EXTRAS_FILE, Source
from pumice.checkpoint.writing import fresh_folder, save_pickle, save_tensors, write_json
from pumice.model.llava import Llava
from pumice.model.lora import Lora, LoraLinear, adapters
from pumice.processor import Processor
from pumice.prompts.tokenizer import save_tokenizer

WEIGHTS = "adapter_model.safetensors"
_WRAPPER = "base_model.model."  # PEFT's, around the model whose layers it adapts


def save_adapter(model: Llava, processor: Processor, folder: str | Path, *, base: str, overwrite: bool = False) -> None:
    """Write what ``model`` has learned in adapters and beside them, whole or not at all; ``load_checkpoint`` reads it.

    base: folder or hub name of what it was loaded from. Beside the projector, which is always stored, what has learned
    is what asks for gradients.

    Raises:
        ModelError: the folder cannot be written.
        UsageError: it exists and ``overwrite`` is not set.
    """
    adapted = adapters(model)
    assert adapted, "there is nothing to save without adapters"
    tensors = _plain_tensors(model)
    source = with_whole_tower(Source("LoRA", describe(model.config, processor), tensors, processor.tokenizer))
    layout = original_layout(None if model.config.connector is None else model.config.connector.kind)
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    extras = [name for name in tensors if _stands_beside(name) or name in learned]
    changed = any(name.startswith("vision.") for name in (*adapted, *extras))
    with fresh_folder(Path(folder), overwrite=overwrite) as work:
        config = original_json(source.description)
        if "unfreeze_mm_vision_tower" in config:
            config["unfreeze_mm_vision_tower"] = changed  # else the original reads the tower after all the rest
        write_json(work / "config.json", config)
        write_tower(source, work, Options())
        if extras:
            renamed = ((_WRAPPER + _named(layout, name), tensors[name].read()) for name in extras)
            save_pickle(work / EXTRAS_FILE, dict(stored(renamed, None)))
        save_tensors(work / WEIGHTS, dict(stored(_factors(adapted, layout), None)))
        write_json(work / CONFIG, _config_json(adapted, layout, base, alone=not changed))
        save_tokenizer(processor.tokenizer, work)


def _plain_tensors(model: Llava) -> dict[str, LazyTensor]:
    """The tensors of the model that the adapters were put on; integers as what they stand for."""
    shapes = expected_shapes(model.config)
    return {name: LazyTensor(shape, model.dtype, partial(_read, model, name), "") for name, shape in shapes.items()}


def _read(model: Llava, name: str) -> Tensor:
    path, _, own = name.rpartition(".")
    owner: nn.Module = model.get_submodule(path)
    value = getattr(owner.base if isinstance(owner, LoraLinear) else owner, own)
    assert isinstance(value, Tensor)
    return value.contiguous()


def _stands_beside(name: str) -> bool:
    """Whether a tensor is stored though it may not have learned: language models have no projector."""
    return name.startswith("connector.") or name == "image_newline"


def _named(layout: Layout, name: str) -> str:
    theirs = layout.theirs(name)
    assert theirs is not None, f"the original's layout has no place for {name}"
    return theirs


def _module(layout: Layout, name: str) -> str:
    """What the original calls a linear layer."""
    return _named(layout, f"{name}.weight").removesuffix(".weight")


def _factors(adapted: Mapping[str, LoraLinear], layout: Layout) -> Iterator[tuple[str, Tensor]]:
    for name, layer in adapted.items():
        for letter, factor in (("A", layer.lora_a), ("B", layer.lora_b)):
            yield f"{_WRAPPER}{_module(layout, name)}.lora_{letter}.weight", factor.contiguous()


def _config_json(adapted: Mapping[str, LoraLinear], layout: Layout, base: str, *, alone: bool) -> dict[str, object]:
    """PEFT's config: what most layers have in common, and the others by their names.

    alone: no other linear layers than the adapted ones will be there, so that the ends of their names tell them.
    """
    modules = {_module(layout, name): layer.how for name, layer in adapted.items()}
    most = Counter(modules.values()).most_common(1)[0][0]
    short = alone and all(name.startswith("language.") for name in adapted)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": most.rank,
        "lora_alpha": _alpha(most),
        "lora_dropout": most.dropout,
        "rank_pattern": {name: how.rank for name, how in modules.items() if how.rank != most.rank},
        "alpha_pattern": {name: _alpha(how) for name, how in modules.items() if how.alpha != most.alpha},
        "target_modules": sorted({name.rpartition(".")[2] for name in modules} if short else modules),
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "modules_to_save": None,
        "inference_mode": True,
    }


def _alpha(how: Lora) -> float:
    """A whole number where it is one: PEFT's own are."""
    return int(how.alpha) if how.alpha == int(how.alpha) else how.alpha
