"""One layout to another, tensor by tensor through the tables of ``names``; no model is ever built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from pumice.checkpoint import foreign
from pumice.checkpoint.description import write_description
from pumice.checkpoint.files import LazyTensor
from pumice.checkpoint.load import expected_shapes, is_unread, needed_tensors
from pumice.checkpoint.names import LLAVA_HF, PUMICE, TOWER, Layout, check_tensors, original_layout
from pumice.checkpoint.overlay import EMBEDDINGS, HEAD, resized
from pumice.checkpoint.save import stored
from pumice.checkpoint.sources import PROJECTOR_FILE, Source, open_checkpoint
from pumice.checkpoint.vocabulary import IMAGE, PAD, VIDEO, add_tokens, place_tokens
from pumice.checkpoint.writing import SHARD_BYTES, fresh_folder, save_pickle, save_shards, write_json
from pumice.errors import ModelError, UsageError
from pumice.model.config import VisionConfig
from pumice.prompts.templates import get_template
from pumice.prompts.tokenizer import save_tokenizer

Target: TypeAlias = Literal["pumice", "original", "llava-hf"]


@dataclass(frozen=True)
class Options:
    """dtype: for storage; None keeps each tensor's own. template: in place of the checkpoint's own.

    projector_file: with ``original``, also write ``mm_projector.bin``. overwrite: replace an existing folder.
    """

    dtype: torch.dtype | None = None
    template: str | None = None
    projector_file: bool = False
    overwrite: bool = False
    shard_bytes: int = SHARD_BYTES


def convert(
    source: str | Path,
    target: str | Path,
    to: Target,
    options: Options | None = None,
    *,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
    offline: bool = False,
) -> None:
    """Read any supported checkpoint and write it as ``to``. Adapters are merged, projectors joined with their base.

    Raises:
        ModelError: the source cannot be opened, the target layout has no place for it, or cannot be written.
        UsageError: an unknown layout or template, or the target exists.
    """
    options = options or Options()
    writer = WRITERS.get(to)
    if writer is None:
        raise UsageError(f"unknown layout {to!r}", hint=f"choose one of {', '.join(WRITERS)}")
    opened = open_checkpoint(source, base=base, vision_tower=vision_tower, offline=offline)
    if options.template is not None:
        name = get_template(options.template).name
        opened = replace(opened, description=replace(opened.description, template=name))
    if opened.description.quantization is not None:
        raise ModelError(f"{source} is quantized", hint="convert the checkpoint that it was made from")
    model = opened.description.model
    found = {name: tensor.shape for name, tensor in needed_tensors(opened.tensors, model).items()}
    check_tensors(expected_shapes(model), found, str(source))
    with fresh_folder(Path(target), overwrite=options.overwrite) as folder:
        writer(opened, folder, options)


def write_pumice(source: Source, folder: Path, options: Options) -> None:
    """Our own layout."""
    _write_tensors(folder, source.tensors, PUMICE, options)
    write_description(folder, source.description)
    if source.tokenizer is not None:
        save_tokenizer(source.tokenizer, folder)


def write_original(source: Source, folder: Path, options: Options) -> None:
    """LLaVA's layout with the tower inside.

    The tower stands a second time in a folder of its own: the original builds it from there, by a path that it
    resolves from the current directory, before it reads the checkpoint's tensors.
    """
    source = _read_as_originals(with_whole_tower(source))
    description = source.description
    connector = description.model.connector
    layout = original_layout(None if connector is None else connector.kind)
    _write_tensors(folder, source.tensors, layout, options)
    write_json(folder / "config.json", foreign.original_json(description))
    write_json(folder / "generation_config.json", foreign.generation_json(description, source.tokenizer))
    if source.tokenizer is not None:
        save_tokenizer(source.tokenizer, folder)
    write_tower(source, folder, options)
    if options.projector_file:
        connectors = {name: tensor for name, tensor in source.tensors.items() if name.startswith("connector.")}
        save_pickle(folder / PROJECTOR_FILE, dict(_streamed(connectors, layout, options)))


def write_tower(source: Source, folder: Path, options: Options) -> None:
    """The vision tower as a folder of its own inside ``folder``; nothing for a model without one."""
    vision, how = source.description.model.vision, source.description.preprocessing
    if vision is None or how is None:
        return
    tower = folder / foreign.TOWER_FOLDER
    tower.mkdir()
    seen = {name: tensor for name, tensor in source.tensors.items() if name.startswith("vision.")}
    _write_tensors(tower, seen, TOWER, options)
    name = "SiglipVisionModel" if vision.kind == "siglip" else "CLIPVisionModel"
    write_json(tower / "config.json", {"architectures": [name], **foreign.tower_json(vision)})
    write_json(tower / "preprocessor_config.json", foreign.tower_processor_json(how, vision))


def write_llava_hf(source: Source, folder: Path, options: Options) -> None:
    """transformers' layout. Its pictures stand at a token of their own, so the vocabulary may grow by a few rows.

    New rows are the mean of the others: they are never read as input and should not be chosen as output.
    """
    if source.description.image_wrap is not None:
        before, behind = source.description.image_wrap
        raise ModelError(
            f"this model puts {before} and {behind} around pictures, and llava-hf has no field for that",
            hint="convert it to pumice or original instead",
        )
    source = with_whole_tower(source)
    how, vision = source.description.preprocessing, source.description.model.vision
    # OneVision's own processor asks for a token of films, too.
    names = (IMAGE, PAD) if how is None or how.most_tiles is None else (IMAGE, VIDEO, PAD)
    ids, rows = place_tokens(source.tokenizer, source.description.model.language.vocab_size, names)
    source = _with_rows(source, rows)
    description = source.description
    config = foreign.llava_hf_json(description, image_id=ids[IMAGE], video_id=ids.get(VIDEO), pad_id=ids[PAD])
    assert how is not None and vision is not None, "llava_hf_json refuses models without pictures"
    write_json(folder / "config.json", config)
    generation = foreign.generation_json(description, source.tokenizer)
    write_json(folder / "generation_config.json", {**generation, "pad_token_id": ids[PAD]})
    write_json(folder / "preprocessor_config.json", foreign.image_processor_json(how))
    write_json(folder / "processor_config.json", foreign.processor_json(how, vision))
    if source.tokenizer is not None:
        save_tokenizer(source.tokenizer, folder)
        add_tokens(folder, ids)
    _write_tensors(folder, source.tensors, LLAVA_HF, options)


WRITERS: Mapping[str, Callable[[Source, Path, Options], None]] = {
    "pumice": write_pumice,
    "original": write_original,
    "llava-hf": write_llava_hf,
}


def with_whole_tower(source: Source) -> Source:
    """A source whose vision tower other programs can load.

    Where layers behind the one that is read are missing, the tower is declared to end there; a missing final norm,
    which nobody reads, becomes one that changes nothing.
    """
    vision = source.description.model.vision
    if vision is None:
        return source
    tensors = dict(source.tensors)
    if not all(f"vision.layers.{index}.mlp.fc1.weight" in tensors for index in range(vision.layers)):
        if vision.used_layers == 0:
            raise ModelError("a vision tower of which no layer is read and stored cannot be exported")
        tensors = {name: tensor for name, tensor in tensors.items() if not is_unread(name, vision.used_layers)}
        vision = replace(vision, layers=vision.used_layers, select_layer=-1)
    for part, value in (("weight", 1.0), ("bias", 0.0)):
        tensors.setdefault(f"vision.post_norm.{part}", _constant(vision, value, tensors))
    model = replace(source.description.model, vision=vision)
    return replace(source, description=replace(source.description, model=model), tensors=tensors)


def _read_as_originals(source: Source) -> Source:
    """LLaVA's own code reads a SigLIP tower before its last layer, so one is declared behind what is read; it may be
    absent, for it is deleted as soon as it is built."""
    vision = source.description.model.vision
    if vision is None or vision.kind != "siglip":
        return source
    layers = vision.used_layers + 1
    tensors = {
        name: each
        for name, each in source.tensors.items()
        if name.startswith("vision.post_norm.") or not is_unread(name, layers)
    }
    vision = replace(vision, layers=layers, select_layer=-2)
    model = replace(source.description.model, vision=vision)
    return replace(source, description=replace(source.description, model=model), tensors=tensors)


def _with_rows(source: Source, rows: int) -> Source:
    model = source.description.model
    tensors = dict(source.tensors)
    for name in (EMBEDDINGS, HEAD):
        if name in tensors:
            tensors[name] = resized(tensors[name], rows)
    model = replace(model, language=replace(model.language, vocab_size=rows))
    return replace(source, description=replace(source.description, model=model), tensors=tensors)


def _constant(vision: VisionConfig, value: float, tensors: Mapping[str, LazyTensor]) -> LazyTensor:
    dtype = tensors["vision.patch_embedding.weight"].dtype
    return LazyTensor((vision.hidden_size,), dtype, lambda: torch.full((vision.hidden_size,), value, dtype=dtype), "")


def _write_tensors(folder: Path, tensors: Mapping[str, LazyTensor], layout: Layout, options: Options) -> None:
    save_shards(folder, _streamed(tensors, layout, options), shard_bytes=options.shard_bytes)


def _streamed(tensors: Mapping[str, LazyTensor], layout: Layout, options: Options) -> Iterator[tuple[str, Tensor]]:
    renamed = {name: layout.theirs(name) for name in tensors}
    homeless = sorted(name for name, theirs in renamed.items() if theirs is None)
    if homeless:
        raise ModelError(f"the {layout.title} layout has no place for {', '.join(homeless)}")
    return stored(((theirs, tensors[name].read()) for name, theirs in sorted(renamed.items()) if theirs), options.dtype)
