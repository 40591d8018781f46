"""Small images, good and bad, in the formats of published data sets."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = {"n_append": 4, "n_test": 8, "batch_size": 4, "image_size": 16}


def image_bytes(number: int, kind: str = "JPEG", size: tuple[int, int] = (40, 30)) -> bytes:
    """Return a picture that is different for each number, as a file's content."""
    noise = np.random.default_rng(number).integers(0, 255, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size).save(file, kind)
    return file.getvalue()


def write_image(path: Path, number: int, **options) -> Path:
    """Write the picture of a number to a file; create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image_bytes(number, "PNG" if path.suffix == ".png" else "JPEG", **options))
    return path


def spoil(path: Path, way: int) -> None:
    """Make a file unreadable in one of five ways."""
    content = path.read_bytes()
    ways = [b"", content[:60], b"GIF89a" + content[6:40], os.urandom(300), b"<html>404</html>"]
    path.write_bytes(ways[way % len(ways)])
