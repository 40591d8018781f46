"""Read CITE-seq, the RNA and the surface proteins of the same cells, and preprocess it as the paper does.

X is the first principal components of RNA counts (normalised, log, scaled), Y those of protein counts (centred log
ratio, scaled), as for the bone-marrow cells of Stuart et al. 2019 in the paper.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from intrinsic_clip.data.features.cell_files import TEXT_SUFFIXES, read_cells
from intrinsic_clip.data.features.counts import require_counts
from intrinsic_clip.data.features.feature_files import FeaturePairs, Features
from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.splits import row_digests
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked

COUNTS_PER_CELL = 1e4
LARGEST_SCALED = 10.0
EXACT_UP_TO = 2000  # cells or genes, whichever are fewer


class CiteSeq(FeaturePairs):
    """Principal components of RNA x `(n, rna_components)` and of protein y `(n, protein_components)`.

    Args:
        rna: a .csv or .tsv of counts, a row per cell with its name first and a column per gene; or an .h5ad or .h5mu
            that holds the proteins as well.
        protein: the .csv of the proteins' counts; of an .h5ad, the entry of obsm that holds them (None: features of the
            type ADT or Antibody Capture); of an .h5mu, its modality (None: prot, ADT or protein).
        cells: the .csv of label sets, a row per cell with its name first; .h5ad and .h5mu hold them.
        labels: the column of each label set: `{coarse: celltype.l1, fine: celltype.l2}`.
        layer: of an .h5ad or .h5mu, the layer that holds the counts, or `raw`; None: X.
        given: `counts` are preprocessed; `components` in .csv files are taken as they are.
        rna_components, protein_components: numbers of principal components.
        options: see `FeaturePairs`.

    Raises:
        ConfigError: settings that do not go together; `read` raises it for a file that is missing, damaged or not as
            described, and for values that are no counts.
    """

    @checked("data")
    def __init__(
        self,
        rna: str,
        protein: str | None = None,
        cells: str | None = None,
        labels: dict[str, str] | None = None,
        given: Literal["counts", "components"] = "counts",
        layer: str | None = None,
        rna_components: PositiveInt = 200,
        protein_components: PositiveInt = 24,
        **options: Any,
    ) -> None:
        self.rna, self.protein, self.cells = Path(rna), protein, cells
        self.label_columns, self.given, self.layer = dict(labels or {}), given, layer
        self.rna_components, self.protein_components = rna_components, protein_components
        _check_files(self.rna, protein, cells, self.label_columns)
        if layer is not None and self.rna.suffix.lower() in TEXT_SUFFIXES:
            raise ConfigError(f"data.layer={layer}: {self.rna.suffix} has no layers; leave it out")
        super().__init__(**options)

    def read_rows(self) -> Features:
        """Read all cells, and compute components on those of all splits together, as the paper does."""
        cells = read_cells(self.rna, self.protein, self.cells, self.label_columns, self.layer)
        print_decisions(f"data.rna={self.rna}", cells.notes)
        if self.given == "components":
            return Features(cells.rna, cells.protein, cells.labels)
        for setting, values in (("rna", cells.rna), ("protein", cells.protein)):
            source = self._source(setting)
            remarks = require_counts(source, values, cells.elsewhere.get(setting, ""))
            print_decisions(source.removesuffix(","), remarks)
        contents = row_digests(cells.rna)
        x = components(scaled(log_normalised(cells.rna)), self.rna_components, "rna")
        y = components(scaled(centred_log_ratio(cells.protein)), self.protein_components, "protein")
        return Features(x, y, cells.labels, contents)

    def _source(self, setting: str) -> str:
        """Return what holds the values of a modality, for messages."""
        if setting == "protein" and self.protein is not None:
            return f"data.protein={self.protein}"
        within = (
            "" if self.rna.suffix.lower() in TEXT_SUFFIXES else f", {self.layer or 'X'} of the {setting},"
        )
        return f"data.rna={self.rna}{within}"


def _check_files(rna: Path, protein: str | None, cells: str | None, labels: Mapping[str, str]) -> None:
    """Check that the settings name files that go together."""
    suffix = rna.suffix.lower()
    if suffix not in (*TEXT_SUFFIXES, ".h5ad", ".h5mu"):
        raise ConfigError(f"data.rna={rna}: must be a .csv, .h5ad or .h5mu file (or .tsv)")
    if suffix not in TEXT_SUFFIXES and cells is not None:
        raise ConfigError(f"data.cells={cells}: {suffix} holds the label sets itself; leave it out")
    if suffix in TEXT_SUFFIXES and protein is None:
        raise ConfigError("data.protein: must name the .csv file of the proteins that belongs to data.rna")
    if suffix in TEXT_SUFFIXES and labels and cells is None:
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
