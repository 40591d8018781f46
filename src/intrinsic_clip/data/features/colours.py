"""Read the names of colours, with the colours, from an npm package."""

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt

from intrinsic_clip.data.features.lifting import lifted
from intrinsic_clip.data.features.text_pairs import TextPairs, TextRows
from intrinsic_clip.data.formats.class_labels import class_codes
from intrinsic_clip.data.formats.tables import read_json
from intrinsic_clip.data.images.image_captions import require_file, require_folder
from intrinsic_clip.data.splits import linked_digests
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.typed_values import checked

INSTALL = "npm install color-name-list"
NAMES = "colornames.json"
HEXADECIMAL = re.compile(r"#?([0-9a-fA-F]{6})")
# Linear RGB to the cone responses of OKLab, and their cube roots to lightness and two chroma axes (Ottosson 2020).
TO_CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
TO_LAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip


class ColourNames(TextPairs):
    """Names of colours x and the colours y: three coordinates, lifted to `columns` columns.

    The modalities share at most 3 dimensions, those of a colour. Label set `hue`: the nearest of twelve hues, or grey.

    Args:
        folder: the package's folder, which holds dist/colornames.json.
        space: coordinates of a colour: OKLab (`lab`), or red, green and blue from 0 to 1 (`rgb`).
        columns: number of columns of y; 0: the three coordinates themselves.
        frequency: how strongly the columns are curved, see `lifted`.
        options: see `TextPairs`.
    """

    @checked("data")
    def __init__(
        self,
        folder: str,
        space: Literal["lab", "rgb"] = "lab",
        columns: NonNegativeInt = 64,
        frequency: NonNegativeFloat = 4.0,
        **options: Any,
    ) -> None:
        self.folder, self.space, self.columns, self.frequency = Path(folder), space, columns, frequency
        super().__init__(**options)

    def list_rows(self) -> TextRows:
        """Read all colours; names that differ in case alone, and names of one colour, stay in one split."""
        require_folder(self.folder, f"the package color-name-list: {INSTALL}")
        path = require_file(self.folder, f"dist/{NAMES}", NAMES)
        try:
            names, codes = zip(*((entry["name"], entry["hex"]) for entry in read_json(path)), strict=True)
            rgb = np.array([_red_green_blue(code) for code in codes])
        except (LookupError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{path}: must list colours with name and hex ({type(error).__name__}: {error}); {INSTALL}"
            ) from error
        lab = oklab(rgb)
        contents = linked_digests([name.casefold() for name in names], [code.casefold() for code in codes])
        return TextRows(
            list(names),
            lifted(lab if self.space == "lab" else rgb, self.columns, self.frequency),
            contents,
            {"hue": class_codes(hues(lab))},
        )


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Return lightness from 0 to 1 and two chroma axes `(n, 3)` of sRGB colours `(n, 3)` from 0 to 1."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: np.ndarray = np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T
    return lab


def hues(lab: np.ndarray) -> np.ndarray:
    """Return the nearest of twelve hues of each colour, or 12 for greys, whose hue the eye does not see."""
    turns = np.arctan2(lab[:, 2], lab[:, 1]) / (2 * np.pi)
    nearest = np.rint(12 * turns).astype(np.int64) % 12
    return np.where(np.hypot(lab[:, 1], lab[:, 2]) < 0.03, 12, nearest)


def _red_green_blue(code: str) -> list[float]:
    match = HEXADECIMAL.fullmatch(code)
    if match is None:
        raise ValueError(f"hex {code!r}")
    return [part / 255 for part in bytes.fromhex(match[1])]
