"""The composition: tiles to features, features to rows of tokens, rows into the text."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tiny
from pumice.errors import ModelError
from pumice.images.config import Merge
from pumice.images.grid import Grid, plan
from pumice.images.preprocess import preprocess
from pumice.model.cache import KVCache
from pumice.model.config import ConnectorConfig, LlavaConfig
from pumice.model.connector import Connector
from pumice.model.llava import Llava
from pumice.model.vision import VisionTower
from pumice.prompts.encode import IMAGE_ID

NEWLINE = -1.0


def marked(grid: Grid) -> Tensor:
    """Features [t, N, 2] that say where they come from: (tile, patch)."""
    tile = torch.arange(grid.tiles).float()[:, None].expand(grid.tiles, grid.tokens_per_tile)
    patch = torch.arange(grid.tokens_per_tile).float().expand_as(tile)
    return torch.stack((tile, patch), dim=-1)


def laid_out(grid: Grid) -> list[tuple[float, float]]:
    """Where each token of the row must come from, patch by patch from its place in the mosaic."""
    row = [(0.0, float(patch)) for patch in range(grid.tokens_per_tile)]
    if grid.merge == "flat":
        return [(float(t), float(p)) for t in range(grid.tiles) for p in range(grid.tokens_per_tile)]
    for y in range(grid.top, grid.bottom):
        for x in range(grid.left, grid.right):
            tile = 1 + (y // grid.side) * grid.columns + x // grid.side
            row.append((float(tile), float((y % grid.side) * grid.side + x % grid.side)))
        if grid.merge == "spatial_unpad":
            row.append((NEWLINE, NEWLINE))
    return row


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    side, rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    merge: Merge = draw(st.sampled_from(("flat", "spatial", "spatial_unpad")))
    if merge == "flat":
        return Grid(side, draw(st.booleans()), rows, columns)
    if merge == "spatial":
        return Grid(side, False, rows, columns, merge, 0, rows * side, 0, columns * side)
    top = draw(st.integers(0, rows * side - 1))
    left = draw(st.integers(0, columns * side - 1))
    bottom, right = draw(st.integers(top + 1, rows * side)), draw(st.integers(left + 1, columns * side))
    return Grid(side, False, rows, columns, merge, top, bottom, left, right)


def arranger() -> Llava:
    made = tiny.model()
    made.image_newline = torch.nn.Parameter(torch.full((2,), NEWLINE))
    return made


@settings(deadline=None, max_examples=60)
@given(grids())
def test_tiles_are_laid_out_as_the_picture_is(grid: Grid) -> None:
    row = arranger().arrange(marked(grid), grid)
    assert [tuple(token) for token in row.tolist()] == laid_out(grid)
    assert len(row) == grid.tokens


@pytest.mark.parametrize("keeps_cls", [False, True])
def test_one_tile_is_one_row(keeps_cls: bool) -> None:
    grid = Grid(3, keeps_cls)
    assert torch.equal(arranger().arrange(marked(grid), grid), marked(grid)[0])


@pytest.mark.parametrize("merge", ["flat", "spatial", "spatial_unpad"])
@settings(deadline=None, max_examples=15)
@given(width=st.integers(1, 300), height=st.integers(1, 300))
def test_every_size_of_picture_gives_the_planned_tokens(merge: Merge, width: int, height: int) -> None:
    how = tiny.processor(mode="anyres", merge=merge).preprocessing
    assert how is not None
    tiles, grid = preprocess(tiny.picture(1, (width, height)), how)
    assert grid == plan(width, height, how)
    with torch.inference_mode():
        assert tiny.model().features([torch.from_numpy(tiles)], [grid]).shape == (grid.tokens, 32)


@torch.inference_mode()
def test_pictures_together_equal_pictures_alone() -> None:
    how = tiny.processor(mode="anyres", merge="spatial_unpad").preprocessing
    assert how is not None
    made = tiny.model()
    seen = [preprocess(tiny.picture(seed, size), how) for seed, size in enumerate(((90, 20), (20, 90), (50, 50)))]
    tiles, laid = [torch.from_numpy(tiles) for tiles, _ in seen], [grid for _, grid in seen]
    alone = torch.cat([made.features([t], [g]) for t, g in zip(tiles, laid, strict=True)])
    torch.testing.assert_close(made.features(tiles, laid), alone, rtol=1e-5, atol=1e-6)


def test_unpadding_needs_the_newline() -> None:
    grid = Grid(2, False, 1, 1, "spatial_unpad", 0, 2, 0, 2)
    with pytest.raises(AssertionError, match="image_newline"):
        tiny.model(newline=False).arrange(marked(grid), grid)


@settings(deadline=None, max_examples=20)
@given(holes=st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=3))
def test_negative_ids_are_filled_in_order(holes: list[list[bool]]) -> None:
    made = tiny.model()
    where = torch.tensor(holes)
    ids = torch.where(where, IMAGE_ID, torch.arange(5).expand(len(holes), 5))
    count = int(where.sum())
    given_features = torch.arange(count * 32).float().reshape(count, 32)
    embedded = made.embed(ids, given_features)
    assert torch.equal(embedded[where], given_features)
    assert torch.equal(embedded[~where], made.language.embed_tokens(ids[~where]))


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_wrong_number_of_features_is_refused(count: int) -> None:
    ids = torch.tensor([[1, IMAGE_ID, 5, IMAGE_ID, IMAGE_ID]])
    with pytest.raises(AssertionError, match=f"3 image positions, {count} features"):
        tiny.model().embed(ids, torch.zeros(count, 32))


@torch.inference_mode()
def test_a_picture_changes_what_follows_it_alone() -> None:
    made, read = tiny.model(), tiny.processor()
    one, other = (read(tiny.question("What is in the picture?", seed)) for seed in (1, 2))
    assert one.ids == other.ids
    ids = torch.tensor([one.ids])
    first, second = (made.logits_for(ids, tiny.features(made, inputs))[0] for inputs in (one, other))
    start = one.ids.index(IMAGE_ID)
    assert torch.equal(first[:start], second[:start])
    assert not torch.allclose(first[start:], second[start:], atol=1e-2)


@settings(deadline=None, max_examples=15)
@given(cut=st.integers(1, 30), seed=st.integers(0, 9))
@torch.inference_mode()
def test_a_picture_may_be_cut_by_a_prefill(cut: int, seed: int) -> None:
    """The rest of a picture's features go to the rest of its positions."""
    made, read = tiny.model(), tiny.processor(mode="anyres", merge="spatial_unpad")
    inputs = read(tiny.question("Describe it, please!", seed))
    ids, seen = torch.tensor([inputs.ids]), tiny.features(made, inputs)
    assert seen is not None
    cut = min(cut, ids.shape[1] - 1)
    before = int((ids[0, :cut] < 0).sum())
    cache = KVCache.empty(made.config.language, 1, ids.shape[1], made.device, made.dtype)
    made(ids[:, :cut], seen[:before] if before else None, cache=cache)
    positions = torch.arange(cut, ids.shape[1])[None]
    rest = seen[before:] if before < len(seen) else None
    hidden = made(ids[:, cut:], rest, positions=positions, cache=cache)
    wanted = made.logits_for(ids, seen)[:, cut:]
    torch.testing.assert_close(made.language.logits(hidden), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("select", "used"), [(-1, 3), (-2, 2), (3, 3), (1, 1), (0, 0), (-4, 0)])
