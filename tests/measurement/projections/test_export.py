"""`measure … export=FILE` writes what it advises, and what the file promises can be seen without this package."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.numpy import load_file

import intrinsic_clip as ic
from helpers.projections import recall_at_1
from helpers.shared_latent import QUICK, measurement_below, shared_latent
from intrinsic_clip.cli import program
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.advice import MAPPED_RULE, RULE
from intrinsic_clip.measurement.inputs import Inputs
from intrinsic_clip.measurement.projections.export import export

X, Y = shared_latent(600, 0.3, 0.1)

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "apply_a_projection.md"
CHECK = """
import json, sys

for path, side, rows, expected in json.loads(sys.argv[1]):
    error = np.abs(reduced(path, side, np.load(rows)) - np.load(expected)).max()
    assert error < 1e-5, (path, side, error)
assert not {"torch", "intrinsic_clip"} & set(sys.modules)
"""


def recipe() -> str:
    """Return the function that the page of documentation shows, of NumPy and safetensors alone."""
    (code,) = re.findall(r"```python\n(import numpy.*?)```", PAGE.read_text(), re.DOTALL)
    return code


def command(*arguments: str) -> int:
    """Run the program in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["intrinsic-clip", *arguments])
        try:
            program.main()
        except SystemExit as end:
            return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Measure 600 pairs, export two projections of them and apply both."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        np.save("x.npy", X)
        np.save("y.npy", Y)
        measured = ["measure", "x=x.npy", "y=y.npy", *QUICK]
        assert command(*measured, "export=cut.safetensors") == 0
        canonical = ["export_basis=canonical", "export_dims=5", "export_whiten=true"]
        assert command(*measured, "export=canonical.safetensors", *canonical) == 0
        for name in ("cut", "canonical"):
            outputs = [f"output={name}_x.npy", f"output_y={name}_y.npy"]
            assert command("apply", f"{name}.safetensors", "x=x.npy", "y=y.npy", *outputs) == 0
    return folder


@pytest.mark.slow
def test_applied_to_the_files_it_was_fitted_to_it_keeps_the_promise(folder) -> None:
    for name in ("cut", "canonical"):
        reduce = ic.Reduce.load(folder / f"{name}.safetensors")
        rows = reduce.held_out.numpy()
        x, y = (np.load(folder / f"{name}_{side}.npy")[rows] for side in "xy")
        assert recall_at_1(x, y) == reduce.provenance.promise.value
    measurement = measurement_below(folder)
    reduce = ic.Reduce.load(folder / "cut.safetensors")
    curve = measurement["curves"]["retrieval/principal"]
    assert reduce.dims == measurement["advice"]["dims"] == curve["sufficient"] == 8
    promise = reduce.provenance.promise
    at = curve["at"].index(8)
    assert (promise.value, promise.full) == (curve["value"][at], curve["full"])
    assert promise.standard_error == pytest.approx(curve["standard_error"][at])
    assert promise.n == curve["n"] == len(reduce.held_out) == 300


@pytest.mark.slow
def test_numpy_alone_gives_what_apply_writes(folder) -> None:
    cases = [
        (
            str(folder / f"{name}.safetensors"),
            side,
            str(folder / f"{side}.npy"),
            str(folder / f"{name}_{side}.npy"),
        )
        for name in ("cut", "canonical")
        for side in "xy"
    ]
    subprocess.run([sys.executable, "-c", recipe() + CHECK, json.dumps(cases)], check=True)


@pytest.mark.slow
def test_the_file_says_where_it_comes_from(folder) -> None:
    provenance = ic.Reduce.load(folder / "canonical.safetensors").provenance
    assert (provenance.method, provenance.dims, provenance.whitened) == ("canonical", 5, True)
    assert provenance.fitted_rows == 300
    assert {side: source["name"] for side, source in provenance.sources.items()} == {
        "x": "x.npy",
        "y": "y.npy",
    }
    assert len(provenance.sources["x"]["sha256"]) == 64
    assert provenance.package == f"intrinsic-clip {ic.__version__}"
    assert provenance.measurement == next(folder.glob("outputs/measure/*")).name
    assert len(list(folder.glob("outputs/measure/*"))) == 1  # exports are not part of the address


