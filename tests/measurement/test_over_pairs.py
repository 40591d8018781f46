"""Every pair of three modalities is measured as it would be alone, under names that say which pair it is."""

import pytest
import torch

from intrinsic_clip.measurement.embeddings import Embeddings
from intrinsic_clip.measurement.families import Alignment, Information, Matching, Similarities
from intrinsic_clip.measurement.over_pairs import measure_over_pairs, names_over_pairs
from intrinsic_clip.probes import MatchingProbe, OptimalTemperatureProbe
from intrinsic_clip.runs.vocabulary import describe

FAMILIES = [Alignment(), Information(), Matching(similarity="cosine"), Matching(), Similarities()]


def of_three() -> Embeddings:
    generator = torch.Generator().manual_seed(0)
    x, y, z = (torch.randn(2, 30, 4, generator=generator) for _ in range(3))
    labels = {"kind": torch.arange(30) % 3}
    return Embeddings(
        x,
        y,
        2 * x,
        3 * y,
        torch.tensor([0.5, 1.0]),
        labels=labels,
        further={"z": z + x},
        further_raw={"z": z},
    )


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_each_pair_is_that_pair_alone(family) -> None:
    three, reporter = of_three(), MatchingProbe()
    numbers = measure_over_pairs(family, three, reporter)
    assert set(names_over_pairs(family, ("x", "y", "z"))) <= set(numbers)
    assert all(describe(name).declared for name in numbers)
    assert len({describe(name).full_title for name in numbers}) == len(numbers)
    alone = Embeddings(
        three.x, three.further["z"], three.x_raw, three.further_raw["z"], three.tau, labels=three.labels
    )
    expected = family.measure(alone, reporter)
    swapped = {name: name.replace("x_to_y", "x_to_z").replace("y_to_x", "z_to_x") for name in expected}
    for name, number in expected.items():
        ending = swapped[name]
        if ending == name:
            ending = (
                f"{name[:-1]}z" if name.endswith("/y") else name if name.endswith("/x") else f"{name}/x_z"
            )
        assert torch.equal(numbers[ending], number), name
    pairs = family.measure(three.of_pair("x", "y"), reporter)
    assert all(torch.equal(numbers[name], number) for name, number in pairs.items())


def test_one_or_two_modalities_have_the_names_they_had() -> None:
    x, y = torch.randn(30, 4), torch.randn(30, 4)
    for family in FAMILIES:
        assert names_over_pairs(family, ("x", "y")) == family.names(("x", "y"))
    both = measure_over_pairs(Alignment(), Embeddings(x, y), MatchingProbe())
    assert set(both) == {
        "uniformity/x",
        "uniformity/y",
        "alignment/cosine",
        "modality_gap",
        "distribution_gap",
    }
    assert set(measure_over_pairs(Alignment(), Embeddings(x), MatchingProbe())) == {"uniformity/x"}


def test_the_optimal_temperature_is_of_two_modalities() -> None:
    with pytest.raises(ValueError, match="is of two modalities, and there are x, y, z"):
        OptimalTemperatureProbe(lambda module, batch: batch).measure(of_three())
