"""The figure `truth` from a table of runs: pooled modalities, refusals, and settings in the paper's order."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from intrinsic_clip.paper_figures import style, truth
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns


def table(experiment: str, column: str, value: str, number: float | None) -> pd.DataFrame:
    """Return runs at k* = 2 and 5 with two replicates; every estimate is k* + 1, the consensus k* or a refusal."""
    rows = []
    for k in (2, 5):
        for shown in truth.ESTIMATORS:
            for metric in shown.metrics:
                estimate = k + 1.0
                if metric == "consensus/rank":
                    estimate = float("nan") if number is None and k == 5 else float(k)
                rows += [{"metric": metric, "value": estimate, "replicate": r, truth.K: k} for r in (0, 1)]
    shared = {
        "run": experiment,
        "size": "laptop",
        "encoder.output_dim": 20,
        "data.n_train": 100,
        column: value,
    }
    return pd.DataFrame(rows).assign(**shared)


@pytest.fixture
def runs() -> FinishedRuns:
    source = "intrinsic_clip.data.Synthetic"
    paper = [table("truth", truth.SOURCE, source + name, 1) for name in ("GaussianNonlinear", "Linear")]
    mixed = [table("truth_mixed", truth.MIXING, mixing, None) for mixing in ("deep", "rotated")]
    return FinishedRuns("laptop", {"truth": pd.concat(paper), "truth_mixed": pd.concat(mixed)})


def test_the_papers_settings_come_first(runs) -> None:
    labels = [setting.label for setting in truth.settings(runs)]
    assert labels == ["linear", "gaussian nonlinear", "rotated mixing", "deep mixing"]


def test_claims_name_errors_and_refusals(runs) -> None:
    claims = {claim.says.partition(", d =")[0]: claim for claim in truth.claims(runs)}
    assert set(claims) == {shown.label for shown in truth.ESTIMATORS}
    assert "linear +1.00 ± 0.00; gaussian nonlinear" in claims["TwoNN"].measured
    assert claims["MLE, harmonic mean"].agrees
    assert claims["TwoNN"].agrees is None
    consensus = claims["consensus rank"].measured
    assert "linear +0.00 ± 0.00;" in consensus
    assert "deep mixing +0.00 ± 0.00 (no number at 1 of 2 k*)" in consensus


def test_every_panel_shows_each_estimator_beside_the_truth(runs) -> None:
    with style.in_style():
        figure = truth.draw(runs)
    panels = [ax for ax in figure.axes if ax.get_visible()]
    assert len(panels) == 5
    for ax in panels[:4]:
        assert len(ax.containers) == len(truth.ESTIMATORS)
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("true k*", "estimated dimension")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert set(legend) == {"equal", *(shown.label for shown in truth.ESTIMATORS)}
    plt.close(figure)
