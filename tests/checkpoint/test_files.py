"""Reading and writing tensors: whole folders, damaged ones, and pickles that want to run programs."""

from __future__ import annotations

import json
import os
import pickle
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from pumice.checkpoint.files import open_file, open_folder, read_json
from pumice.checkpoint.writing import FILE, fresh_folder, save_shards
from pumice.errors import ModelError, UsageError


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {f"layer.{index}.weight": torch.randn(8, 16, generator=generator) for index in range(6)}


def write_bins(folder: Path) -> None:
    content = tensors()
    names = sorted(content)
    weight_map = {}
    for number, group in enumerate((names[:3], names[3:])):
        shard = f"pytorch_model-0000{number + 1}-of-00002.bin"
        torch.save({name: content[name] for name in group}, folder / shard)
        weight_map.update(dict.fromkeys(group, shard))
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))


def check_same(folder: Path) -> None:
    opened = open_folder(folder)
    assert {name: tuple(each.shape) for name, each in opened.items()} == dict.fromkeys(tensors(), (8, 16))
    for name, expected in tensors().items():
        assert opened[name].dtype == torch.float32
        assert torch.equal(opened[name].read(), expected)


@pytest.mark.parametrize("shard_bytes", [1 << 20, 1100, 1])
def test_safetensors_there_and_back(shard_bytes: int, tmp_path: Path) -> None:
    total = save_shards(tmp_path, tensors().items(), shard_bytes=shard_bytes)
    assert total == 6 * 8 * 16 * 4
    count = {1 << 20: 1, 1100: 3, 1: 6}[shard_bytes]
    assert len(list(tmp_path.glob("*.safetensors"))) == count
    assert not list(tmp_path.glob("*.shard"))
    check_same(tmp_path)


def test_bin_shards(tmp_path: Path) -> None:
    write_bins(tmp_path)
    check_same(tmp_path)


def test_a_pickle_from_before_pytorch_1_6(tmp_path: Path) -> None:
    torch.save(tensors(), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    check_same(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_tensors_are_views_of_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".bin":
        torch.save(tensors(), path)
    else:
        save_file(tensors(), path)
    tensor = open_folder(tmp_path)["layer.3.weight"].read()
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(path))]
    ranges = [[int(end, 16) for end in line.split()[0].split("-")] for line in mapped]
    assert any(low <= tensor.data_ptr() < high for low, high in ranges), "the tensor was copied"
    tensor.add_(1)  # a private view: training may write to it, the file stays
    assert torch.equal(open_folder(tmp_path)["layer.3.weight"].read(), tensors()["layer.3.weight"])


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    save_shards(tmp_path, tensors().items(), shard_bytes=1)
    (tmp_path / "model-00004-of-00006.safetensors").unlink()
    with pytest.raises(ModelError, match=r"half-downloaded: 1 of 6 .*model-00004-of-00006") as caught:
        open_folder(tmp_path)
    assert "again" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("kept", [0, 5, 300, -1])
def test_a_file_that_was_cut_off(name: str, kept: int, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".bin":
        torch.save(tensors(), path)
    else:
        save_file(tensors(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match=r"damaged|cut off|more than tensors") as caught:
        open_folder(tmp_path)
    assert caught.value.hint and "0x" not in str(caught.value)


def test_the_same_tensor_in_two_shards(tmp_path: Path) -> None:
    write_bins(tmp_path)
    torch.save({"layer.0.weight": torch.zeros(8, 16)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(ModelError, match=r"layer\.0\.weight is in two files"):
        open_folder(tmp_path)


def test_a_git_lfs_pointer(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "model.safetensors").write_text(text)
    with pytest.raises(ModelError, match="git-lfs pointer") as caught:
        open_folder(tmp_path)
    assert "git lfs pull" in str(caught.value.hint)


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "a\\b", ".."])
def test_an_index_that_points_elsewhere(shard: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": shard}}))
    with pytest.raises(ModelError, match="outside its folder"):
        open_folder(tmp_path)


class Attack:
    """Runs a command where it is unpickled carelessly."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_cannot_run_a_program(new_format: bool, tmp_path: Path) -> None:
    target = tmp_path / "owned"
    content = {"weight": torch.zeros(2), "evil": Attack(target)}
    torch.save(content, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=new_format)
    with pytest.raises(ModelError, match="more than tensors") as caught:
        open_folder(tmp_path)
    assert "safetensors" in str(caught.value.hint)
    assert not target.exists()


def test_a_raw_pickle_cannot_run_a_program(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    (tmp_path / "mm_projector.bin").write_bytes(pickle.dumps(Attack(target)))
    with pytest.raises(ModelError):
        open_file(tmp_path / "mm_projector.bin")
    assert not target.exists()


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": 1}, {1: torch.zeros(1)}])
def test_a_pickle_of_something_else(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="must hold named tensors"):
        open_folder(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights in"):
        open_folder(tmp_path)
    with pytest.raises(ModelError, match="cannot be read"):
        open_file(tmp_path / "absent.bin")


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "nul"])
def test_json_that_is_no_object(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json"):
        read_json(tmp_path / "config.json")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with pytest.raises(ZeroDivisionError), fresh_folder(target) as work:
        (work / "half").write_text("x")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with fresh_folder(target) as work:
        (work / FILE).write_text("1")
    with pytest.raises(UsageError, match="exists already"), fresh_folder(target):
        pass
    with pytest.raises(ZeroDivisionError), fresh_folder(target, overwrite=True):
        raise ZeroDivisionError
    assert (target / FILE).read_text() == "1"
    with fresh_folder(target, overwrite=True) as work:
        (work / "config.json").write_text("2")
    assert [path.name for path in target.iterdir()] == ["config.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_no_checkpoint_is_not_replaced(tmp_path: Path) -> None:
    """Whoever names the folder around the models keeps them."""
    (tmp_path / "models" / "one").mkdir(parents=True)
    (tmp_path / "models" / "one" / FILE).write_text("{}")
    with pytest.raises(UsageError, match="will not be replaced"), fresh_folder(tmp_path / "models", overwrite=True):
        pass
    assert (tmp_path / "models" / "one" / FILE).is_file()


def test_a_full_disk_is_not_called_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be written: Error while serializing"), fresh_folder(tmp_path / "out"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"), fresh_folder(tmp_path / "file" / "model"):
        pass


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    with fresh_folder(target) as work:
        (work / FILE).write_text("1")
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if self.name.endswith(".partial"):
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ModelError, match="No space left"), fresh_folder(target, overwrite=True):
        pass
    assert (target / FILE).read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("shard_bytes", [1, 1024, 1500])
def test_one_shard_is_held_at_a_time(shard_bytes: int, tmp_path: Path) -> None:
    """A model may be larger than the memory of the machine that converts it."""
    size, most, alive = 512, 0, weakref.WeakSet[torch.Tensor]()

    def drawn() -> Iterator[tuple[str, torch.Tensor]]:
        nonlocal most
        for index in range(12):
            tensor = torch.ones(size // 4)
            alive.add(tensor)
            most = max(most, len(alive))
            yield str(index), tensor

    assert save_shards(tmp_path, drawn(), shard_bytes=shard_bytes) == 12 * size
    assert most <= max(1, shard_bytes // size) + 1


def test_weights_can_be_read_by_whoever_can_read_the_config(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("")
    save_shards(tmp_path, [("weight", torch.ones(2))])
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode
