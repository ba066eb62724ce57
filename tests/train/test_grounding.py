"""Attention that is taught: what is to be looked at, and that heads learn to look there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tiny
from pumice.checkpoint.save import save_checkpoint
from pumice.data.batch import collate
from pumice.data.packing import NOWHERE, Row, pack
from pumice.errors import UsageError
from pumice.images.config import Preprocessing
from pumice.model.language import View
from pumice.model.layers import rotate
from pumice.model.llava import Llava
from pumice.processor import Processor
from pumice.prompts.conversation import Conversation, Image
from pumice.prompts.templates import get_template
from pumice.train.grounding import GroundedHeads, ground
from pumice.train.recipe import GroundingData, Start, WorldData
from pumice.train.recipe_file import read_recipe
from pumice.train.run import train
from pumice.train.step import InstructionTuning, take_step
from pumice.world.draw import draw_scene
from pumice.world.scene import Scene, make_scene
from train import small

LAYERS = (0, 1)
SIDE = 112  # pixels: eight patches a side, as in the bundled model
READ = Processor(tiny.tokenizer(), get_template("vicuna_v1"), Preprocessing(SIDE, tiny.PATCH, mode="pad"))


def scene_with(name: str) -> Scene:
    return next(
        s for s in (make_scene("train", at) for at in range(500)) if len(s.named(name)) == 1 and len(s.items) > 2
    )


def model(*, biased: bool = False) -> Llava:
    return tiny.model(see=tiny.vision(image_size=SIDE), speak=tiny.language(qkv_bias=biased), newline=False)


def row_of(scene: Scene, *asked: tuple[str, str]) -> Row:
    picture = (Image(draw_scene(scene, SIDE)),)
    return pack([READ(Conversation.ask(question, picture).then_answer(answer)) for question, answer in asked])


def spoken(row: Row) -> list[tuple[str, tuple[int, ...] | None]]:
    """The row's text tokens, each with what it speaks of."""
    assert row.grounding is not None
    about = dict(row.grounding.spoken)
    return [(READ.tokenizer.token_bytes(each).decode(), about.get(at)) for at, each in enumerate(row.ids) if each >= 0]


def test_a_mention_lasts_until_the_next_one_ends() -> None:
    scene = scene_with("cup")
    other = next(item for item in scene.items if item.name != "cup" and len(scene.named(item.name)) == 1)
    cup = 1 + scene.named("cup")[0].cell
    row = ground(row_of(scene, ("Is a cup there?", f"Yes, near the {other.name}.")), scene, READ.tokenizer)
    found = spoken(row)
    texts = ["".join(text for text, _ in found[: at + 1]) for at in range(len(found))]
    first = next(at for at, text in enumerate(texts) if text.endswith("cup"))
    second = next(at for at, text in enumerate(texts) if text.endswith(other.name))
    assert all(about is None for _, about in found[:first])
    assert all(about == (cup,) for _, about in found[first:second])
    assert found[second][1] == (1 + other.cell,)
    assert found[-1][1] is None  # the end of the sequence speaks of nothing


def test_regions_are_the_patches_of_things() -> None:
    scene = scene_with("cup")
    row = ground(row_of(scene, ("A cup?", "Yes."), ("A star?", "No.")), scene, READ.tokenizer)
    assert row.grounding is not None and len(row.grounding.regions) == len(row.ids)
    shown = {region for region, each in zip(row.grounding.regions, row.ids, strict=True) if each < 0}
    assert shown - {NOWHERE} <= {1 + item.cell for item in scene.items}
    assert row.grounding.regions[0] == 0  # where to look for what is not there
    assert all(
        region == NOWHERE for region, each in zip(row.grounding.regions[1:], row.ids[1:], strict=True) if each > 0
    )


@pytest.mark.parametrize("biased", [False, True])
def test_the_loss_is_that_of_attention_computed_by_hand(biased: bool) -> None:
    made, scene = model(biased=biased), scene_with("cup")
    batch = collate(
        [ground(row_of(scene, ("A cup?", "A cup.")), scene, READ.tokenizer), row_of(scene, ("Sky?", "Red."))]
    )
    assert batch.grounded is not None and batch.grounded.shares.sum(-1).allclose(torch.ones(len(batch.grounded.shares)))
    heads = GroundedHeads(made.language, (0,))
    task = InstructionTuning(made, heads, 0.5)
    plain = InstructionTuning(model(biased=biased)).loss(batch).value
    layer = made.language.layers[0]
    attention = layer.self_attn
    kept: list[torch.Tensor] = []
    layer.input_layernorm.register_forward_hook(lambda _, __, out: kept.append(out))
    total = task.loss(batch).value
    x, view = kept[0], View(made.config.language, batch.positions, None, None, torch.float32)
    size = attention.split[1]
    q, k = (p(x)[..., None, :, :size] for p in (attention.q_proj, attention.k_proj))
    q, k = (rotate(each, view.cos, view.sin) for each in (q, k))
    weights = (
        ((q @ k.mT) / size**0.5)
        .masked_fill(~torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril(), -torch.inf)
        .softmax(-1)[:, 0]
    )
    losses = []
    for at, shares in zip(batch.grounded.sources.tolist(), batch.grounded.shares, strict=True):
        row, place = divmod(at, batch.ids.shape[1])
        for region in shares.nonzero().flatten().tolist():
            mass = weights[row, place, batch.grounded.regions[row] == region].sum()
            losses.append(-shares[region] * mass.log())
    expected = plain + 0.5 * torch.stack(losses).sum() / len(batch.grounded.shares)
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-5)


def test_heads_learn_to_look() -> None:
    made = model()
    scenes = [make_scene("train", at) for at in range(4)]
    rows = [row_of(scene, (f"A {scene.items[0].name}?", "Yes.")) for scene in scenes]
    batch = collate([ground(row, scene, READ.tokenizer) for row, scene in zip(rows, scenes, strict=True)])
    assert batch.grounded is not None
    heads, words = GroundedHeads(made.language, LAYERS), InstructionTuning(made)
    task = InstructionTuning(made, heads, 1.0)
    optimizer = torch.optim.AdamW(small.choose_parts(task, made, {"language": 1e-2, "connector": 1e-2}, 0.0))
    words.loss(batch)
    before = heads.loss(batch.grounded).item()
    for _ in range(80):
        take_step(task, optimizer, [batch], 1.0, 1.0)
    words.loss(batch)
    assert heads.loss(batch.grounded).item() < before / 3


def test_a_recipe_with_grounding_runs(tmp_path: Path) -> None:
    tiny_world = WorldData(task="caption", scenes=8, captions=2, sizes=(SIDE,))
    tiny_model = tmp_path / "start"
    save_checkpoint(model(), READ, tiny_model)
    how = small.recipe(
        tmp_path / "out",
        start=Start(folder=tiny_model),
        files=None,
        world=tiny_world,
        grounding=GroundingData(layers=(0,)),
        template="plain",
    )
    lines: list[str] = []
    assert train(how, lines.append).is_dir() and len(lines) == 4
    with pytest.raises(UsageError, match="2 layers"):
        train(how.model_copy(update={"grounding": GroundingData(layers=(2,)), "output": tmp_path / "no"}), lines.append)


def test_grounding_needs_scenes(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        'output = "o"\ntemplate = "plain"\n[start]\nfolder = "f"\n[parts]\nlanguage = 1e-3\n'
        '[grounding]\nlayers = [1]\n[files]\nrecords = "r"\nimages = "i"\n'
    )
    with pytest.raises(UsageError, match="grounding needs texts about scenes"):
        read_recipe(path)
