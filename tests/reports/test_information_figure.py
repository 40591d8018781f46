"""The figure `information_estimates` from a table of runs: errors, refusals, and the range beyond log(N/2)."""

import math

import pandas as pd
import pytest

from intrinsic_clip.paper_figures import information_estimates, style
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

NOISES = (0.03, 0.3, 1.0)


@pytest.fixture
def runs() -> FinishedRuns:
    """Return runs whose estimates are all 0.5 nats below the truth or above it; NWJ refuses the largest."""
    rows = []
    for noise in NOISES:
        true_information = 2.5 * math.log1p(1 / noise**2)
        for shown in information_estimates.ESTIMATES:
            for replicate in (0, 1):
                value = true_information - 0.5 + (shown.label == "SMILE") + 0.1 * replicate
                if shown.label == "NWJ" and noise == 0.03:
                    value = math.nan
                rows.append(
                    {"metric": shown.metric, "value": value, "replicate": replicate, "data.noise": noise}
                )
    shared = {"data.shared_dim": 5, "data.n_test": 2000, "data.n_train": 100, "run": "a", "size": "laptop"}
    return FinishedRuns("laptop", {"information_estimates": pd.DataFrame(rows).assign(**shared)})


def test_claims_name_bias_spread_and_refusals(runs) -> None:
    first, second, _ = information_estimates.claims(runs)
    assert first.says.startswith("ν = 0.03, I = 17.54 nats")
    assert "NWJ – (no number in 2 of 2)" in first.measured
    assert "NWJ -0.45 ± 0.07; SMILE 0.55 ± 0.07" in second.measured
    assert first.agrees
    assert second.agrees


def test_a_bound_above_the_truth_does_not_agree(runs) -> None:
    table = runs.tables["information_estimates"]
    table.loc[table["metric"] == "information/held_out", "value"] += 1
    assert not any(claim.agrees for claim in information_estimates.claims(runs))


def test_panels_show_estimates_bias_and_spread_and_where_bounds_end(runs) -> None:
    with style.in_style():
        figure = information_estimates.draw(runs)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["(a) estimates", "(b) bias", "(c) spread"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {shown.label for shown in information_estimates.ESTIMATES} < set(labels)
    assert "log(N/2) = 6.9, end of InfoNCE at the best τ" in labels
    assert "open: saturated; at the foot: no number, or an sd of 0" in labels


def test_estimates_without_a_number_and_bounds_near_their_end_are_saturated(runs) -> None:
    shown = {
        each.label: information_estimates.summary(runs, each) for each in information_estimates.ESTIMATES
    }
    assert shown["NWJ"]["saturated"].tolist() == [False, False, True]  # by I: ν = 1, 0.3, 0.03
    assert shown["InfoNCE, best τ"]["saturated"].tolist() == [False, False, True]
    assert not shown["Gaussian copula"]["saturated"].any()


def test_a_noise_with_fewer_repetitions_than_others_is_not_taken_for_refused(runs) -> None:
    table = runs.tables["information_estimates"]
    fewer = table[(table["data.noise"] != 1.0) | (table["replicate"] == 0)]
    runs = FinishedRuns("laptop", {"information_estimates": fewer})
    (copula,) = (each for each in information_estimates.ESTIMATES if each.label == "Gaussian copula")
    assert not information_estimates.summary(runs, copula)["saturated"].any()
    assert "no number" not in information_estimates.claims(runs)[2].measured
