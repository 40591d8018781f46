"""A projection that was exported, used from Python: on arrays and tensors, as a module, as an ONNX model."""

import copy
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import intrinsic_clip as ic
from helpers.projections import recall_at_1, write_small_projection
from helpers.shared_latent import shared_latent
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.projections import stored
from intrinsic_clip.measurement.projections.module import ReductionModule

X, Y = shared_latent(300, 0.4, 0.1)
CUT = Path("cut.safetensors")


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_held_out_rows_have_the_recall_that_was_promised(basis, whiten) -> None:
    promised = write_small_projection(CUT, X, Y, 6, basis, whiten)
    reduce = ic.Reduce.load(CUT)
    rows = reduce.held_out.numpy()
    assert reduce.provenance.promise == promised.promise
    assert recall_at_1(reduce.x(X)[rows], reduce.y(Y)[rows]) == reduce.provenance.promise.value
    assert (reduce.correlations is None) == (basis == "principal")
    assert reduce.dims == 6
    assert reduce.widths == {"x": 64, "y": 64}
    assert repr(reduce) == f"Reduce(x 64, y 64 → 6 {basis} dimensions)"


@pytest.mark.parametrize(("dtype", "scales"), [(np.float64, (1e-300, 1e300)), (np.float32, (1e-30, 1e30))])
def test_rows_whose_squares_overflow_or_vanish_keep_their_direction(dtype, scales) -> None:
    write_small_projection(CUT, X, Y, 6, "canonical")
    reduce, rows = ic.Reduce.load(CUT), X.astype(dtype)
    expected = reduce.module("x")(torch.from_numpy(rows)).numpy()
    for scale in scales:
        scaled = rows * dtype(scale)
        module = reduce.module("x")
        np.testing.assert_allclose(module(torch.from_numpy(scaled)).numpy(), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(reduce.x(scaled), expected, rtol=1e-4, atol=1e-5)


def test_rows_are_taken_as_people_hold_them() -> None:
    write_small_projection(CUT, X, Y, 6, "canonical")
    reduce = ic.Reduce.load(str(CUT))
    whole = reduce.x(X)
    assert whole.dtype == np.float32
    assert reduce.x(X.astype(np.float16)).dtype == np.float16
    np.testing.assert_allclose(reduce.x(X[0]), whole[0], rtol=1e-6)
    np.testing.assert_allclose(reduce.x(X[:20].reshape(4, 5, 64)), whole[:20].reshape(4, 5, 6), rtol=1e-6)
    np.testing.assert_allclose(reduce.x(X[:2].tolist()), whole[:2], rtol=1e-5)
    np.testing.assert_allclose(reduce.transform(1e-30 * X, "x"), whole, rtol=1e-4, atol=1e-7)
    assert np.isfinite(reduce.x(np.zeros((2, 64), np.float32))).all()
    rows = torch.from_numpy(X[:3]).requires_grad_()
    reduce.x(rows).sum().backward()
    assert rows.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match=r"x must have 64 columns.*got shape \(300, 63\)"):
        reduce.x(X[:, 1:])
    write_small_projection(CUT, X, None, 6)
    with pytest.raises(ConfigError, match="has no side 'y'; it has x"):
        ic.Reduce.load(CUT).y(Y)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_the_module_behind_an_encoder(basis) -> None:
    write_small_projection(CUT, X, Y, 6, basis)
    reduce, rows = ic.Reduce.load(CUT), torch.from_numpy(X)
    module, expected = reduce.module("y"), reduce.y(rows)
    torch.testing.assert_close(module(rows), expected, rtol=1e-5, atol=2e-6)
    assert not list(module.parameters())
    torch.testing.assert_close(module(rows.reshape(3, 10, 10, 64)).reshape(300, 6), module(rows))
    assert module(rows.double()).dtype == torch.float64
    other = ReductionModule(torch.zeros(64), torch.zeros(64, 6), unit_rows=basis == "principal")
    other.load_state_dict(module.state_dict())
    assert torch.equal(copy.deepcopy(other)(rows), module(rows))
    assert torch.equal(torch.jit.script(module)(rows), module(rows))
    for half, tolerance in ((torch.bfloat16, 2e-2), (torch.float16, 3e-3)):
        encoder = torch.nn.Sequential(torch.nn.Identity(), module).to(half)
        small = encoder(rows.to(half))
        assert small.dtype == half
        assert float((small.float() - expected).abs().max()) < tolerance * float(expected.abs().max())
        module = reduce.module("y")
    torch.testing.assert_close(reduce.y(rows), expected, rtol=0, atol=0)  # what was handed out is a copy


@pytest.mark.slow
def test_the_module_is_exported_by_pytorch() -> None:
    write_small_projection(CUT, X, Y, 6, "canonical")
    module, rows = ic.Reduce.load(CUT).module(), torch.from_numpy(X)
    program = torch.export.export(module, (rows[:4],), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.testing.assert_close(program.module()(rows), module(rows))


@pytest.mark.parametrize("basis", ["principal", "canonical"])
def test_onnx(basis) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    write_small_projection(CUT, X, Y, 6, basis)
    reduce = ic.Reduce.load(CUT)
    reduce.to_onnx("cut.onnx", "y")
    rows = np.vstack([Y, np.zeros((1, 64), np.float32)])
    (small,) = ReferenceEvaluator(onnx.load("cut.onnx")).run(None, {"rows": rows})
    np.testing.assert_allclose(small, reduce.y(rows), rtol=1e-4, atol=1e-6)


def test_onnx_is_named_where_it_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    write_small_projection(CUT, X, None, 6)
    with pytest.raises(ConfigError, match="needs the package onnx: pip install onnx"):
        ic.Reduce.load(CUT).to_onnx("cut.onnx")
    assert not Path("cut.onnx").exists()


def test_what_does_not_fit_together_is_damaged(monkeypatch) -> None:
    promised = write_small_projection(CUT, X, Y, 6)
    wrong = replace(stored.read_projection(CUT).provenance, dims=5)
    stored.write_projection(CUT, promised, promised.held_out, wrong)
    with pytest.raises(ConfigError, match="its tensors do not fit together"):
        ic.Reduce.load(CUT)
    monkeypatch.setattr(stored, "VERSION", 2)
    with pytest.raises(ConfigError, match="a projection of version 1, of which this program reads 2"):
        ic.Reduce.load(CUT)


def test_only_a_projection_is_overwritten(tmp_path) -> None:
    (tmp_path / "notes.safetensors").write_text("a text")
    with pytest.raises(ConfigError, match="exists and is no projection, so it is not overwritten"):
        stored.check_export_path(Path("notes.safetensors"))
    with pytest.raises(ConfigError, match=r"must end in \.safetensors"):
        stored.check_export_path(Path("cut.npy"))
    with pytest.raises(ConfigError, match="there is no folder nowhere"):
        stored.check_export_path(Path("nowhere/cut.safetensors"))
    write_small_projection(CUT, X, Y, 6)
    stored.check_export_path(CUT)


def test_a_folder_that_is_read_only_is_refused_before_anything_is_measured(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="not a folder that can be written to; export=… names another"):
        stored.check_export_path(tmp_path / "cut.safetensors")


@pytest.mark.parametrize("shape", [(5, 1), (1,), (5, 63), (5, 65), (64, 5), ()])
@pytest.mark.parametrize("side", ["x", "y"])
def test_module_refuses_rows_of_another_width(side, shape) -> None:
    """One column used to be taken for all 64 without a word."""
    write_small_projection(CUT, X, Y, 6, "canonical")
    module = ic.Reduce.load(CUT).module(side)
    with pytest.raises(ValueError, match=r"rows must have 64 columns, .* got shape \["):
        module(torch.ones(shape))
    with pytest.raises(Exception, match="rows must have 64 columns"):  # TorchScript's own kind
        torch.jit.script(module)(torch.ones(shape))
    assert module(torch.ones(64)).shape == (module.out_features,)
