"""`intrinsic-clip measure` as a user meets it: the right numbers from any source, and one line for bad input."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from helpers.fake_wandb import history, records
from helpers.tiny_runs import TINY, files_below, tiny_open_clip

SHARED, WIDTH = 8, 64
QUICK = ["progress=false", "threads=1", "estimators=[mle,twonn]", "max_points=400"]


def shared_latent(n: int, noise: float, elsewhere: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs whose k* = 8 shared coordinates are rotated into 64 dimensions, with noise in the 8 and in the others."""
    generator = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))
    z = generator.normal(size=(n, SHARED))
    scales = np.repeat([noise, elsewhere], [SHARED, WIDTH - SHARED])
    whole = np.pad(z, [(0, 0), (0, WIDTH - SHARED)])
    x, y = ((whole + scales * generator.normal(size=whole.shape)) @ rotation for _ in range(2))
    return x.astype(np.float32), y.astype(np.float32)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """x.npy and y.npy with 600 pairs."""
    x, y = shared_latent(600, 0.1, 0.1)
    np.save("x.npy", x)
    np.save("y.npy", y)
    return x, y


def found(folder: Path) -> dict[str, Any]:
    """What the one measurement below a folder left."""
    (path,) = folder.glob("outputs/measure/*/measure.json")
    return json.loads(path.read_text())


def test_numbers_are_those_of_the_functions_and_of_scikit_dimension(command_line, tmp_path, pair) -> None:
    import skdim

    from intrinsic_clip.dimension import local_pca, participation_ratio
    from intrinsic_clip.metrics import modality_gap, uniformity

    x, y = pair
    settings = ["estimators=[mle,twonn,local_pca,MOM]", "progress=false"]
    assert command_line("measure", "x=x.npy", "y=y.npy", *settings) == 0
    metrics = found(tmp_path)["metrics"]
    assert metrics["id/mle/x"] == pytest.approx(skdim.id.MLE().fit(x).dimension_, rel=1e-4)
    assert metrics["id/twonn/y"] == pytest.approx(skdim.id.TwoNN().fit(y).dimension_, rel=1e-4)
    assert metrics["id/MOM/x"] == pytest.approx(skdim.id.MOM().fit(x).dimension_, rel=1e-4)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    assert metrics["id/local_pca/y"] == pytest.approx(float(local_pca(y).value))
    expected = participation_ratio(x)
    assert metrics["spectrum/participation_ratio/x"] == pytest.approx(float(expected.value))
    assert metrics["spectrum_standard_error/participation_ratio/x"] == pytest.approx(
        float(expected.standard_error)
    )
    assert metrics["modality_gap"] == pytest.approx(float(modality_gap(x, y)))
    assert metrics["uniformity/y"] == pytest.approx(float(uniformity(y)))
    x, y = (side / side.norm(dim=1, keepdim=True) for side in (x.double(), y.double()))
    assert metrics["alignment/cosine"] == pytest.approx(float((x * y).sum(1).mean()))
    ranks = (x @ y.T).argsort(1, descending=True)
    among_five = (ranks[:, :5] == torch.arange(len(x))[:, None]).any(1).double().mean()
    assert metrics["retrieval/top_5/x_to_y"] == pytest.approx(float(among_five))


def test_what_is_too_dear_for_all_rows_gets_a_sample_and_says_so(
    command_line, capsys, tmp_path, pair
) -> None:
    from intrinsic_clip.dimension import mada

    assert command_line("measure", "x=x.npy", "estimators=[mle,mada]", "max_points=300", "progress=false") == 0
    results = found(tmp_path)
    assert {row["name"]: row["n"] for row in results["estimates"]}["id/mle"] == 600
    assert {row["name"]: row["n"] for row in results["estimates"]}["id/mada"] == 300
    rows = torch.randperm(600, generator=torch.Generator().manual_seed(0))[:300]
    assert results["metrics"]["id/mada/x"] == pytest.approx(
        float(mada(torch.from_numpy(pair[0])[rows]).value)
    )
    lines = capsys.readouterr().out.splitlines()
    assert re.search(r" 600 +20$", next(line for line in lines if line.startswith("  MLE")))
    assert re.search(r" 300 +20$", next(line for line in lines if line.startswith("  MADA")))