def test_only_the_layers_that_are_read_are_built(select: int, used: int) -> None:
    torch.manual_seed(0)
    full = VisionTower(tiny.vision(select_layer=-1))
    tower = VisionTower(tiny.vision(select_layer=select))
    assert len(tower.layers) == used
    assert not any("post" in name for name, _ in tower.named_parameters())
    tower.load_state_dict({name: full.state_dict()[name] for name in tower.state_dict()})
    tiles = torch.randn(2, 3, tiny.SIDE, tiny.SIDE)
    states: list[Tensor] = []
    hooks = [full.pre_norm.register_forward_hook(lambda _m, _i, out: states.append(out))]
    hooks += [layer.register_forward_hook(lambda _m, _i, out: states.append(out)) for layer in full.layers]
    with torch.inference_mode():
        full(tiles)
        got = tower(tiles)
    assert len(hooks) == len(states) == 4
    assert torch.equal(got, states[used][:, 1:])


def test_the_class_token_stands_in_front() -> None:
    torch.manual_seed(0)
    patches = VisionTower(tiny.vision())
    with_class = VisionTower(tiny.vision(select_feature="cls_patch"))
    with_class.load_state_dict(patches.state_dict())
    tiles = torch.randn(1, 3, tiny.SIDE, tiny.SIDE)
    with torch.inference_mode():
        assert patches(tiles).shape == (1, 4, 24) and with_class(tiles).shape == (1, 5, 24)
        assert torch.equal(with_class(tiles)[:, 1:], patches(tiles))


@pytest.mark.parametrize(
    ("config", "linears"),
    [
        (ConnectorConfig("linear"), 1),
        (ConnectorConfig("mlp", 1), 1),
        (ConnectorConfig("mlp", 3), 3),
        (ConnectorConfig("identity"), 0),
    ],
)
def test_projectors(config: ConnectorConfig, linears: int) -> None:
    made = Connector(config, 32, 32)
    weights = [module for module in made.layers if isinstance(module, torch.nn.Linear)]
    assert len(weights) == linears
    x = torch.randn(2, 3, 32)
    wanted = x
    for number, linear in enumerate(weights):
        wanted = linear(torch.nn.functional.gelu(wanted) if number else wanted)
    torch.testing.assert_close(made(x), wanted)


def test_a_language_model_alone_sees_nothing() -> None:
    made = tiny.model(sees=False)
    assert made.vision is None and made.connector is None and made.image_newline is None
    with pytest.raises(AssertionError, match="text-only"):
        made.encode_images(torch.zeros(1, 3, tiny.SIDE, tiny.SIDE))


def test_configs_refuse_what_does_not_fit() -> None:
    with pytest.raises(ModelError, match="come together"):
        LlavaConfig(tiny.language(), vision=tiny.vision())
    with pytest.raises(ModelError, match="image_newline"):
        LlavaConfig(tiny.language(), has_newline=True)
    with pytest.raises(ModelError, match="share 3"):
        tiny.language(kv_heads=3)
    with pytest.raises(ModelError, match="select layer 4"):
        tiny.vision(select_layer=4)
    with pytest.raises(ModelError, match="even head size"):
        tiny.language(head_dim=7)