SETTINGS: dict[str, Any] = {
    "x": "x.npy", "y": None, "x_key": None, "y_key": None, "run": None, "data": None, "encoder": None, "columns": None,
    "drop": None, "subsample": None, "queries": "auto", "nan": "refuse", "k": 5, "seed": 0, "progress": False,
    "export": "cut.safetensors", "export_dims": None, "export_basis": None, "export_whiten": False,
}  # fmt: skip


def exported(measurement: dict[str, Any], **changes: Any) -> str:
    """Export a projection from a measurement of which only the advice is there."""
    settings = SETTINGS | changes
    return export(Inputs(OmegaConf.create(), settings), settings, measurement, "0123456789ab")


def variance(dims: int | None) -> dict[str, Any]:
    """Return the measurement of one modality that advises so many dimensions."""
    return {"dims": {"x": 64}, "advice": {"dims": dims}, "curves": {}}


def recall(sufficient: int | None, *bases: str) -> dict[str, Any]:
    """Return the measurement of two modalities in which so many dimensions are enough."""
    curves = {f"retrieval/{basis}": {"at": [8, 64], "sufficient": sufficient} for basis in bases}
    advice = {"dims": sufficient, "basis": bases[0], "rule": RULE}
    return {"dims": {"x": 64, "y": 64}, "advice": advice, "curves": curves}


