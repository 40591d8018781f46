"""The picture of an estimate of the shared dimension."""

from intrinsic_clip.reports.shared_picture import draw

ESTIMATED = {
    "config": {"data": None, "x": "5$_{a.npy", "y": "b^{$.npy"},
    "dims": {"x": 40, "y": 30},
    "n": 8000,
    "dimension": 2,
    "text": "2 (gap 2.8; the next 1.1; shuffled pairs 1.1)",
    "threshold": 1.2,
    "spectrum": {"x": [0.9, 0.8, 0.2], "y": [0.8, 0.7, 0.3]},
    "null_spectrum": {"x": [0.5, 0.5, 0.5], "y": [0.5, 0.5, 0.5]},
    "ratios": {"x": [1.1, 4.0], "y": [1.1, 2.3], "both": [1.1, 3.0]},
}


def test_names_are_shown_as_they_are() -> None:
    assert draw(ESTIMATED).startswith(b"\x89PNG")
