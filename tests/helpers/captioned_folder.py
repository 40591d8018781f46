"""A folder of small images with captions.csv, and the source that reads it."""

import csv
from pathlib import Path

from helpers.miniatures import SIZES, write_image
from helpers.reading import read
from intrinsic_clip.data.images.captions_folder import CaptionsFolder


def make(folder: Path, n: int = 40, captions: dict[int, str] | None = None) -> Path:
    rows = []
    for i in range(n):
        path = write_image(folder / "images" / f"{i}.{'png' if i % 2 else 'jpg'}", i)
        caption = (captions or {}).get(i, f'picture, "number" {i}')
        rows.append([path.relative_to(folder), caption, f"class {i % 3}", f"kind {i % 5}"])
    with (folder / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image", "caption", "label", "label_fine"], *rows])
    return folder


def load(folder: Path, **options) -> CaptionsFolder:
    return read(CaptionsFolder(**{"folder": str(folder), **SIZES, **options}))
