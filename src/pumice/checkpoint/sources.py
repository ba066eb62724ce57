"""Opening a checkpoint of any known kind: its description, tokenizer and tensors under our names, nothing read yet.

Loading and converting both start here. Which kind a folder is of, is decided by ``DETECTORS`` from its config and
files, in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from pumice.checkpoint import configs, lora, overlay
from pumice.checkpoint.description import Description, read_description
from pumice.checkpoint.fields import Fields
from pumice.checkpoint.files import LazyTensor, Weights, has_weights, open_folder, read_json
from pumice.checkpoint.folder import Folder, image_processor, own_tokenizer, tokenizer_for_pictures
from pumice.checkpoint.hub import find_model
from pumice.checkpoint.names import LLAMA, LLAVA_HF, PUMICE, TOWER, Layout, original_layout, rename
from pumice.checkpoint.parts import TOWER_TYPES
from pumice.checkpoint.writing import FILE
from pumice.errors import ModelError, UsageError
from pumice.prompts.tokenizer import Tokenizer

Tensors: TypeAlias = dict[str, LazyTensor]

PROJECTOR_FILE = "mm_projector.bin"
EXTRAS_FILE = "non_lora_trainables.bin"


@dataclass(frozen=True)
class Source:
    """A checkpoint, opened. tensors: by our names, everything the files hold that a model could use, read on demand.

    tokenizer: None if the folder has none. warnings: what the user should know, for people to read. guessed: nothing in
    the folder tells the template; doubts: why the guess may be wrong, if there are reasons.
    """

    kind: str
    description: Description
    tensors: Mapping[str, LazyTensor]
    tokenizer: Tokenizer | None
    warnings: tuple[str, ...] = ()
    guessed: bool = False
    doubts: tuple[str, ...] = ()


def open_checkpoint(
    path: str | Path,
    *,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
    offline: bool = False,
) -> Source:
    """Find a checkpoint, tell its kind, and open it.

    path: a folder, or a name on the hub. base: the model that an adapter or a lone projector belongs to; default is
    the one the adapter names. vision_tower: a CLIP folder or hub name in place of the one that the config names.

    Raises:
        ModelError: it is absent, incomplete, damaged, or of no supported kind. UsageError: an option does not apply.
    """
    notes: list[str] = []
    folder = find_model(path, offline=offline, warn=notes.append)
    config = {} if (folder / FILE).is_file() else _config(folder)
    opened = Folder(folder, Fields(config, "config.json"), base, vision_tower, offline, notes)
    for detector in DETECTORS:
        if detector.matches(opened):
            if base is not None and not detector.takes_base:
                raise UsageError(f"{folder} is a complete {detector.kind} checkpoint and takes no base model")
            if vision_tower is not None and not detector.takes_tower:
                raise UsageError(f"{folder} is a {detector.kind} checkpoint and takes no other vision tower")
            source = detector.open(opened)
            description = replace(source.description, source=_provenance(source, folder))
            return replace(source, description=description, warnings=(*notes, *source.warnings))
    raise _unknown(opened)


def open_pumice(folder: Folder) -> Source:
    """Our own folder."""
    tensors = _renamed(open_folder(folder.path), PUMICE, folder.path)
    return Source("Pumice", read_description(folder.path), tensors, own_tokenizer(folder))


def open_llava_hf(folder: Folder) -> Source:
    """transformers' LLaVA 1.5, LLaVA-NeXT and LLaVA-OneVision."""
    tokenizer = own_tokenizer(folder)
    tensors = _renamed(open_folder(folder.path), LLAVA_HF, folder.path)
    processor = image_processor(folder)
    description = configs.describe_llava_hf(folder.config, processor, folder.json("generation_config.json"), tokenizer)
    opened = Source("llava-hf", description, _without_tied_head(tensors, description), tokenizer)
    return _with_doubts(opened, folder)


def open_original(folder: Folder) -> Source:
    """LLaVA's own folder; the vision tower is taken from inside it if it is there, else from the one it names."""
    tensors = _renamed(open_folder(folder.path), original_layout(), folder.path)
    tokenizer = tokenizer_for_pictures(folder)
    return _complete_original(folder, tensors, tokenizer, "LLaVA")


