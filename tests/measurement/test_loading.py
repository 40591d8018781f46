"""Embeddings from files, data sources, pretrained models and finished runs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import DictConfig
from safetensors.torch import load_file, save, save_file

from helpers.shared_latent import QUICK, measurement_below
from helpers.tiny_runs import TINY, tiny_open_clip
from intrinsic_clip.measurement.loading import folder_of

pytestmark = pytest.mark.slow


def test_every_format_gives_the_same_numbers(command_line, tmp_path, pair) -> None:
    x = np.ascontiguousarray(pair[0][:300, :6])
    np.save("rows.npy", x)
    np.savez("rows.npz", other=x[:9], image=x)
    save_file({"image": torch.from_numpy(x), "other": torch.ones(2)}, "rows.safetensors")
    pd.DataFrame(x.astype(float)).to_csv("rows.csv")
    for number, arguments in enumerate(
        [
            ["x=rows.npy"],
            ["x=rows.npz", "x_key=image"],
            ["x=rows.safetensors", "x_key=image"],
            ["x=rows.csv"],
        ]
    ):
        assert command_line("measure", *arguments, *QUICK, f"output_dir={number}") == 0
    numbers = [
        json.loads(path.read_text())["metrics"] for path in sorted(tmp_path.glob("*/measure/*/*.json"))
    ]
    assert len(numbers) == 4
    for other in numbers[1:]:
        assert other == pytest.approx(numbers[0], rel=1e-9)


def test_rows_with_nan_are_refused_or_dropped_with_their_partners(
    command_line, capsys, tmp_path, pair
) -> None:
    x, y = (side.copy() for side in pair)
    x[3, 0], x[5], y[5, 2], y[7, 1] = np.nan, np.inf, np.nan, -np.inf
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 2
    message = "2 of 600 rows of x, 2 of 600 rows of y hold NaN or infinity"
    assert capsys.readouterr().err == (
        f"intrinsic-clip: {message}; nan=drop leaves them out (with their partners)\n"
    )
    assert command_line("measure", "x=x.npy", "y=y.npy", "nan=drop", *QUICK) == 0
    left = "597 rows are left, without pairs 3, 5, 7 (counted from 0)"
    assert f"note: {message}; {left}" in capsys.readouterr().out
    kept = np.delete(np.arange(600), [3, 5, 7])
    np.save("x.npy", x[kept])
    np.save("y.npy", y[kept])
    assert command_line("measure", "x=x.npy", "y=y.npy", "output_dir=kept", *QUICK) == 0
    (path,) = tmp_path.glob("kept/measure/*/measure.json")
    assert json.loads(path.read_text())["metrics"] == measurement_below(tmp_path)["metrics"]


def test_shipped_features_and_a_split_of_them(command_line, capsys, tmp_path) -> None:
    from intrinsic_clip.data.openclipart import OpenClipArt
    from intrinsic_clip.dimension import mle

    assert command_line("measure", "data=openclipart", "split=test", *QUICK) == 0
    measurement = measurement_below(tmp_path)
    assert measurement["dims"] == {"x": 1280, "y": 384}
    assert measurement["metrics"]["id/mle/x"] == pytest.approx(
        float(mle(OpenClipArt().pairs("test").x).value)
    )
    assert "500 pairs: x 1,280-d (OpenClipArt), y 384-d (OpenClipArt)" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:1 of 500 points are exact duplicates")
def test_a_pretrained_model_embeds_the_shipped_pairs(command_line, capsys, tmp_path) -> None:
    import open_clip

    from intrinsic_clip.data.openclipart import OpenClipArt
    from intrinsic_clip.dimension import mle

    tiny_open_clip(tmp_path / "tiny")
    arguments = ["data=openclipart", "encoder=open_clip", "encoder.model=tiny", "split=test"]
    assert command_line("measure", *arguments, *QUICK) == 0
    measurement = measurement_below(tmp_path)
    assert measurement["dims"] == {"x": 16, "y": 16}
    assert "500 pairs: x 16-d (OpenClipArt, tiny)" in capsys.readouterr().out
    pairs = OpenClipArt(images=True).pairs("test")
    model = open_clip.create_model("local-dir:tiny").eval()
    with torch.inference_mode():
        tokens = pairs.y[:, :20].clone()
        tokens[(pairs.y[:, 20:] != 0).any(1), -1] = 49407  # what open_clip's tokenizer does to a long caption
        y = model.encode_text(tokens, normalize=True)
    assert measurement["metrics"]["id/mle/y"] == pytest.approx(float(mle(y.clone()).value), rel=1e-4)


def test_a_finished_run_of_our_own(command_line, capsys, tmp_path) -> None:
    from intrinsic_clip.dimension import mle

    assert (
        command_line("train", *TINY, "encoder.output_dim=[3,6]", "replicates=2", "trainer.max_epochs=1") == 0
    )
    (run,) = tmp_path.glob("outputs/custom/*")
    capsys.readouterr()
    assert command_line("measure", f"run={run}", *QUICK) == 0
    measurement = measurement_below(tmp_path)
    assert measurement["dims"] == {"x": 3, "y": 3, "z": 5}
    x = load_file(run / "embeddings.safetensors")["x"][0, 0, :, :3]
    assert measurement["metrics"]["id/mle/x"] == pytest.approx(float(mle(x).value))
    assert "the first is measured: output dimension 3, number 0" in capsys.readouterr().out
    (run / "results.json").write_text("{}")
    assert command_line("measure", f"run={run}", *QUICK, "k=10") == 2
    assert (
        f"intrinsic-clip: run={run}: not a finished run (results.json is damaged" in capsys.readouterr().err
    )


@pytest.fixture
def run(command_line, tmp_path) -> Path:
    """Train for an epoch and return the run folder."""
    assert command_line("train", *TINY, "trainer.max_epochs=1") == 0
    (folder,) = tmp_path.glob("outputs/custom/*")
    return folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no tensors", "embeddings.safetensors: damaged"),
        (save({"x": torch.ones(100, 6)}), "embeddings.safetensors: damaged ("),
    ],
)
def test_damaged_embeddings_of_a_run_are_one_line(command_line, capsys, run, content, message) -> None:
    (run / "embeddings.safetensors").write_bytes(content)
    capsys.readouterr()
    assert command_line("measure", f"run={run}", *QUICK) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"intrinsic-clip: run={run}: {message}")
    assert error.count("\n") == 1


@pytest.mark.filterwarnings("error")
def test_a_lone_run_is_measured_as_trained(run) -> None:
    from intrinsic_clip.measurement.loading import load

    stored = load_file(run / "embeddings.safetensors")
    embeddings = load(DictConfig({}), {"run": str(run), "nan": "refuse", "k": 20})
    assert embeddings.notes == []
    assert set(embeddings.sides) == {"x", "y", "z"}
    assert all(torch.equal(rows, stored[side]) for side, rows in embeddings.sides.items())


def _folder(**settings: object) -> Path:
    unset = dict.fromkeys(("x", "y", "run", "data", "encoder"))
    return folder_of(unset | {"output_dir": "outputs", "k": 20} | settings)


def test_the_address_does_not_depend_on_where_our_code_lives() -> None:
    ours = _folder(data={"_target_": "intrinsic_clip.data.OpenClipArt", "images": False})
    moved = _folder(data={"_target_": "intrinsic_clip.data.openclipart.OpenClipArt", "images": False})
    assert moved == ours
    assert _folder(data={"_target_": "intrinsic_clip.data.Yfcc", "images": False}) != ours
    theirs = _folder(data={"_target_": "their_package.OpenClipArt", "images": False})
    assert theirs != ours
    assert _folder(data={"_target_": "other_package.OpenClipArt", "images": False}) != theirs


def test_settings_of_another_models_class_are_all_part_of_the_address(tmp_path) -> None:
    data = {"_target_": "intrinsic_clip.data.OpenClipArt"}
    for ours, target in ((True, "intrinsic_clip.encoders.open_clip.OpenClip"), (False, "mine.Model")):
        first, second = (
            _folder(data=data, encoder={"_target_": target, "model": "m", "batch_size": n}) for n in (1, 2)
        )
        assert (first == second) == ours
    Path("weights").write_text("1")
    named = {"_target_": "mine.Model", "weights": "weights"}
    first = _folder(data=data, encoder=named)
    Path("weights").write_text("2")
    assert _folder(data=data, encoder=named) != first


def test_the_address_is_that_of_contents_not_of_names(pair) -> None:
    first = _folder(x="x.npy")
    Path("x.npy").rename("renamed.npy")
    assert _folder(x="renamed.npy", progress=False, threads=2) == first
    np.save("renamed.npy", pair[0] + 1)
    assert _folder(x="renamed.npy") != first
