"""CITE-seq: the same cells from .csv, .h5ad and .h5mu, and the preprocessing against its definition."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.reading import check_read_once, read
from intrinsic_clip.data.features.citeseq import (
    CiteSeq,
    centred_log_ratio,
    components,
    log_normalised,
    scaled,
)
from intrinsic_clip.errors import ConfigError

N, GENES, PROTEINS = 120, 40, 9
SIZES = {"n_append": 10, "n_test": 30, "batch_size": 20, "rna_components": 12, "protein_components": 5}
LABELS = {"coarse": "celltype.l1", "fine": "celltype.l2"}
DRAW = np.random.default_rng(0)
KINDS = DRAW.integers(0, 4, N)
RNA = DRAW.poisson(DRAW.gamma(2.0, 1.0, (4, GENES))[KINDS]).astype(np.float32)
ADT = DRAW.poisson(20 * DRAW.gamma(2.0, 1.0, (4, PROTEINS))[KINDS]).astype(np.float32)
NAMES = [f"AAAC{i}-1" for i in range(N)]
GENE_NAMES, PROTEIN_NAMES = [f"gene{i}" for i in range(GENES)], [f"CD{i}" for i in range(PROTEINS)]
CELLS = pd.DataFrame(
    {"celltype.l1": [f"T{k // 2}" for k in KINDS], "celltype.l2": [f"T{k}" for k in KINDS]}, index=NAMES
)


@pytest.fixture
def csv(tmp_path: Path) -> dict[str, str]:
    tables = {
        "rna": pd.DataFrame(RNA.astype(int), NAMES, GENE_NAMES),
        "protein": pd.DataFrame(ADT.astype(int), NAMES, PROTEIN_NAMES),
        "cells": CELLS,
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv")
    return {name: str(tmp_path / f"{name}.csv") for name in tables}


def load(**options) -> CiteSeq:
    return read(CiteSeq(**{**SIZES, "labels": LABELS, **options}))


def test_csv(csv) -> None:
    data = load(**csv)
    assert (data.d_x, data.d_y, data.sizes) == (12, 5, {"train": 80, "append": 10, "test": 30})
    pairs = data.pairs("train")
    assert set(pairs.labels) == {"coarse", "fine"}
    assert torch.equal(pairs.labels["fine"], torch.from_numpy(KINDS)[data.rows["train"]])
    assert torch.equal(pairs.labels["coarse"], pairs.labels["fine"] // 2)
    check_read_once(data, *csv.values())


def test_preprocessing_follows_its_definition() -> None:
    rna, adt = torch.from_numpy(RNA), torch.from_numpy(ADT)
    normalised = np.log1p(RNA / RNA.sum(1, keepdims=True) * 1e4)
    assert np.allclose(log_normalised(rna).numpy(), normalised, atol=1e-5)
    ratio = [[np.log1p(c / np.exp(np.log1p(row[row > 0]).sum() / len(row))) for c in row] for row in ADT]
    assert np.allclose(centred_log_ratio(adt).numpy(), ratio, atol=1e-5)
    z = scaled(torch.from_numpy(normalised)).numpy()
    assert np.allclose(
        z, np.minimum((normalised - normalised.mean(0)) / normalised.std(0, ddof=1), 10), atol=1e-3
    )


@pytest.mark.parametrize("shape", [(100, 20), (20, 100)])
def test_principal_components(shape: tuple[int, int]) -> None:
    columns = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    columns = columns - columns.mean(0)
    u, s, _ = torch.linalg.svd(columns, full_matrices=False)
    projected = components(columns, 6, "rna")
    assert torch.allclose(projected.abs(), (u * s)[:, :6].abs(), atol=1e-3)
    assert torch.allclose(components(-columns, 6, "rna").abs(), projected.abs(), atol=1e-3)
    with pytest.raises(ConfigError, match=r"data.rna_components=50: .* have (19|20)"):
        components(columns, 50, "rna")


def test_principal_components_of_large_matrices(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    columns = torch.randn(200, 150, generator=generator) * 5 * 0.9 ** torch.arange(150)
    exact = components(columns, 6, "rna")
    monkeypatch.setattr("intrinsic_clip.data.features.citeseq.EXACT_UP_TO", 10)
    assert torch.allclose(components(columns, 6, "rna"), exact, rtol=0.01, atol=0.1)
    assert torch.equal(components(columns, 6, "rna"), components(columns, 6, "rna"))


def test_components_as_they_are(csv, tmp_path: Path) -> None:
    pd.DataFrame(RNA - 3.5, NAMES).to_csv(tmp_path / "pcs.csv")
    data = load(**csv | {"rna": str(tmp_path / "pcs.csv")}, given="components")
    assert (data.d_x, data.d_y) == (GENES, PROTEINS)
    assert torch.equal(data.pairs("test").x, torch.from_numpy(RNA - 3.5)[data.rows["test"]])
    with pytest.raises(ConfigError, match=r"numbers below 0, so these are no counts; data.given=components"):
        load(**csv | {"rna": str(tmp_path / "pcs.csv")})


def test_all_remaining_rows_are_held_out(csv) -> None:
    assert load(**csv, n_train=70, n_test=None).sizes == {"train": 70, "append": 10, "test": 40}
    with pytest.raises(ConfigError, match=r"data.n_train and n_test: only one of them"):
        load(**csv, n_train=None, n_test=None)


def test_bad_csv_in_one_line(csv, tmp_path: Path) -> None:
    cases = {
        "no such file": csv | {"rna": str(tmp_path / "absent.csv")},
        "must be a .csv, .h5ad or .h5mu file": csv | {"rna": "cells.xlsx"},
        "data.protein: must name the .csv file": csv | {"protein": None},
        "data.cells=absent.csv: no such file": csv | {"cells": "absent.csv"},
        "data.cells: must name the .csv file": csv | {"cells": None},
        "column 'celltype.l1' holds other things": csv | {"protein": csv["cells"]},
        "has no column 'celltype.l3'": csv | {"labels": {"finest": "celltype.l3"}},
        "data.rna_components=500": csv | {"rna_components": 500},
    }
    pd.DataFrame(ADT[::-1], NAMES[::-1], PROTEIN_NAMES).to_csv(tmp_path / "turned.csv")
    cases["are not the 120 of data.rna in their order"] = csv | {"protein": str(tmp_path / "turned.csv")}
    for message, options in cases.items():
        with pytest.raises(ConfigError) as caught:
            load(**options)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


def test_cells_without_a_class_are_counted(csv, tmp_path: Path, capsys) -> None:
    table = pd.read_csv(csv["cells"], index_col=0)
    table.iloc[:3, table.columns.get_loc("celltype.l1")] = None
    table.to_csv(tmp_path / "cells.csv")
    load(**csv | {"cells": str(tmp_path / "cells.csv")})
    assert "3 of 120 cells have no class in the label set 'coarse'" in "".join(capsys.readouterr())


def test_features_that_are_neither_genes_nor_proteins_are_left_out(tmp_path: Path, capsys) -> None:
    anndata = pytest.importorskip("anndata")
    types = ["Gene Expression"] * GENES + ["Antibody Capture"] * PROTEINS
    counts, path = np.hstack([RNA, ADT]), str(tmp_path / "cells.h5ad")
    anndata.AnnData(counts, var=pd.DataFrame({"feature_types": types})).write_h5ad(path)
    wanted = load(rna=path, labels={})
    guides = np.hstack([counts, np.ones((len(RNA), 2), np.float32)])
    types += ["CRISPR Guide Capture"] * 2
    anndata.AnnData(guides, var=pd.DataFrame({"feature_types": types})).write_h5ad(path)
    assert torch.equal(load(rna=path, labels={}).pairs("test").x, wanted.pairs("test").x)
    assert "are left out: 2 of type 'CRISPR Guide Capture'" in "".join(capsys.readouterr())


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch) -> None:
    for suffix, package in ((".h5ad", "anndata"), (".h5mu", "mudata")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        (tmp_path / f"cells{suffix}").write_bytes(b"")
        with pytest.raises(ConfigError, match=rf"needs {package}: pip install (anndata )?{package}$"):
            load(rna=str(tmp_path / f"cells{suffix}"))
        with pytest.raises(ConfigError, match=r"no such file"):
            load(rna=str(tmp_path / f"absent{suffix}"))


def same(one: CiteSeq, other: CiteSeq) -> None:
    for split in ("train", "append", "test"):
        assert torch.allclose(one.pairs(split).x, other.pairs(split).x, atol=1e-4)
        assert torch.allclose(one.pairs(split).y, other.pairs(split).y, atol=1e-4)
        assert torch.equal(one.pairs(split).labels["fine"], other.pairs(split).labels["fine"])


def test_h5ad(csv, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata")
    from scipy.sparse import csr_matrix

    path = str(tmp_path / "cells.h5ad")
    cells = anndata.AnnData(csr_matrix(RNA), CELLS, pd.DataFrame(index=GENE_NAMES))
    cells.obsm["protein_expression"] = ADT
    cells.write_h5ad(path)
    same(load(**csv), load(rna=path, protein="protein_expression"))
    with pytest.raises(ConfigError, match=r"must name the obsm of cells.h5ad .* protein_expression"):
        load(rna=path)
    with pytest.raises(ConfigError, match=r"no such obsm; obsm: protein_expression"):
        load(rna=path, protein="adt")
    types = pd.DataFrame(
        {"feature_types": ["GEX"] * GENES + ["ADT"] * PROTEINS}, [*GENE_NAMES, *PROTEIN_NAMES]
    )
    anndata.AnnData(csr_matrix(np.hstack([RNA, ADT])), CELLS, types).write_h5ad(path)
    same(load(**csv), load(rna=path))
    with pytest.raises(ConfigError, match=r"has no column 'celltype.l3'"):
        load(rna=path, labels={"a": "celltype.l3"})
    Path(path).write_bytes(Path(path).read_bytes()[:3000])
    with pytest.raises(ConfigError, match=r"damaged, or not an .h5ad file"):
        load(rna=path)


def test_h5mu(csv, tmp_path: Path) -> None:
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    path = str(tmp_path / "cells.h5mu")
    rna = anndata.AnnData(RNA, CELLS, pd.DataFrame(index=GENE_NAMES))
    prot = anndata.AnnData(ADT, pd.DataFrame(index=NAMES), pd.DataFrame(index=PROTEIN_NAMES))[::-1].copy()
    mudata.MuData({"rna": rna, "prot": prot}).write(path)
    same(load(**csv), load(rna=path))
    with pytest.raises(ConfigError, match=r"has no modality adt; modalities: rna, prot"):
        load(rna=path, protein="adt")
    Path(path).write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"damaged, or not an .h5mu file"):
        load(rna=path)


def log1p(rna: np.ndarray) -> np.ndarray:
    return np.log1p(rna / rna.sum(1, keepdims=True).clip(1) * 1e4)


NO_COUNTS = {
    "logged": log1p(RNA),
    "normalised": RNA / RNA.sum(1, keepdims=True).clip(1) * 1e4,
    "corrected for ambient RNA": np.where(RNA > 0, RNA - 0.0625, 0),
    "rounded to half": RNA / 2,
}


@pytest.mark.parametrize("way", NO_COUNTS)
@pytest.mark.parametrize("side", ["rna", "protein"])
def test_fractions_are_no_counts(csv, tmp_path: Path, way: str, side: str) -> None:
    columns = GENE_NAMES if side == "rna" else PROTEIN_NAMES
    values = NO_COUNTS[way][:, : len(columns)]
    pd.DataFrame(values, NAMES, columns).to_csv(tmp_path / "no_counts.csv")
    with pytest.raises(ConfigError) as caught:
        load(**csv | {side: str(tmp_path / "no_counts.csv")})
    message = str(caught.value)
    assert message.startswith(f"data.{side}={tmp_path}/no_counts.csv holds fractions (")
    assert "so these are no counts" in message
    assert "data.given=components" in message
    assert "\n" not in message


def test_whole_numbers_written_as_fractions_are_counts(csv, tmp_path: Path) -> None:
    pd.DataFrame(RNA + 1e-6, NAMES, GENE_NAMES).to_csv(tmp_path / "floats.csv")
    pd.DataFrame(ADT, NAMES, PROTEIN_NAMES).to_csv(tmp_path / "floats.tsv", sep="\t", decimal=",")
    same(
        load(**csv),
        load(**csv | {n: str(tmp_path / f"floats.{s}") for n, s in (("rna", "csv"), ("protein", "tsv"))}),
    )


def test_equal_sums_are_remarked(csv, tmp_path: Path, capsys) -> None:
    equal = RNA.copy()
    equal[:, 0] += 500 - equal.sum(1)
    pd.DataFrame(equal.astype(int), NAMES, GENE_NAMES).to_csv(tmp_path / "equal.csv")
    load(**csv | {"rna": str(tmp_path / "equal.csv")})
    assert "whole numbers that sum to about 500 in every cell" in capsys.readouterr().err


def test_names_of_cells_that_do_not_belong_together(csv, tmp_path: Path) -> None:
    barcodes = [f"AAAC{i}" for i in range(N)]
    names = {
        "they are the same cells in another order": NAMES[::-1],
        "0 names are in both, 'AAAC0' only here, 'AAAC0-1' only in data.rna; they differ in what is added": barcodes,
        "118 names are in both, 'other' only here, 'AAAC118-1' only in data.rna": [
            *NAMES[:118],
            "other",
            "another",
        ],
        "1 of 120 cells repeat the name of another, 'AAAC0-1' for instance stands 2 times": [
            *NAMES[:-1],
            NAMES[0],
        ],
        "2 of 120 cells have no name": [*NAMES[:-2], "", ""],
    }
    for message, own in names.items():
        for setting, table in (
            ("protein", pd.DataFrame(ADT, own, PROTEIN_NAMES)),
            ("cells", CELLS.set_axis(own)),
        ):
            table.to_csv(tmp_path / "others.csv")
            with pytest.raises(ConfigError) as caught:
                load(**csv | {setting: str(tmp_path / "others.csv")})
            assert str(caught.value).startswith(f"data.{setting}: ")
            assert message in str(caught.value)
    pd.DataFrame(RNA.astype(int)).to_csv(tmp_path / "nameless.csv", index=False)
    with pytest.raises(ConfigError, match=r"data.rna: \d+ of 120 cells repeat the name of another"):
        load(**csv | {"rna": str(tmp_path / "nameless.csv")})


def test_a_column_per_cell_is_refused(csv, tmp_path: Path) -> None:
    for name, values, columns in (("rna", RNA, GENE_NAMES), ("protein", ADT, PROTEIN_NAMES)):
        pd.DataFrame(values.T, columns, NAMES).to_csv(tmp_path / f"{name}.csv")
    with pytest.raises(ConfigError, match="each column holds a cell where each row must; transpose both"):
        load(**csv)


def test_layers_of_an_h5ad(csv, tmp_path: Path, capsys) -> None:
    anndata = pytest.importorskip("anndata")
    path = str(tmp_path / "cells.h5ad")
    cells = anndata.AnnData(log1p(RNA), CELLS, pd.DataFrame(index=GENE_NAMES), layers={"umis": RNA})
    cells.raw = anndata.AnnData(RNA, CELLS, pd.DataFrame(index=GENE_NAMES))
    cells.obsm["protein"], cells.obsm["clr"] = ADT, centred_log_ratio(torch.from_numpy(ADT)).numpy()
    cells.uns["log1p"] = {"base": None}
    cells.write_h5ad(path)
    with pytest.raises(ConfigError) as caught:
        load(rna=path, protein="protein")
    assert "X of the rna, holds fractions" in str(caught.value)
    assert "layers['umis'] holds counts: data.layer=umis takes them; raw holds counts" in str(caught.value)
    assert "uns['log1p'] says that it was logged once" in capsys.readouterr().err
    for layer in ("umis", "raw"):
        same(load(**csv), load(rna=path, protein="protein", layer=layer))
        assert " is read, as data.layer says" in capsys.readouterr().err
    with pytest.raises(
        ConfigError, match=r"data.protein=clr holds fractions .*obsm\['protein'\] holds counts"
    ):
        load(rna=path, protein="clr", layer="umis")
    with pytest.raises(ConfigError, match=r"there is no such layer; layers: umis, raw$"):
        load(rna=path, protein="protein", layer="counts")
    with pytest.raises(ConfigError, match=r"data.layer=umis: .csv has no layers"):
        load(**csv, layer="umis")


def test_cells_of_an_h5mu(csv, tmp_path: Path, capsys) -> None:
    anndata, mudata = pytest.importorskip("anndata"), pytest.importorskip("mudata")
    path = str(tmp_path / "cells.h5mu")

    def write(names: list[str], rows: slice = slice(None), values: np.ndarray = RNA) -> None:
        rna = anndata.AnnData(values, CELLS, pd.DataFrame(index=GENE_NAMES), layers={"counts": RNA})
        proteins = pd.DataFrame(index=PROTEIN_NAMES)
        prot = anndata.AnnData(ADT, pd.DataFrame(index=names), proteins)[rows].copy()
        mudata.MuData({"rna": rna, "prot": prot}).write(path)

    write(NAMES, slice(None, None, -1))
    same(load(**csv), load(rna=path))
    assert "joined by their names" in capsys.readouterr().err
    write(NAMES, slice(100))
    assert sum(load(rna=path).sizes.values()) == 100
    assert "100 cells are in both modalities (rna has 120, prot has 100)" in capsys.readouterr().err
    write([name.removesuffix("-1") for name in NAMES])
    with pytest.raises(
        ConfigError, match=r"no cell of modality prot is one of rna: .*what is added at the end"
    ):
        load(rna=path)
    write(NAMES, values=log1p(RNA))
    with pytest.raises(ConfigError, match=r"layers\['counts'\] holds counts: data.layer=counts takes them"):
        load(rna=path)
    same(load(**csv), load(rna=path, layer="counts"))