def open_language(folder: Folder) -> Source:
    """A LLaMA-shaped language model alone."""
    tokenizer = own_tokenizer(folder)
    tensors = _renamed(open_folder(folder.path), LLAMA, folder.path)
    description = configs.describe_language(folder.config, folder.json("generation_config.json"), tokenizer)
    doubt = f"a text-only model; that it was trained with the template {description.template} is a guess"
    tensors = _without_tied_head(tensors, description)
    return Source("language", description, tensors, tokenizer, guessed=True, doubts=(doubt,))


def open_projector(folder: Folder) -> Source:
    """``mm_projector.bin`` of stage 1, over the language model it was trained on."""
    base = _open_base(folder, folder.base or _text(folder.config, "_name_or_path"))
    extras = overlay.projector_tensors(folder.path / PROJECTOR_FILE)
    tokenizer = tokenizer_for_pictures(folder, base.tokenizer)
    first = None
    if tokenizer is not None and configs.image_names(folder.config):
        first = tokenizer.special_id(configs.IMAGE_WRAP[0])
    words = _language_only(base.tensors)
    tensors = overlay.with_projector(words, extras, folder.path / PROJECTOR_FILE, first=first)
    source = _complete_original(folder, tensors, tokenizer, "projector")
    return _with_base_rows(source)


def open_adapter(folder: Folder) -> Source:
    """LoRA factors with the other trained tensors, over the language model or LLaVA they were trained on."""
    base = _open_base(folder, folder.base or _text(folder.json(lora.CONFIG), "base_model_name_or_path"))
    tensors = dict(base.tensors)
    if (folder.path / EXTRAS_FILE).is_file():
        tensors.update(overlay.trained_tensors(folder.path / EXTRAS_FILE))
    tokenizer = tokenizer_for_pictures(folder, base.tokenizer)
    if folder.config.has("mm_vision_tower"):
        source = _complete_original(folder, tensors, tokenizer, "LoRA")
    elif folder.vision_tower is not None:
        raise UsageError(f"{folder.path} has no LLaVA config and takes no vision tower of its own")
    else:
        source = Source("LoRA", base.description, tensors, tokenizer)
    # Last: the adapter may belong to the tower, or to a projector that is stored beside it.
    return _with_base_rows(replace(source, tensors=lora.merged(source.tensors, folder.path)))


@dataclass(frozen=True)
class Detector:
    """A kind of checkpoint: how it is recognised, how it is opened, and which options it takes."""

    kind: str
    matches: Callable[[Folder], bool]
    open: Callable[[Folder], Source]
    takes_base: bool = False
    takes_tower: bool = False


def _is_adapter(folder: Folder) -> bool:
    return (folder.path / lora.CONFIG).is_file() and not has_weights(folder.path)


def _is_projector(folder: Folder) -> bool:
    return (folder.path / PROJECTOR_FILE).is_file() and not has_weights(folder.path)


def _is_llava_hf(folder: Folder) -> bool:
    return folder.config.values.get("model_type") in ("llava", "llava_next", "llava_onevision") and (
        folder.config.has("text_config") or folder.config.has("vision_config")
    )


def _is_language(folder: Folder) -> bool:
    return folder.config.values.get("model_type") in ("llama", "mistral", "qwen2")


DETECTORS: tuple[Detector, ...] = (
    Detector("Pumice", lambda folder: (folder.path / FILE).is_file(), open_pumice),
    Detector("LoRA", _is_adapter, open_adapter, takes_base=True, takes_tower=True),
    Detector("projector", _is_projector, open_projector, takes_base=True, takes_tower=True),
    Detector("llava-hf", _is_llava_hf, open_llava_hf),
    Detector("LLaVA", lambda folder: folder.config.has("mm_vision_tower"), open_original, takes_tower=True),
    Detector("language", _is_language, open_language),
)


def open_tower(folder: Folder, name: str | Path, *, weights: bool = True) -> tuple[Path, Fields, Tensors]:
    """The folder of a vision tower: its path, its config, and, if ``weights``, its tensors by our names."""
    path = folder.find(name, weights=weights)
    config = Fields(_config(path), f"{path.name}/config.json")
    return path, config, _renamed(open_folder(path), TOWER, path) if weights else {}


