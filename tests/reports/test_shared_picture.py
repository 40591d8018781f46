"""The picture of an estimate of the shared dimension."""

from helpers.shared_estimate import ESTIMATED
from intrinsic_clip.reports.shared_picture import draw


def test_names_are_shown_as_they_are() -> None:
    config = {**ESTIMATED["config"], "x": "5$_{a.npy", "y": "b^{$.npy"}
    assert draw({**ESTIMATED, "config": config}).startswith(b"\x89PNG")
