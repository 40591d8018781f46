"""The figure of the ladder, from made-up results."""

import dataclasses
import math

import pandas as pd
import pytest

from intrinsic_clip.paper_figures import ladder
from intrinsic_clip.paper_figures.finished_runs import FinishedRuns

BASE = {"encoder.output_dim": 24, "size": "laptop", "objective.similarity.rows": math.nan}
NUMBERS = {
    "id/mle/x": 8.0, "id/mle/y": 9.0, "id/twonn/x": 10.0, "id/twonn/y": 11.0, "temperature": 0.5,
    ladder.MATCHING: 0.2, f"in_sample/{ladder.MATCHING}": 0.9,
}  # fmt: skip
CLEAR = {"dimension": 3.0, "effective": 5.0, "interval/low": 3.0, "interval/high": 4.0, "gap": 2.5}
CLEAR |= {"null_gap": 1.05, "side/x": 3.0, "side/y": 2.0, "p_value": 0.0005}
DECAY = CLEAR | {"dimension": math.nan, "side/x": math.nan, "side/y": math.nan, "effective": 12.0, "gap": 1.1}
DECAY |= {"interval/low": 10.0, "interval/high": 15.0}
NOTHING = CLEAR | dict.fromkeys(("dimension", "interval/low", "interval/high", "side/x", "side/y"), 0.0)


def rows(kind: str, run: str, n: int, shared: dict[str, float]) -> list[dict[str, object]]:
    """Return two repetitions of a run as `collect` lists them; the estimate stands beside the first."""
    settings = BASE | {"data._target_": f"intrinsic_clip.data.{kind}", "run": run, "data.n_train": n}
    listed = []
    for replicate in (0, 1):
        numbers = NUMBERS | {
            f"shared/{name}": math.nan if replicate else value for name, value in shared.items()
        }
        listed += [
            settings | {"metric": metric, "replicate": replicate, "value": value}
            for metric, value in numbers.items()
        ]
    return listed


def made_up(icons: bool = True) -> FinishedRuns:
    parts = [
        rows("openclipart.OpenClipArt", "o", 2048, DECAY),
        rows("features.cities.Cities", "c", 20000, CLEAR),
        rows("features.colours.ColourNames", "n", 28881, CLEAR),
        rows("features.digits.Digits", "d1", 1500, NOTHING),
        rows("features.digits.Digits", "d2", 1500, CLEAR | {"dimension": 4.0}),
    ]
    tables = {"ladder": pd.DataFrame([row for part in parts for row in part])}
    if icons:
        sizes = (2000, 6000, 20000)
        over_n = [
            row
            for n, estimate in zip(sizes, (DECAY, DECAY, CLEAR), strict=True)
            for row in rows("features.icon_features.IconFeatures", str(n), n, estimate)
        ]
        tables["ladder_icons"] = pd.DataFrame(over_n)
    return FinishedRuns("laptop", tables)


def test_each_data_set_has_a_rung_in_the_order_of_what_is_known() -> None:
    labels = [label for label, _ in ladder.rungs_of(made_up())]
    assert labels == ["colours", "cities", "digits", "digits (2)", "openclipart"]


def test_seeds_of_one_setting_are_repetitions_on_one_rung() -> None:
    """`read_runs` gives runs that differ by their seed alone the same `setting`."""
    table = made_up().tables["ladder"]
    alike = {"d1": "digits", "d2": "digits"}
    runs = FinishedRuns("laptop", {"ladder": table.assign(setting=table["run"].replace(alike))})
    rungs = {label: where for (label, _), where in ladder.rungs_of(runs).items()}
    assert list(rungs) == ["colours", "cities", "digits", "openclipart"]
    assert len(runs.values("ladder", "temperature", **rungs["digits"])) == 4
    assert sorted(runs.values("ladder", "shared/dimension", **rungs["digits"])) == [0, 4]


def test_what_is_known_of_the_runs_stays_with_the_icons() -> None:
    runs = dataclasses.replace(
        made_up(), departures={"ladder": "trainer.max_epochs=3"}, partial={"ladder": (5, 7)}
    )
    assert ladder.with_ladder_among_icons(runs).note == runs.note


