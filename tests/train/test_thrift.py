"""Less memory, less time, narrower numbers, averages: what each of them leaves as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import tiny
from pumice.data.batch import collate
from pumice.errors import UsageError
from pumice.train.average import keep_average, use_average
from pumice.train.step import InstructionTuning, take_step
from pumice.train.thrift import compile_parts, recompute_layers
from train import small


def learned(task: InstructionTuning) -> tuple[float, dict[str, Tensor]]:
    loss = task.loss(collate(small.rows(3))).value
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), {name: p.grad for name, p in task.named_parameters() if p.grad is not None}


def kept_bytes(task: InstructionTuning) -> int:
    """Of all that a forward pass keeps for the backward pass."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        task.loss(collate(small.rows(3)))
    return kept


@pytest.mark.parametrize("counts", [{"language": 1}, {"language": 2}, {"vision": 2}, {"language": 2, "vision": 1}])
def test_computed_again_is_the_same(counts: dict[str, int]) -> None:
    """Every bit, with less kept in between; and the names of weights stay."""
    plain, thrifty = InstructionTuning(tiny.model()), InstructionTuning(tiny.model())
    recompute_layers(thrifty.model, counts)  # type: ignore[arg-type]
    assert kept_bytes(thrifty) < kept_bytes(plain)
    (one, mine), (other, theirs) = learned(thrifty), learned(plain)
    assert one == other and mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    assert thrifty.state_dict().keys() == plain.state_dict().keys()


def test_more_layers_than_there_are() -> None:
    with pytest.raises(UsageError, match=r"recompute\.language: there are 2 layers, found 3"):
        recompute_layers(tiny.model(), {"language": 3})
    with pytest.raises(UsageError, match=r"recompute\.vision: there are 0 layers"):
        recompute_layers(tiny.model(sees=False), {"vision": 1})


@pytest.mark.slow
def test_compiled_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    plain, compiled = InstructionTuning(tiny.model()), InstructionTuning(tiny.model())
    compile_parts(compiled.model)
    (one, mine), (other, theirs) = learned(compiled), learned(plain)
    assert one == pytest.approx(other, abs=1e-5) and mine.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(mine[name], gradient, rtol=1e-4, atol=1e-5)
    assert compiled.state_dict().keys() == plain.state_dict().keys()


def test_narrow_numbers_keep_wide_weights() -> None:
    """Steps too small for bfloat16 still add up, because the weights that they change are float32."""
    how = small.recipe(Path("unused"), weight_decay=0.0, parts={"language": 1e-6})
    task, optimizer = small.prepared(how)
    batch = collate(small.rows(3))
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    wide = float(task.loss(batch).value)
    dtypes = set()
    layer = task.model.language.layers[0]
    layer.mlp.gate_proj.register_forward_hook(lambda _, __, out: dtypes.add(out.dtype))  # type: ignore[union-attr,operator]
    losses = [take_step(task, optimizer, [batch], 1.0, 1.0, dtype=torch.bfloat16).loss for _ in range(10)]
    assert dtypes == {torch.bfloat16}
    assert losses[0] == pytest.approx(wide, rel=2e-2) and losses[0] != wide
    assert {p.dtype for p in task.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in task.parameters() if p.grad is not None} == {torch.float32}
    name = "model.language.layers.0.mlp.up_proj.weight"
    moved = task.state_dict()[name] - before[name]
    assert 2e-6 < float(moved.abs().max()) <= 1.1e-5
    assert ((before[name] + 1e-6).bfloat16() == before[name].bfloat16()).float().mean() > 0.9


def test_the_average_by_hand() -> None:
    task, optimizer = small.prepared(small.recipe(Path("unused")))
    keep_average(optimizer, 0.75)
    batch = collate(small.rows(2))
    weight = task.model.language.layers[0].mlp.up_proj.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    expected = None
    for step in range(4):
        if step == 2:  # not applied, so not counted
            take_step(task, optimizer, [], 1.0, 1.0)
            continue
        take_step(task, optimizer, [batch], 1.0, 1.0)
        now = weight.detach().clone()
        expected = now if expected is None else 0.75 * expected + 0.25 * now
    assert expected is not None and not torch.equal(weight, expected)
    use_average(optimizer)
    torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=1e-7)


def test_without_averages_nothing_is_replaced() -> None:
    task, optimizer = small.prepared(small.recipe(Path("unused")))
    take_step(task, optimizer, [collate(small.rows(2))], 1.0, 1.0)
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    use_average(optimizer)
    assert all(torch.equal(tensor, before[name]) for name, tensor in task.state_dict().items())