@pytest.mark.parametrize(
    ("measurement", "changes", "message"),
    [
        (
            recall(64, "principal"),
            {},
            "export: no fewer than all 64 dimensions keep recall@1 within one standard error, so nothing",
        ),
        (
            recall(None, "principal"),
            {},
            "does not show how many dimensions are needed, so nothing is exported",
        ),
        (
            recall(8, "canonical") | {"dims": {"x": 64, "y": 48}},
            {"export_basis": "principal"},
            "x and y have 64 and 48 columns and no principal directions in common",
        ),
        (recall(8, "principal"), {"export_dims": 65}, "export_dims=65: must be at most 64"),
        (variance(64), {}, "export: no fewer than all 64 dimensions keep 99 % of the variance, so nothing"),
        (variance(None), {}, "does not exist, so nothing is exported; export_dims=… chooses a number"),
        (variance(8), {"export_basis": "canonical"}, "export_basis=canonical: needs y=…"),
    ],
)
def test_nothing_is_exported_without_a_number(measurement, changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        exported(measurement, **changes)
    assert not Path("cut.safetensors").exists()


def test_rows_left_out_are_not_counted_among_the_held_out(monkeypatch) -> None:
    broken = X.copy()
    broken[::7, 0] = np.nan
    np.save("x.npy", broken)
    lines, promises = [], []
    for queries in ("all", 100):  # read whole, and block by block
        lines.append(exported(variance(8), nan="drop", queries=queries))
        reduce = ic.Reduce.load("cut.safetensors")
        rows = X[reduce.held_out.numpy()].astype(np.float64)
        assert not (reduce.held_out % 7 == 0).any()
        centred = rows - reduce.module().mean.numpy()
        share = np.square(reduce.x(rows)).sum() / np.square(centred).sum()
        promises.append((share, reduce.provenance.promise.value))
    for share, promised in promises:
        assert share == pytest.approx(promised, abs=1e-6)
    assert lines[0].startswith(
        "exported cut.safetensors: x 64 → 8 principal dimensions, fitted on 257 rows; "
    )


def test_a_sample_is_exported_with_the_numbers_of_its_rows() -> None:
    np.save("x.npy", X)
    np.save("y.npy", Y)
    exported(recall(8, "principal"), y="y.npy", subsample=300)
    reduce = ic.Reduce.load("cut.safetensors")
    rows = reduce.held_out
    assert len(rows) == 150
    assert int(rows.max()) > 300
    assert recall_at_1(reduce.x(X)[rows], reduce.y(Y)[rows]) == reduce.provenance.promise.value
    assert torch.equal(torch.unique(rows), rows.sort().values)


def test_settings_of_an_export_need_its_file(command_line, capsys) -> None:
    np.save("x.npy", X)
    Path("notes.safetensors").write_text("a text")
    for arguments, message in {
        "export_dims=5": "export_dims: needs export=FILE, which is missing",
        "export_whiten=true": "export_whiten: needs export=FILE, which is missing",
        "export=cut.npy": "export=cut.npy: must end in .safetensors",
        "export=notes.safetensors": "export=notes.safetensors: exists and is no projection",
    }.items():
        assert command_line("measure", "x=x.npy", arguments) == 2
        assert message in capsys.readouterr().err
    assert not Path("outputs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [(), ("export_dims=7",), ("export_basis=canonical",)])
def test_pairs_of_two_spaces_get_the_canonical_directions_of_the_advice(tmp_path, capsys, chosen) -> None:
    """Cosines of encoders that were never trained together say nothing; a linear map of each finds the partners."""
    np.save("x.npy", X)
    np.save("y.npy", Y @ np.linalg.qr(np.random.default_rng(7).normal(size=(64, 64)))[0].astype(np.float32))
    assert command("measure", "x=x.npy", "y=y.npy", "export=cut.safetensors", *chosen, *QUICK) == 0
    advice = measurement_below(tmp_path)["advice"]
    assert advice["basis"] == "canonical"
    assert f"and {advice['dims']} of 64 keep 99 % of it" in advice["text"]
    dims = 7 if "export_dims=7" in chosen else advice["dims"]
    assert f"→ {dims} canonical dimensions" in capsys.readouterr().out
    reduce = ic.Reduce.load("cut.safetensors")
    held = load_file("cut.safetensors")["held_out_rows"]
    small = (reduce.x(np.load("x.npy")[held]), reduce.y(np.load("y.npy")[held]))
    assert recall_at_1(*small) == pytest.approx(reduce.provenance.promise.value, abs=1e-9)
    assert recall_at_1(*small) > 0.5


def test_principal_directions_of_two_spaces_are_exported_only_by_number() -> None:
    measurement = recall(None, "principal", "canonical")
    measurement["advice"] = {"dims": 8, "basis": "canonical", "rule": MAPPED_RULE}
    with pytest.raises(ConfigError, match="along principal directions does not show how many"):
        exported(measurement, export_basis="principal")
    measurement["advice"]["dims"] = 64
    with pytest.raises(ConfigError, match="no fewer than all 64 dimensions keep 99 % of recall@1 along all"):
        exported(measurement)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("y=y.npy", "export_dims=65"), "export_dims=65: must be at most 64"),
        (("y=narrow.npy", "export_dims=49"), "export_dims=49: must be at most 48"),
        (("y=narrow.npy", "export_basis=principal"), "no principal directions in common"),
        (("export_basis=canonical",), "export_basis=canonical: needs y="),
        (("y=y.npy", "groups=[a.csv,b.csv]"), "made of the groups of x and y"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_measured(
    tmp_path, capsys, monkeypatch, settings, message
) -> None:
    def measured(*args: object, **kwargs: object) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr("intrinsic_clip.measurement.measurements.measure_embeddings", measured)
    for name, rows in (("x", X), ("y", Y), ("narrow", Y[:, :48])):
        np.save(f"{name}.npy", rows)
    for name, step in (("a", 1), ("b", -1)):
        ids = "\n".join(map(str, np.arange(600)[::step] // 2))
        Path(f"{name}.csv").write_text(f"id\n{ids}\n")
    before = sorted(tmp_path.rglob("*"))
    assert command("measure", "x=x.npy", "export=cut.safetensors", *settings, *QUICK) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
