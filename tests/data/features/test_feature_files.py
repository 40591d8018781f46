"""Embedding files as data: read in every format, split by content, refused in one line where they are bad."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from helpers.reading import check_read_once, read
from helpers.tiny_runs import files_below
from intrinsic_clip.data.features.feature_files import EmbeddingFiles
from intrinsic_clip.data.formats.class_labels import class_codes, read_labels
from intrinsic_clip.data.splits import row_digests, split_by_content
from intrinsic_clip.errors import ConfigError

X = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
Y = (X[:, :4] + 1).astype(np.float32)
SIZES = {"n_append": 20, "n_test": 50, "batch_size": 64}
CLASSES = [f"class {i % 7}" for i in range(300)]


@pytest.fixture(autouse=True)
def _files(_away_from_the_checkout) -> None:
    np.save("x.npy", X)
    np.save("y.npy", Y)
    np.savez("both.npz", image=X, text=Y, classes=np.array(CLASSES))
    save_file({"x": torch.from_numpy(X), "y": torch.from_numpy(Y)}, "both.safetensors")
    pd.DataFrame(Y).to_csv("y.csv", index=False)
    pd.DataFrame({"coarse": CLASSES, "fine": range(300)}).to_csv("labels.csv")


def load(**options) -> EmbeddingFiles:
    return read(EmbeddingFiles(**{"x": "x.npy", "y": "y.npy", **SIZES, **options}))


@pytest.mark.parametrize(
    "files",
    [
        {"y": "y.csv"},
        {"x": "both.npz", "x_key": "image", "y": "both.npz", "y_key": "text"},
        {"x": "both.safetensors", "x_key": "x", "y": "both.safetensors", "y_key": "y"},
    ],
)
def test_every_format_gives_the_same_pairs(files: dict) -> None:
    plain, other = load(), load(**files)
    assert (other.d_x, other.d_y, other.sizes) == (6, 4, {"train": 230, "append": 20, "test": 50})
    for split in ("train", "append", "test"):
        assert torch.equal(plain.pairs(split).x, other.pairs(split).x)
        assert torch.allclose(plain.pairs(split).x[:, :4] + 1, other.pairs(split).y)
    check_read_once(load(**files), *{files.get("x", "x.npy"), files["y"]})


def test_label_sets() -> None:
    data = load(
        labels={"coarse": "labels.csv", "fine": "labels.csv", "third": "both.npz"},
        label_keys={"coarse": "coarse", "fine": "fine", "third": "classes"},
    )
    pairs = data.pairs("test")
    assert set(pairs.labels) == {"coarse", "fine", "third"}
    assert torch.equal(pairs.labels["coarse"], pairs.labels["third"])
    assert torch.equal(pairs.labels["coarse"], class_codes(CLASSES)[data.rows["test"]])


def test_noise_on_y_alone_and_from_the_seed() -> None:
    plain, noisy, again = load(), load(noise_y=0.1), load(noise_y=0.1)
    assert torch.equal(plain.pairs("train").x, noisy.pairs("train").x)
    assert torch.equal(noisy.pairs("train").y, again.pairs("train").y)
    assert (noisy.pairs("train").y - plain.pairs("train").y).std() == pytest.approx(0.1, rel=0.1)


def test_standardise_by_training_rows() -> None:
    train = load(standardise=True).pairs("train")
    assert train.y.mean(0).abs().max() < 1e-5
    assert train.y.square().mean() == pytest.approx(1, abs=1e-4)


def test_the_same_content_is_never_on_both_sides() -> None:
    rows = torch.from_numpy(X[np.random.default_rng(1).integers(0, 90, 1000)])
    split = split_by_content(row_digests(rows), {"train": 700, "append": 50, "test": 200}, seed=3)
    contents = {name: {row.numpy().tobytes() for row in rows[chosen]} for name, chosen in split.items()}
    assert {name: len(chosen) for name, chosen in split.items()} == {"train": 700, "append": 50, "test": 200}
    assert not contents["train"] & contents["test"]
    assert not contents["append"] & (contents["test"] | contents["train"])


def test_the_split_follows_the_content_not_its_place() -> None:
    rows, order = torch.from_numpy(X), torch.randperm(300)
    sizes = {"train": None, "append": 10, "test": 40}
    here = split_by_content(row_digests(rows), sizes, seed=0)
    there = split_by_content(row_digests(rows[order]), sizes, seed=0)
    other = split_by_content(row_digests(rows), sizes, seed=1)
    assert set(here["test"].tolist()) == set(order[there["test"]].tolist()) != set(other["test"].tolist())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "absent.npy"}, "data.x=absent.npy: no such file"),
        ({"x": "both.npz"}, "data.x_key=… says which"),
        ({"n_train": 231}, "data.n_train + n_append + n_test = 301: must not exceed the 300 usable pairs"),
        ({"n_test": 280}, "data.n_append + n_test = 300: must leave some of the 300 usable pairs"),
        ({"batch_size": 231}, "data.batch_size=231: must not exceed the 230 training rows"),
        ({"labels": {"a": "labels.csv"}}, "data.label_keys.a=… says which"),
        ({"labels": {"a": "x.npy"}}, "holds shape (300, 6); must be (rows,)"),
        ({"labels": {"a": "no.csv"}}, "data.labels.a=no.csv: no such file"),
        ({"label_keys": {"a": "b"}}, "there is no +data.labels.a=FILE"),
    ],
)
def test_bad_input_in_one_line(options: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rows_that_do_not_belong_together() -> None:
    np.save("short.npy", Y[:-1])
    with pytest.raises(ConfigError, match="x has 300 rows, y has 299 rows"):
        load(y="short.npy")
    broken = Y.copy()
    broken[3, 1] = np.nan
    np.save("nan.npy", broken)
    with pytest.raises(ConfigError, match=r"1 of 300 rows hold NaN"):
        load(y="nan.npy")


def test_labels_that_lack_a_class() -> None:
    Path("gaps.csv").write_text("a,b\n1,2\n,3\n")
    from intrinsic_clip.data.formats.arrays import Key

    with pytest.raises(ConfigError, match="lacks a class in 1 of 2 rows"):
        read_labels(Path("gaps.csv"), Key("a"))


@pytest.mark.slow
def test_they_train(compose) -> None:
    from intrinsic_clip.training.train import train

    files = ["data=embeddings", "data.x=x.npy", "data.y=y.npy", "+data.labels.c=labels.csv"]
    sizes = ["+data.label_keys.c=coarse", "data.n_train=null", "data.n_test=60", "data.n_append=20"]
    metrics = train(compose(*files, *sizes, "trainer.max_epochs=20"))["metrics"]
    assert "matching/label_c/x_to_y" in metrics
    assert metrics["matching/top_1/x_to_y"]["mean"] > 0.1  # chance: 0.017


@pytest.mark.slow
def test_bad_input_writes_nothing(command_line, tmp_path: Path, capsys) -> None:
    before = files_below(tmp_path)
    assert command_line("train", "data=embeddings", "data.x=x.npy", "data.y=y.npy", "data.n_test=900") == 2
    assert "data.n_append + n_test = 1,900: must leave some of the 300" in capsys.readouterr().err
    assert command_line("train", "data=embeddings", "data.x=x.npy") == 2
    assert "data.y" in capsys.readouterr().err
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("shift", [1e8, -1e12])
def test_standardising_keeps_the_digits_of_float64(shift: float) -> None:
    x = np.random.default_rng(2).integers(-99, 99, (300, 6)) / 64
    np.save("x.npy", x)
    np.save("shifted.npy", x + shift)
    plain, shifted = load(standardise=True).pairs, load(x="shifted.npy", standardise=True)
    rows = shifted.rows["train"]
    expected = (x - x[rows].mean(0)) / np.sqrt((x[rows] - x[rows].mean(0)).var(0).mean())
    torch.testing.assert_close(
        shifted.pairs("train").x, torch.from_numpy(expected)[rows].float(), rtol=1e-3, atol=1e-3
    )
    assert plain("train").x.dtype == shifted.pairs("train").x.dtype == torch.float32


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e30, 1e-30])
def test_numbers_of_any_size_are_standardised(scale: float) -> None:
    x = X.astype(np.float64) * scale
    np.save("big.npy", x if abs(np.log10(scale)) > 40 else x.astype(np.float32))
    big = load(x="big.npy", standardise=True)
    rows = big.rows["train"]
    expected = (X - X[rows].mean(0)) / np.sqrt((X[rows] - X[rows].mean(0)).var(0).mean())
    torch.testing.assert_close(big.pairs("train").x, torch.from_numpy(expected)[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["x", "y"])
def test_numbers_beyond_single_precision_are_refused(side: str) -> None:
    rows = np.load(f"{side}.npy").astype(np.float64)
    rows[:30] *= 1e300
    np.save("big.npy", rows)
    with pytest.raises(ConfigError) as caught:
        load(**{side: "big.npy"})
    assert str(caught.value) == (
        f"data.{side}: 30 of 300 rows hold numbers beyond ±3.4e38, the largest in single precision; "
        "data.standardise=true scales them"
    )


def test_messages_name_the_settings_of_a_training(capsys) -> None:
    numbers = X.astype(object)
    numbers[5, 2] = "oops"
    pd.DataFrame(numbers).to_csv("oops.csv")
    with pytest.raises(ConfigError, match=r"'2' holds other things .*; data\.drop=2 leaves it out$"):
        load(x="oops.csv")
    rising = pd.DataFrame(X).add_prefix("d").assign(d9=np.arange(300) + 0.5)
    for suffix in ("csv", "parquet"):
        getattr(rising, f"to_{suffix}")(f"rising.{suffix}", index=False)
        load(x=f"rising.{suffix}", drop=["d0"])
        told = capsys.readouterr().err
        assert "1 of 7 columns are left out, as data.drop=… says" in told
        load(x=f"rising.{suffix}", columns=["d1", "d2"])
        assert "2 of 7 columns are read, as data.columns=… says" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"no column is left after data\.drop=…"):
        load(x="rising.csv", drop=["d*"])
