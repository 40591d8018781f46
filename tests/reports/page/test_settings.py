"""A report puts repetitions into one row, and names it by the settings that differ."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from intrinsic_clip import config
from intrinsic_clip.reports.page.settings import (
    Training,
    axes,
    differing,
    grouped,
    short_names,
    shown,
    trainings_of,
)
from intrinsic_clip.runs.replicates import Replicates


def training(seed: int = 0, run: str = "a", **settings: Any) -> Training:
    flat = {key.replace("__", "."): value for key, value in settings.items()}
    return Training(Path(run), 0, (seed, 0), {"seed": seed, "data.seed": seed, "replicates": None, **flat})


def test_seeds_are_repetitions_and_copies_of_settings_are_no_settings() -> None:
    all_ = [
        training(seed, encoder__output_dim=d, probes__every_n_epochs=d + seed, encoder__copy__output_dim=d)
        for seed in (0, 1)
        for d in (10, 9, 2)
    ]
    keys = differing(all_)
    assert keys == ["encoder.output_dim"]
    groups = grouped(all_, keys)
    assert [(g[0].settings["encoder.output_dim"], [t.repetition for t in g]) for g in groups] == [
        (2, [(0, 0), (1, 0)]), (9, [(0, 0), (1, 0)]), (10, [(0, 0), (1, 0)])
    ]  # fmt: skip
    assert axes(groups, keys) == keys


def test_what_belongs_to_a_choice_is_implied_by_it_unless_it_varies() -> None:
    learned = training(
        **{"objective.temperature._target_": "intrinsic_clip.loss.temperature.LearnedTemperature"}
    )
    fixed = {"objective.temperature._target_": "intrinsic_clip.loss.temperature.FixedTemperature"}
    pair = [learned, training(**fixed, **{"objective.temperature.tau": 0.1})]
    assert differing(pair) == ["objective.temperature._target_"]
    three = [*pair, training(**fixed, **{"objective.temperature.tau": 0.5})]
    assert differing(three) == ["objective.temperature._target_", "objective.temperature.tau"]
    assert axes(grouped(three, differing(three)), differing(three)) == []


def test_names_that_go_with_other_settings_are_left_out() -> None:
    """Check that a setting of only one class is implied by it, and a setting of both is not."""
    kinds = [
        training(
            name=name, data___target_=name.title(), encoder___target_="mlp", encoder__output_dim=d, **own
        )
        for name, d, own in (("linear", 4, {"data.noise": 0.5}), ("nonlinear", 8, {}))
    ]
    assert differing(kinds) == ["encoder.output_dim", "data._target_"]
    assert differing([training(name="first"), training(name="second")]) == ["name"]


def test_a_repetition_that_is_there_twice_counts_once() -> None:
    same = [training(3, "a", data__noise=0), training(3, "b", data__noise=0), training(4, "c", data__noise=0)]
    assert [[t.run.name for t in group] for group in grouped(same, differing(same))] == [["a", "c"]]


def test_classes_that_only_some_trainings_have_keep_these_apart() -> None:
    """Check that a class does not imply itself: InfoNCE has none among the settings, other losses do."""
    losses = [
        training(run="infonce"),
        *(training(run=name, loss___target_=name) for name in ("Gram", "Symile")),
    ]
    assert differing(losses) == ["loss._target_"]
    assert [[t.run.name for t in group] for group in grouped(losses, ["loss._target_"])] == [
        ["Gram"], ["infonce"], ["Symile"]
    ]  # fmt: skip
    for key in ("schedule._target_", "loss.temperature._target_"):
        some = [training(), training(**{key: "Cosine"}), training(**{key: "Linear"})]
        assert differing(some) == [key]
        assert len(grouped(some, [key])) == 3


def test_objectives_have_their_name_and_class_infonce_too(compose) -> None:
    """Check what addresses leave out: `objective=infonce` was a dash in a column called loss."""
    trainings = []
    for objective in ("infonce", "sigmoid", "spectral"):
        settings = config.resolve(compose(f"objective={objective}"))
        run: Any = SimpleNamespace(
            folder=Path(objective), settings=settings, replicates=Replicates.of(settings)
        )
        trainings += trainings_of(run)
    keys = differing(trainings)
    assert keys[0] == "objective._target_"
    assert not any(key.startswith("loss") for key in keys)
    names = [shown(keys[0], each.settings.get(keys[0])) for each in trainings]
    assert names == ["InfoNCE", "Sigmoid", "Spectral"]
    assert short_names(keys)[keys[0]] == "objective"


def test_a_class_that_another_class_implies_is_left_out() -> None:
    temperature = {"loss.temperature._target_": "Learned", "loss.temperature.initial": 0.07}
    kinds = [training(loss___target_="Symile", **temperature), training(loss___target_="Gram")]
    assert differing(kinds) == ["loss._target_"]
    fixed = training(loss___target_="Symile", **{"loss.temperature._target_": "Fixed"})
    assert differing([*kinds, fixed]) == ["loss._target_", "loss.temperature._target_"]


def test_only_the_same_settings_are_there_twice() -> None:
    apart = [
        training(0, "a", data__noise=0),
        training(0, "b", data__noise=1),
        training(0, "c", data__noise=0),
    ]
    assert [[t.run.name for t in group] for group in grouped(apart, [])] == [["a", "b"]]


def test_a_probe_that_only_some_trainings_have_keeps_none_apart() -> None:
    probed = {"probes.jacobian._target_": "JacobianProbe", "probes.jacobian.points": 9}
    both = [training(0, "a"), training(0, "b", **probed)]
    assert differing(both) == []
    assert [[t.run.name for t in group] for group in grouped(both, [])] == [["a"]]


def test_names_are_short_where_that_is_clear() -> None:
    keys = ["encoder.output_dim", "objective.temperature._target_", "data.noise", "features.noise"]
    assert short_names(keys) == {
        "encoder.output_dim": "d",
        "objective.temperature._target_": "temperature",
        "data.noise": "data.noise",
        "features.noise": "features.noise",
    }
    assert (
        shown("objective.temperature._target_", "intrinsic_clip.loss.temperature.FixedTemperature") == "Fixed"
    )
    assert shown("data._target_", "intrinsic_clip.data.SyntheticLinear") == "SyntheticLinear"
    assert shown("probes.dimension.estimators", ["mle", "twonn"]) == "mle, twonn"