def test_advice_finds_the_shared_dimensions(command_line, capsys, tmp_path) -> None:
    x, y = shared_latent(2000, 0.25, 0.01)
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    results = found(tmp_path)
    assert results["advice"]["dims"] == SHARED
    assert results["metrics"]["sufficient_dimension/principal"] == results["advice"]["dims"]
    curve = results["curves"]["retrieval/principal"]
    recall = dict(zip(curve["at"], curve["value"], strict=True))
    assert recall[results["advice"]["dims"]] >= 0.99 * recall[WIDTH] > recall[results["advice"]["dims"] - 1]
    advice = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("advice: "))
    assert re.search(
        r"[78] of 64 dimensions keep 99 % of retrieval \(recall@1 0\.\d+ of 0\.\d+ ± 0\.\d+", advice
    )
    assert "1,000 held-out pairs" in advice
    assert re.search(r"intrinsic dimension x \d+\.\d+ ± 0\.\d+, y \d", advice)


def test_advice_tells_when_fewer_dimensions_are_better(command_line, capsys) -> None:
    x, y = shared_latent(2000, 0.15, 0.15)
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    assert re.search(r"; recall is highest, 0\.9\d+, with 8; intrinsic", capsys.readouterr().out)


def test_advice_warns_where_recall_has_nothing_to_lose(command_line, capsys) -> None:
    x, _ = shared_latent(600, 0.1, 0.1)
    np.save("x.npy", x)
    assert command_line("measure", "x=x.npy", "y=x.npy", *QUICK) == 0
    assert (
        "nearly every partner is found, so among more it may take more dimensions" in capsys.readouterr().out
    )


def test_advice_for_x_alone_says_what_it_does_not_know(command_line, capsys, tmp_path, pair) -> None:
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    results = found(tmp_path)
    held = int(results["metrics"]["spectrum/components_99pct/x"])
    shown = capsys.readouterr().out
    assert f"advice: {held} of 64 principal components hold 99 % of the variance of x; intrinsic dim" in shown
    assert "retrieval takes pairs to tell" in shown
    assert not any("retrieval" in name or name.endswith("/y") for name in results["metrics"])


def test_pairs_that_do_not_match_get_no_advice(command_line, capsys, tmp_path, pair) -> None:
    np.save("y.npy", pair[1][np.random.default_rng(1).permutation(600)])
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    assert "matched no better than by guessing" in capsys.readouterr().out
    assert found(tmp_path)["advice"]["dims"] is None


def test_modalities_of_different_width_have_canonical_directions_only(command_line, tmp_path, pair) -> None:
    np.save("y.npy", pair[1][:, :40])
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    results = found(tmp_path)
    assert {name for name in results["curves"] if name.startswith("retrieval/")} == {"retrieval/canonical"}
    assert not {"modality_gap", "alignment/cosine", "retrieval/top_1/x_to_y"} & set(results["metrics"])
    assert results["advice"]["of"] == 40


def test_every_format_gives_the_same_numbers(command_line, tmp_path, pair) -> None:
    x = np.ascontiguousarray(pair[0][:300, :6])
    np.save("rows.npy", x)
    np.savez("rows.npz", other=x[:9], image=x)
    save_file({"image": torch.from_numpy(x), "other": torch.ones(2)}, "rows.safetensors")
    pd.DataFrame(x.astype(float)).to_csv("rows.csv")
    for number, given in enumerate(
        [
            ["x=rows.npy"],
            ["x=rows.npz", "x_key=image"],
            ["x=rows.safetensors", "x_key=image"],
            ["x=rows.csv"],
        ]
    ):
        assert command_line("measure", *given, *QUICK, f"output_dir={number}") == 0
    numbers = [json.loads(path.read_text())["metrics"] for path in sorted(tmp_path.glob("*/measure/*/*.json"))]
    assert len(numbers) == 4
    for other in numbers[1:]:
        assert other == pytest.approx(numbers[0], rel=1e-9)


