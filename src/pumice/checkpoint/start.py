"""Where training starts: a language model and a vision tower, joined by a projector that has learned nothing yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pumice.checkpoint.description import Description
from pumice.checkpoint.fields import Fields
from pumice.checkpoint.files import LazyTensor
from pumice.checkpoint.folder import Folder, image_processor
from pumice.checkpoint.load import Arithmetic, LoadedModel, build, expected_shapes
from pumice.checkpoint.parts import colours, tower_fields, vision_config
from pumice.checkpoint.sources import Source, open_checkpoint, open_tower
from pumice.images.config import Mode, Preprocessing
from pumice.model.config import ConnectorConfig, Feature, LlavaConfig
from pumice.prompts.templates import get_template


@dataclass(frozen=True)
class Joint:
    """How language model and vision tower are put together; the defaults are LLaVA-1.5's.

    pinpoints: for mode ``anyres``, the mosaics as (width, height) in pixels. seed: of the projector's first values.
    """

    connector: ConnectorConfig = ConnectorConfig()  # noqa: RUF009, frozen
    select_layer: int = -2
    select_feature: Feature = "patch"
    mode: Mode = "pad"
    pinpoints: Sequence[tuple[int, int]] = ()
    seed: int = 0


def start_model(
    language: str | Path,
    vision: str | Path,
    joint: Joint | None = None,
    *,
    template: str | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    offline: bool = False,
    how: Arithmetic | None = None,
) -> LoadedModel:
    """Load both parts and make a random projector, the same one for the same seed.

    language: a LLaMA-shaped folder or hub name; of a LLaVA only the language part is taken. vision: a tower's folder or
    hub name. template: in place of the one that suits the language model. how: layers that become integers.

    Raises:
        ModelError: a part is absent, damaged or unsupported. MemoryLimitError: they do not fit. UsageError: unknown
            template.
    """
    source = join(language, vision, joint or Joint(), offline=offline)
    if template is not None:
        source = replace(source, description=replace(source.description, template=get_template(template).name))
    model = build(
        source, f"{language} with {vision}", dtype=dtype, device=torch.device(device), how=how or Arithmetic()
    )
    return LoadedModel(model, source.description, source.tokenizer)


def join(language: str | Path, vision: str | Path, joint: Joint, *, offline: bool = False) -> Source:
    """``start_model`` without reading a tensor."""
    base = open_checkpoint(language, offline=offline)
    path, raw, tower = open_tower(Folder(Path(), Fields({}, ""), offline=offline), vision)
    config = vision_config(tower_fields(raw), select_layer=joint.select_layer, select_feature=joint.select_feature)
    anyres = joint.mode == "anyres"
    mean, std = colours(image_processor(Folder(path, raw)), config)
    how = Preprocessing(
        image_size=config.image_size,
        patch_size=config.patch_size,
        mode=joint.mode,
        merge="spatial_unpad" if anyres else "flat",
        pinpoints=tuple(joint.pinpoints),
        mean=mean,
        std=std,
        keeps_cls=joint.select_feature == "cls_patch",
    )
    model = LlavaConfig(base.description.model.language, config, joint.connector, has_newline=anyres)
    description = Description(
        model=model,
        template=base.description.template,
        preprocessing=how,
        generation=base.description.generation,
        source=f"{base.description.source}; {path.name}; new projector, seed {joint.seed}",
    )
    words = {name: tensor for name, tensor in base.tensors.items() if name.startswith("language.")}
    return Source("start", description, {**words, **tower, **_new_tensors(model, joint.seed)}, base.tokenizer)


def _new_tensors(config: LlavaConfig, seed: int) -> dict[str, LazyTensor]:
    """Projector and newline, drawn as ``nn.Linear`` and LLaVA draw them, from a generator of their own."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: shape for name, shape in expected_shapes(config).items() if not name.startswith("language.")}
    shapes = {name: shape for name, shape in sorted(shapes.items()) if not name.startswith("vision.")}
    tensors = {}
    for name, shape in shapes.items():
        if name == "image_newline":
            value = torch.randn(shape, generator=generator) * shape[0] ** -0.5
        else:
            inputs = shapes[name.replace(".bias", ".weight")][1]
            value = (torch.rand(shape, generator=generator) * 2 - 1) * inputs**-0.5
        tensors[name] = _held(value)
    return tensors


def _held(value: Tensor) -> LazyTensor:
    return LazyTensor(tuple(value.shape), value.dtype, lambda: value, "new")