def _complete_original(folder: Folder, tensors: Tensors, tokenizer: Tokenizer | None, kind: str) -> Source:
    """Describe tensors by an original config, with the vision tower's own added where they lack it."""
    tower_inside = "vision.patch_embedding.weight" in tensors and folder.vision_tower is None
    try:
        name = folder.vision_tower or folder.config.text("mm_vision_tower")
        path, tower, vision = open_tower(folder, name, weights=not tower_inside)
    except ModelError as error:
        raise ModelError(
            f"{folder.path} needs its vision tower: {error}",
            hint="name the folder of the tower with --vision-tower" + (f"; or: {error.hint}" if error.hint else ""),
        ) from error
    processor = image_processor(Folder(path, tower))
    generation = folder.json("generation_config.json")
    description = configs.describe_original(folder.config, tower, processor, generation, tokenizer)
    kept = {name: tensor for name, tensor in tensors.items() if tower_inside or not name.startswith("vision.")}
    complete = _without_tied_head({**kept, **vision}, description)
    return _with_doubts(Source(kind, description, complete, tokenizer), folder)


def _with_doubts(source: Source, folder: Folder) -> Source:
    guessed = not configs.knows_template(folder.config, source.description.model.language, source.tokenizer)
    doubts = configs.template_doubts(source.description.model, source.tokenizer) if guessed else ()
    return replace(source, guessed=guessed, doubts=doubts)


def _with_base_rows(source: Source) -> Source:
    """The vocabulary's size as the embeddings have it: a base may have more or fewer rows than a config says."""
    embeddings = source.tensors.get(overlay.EMBEDDINGS)
    model = source.description.model
    if embeddings is None or embeddings.shape[0] == model.language.vocab_size:
        return source
    language = replace(model.language, vocab_size=embeddings.shape[0])
    description = replace(source.description, model=replace(model, language=language))
    return replace(source, description=description)


def _open_base(folder: Folder, name: str | Path | None) -> Source:
    if name is None:
        raise ModelError(
            f"{folder.path} holds only a part of a model and does not name the rest",
            hint="name the language model it was trained on with --base",
        )
    try:
        found = folder.find(name)
        if found.resolve() == folder.path.resolve():
            raise ModelError("it names itself")
        return open_checkpoint(found, offline=folder.offline)
    except ModelError as error:
        raise ModelError(
            f"{folder.path} needs its base model: {error}",
            hint="name it with --base" + (f"; or: {error.hint}" if error.hint else ""),
        ) from error


def _config(folder: Path) -> Mapping[str, object]:
    if (folder / "config.json").is_file():
        return read_json(folder / "config.json")
    if (folder / lora.CONFIG).is_file():
        return {}
    raise ModelError(f"{folder} is no model: expected config.json or {FILE} in it", hint="check the path")


def _renamed(weights: Weights, layout: Layout, folder: Path) -> Tensors:
    names = rename(weights, layout, str(folder))
    return {ours: weights[theirs] for ours, theirs in names.items()}


def _language_only(tensors: Mapping[str, LazyTensor]) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("language.")}


def _without_tied_head(tensors: Tensors, description: Description) -> Tensors:
    """Some files store the head of a model with tied embeddings a second time."""
    if description.model.language.tied_embeddings:
        tensors.pop(overlay.HEAD, None)
    return tensors


def _text(fields: Fields, name: str) -> str | None:
    return fields.text(name) if fields.has(name) else None


def _provenance(source: Source, folder: Path) -> str:
    return source.description.source or f"{source.kind} checkpoint {folder.absolute().name}"


def _unknown(folder: Folder) -> ModelError:
    kind = folder.config.values.get("model_type")
    if kind in TOWER_TYPES:
        return ModelError(
            f"{folder.path} is a vision tower alone", hint="name a LLaVA model, and this folder with --vision-tower"
        )
    return ModelError(
        f"{folder.path} is of no supported kind: its config has model_type {kind!r}",
        hint=f"supported are {', '.join(detector.kind for detector in DETECTORS)} checkpoints of LLaMA-shaped models",
    )
