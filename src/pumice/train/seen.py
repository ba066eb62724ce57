"""What a frozen tower has made of a picture does not change: it can be kept on disk and read in later epochs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pumice.model.vision import VisionTower


class SeenPictures:
    """One file for each picture in a folder that is named by the tower's weights.

    LLaVA-1.5's features are 2.4 MB a picture in float32.
    """

    def __init__(self, folder: Path, tower: VisionTower) -> None:
        """Raises: OSError if the folder cannot be made."""
        digest = hashlib.blake2b(digest_size=8)
        for name, tensor in tower.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        self._tower = tower
        #: Tiles that the tower has looked at so far.
        self.made = 0
        self._folder = folder / digest.hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)

    @torch.no_grad()
    def features(self, tiles: Sequence[Tensor], hashes: Sequence[str]) -> Tensor:
        """The tower's features [sum of t, N, D] of pictures with these ``tiles`` [t, 3, S, S] and fingerprints."""
        known = {each: self._read(each) for each in set(hashes)}
        fresh = {each: own for each, own in zip(hashes, tiles, strict=True) if known[each] is None}
        if fresh:
            self.made += sum(len(own) for own in fresh.values())
            made = self._tower(torch.cat(list(fresh.values()))).split([len(own) for own in fresh.values()])
            for each, features in zip(fresh, made, strict=True):
                known[each] = features
                self._write(each, features)
        device = self._tower.patch_embedding.weight.device
        return torch.cat([found.to(device) for each in hashes if (found := known[each]) is not None])

    def _read(self, name: str) -> Tensor | None:
        try:
            return load_file(self._folder / f"{name}.safetensors")["features"]
        except (OSError, SafetensorError):  # not there, or not whole: it is made again
            return None

    def _write(self, name: str, features: Tensor) -> None:
        """In a single move, for other processes may write the same."""
        draft = self._folder / f"{name}.{os.getpid()}"
        save_file({"features": features.contiguous()}, draft)
        draft.replace(self._folder / f"{name}.safetensors")
