"""Read RNA and proteins of the same cells, and their classes, from tables, an .h5ad or an .h5mu."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.features.barcodes import difference, require_same, require_unique
from intrinsic_clip.data.features.counts import names_with_counts, places_of_counts
from intrinsic_clip.data.formats.class_labels import class_codes
from intrinsic_clip.data.formats.number_tables import read_number_table
from intrinsic_clip.data.formats.tables import read_table, require_columns, require_setting_file
from intrinsic_clip.data.formats.text_dialect import MISSING
from intrinsic_clip.errors import ConfigError, first_line

if TYPE_CHECKING:
    import pandas as pd

ANNDATA_HINT = "reading .h5ad needs anndata: pip install anndata"
MUDATA_HINT = "reading .h5mu needs mudata: pip install anndata mudata"
RNA_NAMES = ("rna", "RNA", "gex", "GEX")
RNA_TYPES = ("Gene Expression", "RNA", "rna", "gex", "GEX")
PROTEIN_TYPES = ("ADT", "Antibody Capture", "protein", "prot")
TEXT_SUFFIXES = (".csv", ".tsv")
RAW = "raw"  # as a layer: AnnData's .raw


@dataclass(frozen=True)
class Cells:
    """Values of the same cells: rna `(n, genes)`, protein `(n, proteins)`, and their classes by label set.

    Attributes:
        elsewhere: where the file holds counts besides, for messages, by modality.
        notes: choices made while reading, a sentence each.
    """

    rna: Tensor
    protein: Tensor
    labels: dict[str, Tensor] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_cells(
    rna: Path, protein: str | None, cells: str | None, labels: Mapping[str, str], layer: str | None = None
) -> Cells:
    """Read values and classes from tables, an .h5ad or an .h5mu; see `CiteSeq` for the arguments.

    Raises:
        ConfigError: in one line that names the setting.
    """
    suffix = rna.suffix.lower()
    if suffix in (".h5ad", ".h5mu") and not rna.is_file():
        raise ConfigError(f"data.rna={rna}: no such file")
    if suffix == ".h5ad":
        return _from_h5ad(rna, protein, labels, layer)
    if suffix == ".h5mu":
        return _from_h5mu(rna, protein, labels, layer)
    assert protein is not None  # CiteSeq checks it
    return _from_tables(rna, protein, cells, labels)


def _from_tables(rna: Path, protein: str, cells: str | None, labels: Mapping[str, str]) -> Cells:
    sources = {"rna": rna, "protein": Path(protein)}
    names, tables, notes = {}, {}, []
    for setting, path in sources.items():
        names[setting], tables[setting], more = _numbers_of(path, setting)
        notes += [f"{path.name}: {note}" for note in more]
    _refuse_columns_of_cells(rna, tables["rna"], tables["protein"], names)
    classes = None
    if labels and cells is not None:
        require_setting_file("cells", Path(cells))
        classes = read_table(Path(cells))
        require_columns(Path(cells), classes, *labels.values())
        names["cells"] = classes.iloc[:, 0].astype(str).str.strip().tolist()
    for setting, own in names.items():
        require_unique(f"data.{setting}", own)
        require_same(f"data.{setting}", own, names["rna"])
    matrices = {setting: torch.from_numpy(table.to_numpy(np.float32)) for setting, table in tables.items()}
    label_sets: dict[str, Tensor] = {}
    if classes is not None:
        label_sets, more = _classes(Path(str(cells)), classes, labels)
        notes += more
    return Cells(matrices["rna"], matrices["protein"], label_sets, notes=notes)


def _numbers_of(path: Path, setting: str) -> tuple[list[str], "pd.DataFrame", list[str]]:
    """Return the names of the cells, the numbers, and notes on how the table was read."""
    try:
        table, headed, notes = read_number_table(path)
    except FileNotFoundError as error:
        raise ConfigError(f"data.{setting}={path}: no such file") from error
    except ConfigError as error:
        raise ConfigError(f"data.{setting}={path}: damaged, or no table ({error})") from error
    except OSError as error:
        raise ConfigError(f"data.{setting}={path}: {error.strerror or first_line(error)}") from error
    wanted = f"data.{setting}={path}: must hold numbers, a row per cell, its name first"
    if not headed:
        raise ConfigError(f"{wanted}; the first line must name the columns")
    numbers = table.iloc[:, 1:]
    not_numeric = [str(name) for name, dtype in numbers.dtypes.items() if dtype.kind not in "fiub"]
    if not_numeric or numbers.empty:
        contents = f"column {not_numeric[0]!r} holds other things" if not_numeric else "it holds none"
        raise ConfigError(f"{wanted}; {contents}")
    first = table.iloc[:, 0]
    names = first.astype(object).where(first.notna(), "").astype(str).str.strip().tolist()
    return names, numbers, [note for note in notes if note != "the first line is read as a header"]


def _refuse_columns_of_cells(
    path: Path, rna: "pd.DataFrame", protein: "pd.DataFrame", names: Mapping[str, list[str]]
) -> None:
    """Refuse tables with a column per cell, as the matrices of R have them."""
    shared = set(map(str, rna.columns)) & set(map(str, protein.columns))
    if 2 * len(shared) > rna.shape[1] and not set(names["rna"]) & set(names["protein"]):
        raise ConfigError(
            f"data.rna={path}: its columns are those of data.protein, so each column holds a cell where each row "
            "must; transpose both"
        )


def _from_h5ad(path: Path, protein: str | None, labels: Mapping[str, str], layer: str | None) -> Cells:
    try:
        import anndata
    except ImportError as error:
        raise ConfigError(f"data.rna={path}: {ANNDATA_HINT}") from error
    try:
        cells = anndata.read_h5ad(path)
    except Exception as error:  # h5py's and anndata's are of many types
        raise ConfigError(f"data.rna={path}: damaged, or not an .h5ad file ({first_line(error)})") from error
    source = f"data.rna={path}"
    values, features, notes = _layer(source, cells, layer)
    repeated = cells.n_obs - cells.obs_names.nunique()
    if repeated:
        notes.append(f"{repeated:,} cells repeat the name of another; rows are taken as they stand")
    elsewhere = places_of_counts(cells.layers, cells.raw)
    if protein is not None:
        if protein not in cells.obsm:
            offer = ", ".join(cells.obsm) or "none"
            raise ConfigError(f"data.protein={protein}: {path.name} has no such obsm; obsm: {offer}")
        others = [name for name in names_with_counts(cells.obsm) if name != protein]
        hints = {
            "rna": elsewhere,
            "protein": "; ".join(f"obsm[{n!r}] holds counts: data.protein={n} takes it" for n in others),
        }
        rna, proteins = values, cells.obsm[protein]
    else:
        types = next((features[c].astype(str) for c in ("feature_types", "modality") if c in features), None)
        is_protein = None if types is None else types.isin(PROTEIN_TYPES).to_numpy()
        if types is None or is_protein is None or not is_protein.any():
            offer = ", ".join(cells.obsm) or "none"
            raise ConfigError(f"data.protein: must name the obsm of {path.name} that holds proteins: {offer}")
        hints = {"rna": elsewhere, "protein": elsewhere}
        is_rna = types.isin(RNA_TYPES).to_numpy()
        others = types[~is_protein & ~is_rna].value_counts()
        if is_rna.any() and len(others):
            listed = ", ".join(f"{count:,} of type {name!r}" for name, count in others.items())
            notes.append(f"features that are neither genes nor proteins are left out: {listed}")
        is_rna = is_rna if is_rna.any() else ~is_protein
        rna, proteins = values[:, np.flatnonzero(is_rna)], values[:, np.flatnonzero(is_protein)]
    classes, more = _classes(path, cells.obs, labels)
    return Cells(_dense(rna), _dense(proteins), classes, hints, [*notes, *more])


def _layer(source: str, cells: Any, layer: str | None) -> tuple[Any, "pd.DataFrame", list[str]]:
    """Return the chosen values of an AnnData, the table of their features, and what was decided."""
    if layer is not None and layer not in cells.layers and not (layer == RAW and cells.raw is not None):
        offer = ", ".join([*cells.layers, *([RAW] if cells.raw is not None else [])]) or "none"
        raise ConfigError(f"{source}: data.layer={layer}: there is no such layer; layers: {offer}")
    if layer == RAW and layer not in cells.layers:
        return cells.raw.X, cells.raw.var, ["raw is read, as data.layer says"]
    if layer is not None:
        return cells.layers[layer], cells.var, [f"layers[{layer!r}] is read, as data.layer says"]
    if cells.X is None:
        hint = places_of_counts(cells.layers, cells.raw) or "its layers hold no counts either"
        raise ConfigError(f"{source}: has no X; {hint}")
    notes = []
    if "log1p" in cells.uns:
        notes.append("X is read, although uns['log1p'] says that it was logged once; its values decide")
    elif len(cells.layers) or cells.raw is not None:
        others = [
            *(f"layers[{name!r}]" for name in cells.layers),
            *(["raw"] if cells.raw is not None else []),
        ]
        notes.append(f"X is read, not {' or '.join(others)}; data.layer=… says otherwise")
    return cells.X, cells.var, notes


def _from_h5mu(path: Path, protein: str | None, labels: Mapping[str, str], layer: str | None) -> Cells:
    try:
        import mudata
    except ImportError as error:
        raise ConfigError(f"data.rna={path}: {MUDATA_HINT}") from error
    try:
        cells = mudata.read_h5mu(path)
    except Exception as error:  # h5py's and mudata's are of many types
        raise ConfigError(f"data.rna={path}: damaged, or not an .h5mu file ({first_line(error)})") from error
    rna = next((name for name in RNA_NAMES if name in cells.mod), None)
    prot = protein or next((name for name in PROTEIN_TYPES if name in cells.mod), None)
    if rna is None or prot is None or prot not in cells.mod:
        missing = "rna" if rna is None else (protein or "prot")
        raise ConfigError(f"data.rna={path}: has no modality {missing}; modalities: {', '.join(cells.mod)}")
    both, notes = _cells_of_both(path, cells, rna, prot)
    matrices, hints = {}, {}
    layered = {
        name
        for name in (rna, prot)
        if layer in cells[name].layers or (layer == RAW and cells[name].raw is not None)
    }
    for setting, name in (("rna", rna), ("protein", prot)):
        own = layer if layer is not None and (name in layered or not layered) else None
        values, _, more = _layer(f"data.rna={path}, modality {name}", cells[name], own)
        matrices[setting] = _dense(values[cells[name].obs_names.get_indexer(both)])
        hints[setting] = places_of_counts(cells[name].layers, cells[name].raw)
        notes += [f"modality {name}: {note}" for note in more]
    classes, more = _classes(path, _joined(cells, rna, both), labels)
    return Cells(matrices["rna"], matrices["protein"], classes, hints, [*notes, *more])


def _cells_of_both(path: Path, cells: Any, rna: str, prot: str) -> tuple["pd.Index", list[str]]:
    """Return the cells that both modalities have, in the order of the RNA, and what that decides."""
    first, second = cells[rna].obs_names, cells[prot].obs_names
    for name, own in ((rna, first), (prot, second)):
        require_unique(f"data.rna={path}, modality {name}", own.astype(str).tolist())
    both = first.intersection(second, sort=False)
    if not len(both):
        raise ConfigError(
            f"data.rna={path}: no cell of modality {prot} is one of {rna}: {difference(second, first, rna)}"
        )
    notes = []
    if len(both) < max(len(first), len(second)):
        notes.append(
            f"{len(both):,} cells are in both modalities ({rna} has {len(first):,}, {prot} has {len(second):,}); "
            "the others are left out"
        )
    if not first.equals(second):
        notes.append(f"the cells of {rna} and {prot} are joined by their names")
    return both, notes


def _joined(cells: Any, rna: str, names: Any) -> "pd.DataFrame":
    """Join the annotations of the cells in the whole file and in its RNA part."""
    whole, part = cells.obs.loc[names], cells[rna].obs.loc[names]
    return whole.join(part[[column for column in part.columns if column not in whole.columns]])


def _classes(
    path: Path, annotations: "pd.DataFrame", labels: Mapping[str, str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the classes of each label set, and notes on cells without one."""
    texts = annotations.astype(str)
    require_columns(path, texts, *labels.values())
    names = {name: texts[column].tolist() for name, column in labels.items()}
    return {name: class_codes(classes) for name, classes in names.items()}, _without_class(names)


def _without_class(labels: Mapping[str, list[str]]) -> list[str]:
    """Return a note on each label set in which cells have no class."""
    missing = {name: sum(text in MISSING for text in classes) for name, classes in labels.items()}
    return [
        f"{count:,} of {len(labels[name]):,} cells have no class in the label set {name!r}; they count as one class"
        for name, count in missing.items()
        if count
    ]


def _dense(matrix: Any) -> Tensor:
    array = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