def test_the_second_time_it_is_read_not_measured(command_line, capsys, monkeypatch, pair) -> None:
    command = ("measure", "x=x.npy", "y=y.npy", *QUICK)
    assert command_line(*command) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("intrinsic_clip.measure.measurements.measure_embeddings", None)
    Path("x.npy").rename("the same, elsewhere (1).npy")  # a name that Hydra would not take unquoted
    assert command_line("measure", "x=the same, elsewhere (1).npy", *command[2:], "threads=2") == 0
    assert capsys.readouterr().out == f"Measured already.\n\n{first}"


def test_other_contents_or_settings_are_another_measurement(command_line, tmp_path, pair) -> None:
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    assert command_line("measure", "x=x.npy", *QUICK, "k=10") == 0
    np.save("x.npy", pair[0] + 1)
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    assert len(list(tmp_path.glob("outputs/measure/*/measure.json"))) == 3


def test_page_is_whole_in_itself(command_line, tmp_path, pair) -> None:
    np.save("<b>&.npy", pair[0])
    assert command_line("measure", "x=<b>&.npy", "y=y.npy", *QUICK) == 0
    (folder,) = tmp_path.glob("outputs/measure/*")
    html = (folder / "measure.html").read_text()
    picture = re.search(r'src="data:image/png;base64,([^"]+)"', html)
    assert picture is not None
    assert base64.b64decode(picture[1]) == (folder / "measure.png").read_bytes()
    assert not re.search(r"https?://|<script|<link (?!rel=\"icon\" href=\"data:,\")", html)
    assert "&lt;b&gt;&amp;.npy" in html
    assert "dimensions keep 99 % of retrieval" in html


def test_rows_with_nan_are_refused_or_dropped_with_their_partners(
    command_line, capsys, tmp_path, pair
) -> None:
    x, y = (side.copy() for side in pair)
    x[3, 0], x[5], y[5, 2], y[7, 1] = np.nan, np.inf, np.nan, -np.inf
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 2
    told = "2 of 600 rows of x, 2 of 600 rows of y hold NaN or infinity"
    assert capsys.readouterr().err == (
        f"intrinsic-clip: {told}; nan=drop leaves them out (with their partners)\n"
    )
    assert command_line("measure", "x=x.npy", "y=y.npy", "nan=drop", *QUICK) == 0
    assert f"note: {told}; 597 rows are left" in capsys.readouterr().out
    kept = np.delete(np.arange(600), [3, 5, 7])
    np.save("x.npy", x[kept])
    np.save("y.npy", y[kept])
    assert command_line("measure", "x=x.npy", "y=y.npy", "output_dir=kept", *QUICK) == 0
    (path,) = tmp_path.glob("kept/measure/*/measure.json")
    assert json.loads(path.read_text())["metrics"] == found(tmp_path)["metrics"]


def test_duplicates_are_told(command_line, capsys, pair) -> None:
    np.save("x.npy", np.concatenate([pair[0], pair[0][:5]]))
    assert command_line("measure", "x=x.npy", *QUICK) == 0
    assert "note: x: 5 of 605 points are exact duplicates" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            np.repeat(np.random.default_rng(0).normal(size=(10, 5)), 10, 0),
            "needs 20 neighbours of each point, got 9",
        ),
        (np.ones((50, 5)), "MLE, TwoNN, GRIDE: needs at least 3 distinct points for k = 2, got 1"),
        (np.linspace(0, 1, 50)[:, None], "intrinsic dimension x 1"),
    ],
)
def test_degenerate_points_are_measured_as_far_as_they_can_be(command_line, capsys, rows, told) -> None:
    np.save("x.npy", rows)
    estimators = "estimators=[mle,twonn,gride,correlation_integral]"
    assert command_line("measure", "x=x.npy", "y=x.npy", "progress=false", estimators) == 0
    assert told in capsys.readouterr().out