@pytest.mark.parametrize(("icons", "panels"), [(False, 2), (True, 4)])
def test_panels_are_labelled_and_show_the_estimates(icons: bool, panels: int) -> None:
    figure = ladder.draw(made_up(icons))
    assert len(figure.axes) == panels
    for ax in figure.axes:
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert ax.has_data()
    (legend,) = figure.legends
    named = {text.get_text() for text in legend.get_texts()}
    assert named == {*(name for *_, name in ladder.IDS.values()), ladder.GAP, ladder.DECAY, "known: at most"}
    left = figure.axes[0]
    assert [tick.get_text() for tick in left.get_xticklabels()][:2] == ["colours", "cities"]
    drawn = {container.get_label(): container.lines[0] for container in left.containers}
    place = ladder.SHARED[2]
    assert drawn[ladder.GAP].get_xydata().tolist() == [
        [0 + place, 3], [1 + place, 3], [2 + place, 0], [3 + place, 4],
    ]  # fmt: skip
    assert drawn[ladder.DECAY].get_xydata().tolist() == [[4 + place, 12]]
    assert drawn[ladder.DECAY].get_markerfacecolor() == "none"
    dashed = [line for line in left.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata().tolist() for line in dashed] == [[3, 3], [2, 2]]
    if icons:
        over_n = {container.get_label(): container.lines[0] for container in figure.axes[2].containers}
        assert over_n[ladder.DECAY].get_xydata().tolist() == [[2000, 12], [6000, 12]]
        assert over_n[ladder.GAP].get_xydata().tolist() == [[20000, 3]]


def test_bounds_are_checked_and_nothing_is_claimed_without_a_gap() -> None:
    by_name = {claim.says: claim for claim in ladder.claims(made_up())}
    verdicts = {says.partition(":")[0]: claim.agrees for says, claim in by_name.items()}
    assert verdicts["colours"] is True
    assert verdicts["cities"] is True  # by the position's side alone
    assert verdicts["digits"] is None
    assert verdicts["openclipart"] is None
    text = {says.partition(":")[0]: claim.measured for says, claim in by_name.items()}
    assert text["colours"].startswith("k̂* = 3 (3 to 4; gap 2.50, shuffled pairs 1.05; alone x 3, y 2)")
    assert text["openclipart"].startswith(
        "no clear gap: 90 % of the spectrum in 12 (10 to 15; largest ratio 1.10"
    )
    assert text["digits"].startswith("k̂* = 0, held-out matching is at chance")
    assert "matching (top 0.5 %) 0.20 ± 0.00, in sample 0.90 ± 0.00; τ 0.500 ± 0.000" in text["colours"]
    assert sum(says.startswith("icons, n = ") for says in by_name) == 3


def test_an_estimate_in_doubt_is_no_point() -> None:
    doubtful = DECAY | dict.fromkeys(("effective", "interval/low", "interval/high"), math.nan)
    runs = FinishedRuns("laptop", {"ladder": pd.DataFrame(rows("x.Cities", "c", 9, doubtful))})
    (claim,) = ladder.claims(runs)
    assert claim.measured.startswith(
        "no number can be trusted (largest ratio 1.10, shuffled pairs 1.05); MLE"
    )
    assert claim.agrees is None
    drawn = {container.get_label() for container in ladder.draw(runs).axes[0].containers}
    assert drawn == {name for *_, name in ladder.IDS.values()}


def test_a_bound_that_is_passed_is_reported() -> None:
    five = CLEAR | {"dimension": 5.0}
    runs = FinishedRuns("laptop", {"ladder": pd.DataFrame(rows("x.ColourNames", "n", 9, five))})
    (claim,) = ladder.claims(runs)
    assert claim.agrees is False
    assert "k̂* = 5" in claim.measured


def test_a_run_without_an_estimate_says_so() -> None:
    table = pd.DataFrame(
        [row for row in rows("x.Cities", "n", 9, CLEAR) if "shared" not in str(row["metric"])]
    )
    (claim,) = ladder.claims(FinishedRuns("laptop", {"ladder": table}))
    assert claim.agrees is None
    assert claim.measured.startswith("no estimate; MLE f 8.00")
