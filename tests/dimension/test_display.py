"""An estimate reads as one line, renders as a table and can be drawn."""

import matplotlib
import pytest
import torch

from intrinsic_clip.dimension import DimensionEstimate, gride_scales, jacobian_spectrum, mle, twonn
from intrinsic_clip.dimension.display import plus_minus

POINTS = torch.rand(3, 200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_one_line() -> None:
    estimate = mle(POINTS[0])
    assert str(estimate) == f"mle: {float(estimate):.3f} ± 0.030 (n = 200, k = 20)"
    assert repr(twonn(POINTS)).startswith("twonn: 2.15 ± 0.16, 2.06 ± 0.16")
    assert "(3 replicates, n = 200, k = 2)" in str(twonn(POINTS))
    many = twonn(POINTS.repeat(2, 1, 1))
    assert "\n" not in str(many)
    assert "mean 1.92" in str(many)
    assert ", from 1." in str(many)


@pytest.mark.filterwarnings("ignore")
def test_nan_has_its_reason() -> None:
    assert (
        str(mle(POINTS[0, :5]))
        == "mle: NaN (n = 5, k = 20; needs at least 21 distinct points for k = 20, got 5)"
    )


def test_a_number_of_one_replicate() -> None:
    assert float(mle(POINTS[:1])) == float(mle(POINTS[0]).value)
    with pytest.raises(TypeError, match="3 replicates"):
        float(mle(POINTS))


def test_an_estimator_of_ones_own_needs_no_name() -> None:
    number = torch.tensor(2.0)
    assert str(DimensionEstimate(number, number / 0, None, 10, None)) == "dimension: 2.00 (n = 10)"


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (7.62, 0.1, "7.62 ± 0.10"),
        (32.0, 0.0, "32.00 ± 0.00"),
        (1234.5, 20.0, "1234 ± 20"),
        (float("nan"), 1, "NaN"),
    ],
)
def test_digits(value: float, error: float, shown: str) -> None:
    assert plus_minus(value, error) == shown


def test_notebooks_show_a_table_and_a_spark_line() -> None:
    html = mle(POINTS)._repr_html_()
    assert html.count("<tr>") == 4
    assert html.count("<svg") == 3
    assert "<svg" not in twonn(POINTS)._repr_html_()
    assert (
        "a &lt; b"
        in DimensionEstimate(torch.tensor(1.0), torch.tensor(1.0), None, 9, 1, "a < b")._repr_html_()
    )


def test_plots() -> None:
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    axes = mle(POINTS[0]).plot()
    assert axes.get_xlabel() == "dimension at a point"
    assert mle(POINTS).plot(axes) is axes
    plt.close("all")


def test_curves_over_scales() -> None:
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    assert str(gride_scales(POINTS[0])) == "scale curve at 1 … 32: 2.01 … 1.77, level at 1.85 (n = 200)"
    curve = gride_scales(POINTS[0], range_max=16)
    assert str(curve) == "scale curve at 1 … 8: 2.01 … 1.89, nowhere level (n = 200)"
    assert curve._repr_html_().count("<tr>") == 5
    both = gride_scales(POINTS, range_max=16)
    assert "(3 replicates, n = 200)" in str(both)
    assert both._repr_html_().count("<td>") == 16
    assert len(both.plot(curve.plot()).containers) == 4
    plt.close("all")


def test_spectra_of_jacobians() -> None:
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    spectrum = jacobian_spectrum(lambda rows: rows * torch.tensor([4.0, 0.0]).double(), POINTS[0])
    assert str(spectrum).startswith("jacobian spectrum: rank 1 of 2, gap ")
    assert "<td>1</td>" in spectrum._repr_html_()
    assert spectrum.plot().get_yscale() == "log"
    plt.close("all")