WRONG = {
    "": "nothing to measure: give x=FILE and perhaps y=FILE, or data=…, or run=FOLDER",
    "y=y.npy": "y: goes with x=…, which is not given",
    "x=x.npy y_key=a": "y_key: goes with y=…, which is not given",
    "x=x.npy encoder=open_clip": "encoder: goes with data=…, which is not given",
    "x=x.npy data=openclipart": "x and data: give one of them, not 2",
    "x=x.npy run=outputs/demo/1": "x and run: give one of them, not 2",
    "x=nowhere.npy": "x=nowhere.npy: no such file or directory",
    "x=x.npy y=short.npy": "x has 600 rows, y has 599 rows; row i of each must belong together",
    "x=flat.npy": "x=flat.npy: holds shape (600,) where (rows, dimensions) is wanted",
    "x=few.npy": "20 rows are too few for k=20 neighbours; there must be at least 21",
    "x=two.npz": "x=two.npz: holds 2 arrays: a, b; x_key=… says which",
    "x=x.npy y=two.npz y_key=c": "y=two.npz: holds no 'c' (y_key); arrays: a, b",
    "x=x.npy x_key=a": "x=x.npy: x_key=a: .npy holds one array",
    "x=text.npy": "x=text.npy: not an .npy file",
    "x=x.pkl": "x=x.pkl: .pkl extension, which is not read",
    "x=x.npy k=1": "k: input should be greater than or equal to 2",
    "x=x.npy k=many": "k: input should be a valid integer",
    "x=x.npy max_point=5": "max_point: unknown key, did you mean max_points?",
    "x=x.npy trainer.max_epochs=5": "trainer.max_epochs: unknown key",
    "x=x.npy +widht=5": "widht: unknown key; the top level holds x, y, x_key",
    "x=x.npy nan=ignore": "nan: input should be 'refuse' or 'drop'",
    "x=x.npy estimators=[mle,tonn]": "estimators: there is no estimator tonn; there is mle, twonn, gride",
    "x=x.npy estimators=[mle,mle]": "must name each estimator once",
    "x=x.npy estimators=[]": "estimators: ",
    "x=x.npy --multirun k=10,20": "--multirun: measure measures one thing at a time",
    "x=x.npy output_dir=x.npy": "x.npy: not a folder that can be written to",
    "run=nowhere": "run=nowhere/embeddings.safetensors: no such file or directory",
    "data=openclipart data.images=true": "are no embeddings; encoder=open_clip makes some",
    "data=openclipart split=validation": "split: input should be 'all', 'train' or 'test'",
    "data=openclipart data.n_tset=5": "data.n_tset: unknown key, did you mean data.n_test?",
    "data=openclipart encoder=mlp": "encoder: mlp has no weights before it is trained",
    "data=openclipart encoder=open_clip encoder.model=ViT-B-33": "no such model, did you mean ViT-B-32?",
    "data=openclipart encoder=open_clip": "encoder.pretrained=: not given; it has 22 tags",
    "data=openclipart encoder=open_clip encoder.pretrained=x.pt": "no tag of ViT-B-32 and no file",
}


