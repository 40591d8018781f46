"""Read CITE-seq, the RNA and the surface proteins of the same cells, and preprocess it as the paper does.

X is the first principal components of RNA counts (normalised, log, scaled), Y those of protein counts (centred log
ratio, scaled), as for the bone-marrow cells of Stuart et al. 2019 in the paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.data.features.feature_files import FeaturePairs, Features
from intrinsic_clip.data.formats.class_labels import class_codes
from intrinsic_clip.data.formats.tables import read_table, require_columns, require_setting_file
from intrinsic_clip.data.splits import row_digests
from intrinsic_clip.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

COUNTS_PER_CELL = 1e4
LARGEST_SCALED = 10.0
EXACT_UP_TO = 2000  # cells or genes, whichever are fewer
ANNDATA_HINT = "reading .h5ad needs anndata: pip install anndata"
MUDATA_HINT = "reading .h5mu needs mudata: pip install anndata mudata"
PROTEIN_TYPES = ("ADT", "Antibody Capture", "protein", "prot")


@dataclass(frozen=True)
class Cells:
    """Counts of the same cells: rna `(n, genes)`, protein `(n, proteins)`, and their classes by label set."""

    rna: Tensor
    protein: Tensor
    labels: dict[str, Tensor] = field(default_factory=dict)


class CiteSeq(FeaturePairs):
    """Principal components of RNA x `(n, rna_components)` and of protein y `(n, protein_components)`.

    Args:
        rna: a .csv of counts, a row per cell with its name first and a column per gene; or an .h5ad or .h5mu that
            holds the proteins as well.
        protein: the .csv of the proteins' counts; of an .h5ad, the entry of obsm that holds them (None: features of the
            type ADT or Antibody Capture); of an .h5mu, its modality (None: prot, ADT or protein).
        cells: the .csv of label sets, a row per cell with its name first; .h5ad and .h5mu hold them.
        labels: the column of each label set: `{coarse: celltype.l1, fine: celltype.l2}`.
        given: `counts` are preprocessed; `components` in .csv files are taken as they are.
        rna_components, protein_components: numbers of principal components.
        options: see `FeaturePairs`.

    Raises:
        ConfigError: settings that do not go together; `read` raises it for a file that is missing, damaged or not as
            described, and for values that are no counts.
    """

    def __init__(
        self,
        rna: str,
        protein: str | None = None,
        cells: str | None = None,
        labels: dict[str, str] | None = None,
        given: Literal["counts", "components"] = "counts",
        rna_components: PositiveInt = 200,
        protein_components: PositiveInt = 24,
        **options: Any,
    ) -> None:
        self.rna, self.protein, self.cells = Path(rna), protein, cells
        self.label_columns, self.given = dict(labels or {}), given
        self.rna_components, self.protein_components = rna_components, protein_components
        _check_files(self.rna, protein, cells, self.label_columns)
        super().__init__(**options)

    def read_rows(self) -> Features:
        """Read all cells, and compute components on those of all splits together, as the paper does."""
        cells = read_cells(self.rna, self.protein, self.cells, self.label_columns)
        if self.given == "components":
            return Features(cells.rna, cells.protein, cells.labels)
        _check_counts(str(self.rna), cells.rna)
        _check_counts(self.protein or str(self.rna), cells.protein)
        contents = row_digests(cells.rna)
        x = components(scaled(log_normalised(cells.rna)), self.rna_components, "rna")
        y = components(scaled(centred_log_ratio(cells.protein)), self.protein_components, "protein")
        return Features(x, y, cells.labels, contents)


def _check_files(rna: Path, protein: str | None, cells: str | None, labels: Mapping[str, str]) -> None:
    """Check that the settings name files that go together."""
    suffix = rna.suffix.lower()
    if suffix not in (".csv", ".h5ad", ".h5mu"):
        raise ConfigError(f"data.rna={rna}: must be a .csv, .h5ad or .h5mu file")
    if suffix != ".csv" and cells is not None:
        raise ConfigError(f"data.cells={cells}: {suffix} holds the label sets itself; leave it out")
    if suffix == ".csv" and protein is None:
        raise ConfigError("data.protein: must name the .csv file of the proteins that belongs to data.rna")
    if suffix == ".csv" and labels and cells is None:
        raise ConfigError("data.cells: must name the .csv file that data.labels are columns of")


def log_normalised(counts: Tensor) -> Tensor:
    """Return log(1 + counts of a cell per 10,000 of it), `(n, genes)`."""
    return (counts * (COUNTS_PER_CELL / counts.sum(1, keepdim=True).clamp_min(1))).log1p_()


def centred_log_ratio(counts: Tensor) -> Tensor:
    """Return each cell's proteins relative to their geometric mean, `(n, proteins)`, as Seurat does (margin 2).

    log(1 + c / exp(Σ log(1 + c) / p)): the sum is over all p proteins of the cell, and a count of 0 stays 0.
    """
    return (counts / counts.log1p().mean(1, keepdim=True).exp()).log1p_()


def scaled(columns: Tensor) -> Tensor:
    """Return each column with mean 0 and standard deviation 1, cut at 10; constant columns become 0."""
    centred = columns - columns.mean(0)
    deviation = centred.std(0)
    return centred.div_(torch.where(deviation > 0, deviation, 1)).clamp_max_(LARGEST_SCALED)


def components(columns: Tensor, count: int, modality: str) -> Tensor:
    """Return the first principal components `(n, count)` of columns of about mean 0.

    Large matrices use randomised subspace iteration (Halko et al. 2011) with twice `count` directions. Signs
    make the largest loading of each component positive, so that they do not depend on the machine.

    Raises:
        ConfigError: `count` exceeds the number of components; the message names the setting of the modality.
    """
    most = min(columns.shape[0] - 1, columns.shape[1])
    if count > most:
        n, features = columns.shape
        raise ConfigError(
            f"data.{modality}_components={count}: {n:,} cells × {features:,} features have {most}"
        )
    if min(columns.shape) <= EXACT_UP_TO:
        # Directions of similar variance are ill-conditioned, so rounding must be small.
        directions = torch.linalg.svd(columns.double(), full_matrices=False).Vh[:count].T.to(columns.dtype)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            directions = torch.svd_lowrank(columns, min(2 * count, most), niter=8)[2][:, :count]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
    return columns @ (directions * torch.where(largest < 0, -1.0, 1.0))


def read_cells(rna: Path, protein: str | None, cells: str | None, labels: dict[str, str]) -> Cells:
    """Read counts and classes from .csv files, an .h5ad or an .h5mu.

    Raises:
        ConfigError: in one line that names the setting.
    """
    suffix = rna.suffix.lower()
    if suffix in (".h5ad", ".h5mu") and not rna.is_file():
        raise ConfigError(f"data.rna={rna}: no such file")
    if suffix == ".h5ad":
        return _from_h5ad(rna, protein, labels)
    if suffix == ".h5mu":
        return _from_h5mu(rna, protein, labels)
    assert protein is not None  # _check_files
    return _from_csv(rna, protein, cells, labels)


def _from_csv(rna: Path, protein: str, cells: str | None, labels: dict[str, str]) -> Cells:
    tables = {"rna": _counts_of(rna, "rna"), "protein": _counts_of(Path(protein), "protein")}
    if labels and cells is not None:
        require_setting_file("cells", Path(cells))
        tables["cells"] = read_table(Path(cells))
        tables["cells"] = tables["cells"].set_index(tables["cells"].columns[0])
        require_columns(Path(cells), tables["cells"], *labels.values())
    names = tables["rna"].index
    for name, table in tables.items():
        if len(table) != len(names) or (table.index != names).any():
            raise ConfigError(
                f"data.{name}: its {len(table):,} cells are not the {len(names):,} of data.rna in their order"
            )
    return Cells(
        torch.from_numpy(tables["rna"].to_numpy(np.float32)),
        torch.from_numpy(tables["protein"].to_numpy(np.float32)),
        {name: class_codes(tables["cells"][column].tolist()) for name, column in labels.items()},
    )


def _counts_of(path: Path, setting: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        table = pd.read_csv(path, index_col=0, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"data.{setting}={path}: no such file") from error
    except (ValueError, OSError) as error:  # pandas' errors are of these types
        raise ConfigError(
            f"data.{setting}={path}: damaged, or no table ({str(error).splitlines()[0]})"
        ) from error
    not_numeric = [str(name) for name, dtype in table.dtypes.items() if dtype.kind not in "fiub"]
    if not_numeric or table.empty:
        contents = f"column {not_numeric[0]!r} holds other things" if not_numeric else "it holds none"
        raise ConfigError(
            f"data.{setting}={path}: must hold numbers, a row per cell, its name first; {contents}"
        )
    return table


def _from_h5ad(path: Path, protein: str | None, labels: dict[str, str]) -> Cells:
    try:
        import anndata
    except ImportError as error:
        raise ConfigError(f"data.rna={path}: {ANNDATA_HINT}") from error
    try:
        cells = anndata.read_h5ad(path)
    except Exception as error:  # h5py's and anndata's are of many types
        raise ConfigError(f"data.rna={path}: damaged, or not an .h5ad file ({_first_line(error)})") from error
    if protein is not None:
        if protein not in cells.obsm:
            offer = ", ".join(cells.obsm) or "none"
            raise ConfigError(f"data.protein={protein}: {path.name} has no such obsm; obsm: {offer}")
        rna, proteins = cells.X, cells.obsm[protein]
    else:
        types = next(
            (cells.var[c].astype(str) for c in ("feature_types", "modality") if c in cells.var), None
        )
        is_protein = None if types is None else types.isin(PROTEIN_TYPES).to_numpy()
        if is_protein is None or not is_protein.any():
            offer = ", ".join(cells.obsm) or "none"
            raise ConfigError(f"data.protein: must name the obsm of {path.name} that holds proteins: {offer}")
        rna, proteins = cells[:, ~is_protein].X, cells[:, is_protein].X
    return Cells(_dense(rna), _dense(proteins), _classes(path, cells.obs, labels))


def _from_h5mu(path: Path, protein: str | None, labels: dict[str, str]) -> Cells:
    try:
        import mudata
    except ImportError as error:
        raise ConfigError(f"data.rna={path}: {MUDATA_HINT}") from error
    try:
        cells = mudata.read_h5mu(path)
    except Exception as error:  # h5py's and mudata's are of many types
        raise ConfigError(f"data.rna={path}: damaged, or not an .h5mu file ({_first_line(error)})") from error
    offered = ", ".join(cells.mod)
    rna = next((name for name in ("rna", "RNA", "gex", "GEX") if name in cells.mod), None)
    prot = protein or next((name for name in PROTEIN_TYPES if name in cells.mod), None)
    if rna is None or prot not in cells.mod:
        missing = "rna" if rna is None else (protein or "prot")
        raise ConfigError(f"data.rna={path}: has no modality {missing}; modalities: {offered}")
    both = cells[rna].obs_names.intersection(cells[prot].obs_names)  # the order of the first
    return Cells(
        _dense(cells[rna][both].X),
        _dense(cells[prot][both].X),
        _classes(path, _joined(cells, rna, both), labels),
    )


def _joined(cells: Any, rna: str, names: Any) -> "pd.DataFrame":
    """Join the annotations of the cells in the whole file and in its RNA part."""
    whole, part = cells.obs.loc[names], cells[rna].obs.loc[names]
    return whole.join(part[[column for column in part.columns if column not in whole.columns]])


def _classes(path: Path, annotations: "pd.DataFrame", labels: dict[str, str]) -> dict[str, Tensor]:
    require_columns(path, annotations, *labels.values())
    return {name: class_codes(annotations[column].astype(str).tolist()) for name, column in labels.items()}


def _dense(matrix: Any) -> Tensor:
    array = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _check_counts(source: str, counts: Tensor) -> None:
    if not bool(torch.isfinite(counts).all()) or bool((counts < 0).any()):
        raise ConfigError(
            f"data: {source} holds NaN or numbers below 0, so these are no counts; data.given=components takes "
            "components that are preprocessed already"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
