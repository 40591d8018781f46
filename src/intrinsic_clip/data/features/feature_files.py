"""Sources of feature vectors, and the one that reads them from a pair of files."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from intrinsic_clip.data.features.feature_checks import check_lengths, read_checked
from intrinsic_clip.data.features.feature_transforms import standardised, with_noise
from intrinsic_clip.data.formats.array_key import Key
from intrinsic_clip.data.formats.arrays import read_named
from intrinsic_clip.data.formats.class_labels import read_labels
from intrinsic_clip.data.formats.column_choice import ColumnChoice, Entries
from intrinsic_clip.data.formats.decisions import print_decisions
from intrinsic_clip.data.formats.paired_ids import Ids, compared
from intrinsic_clip.data.paired import PairedData, Pairs, Split
from intrinsic_clip.data.repeated_rows import contents_of_pairs
from intrinsic_clip.data.splits import check_batch, requested_sizes, split_by_content
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked


@dataclass(frozen=True)
class Features:
    """Paired feature vectors as a source reads them: x `(n, d_x)`, y `(n, d_y)`, label sets `(n,)` int64 by name.

    Attributes:
        contents: digests that tell which rows are equal (see `row_digests`); None: those of x and y. A source that
            computes x gives digests of its input instead, since rounding differs between machines.
    """

    x: Tensor
    y: Tensor
    labels: dict[str, Tensor] = field(default_factory=dict)
    contents: list[bytes] | None = None


class FeaturePairs(PairedData):
    """A source of paired feature vectors x `(n, d_x)` and y `(n, d_y)`, float32; subclasses implement `read_rows`.

    `read` checks that these are finite matrices with as many rows as each other and the label sets.

    Args:
        n_train, n_append, n_test: rows to train on, for the population norm, and held out; None: all remaining rows.
            Rows with equal x are in the same split, and those with equal y, see `contents_of_pairs`.
        batch_size: pairs per step.
        split_seed: determines the split and the noise.
        noise_y: σ of Gaussian noise on y, for texts that repeat, in the units of y as it is read.
        standardise: subtract each feature's mean over the training rows and divide by one number per modality.

    Raises:
        ConfigError: more than one size is None; `read` raises it for files and for fewer rows than requested.
    """

    d_x: int | None
    d_y: int | None

    @checked("data")
    def __init__(
        self,
        n_train: PositiveInt | None = None,
        n_append: NonNegativeInt = 0,
        n_test: PositiveInt | None = 1000,
        batch_size: PositiveInt = 256,
        split_seed: NonNegativeInt = 0,
        noise_y: NonNegativeFloat = 0.0,
        standardise: bool = False,
    ) -> None:
        super().__init__(batch_size)
        self.noise_y, self.standardise, self.split_seed = noise_y, standardise, split_seed
        self._requested = requested_sizes(n_train, n_append, n_test)

    def _read(self) -> None:
        """Read the rows, check them and split them by content."""
        features = read_checked(self.read_rows, type(self).__name__)
        contents = features.contents
        if contents is None:
            contents, notes = contents_of_pairs(features.x, features.y, exact=self.standardise)
            print_decisions("data", notes)
        self.rows = split_by_content(contents, self._requested, self.split_seed)
        self.sizes = {split: len(rows) for split, rows in self.rows.items()}
        check_batch(self.batch_size, self.sizes["train"])
        y = with_noise(_at_least_single(features.y), self.noise_y, self.split_seed)
        self._features = replace(features, x=self._as_trained("x", features.x), y=self._as_trained("y", y))
        self.d_x, self.d_y = features.x.shape[1], features.y.shape[1]

    def _as_trained(self, side: str, rows: Tensor) -> Tensor:
        """Return rows in single precision, standardised if that is set.

        Raises:
            ConfigError: some are too large for it.
        """
        rows = _at_least_single(rows)
        trained = standardised(rows, self.rows["train"]) if self.standardise else rows.float()
        large = int((~trained.isfinite().all(1)).sum())
        if large:
            remedy = "even when standardised" if self.standardise else "data.standardise=true scales them"
            raise ConfigError(
                f"data.{side}: {large:,} of {len(rows):,} rows hold numbers beyond ±3.4e38, the largest in single "
                f"precision; {remedy}"
            )
        return trained

    @abstractmethod
    def read_rows(self) -> Features:
        """Read the rows of all splits.

        Raises:
            ConfigError: in one line that names the setting and what is wrong with it.
        """

    def load(self, device: torch.device) -> dict[Split, Pairs]:
        """Return the splits on the device, with noise and standardised if these are set."""
        return {
            split: Pairs(
                self._features.x[rows].to(device),
                self._features.y[rows].to(device),
                labels={name: values[rows].to(device) for name, values in self._features.labels.items()},
                row_axis=0,
            )
            for split, rows in self.rows.items()
        }


def _at_least_single(rows: Tensor) -> Tensor:
    return rows if rows.dtype == torch.float64 else rows.float()


class EmbeddingFiles(FeaturePairs):
    """`FeaturePairs` from a pair of files of any format that `read_array` reads.

    Row i of x and row i of y are a pair.

    Args:
        x, y: the files; one file may hold both.
        x_key, y_key: name of the array or column of lists, where a file holds several.
        labels: for each label set a file with one class, number or name, per row.
        label_keys: for each label set the array or column of its file, where that holds several.
        columns: columns of the tables to read: names, places from 0, or patterns such as `emb_*`; None: those that are
            dimensions, without an index, names and classes.
        drop: columns to leave out, likewise.
        options: see `FeaturePairs`.

    Raises:
        ConfigError: a label key without a file; `read` raises it for a file that is missing, damaged or of another
            length, or holds NaN.
    """

    @checked("data")
    def __init__(
        self,
        x: str,
        y: str,
        x_key: str | None = None,
        y_key: str | None = None,
        labels: dict[str, str] | None = None,
        label_keys: dict[str, str] | None = None,
        columns: Entries = None,
        drop: Entries = None,
        **options: Any,
    ) -> None:
        self.x, self.y = (x, x_key), (y, y_key)
        self.columns, self.drop = columns, drop
        self.label_files, self.label_keys = dict(labels or {}), dict(label_keys or {})
        unknown = self.label_keys.keys() - self.label_files.keys()
        if unknown:
            raise ConfigError(f"data.label_keys.{min(unknown)}: there is no +data.labels.{min(unknown)}=FILE")
        super().__init__(**options)

    def read_rows(self) -> Features:
        """Read all files."""
        choice = ColumnChoice.of(self.columns, self.drop, prefix="data.")
        return read_files(self.x, self.y, self.label_files, self.label_keys, choice)


def read_files(
    x: tuple[str, str | None],
    y: tuple[str, str | None],
    labels: Mapping[str, str],
    label_keys: Mapping[str, str] = MappingProxyType({}),
    choice: ColumnChoice | None = None,
) -> Features:
    """Read both modalities and their label sets from files, and check that all have the same rows.

    Args:
        x, y: file and key of each, see `EmbeddingFiles`.
        labels, label_keys: file and key of each label set.
        choice: columns of tables to read; None: those that are dimensions.
    """
    dropping = None if choice is None else "data.drop"
    choice = choice or ColumnChoice()
    x_rows, x_ids = _read_matrix("x", *x, choice)
    y_rows, y_ids = _read_matrix("y", *y, choice)
    choice.check_matched()
    features = Features(x_rows, y_rows, _read_label_sets(labels, label_keys, len(x_rows)))
    check_lengths("data", features)
    files = {"data.x": Path(x[0]), "data.y": Path(y[0])}
    ids = {"data.x": x_ids, "data.y": y_ids}
    notes = compared(files, ids, choice.drop, dropping)
    for name, file in labels.items():
        for side, path in files.items():
            of_side = {side: path, f"data.labels.{name}": Path(file)}
            notes += compared(of_side, {side: ids[side]}, choice.drop, dropping)
    print_decisions("data", notes)
    return features


def _read_matrix(side: str, file: str, key: str | None, choice: ColumnChoice) -> tuple[Tensor, Ids]:
    """Return the rows of a side, and what names them where they are read together."""
    try:
        rows, notes, ids = read_named(Path(file), Key(key, option=f"data.{side}_key"), choice)
    except ConfigError as error:
        raise ConfigError(f"data.{side}={file}: {error}") from error
    print_decisions(f"data.{side}={file}", notes)
    broken = int((~rows.isfinite().all(1)).sum())
    if broken:
        raise ConfigError(f"data.{side}={file}: {broken:,} of {len(rows):,} rows hold NaN or infinity")
    return rows, ids


def _read_label_sets(files: Mapping[str, str], keys: Mapping[str, str], rows: int) -> dict[str, Tensor]:
    label_sets = {}
    for name, file in files.items():
        try:
            key = Key(keys.get(name), option=f"+data.label_keys.{name}")
            label_sets[name] = read_labels(Path(file), key, rows)
        except ConfigError as error:
            raise ConfigError(f"data.labels.{name}={file}: {error}") from error
    return label_sets
