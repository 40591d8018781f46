"""A stand-in for the packaged text tower, which needs no weights."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

TOWER = "intrinsic_clip.encoders.packaged.PackagedTowers"


def install_text_tower(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[list[str]]:
    """Replace the tower by digests of the texts; returns a list to which it adds the texts that it reads."""
    weights = folder / "weights"
    weights.mkdir()
    (weights / "scale.txt").write_text("1")
    read: list[list[str]] = []

    def features(tower, texts: list[str]) -> torch.Tensor:
        read.append(list(texts))
        return torch.stack([text_vector(text) for text in texts])

    monkeypatch.setattr("intrinsic_clip.data.features.text_pairs.caption_weights", lambda: weights)
    monkeypatch.setattr(f"{TOWER}.caption_tower", None)
    monkeypatch.setattr(f"{TOWER}.caption_features", features)
    return read


def text_vector(text: str) -> torch.Tensor:
    """Return the stand-in's features of a text, `(8,)`."""
    numbers = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=32).digest(), "<u4")
    return torch.from_numpy(numbers / 2.0**32).float()
