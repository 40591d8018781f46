"""Read a source in one expression, and check that it is read once."""

from pathlib import Path
from typing import TypeVar

from intrinsic_clip.data import PairedData

Source = TypeVar("Source", bound=PairedData)


def read(source: Source) -> Source:
    """Read what the source needs and return it."""
    source.read()
    return source


def check_read_once(source: PairedData, *paths: Path | str) -> None:
    """Check that a source that was read no longer opens its files and folders."""
    source.read()
    hidden = {Path(path): Path(path).with_name(f"{Path(path).name}.hidden") for path in paths}
    for path, elsewhere in hidden.items():
        path.rename(elsewhere)
    source.read()
    assert len(source.pairs("test")) == source.sizes["test"]
    for path, elsewhere in hidden.items():
        elsewhere.rename(path)
