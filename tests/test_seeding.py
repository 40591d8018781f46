"""Seeds of NumPy's kind, as loops over `np.arange` give them, in every public function that takes one."""

import numpy as np
import pytest
import torch

import intrinsic_clip as ic
from intrinsic_clip import dimension, metrics
from intrinsic_clip.seeding import seeded

pytestmark = pytest.mark.filterwarnings("ignore")


def _views() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=generator)
    return x, x[:, :3] + 0.3 * torch.randn(200, 3, generator=generator)


ASKED = ("gride", "local_pca", "mada", "method_of_moments", "mle", "nearest_neighbours", "tle", "twonn")
OF_ROWS = {
    **{name: {"queries": 50} for name in ASKED},
    "nearest_neighbours": {"queries": 50, "k": 5},
    "sample_size_curve": {"sizes": [100]},
    "spanning_tree": {},
}
OF_PAIRS = {
    "canonical_rank": {},
    "copula_information": {},
    "dimension_correlation": {"k": 5},
    "held_out_infonce_bound": {},
    "kernel_canonical_rank": {"landmarks": 50},
    "kernel_recovery": {"max_rows": 100},
    "ksg_information": {},
    "linear_recovery": {},
    "nwj_bound": {},
    "partner_ranks": {"queries": 50},
    "smile_estimate": {},
}


def _call(name: str, seed: object) -> object:
    x, y = _views()
    if name in OF_ROWS:
        return getattr(dimension, name)(x, **OF_ROWS[name], seed=seed)
    y = (
        y
        if name not in ("held_out_infonce_bound", "partner_ranks", "nwj_bound", "smile_estimate")
        else x + 0.1
    )
    return getattr(metrics, name)(x, y, **OF_PAIRS[name], seed=seed)


@pytest.mark.parametrize("name", [*OF_ROWS, *OF_PAIRS])
def test_seeds_of_numpy_are_those_of_python(name) -> None:
    assert str(_call(name, np.int64(3))) == str(_call(name, 3))
    with pytest.raises((ValueError, TypeError), match=r"seed must be a whole number, got 0\.5"):
        _call(name, 0.5)


def test_measure_takes_them_too() -> None:
    x, y = _views()
    numbers = [ic.measure(x, y, max_points=50, seed=seed) for seed in (3, np.int32(3))]
    assert numbers[0].keys() == numbers[1].keys()
    assert str(numbers[0]) == str(numbers[1])


@pytest.mark.parametrize("seed", [0.5, True, "1", None])
def test_what_is_no_whole_number_is_refused(seed) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number, got"):
        seeded(seed)
