"""An estimate of the shared dimension, as shared.json holds it."""

from typing import Any

ESTIMATED: dict[str, Any] = {
    "config": {"data": None, "x": "<b>.npy", "y": "b.npy", "budget": None},
    "versions": {"torch": "2"},
    "dims": {"x": 40, "y": 30},
    "n": 8000,
    "trainings": 6,
    "dimension": 2,
    "text": "2 (gap 2.8; the next 1.1; shuffled pairs 1.1)",
    "interval": [2, 2],
    "agreement": 1.0,
    "effective": 2,
    "sides": {"x": 2, "y": 2},
    "matching": {
        "top_1": 0.5, "chance": 0.01, "pairs": 100, "p_value": 0.001, "information": 2.0, "tau": 0.1,
        "saturates": False, "ceiling": 4.6,
    },
    "threshold": 1.2,
    "null_gap": 1.1,
    "alternatives": [],
    "seconds": {"pairs": 3.0},
    "notes": ["a note"],
    "spectrum": {"x": [0.9, 0.8, 0.2], "y": [0.8, 0.7, 0.3]},
    "null_spectrum": {"x": [0.5, 0.5, 0.5]},
    "ratios": {"x": [1.1, 4.0], "y": [1.1, 2.3], "both": [1.1, 3.0]},
}  # fmt: skip
