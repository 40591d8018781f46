"""Trained encoders: metrics against autograd, what one training costs, token ids, and finished runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import jacrev

from helpers.captioned_folder import make
from helpers.tiny_runs import TINY, files_below, tiny_open_clip
from intrinsic_clip.encoders.feedforward import mlp
from intrinsic_clip.encoders.replication import replicate
from intrinsic_clip.shared_dimension.given_encoders import shared_of_encoders
from intrinsic_clip.shared_dimension.pulled_back import directions, metrics
from intrinsic_clip.training.finished import load_pair

WEIGHT = torch.eye(9)[:, :9] * torch.tensor([1.0, 1.0, 1.0, *[0.1] * 6])


def rows(n: int = 200, p: int = 9, seed: int = 0) -> torch.Tensor:
    """Return normal rows."""
    return torch.randn(n, p, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("p", [4, 40])
def test_eigenvalues_are_those_of_the_mean_of_whole_metrics(p) -> None:
    """Whether the coordinates are the inputs or a basis of the rows does not matter."""
    encoder = replicate(lambda d: mlp(p, d, 16, 1), p, [0, 1], [3], (2,))
    points = rows(5, p)
    local = metrics(encoder, points, None, 100, 0)
    whole = torch.stack([jacrev(lambda row: encoder(row[None])[:, 0])(point) for point in points], 1)
    whole = whole / whole.flatten(2).norm(dim=2)[..., None, None]
    found, expected = (torch.linalg.eigvalsh(each.mean(0)).flip(-1) for each in (local, whole.mT @ whole))
    q = min(p, 6)
    torch.testing.assert_close(found[:, :q], expected[:, :q], rtol=1e-3, atol=1e-4)


def test_columns_of_any_scale_count_alike() -> None:
    scaled = rows() * torch.tensor([1e3, 1, 1, 1, 1, 1, 1, 1, 1e-3])
    assert torch.allclose(directions(scaled, 100, 0).columns.diagonal(), scaled.std(0))
    few = directions(scaled, 3, 0)
    assert few.columns.shape == (9, 3)
    assert "the 3 leading principal components of 9 columns" in few.note


def test_one_training_is_marked_and_lacks_shuffled_pairs() -> None:
    x = rows()
    shares = shared_of_encoders(lambda r: r @ WEIGHT, lambda r: r @ WEIGHT, x, x + 0.1 * rows(seed=1))
    assert (shares.dimension, shares.trainings, shares.null_gap) == (3, 1, None)
    assert shares.text.startswith("3 of one training alone (gap ")
    assert shares.text.endswith("; no shuffled pairs)")
    assert "one training alone" in shares.advice
    assert any("not averaged away" in note for note in shares.notes)
    assert any("nothing was trained on shuffled pairs" in note for note in shares.notes)


@pytest.mark.parametrize("seed", [4, 6])
def test_an_image_beside_several_captions_is_one_pair(seed: int) -> None:
    """Encoders that know nothing of the pairs match captions of one image alike, all well or all badly."""
    generator = torch.Generator().manual_seed(seed)
    images, captions = (torch.randn(300, 8, generator=generator).repeat_interleave(5, 0) for _ in range(2))
    captions = captions + 0.2 * torch.randn(1500, 8, generator=generator)
    weights = [torch.randn(8, 4, generator=generator) for _ in range(2)]
    f, g = (lambda r, w=w: torch.tanh(r @ w) for w in weights)
    shares = shared_of_encoders(f, g, images, captions)
    assert (shares.dimension, shares.n) == (0, 300)
    assert any("1,500 rows are 300 different ones, as images beside" in note for note in shares.notes)


def test_pictures_beside_several_captions_in_tokens_are_one_pair() -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (120, 3, 4, 4), generator=generator, dtype=torch.uint8)
    tokens = torch.randint(0, 900, (360, 7), generator=generator)
    tokens[:2] = tokens[2]  # a caption twice, of one picture
    weight = torch.randn(48, 5, generator=generator)
    shares = shared_of_encoders(
        lambda r: r.flatten(1) @ weight, lambda r: r[:, :5].float(), pictures.repeat_interleave(3, 0), tokens
    )
    assert shares.n == 120
    assert any(note.startswith("x: 358 rows are 120 different ones") for note in shares.notes)
    assert not any(note.startswith("y: ") and "different" in note for note in shares.notes)


def test_last_values_of_one_training_are_no_gap() -> None:
    """A random projection has a hard edge: its smallest singular values fall steeply."""
    x = rows(200, 20)
    weight = torch.linalg.qr(rows(20, 20, seed=3)).Q * torch.linspace(1, 0.5, 20)
    weight[:, -1] *= 0.01
    shares = shared_of_encoders(lambda r: r @ weight, lambda r: r @ weight, x, x, on_sphere=False)
    assert shares.dimension is None
    assert "no clear gap: the spectrum of one training alone decays" in shares.text


def test_unrelated_pairs_share_nothing() -> None:
    shares = shared_of_encoders(lambda r: r @ WEIGHT, lambda r: r @ WEIGHT, rows(), rows(seed=2))
    assert shares.dimension == 0


def test_of_token_ids_the_other_side_is_read() -> None:
    x = rows()
    tokens = torch.arange(200)[:, None]
    shares = shared_of_encoders(lambda r: r @ WEIGHT, lambda ids: (x @ WEIGHT)[ids[:, 0]], x, tokens)
    assert (shares.dimension, shares.sides) == (3, {"x": 3})
    assert any(note.startswith("y: rows are token ids") for note in shares.notes)
    with pytest.raises(ValueError, match="neither x nor y has a derivative"):
        shared_of_encoders(
            lambda ids: WEIGHT[ids[:, 0] % 9], lambda ids: WEIGHT[ids[:, 0] % 9], tokens, tokens
        )


@pytest.mark.slow
def test_finished_run_is_read_whole_or_in_chunks(command_line, capsys, tmp_path) -> None:
    x = rows(500)
    np.save("x.npy", x.numpy())
    np.save("y.npy", (x + 0.3 * rows(500, seed=1)).numpy())
    source = ["data=embeddings", "data.x=x.npy", "data.y=y.npy", "data.n_train=256", "data.n_append=32"]
    common = [*TINY, *source, "data.n_test=150", "replicates=3", "trainer.max_epochs=1", "compile=false"]
    for name, size in (("whole", "null"), ("chunked", "2")):
        assert command_line("train", *common, f"name={name}", f"replicates_per_chunk={size}") == 0
    folders = [next(Path("outputs").glob(f"{name}/*")) for name in ("whole", "chunked")]
    pairs = [load_pair(folder) for folder in folders]
    torch.testing.assert_close(pairs[0].f(pairs[0].x), pairs[1].f(pairs[1].x))
    capsys.readouterr()
    assert command_line("shared", f"run={folders[0]}", "progress=false", "alternatives=false") == 0
    shown = capsys.readouterr().out
    assert f"150 pairs: x 9-d ({folders[0]})" in shown
    content = json.loads(next(Path("outputs/shared").glob("*/shared.json")).read_text())
    assert content["trainings"] == 3
    assert content["null_gap"] is None
    (folders[0] / "last.ckpt").unlink()
    before = files_below(tmp_path)
    assert command_line("shared", f"run={folders[0]}", "seed=1", "progress=false") == 2
    assert "last.ckpt is missing, which holds the encoders' weights" in capsys.readouterr().err
    assert files_below(tmp_path) == before


@pytest.mark.slow
def test_pretrained_model_is_read_on_its_images(command_line, capsys, tmp_path) -> None:
    tiny_open_clip(tmp_path / "model")
    make(tmp_path / "pictures", 130)
    arguments = ["data=captions_folder", "data.folder=pictures", "data.n_train=60", "data.n_append=10"]
    arguments += [
        "data.n_test=60",
        "data.image_size=32",
        "data.batch_size=8",
        "encoder=open_clip",
        "encoder.model=model",
    ]
    assert command_line("shared", *arguments, "progress=false") == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert "of one training alone" in shown or "nothing is found to be shared" in shown
    assert "note: y: rows are token ids" in shown
