"""Weights that are spread over processes learn what whole ones learn: real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pumice.errors import UsageError
from pumice.train.recipe_file import read_recipe
from train import small
from train.warm import Nursery

# Two processes with shares of different sizes, of words alone, or of nothing at all, in portions of different numbers;
# the first compares with everything done alone.
SPREAD = """
import torch
from dataclasses import replace
from pathlib import Path
from pumice.data.batch import collate
from pumice.train.parts import choose_parts
from pumice.train.portions import portion
from pumice.train.ranks import ALONE, join_ranks, leave_ranks
from pumice.train.sharding import is_sharded, shard
from pumice.train.step import InstructionTuning, take_step
from train import small
import tiny

torch.set_num_threads(1)
ranks = replace(join_ranks(), sharded=True)
rows = small.rows(9)
words = [row for row in rows if not row.tiles]
pictures = [row for row in rows if row.tiles]
everything = {"vision": 1e-3, "connector": 3e-3, "language": 1e-3}
cases = [
    (everything, rows[:2], rows[2:], {"micro": 1}),
    (everything, words, pictures, {"pack": 64}),
    (everything, words[:1], words[1:], {}),
    ({"connector": 1e-3}, words, pictures, {}),
    ({"connector": 1e-3}, [], pictures, {"micro": 2}),
    ({"language": 1e-3}, [], rows, {}),
]
for parts, *shares, how in cases:
    task = InstructionTuning(tiny.model().train())
    spread = shard(task.model, ranks)
    optimizer = torch.optim.AdamW(choose_parts(task, task.model, parts, 0.1), fused=True)
    alone, lonely = small.prepared(small.recipe(Path("unused"), parts=parts))
    held = sum(p.to_local().numel() if is_sharded(p) else 0 for p in task.parameters())
    all_of_them = sum(p.numel() for p in task.parameters() if is_sharded(p))
    assert 0 < held < 0.6 * all_of_them, (held, all_of_them)
    for step in range(3):
        mine = take_step(task, optimizer, portion(collate, shares[ranks.index], **how).batches, 1.0, 0.5, ranks)
        whole = take_step(alone, lonely, [collate([*shares[0], *shares[1]])], 1.0, 0.5, ALONE)
        assert mine.applied and mine.count == whole.count and mine.accuracy == whole.accuracy
        assert abs(mine.loss - whole.loss) < 1e-5, (parts, how, mine, whole)
        assert abs(mine.gradient_norm - whole.gradient_norm) < 1e-4, (parts, how, mine, whole)
    full = spread.whole(ranks)
    assert (full is None) != ranks.first
    if full is not None:
        for name, weight in full.named_parameters():
            torch.testing.assert_close(weight, alone.model.get_parameter(name), rtol=1e-3, atol=3e-4)
            assert weight.requires_grad == alone.model.get_parameter(name).requires_grad
leave_ranks()
"""


@pytest.mark.slow
def test_spread_equals_whole(tmp_path: Path, warm: Nursery) -> None:
    script = tmp_path / "spread.py"
    script.write_text(SPREAD)
    warm.run(str(script), processes=2)


@pytest.mark.parametrize(
    "table", ["[grounding]\nlayers = [0]\n", "[quantize.language]\n[lora.language]\nrank=2\nalpha=2\n"]
)
def test_what_cannot_be_spread(tmp_path: Path, table: str) -> None:
    path = small.written(tmp_path)
    path.write_text("shard = true\n" + path.read_text() + table)
    with pytest.raises(UsageError, match="shard is for language models"):
        read_recipe(path)