@pytest.mark.parametrize("given", WRONG)
def test_bad_input_is_one_line_exit_2_and_nothing_written(
    command_line, capsys, tmp_path, pair, given
) -> None:
    np.save("short.npy", pair[1][1:])
    np.save("flat.npy", pair[0][:, 0])
    np.save("few.npy", pair[0][:20])
    np.savez("two.npz", a=pair[0], b=pair[0])
    Path("text.npy").write_text("0.1,0.2\n")
    Path("x.pkl").touch()
    before = files_below(tmp_path)
    assert command_line("measure", *given.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("intrinsic-clip: ")
    assert error.count("\n") == 1
    assert WRONG[given] in error
    assert files_below(tmp_path) == before


def test_ctrl_c_leaves_nothing(command_line, capsys, monkeypatch, tmp_path, pair) -> None:
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("intrinsic_clip.measure.measurements.participation_ratio", interrupted)
    before = files_below(tmp_path)
    assert command_line("measure", "x=x.npy", *QUICK) == 130
    assert "Interrupted; nothing was written." in capsys.readouterr().err
    assert files_below(tmp_path) == before


def test_shipped_features_and_a_split_of_them(command_line, capsys, tmp_path) -> None:
    from intrinsic_clip.data.openclipart import OpenClipArt
    from intrinsic_clip.dimension import mle

    assert command_line("measure", "data=openclipart", "split=test", *QUICK) == 0
    results = found(tmp_path)
    assert results["dims"] == {"x": 1280, "y": 384}
    assert results["metrics"]["id/mle/x"] == pytest.approx(float(mle(OpenClipArt().pairs("test").x).value))
    assert "500 pairs: x 1,280-d (OpenClipArt), y 384-d (OpenClipArt)" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:1 of 500 points are exact duplicates")
def test_a_pretrained_model_embeds_the_shipped_pairs(command_line, capsys, tmp_path) -> None:
    import open_clip

    from intrinsic_clip.data.openclipart import OpenClipArt
    from intrinsic_clip.dimension import mle

    tiny_open_clip(tmp_path / "tiny")
    given = ["data=openclipart", "encoder=open_clip", "encoder.model=tiny", "split=test"]
    assert command_line("measure", *given, *QUICK) == 0
    results = found(tmp_path)
    assert results["dims"] == {"x": 16, "y": 16}
    assert "500 pairs: x 16-d (OpenClipArt, tiny)" in capsys.readouterr().out
    pairs = OpenClipArt(images=True).pairs("test")
    model = open_clip.create_model("local-dir:tiny").eval()
    with torch.inference_mode():
        tokens = pairs.y[:, :20].clone()
        tokens[(pairs.y[:, 20:] != 0).any(1), -1] = 49407  # what open_clip's tokenizer does to a long caption
        y = model.encode_text(tokens, normalize=True)
    assert results["metrics"]["id/mle/y"] == pytest.approx(float(mle(y.clone()).value), rel=1e-4)


def test_a_finished_run_of_our_own(command_line, capsys, tmp_path) -> None:
    from safetensors.torch import load_file

    from intrinsic_clip.dimension import mle

    assert (
        command_line("train", *TINY, "encoder.output_dim=[3,6]", "replicates=2", "trainer.max_epochs=1") == 0
    )
    (run,) = tmp_path.glob("outputs/custom/*")
    capsys.readouterr()
    assert command_line("measure", f"run={run}", *QUICK) == 0
    results = found(tmp_path)
    assert results["dims"] == {"x": 3, "y": 3, "z": 5}
    x = load_file(run / "embeddings.safetensors")["x"][0, 0, :, :3]
    assert results["metrics"]["id/mle/x"] == pytest.approx(float(mle(x).value))
    assert "the first is measured: output dimension 3, number 0" in capsys.readouterr().out
    (run / "results.json").write_text("{}")
    assert command_line("measure", f"run={run}", *QUICK, "k=10") == 2
    assert "not a finished run" in capsys.readouterr().err


def test_wandb_gets_the_same_numbers(command_line, tmp_path, pair) -> None:
    assert command_line("measure", "x=x.npy", "y=y.npy", *QUICK, "logger=wandb") == 0
    (folder,) = tmp_path.glob("outputs/measure/*")
    (written,) = folder.glob(f"wandb/offline-run-*/run-{folder.name}.wandb")
    rows = records(written)
    table = pd.read_csv(folder / "metrics.csv").set_index("metric")["value"]
    for name in ("id/mle/x", "retrieval/top_1/x_to_y", "modality_gap"):
        assert history(rows, name) == [table[name]]
    metrics = found(tmp_path)["metrics"]
    assert table.to_dict() == {name: value for name, value in metrics.items() if value is not None}


def test_help_shows_what_measure_takes_and_nothing_else(command_line, capsys) -> None:
    assert command_line("measure", "--help") == 0
    shown = capsys.readouterr().out
    for word in (
        "x=FILE",
        "data=\n",
        "openclipart",
        "encoder=\n",
        "open_clip ",
        "logger=\n",
        "max_points: 10000",
    ):
        assert word in shown
    for word in ("optimizer", "probes=", "experiment=", "launcher=", "mlp ", "multirun", "replicates"):
        assert word not in shown
