"""A probe of a run measures at the steps that its `every_n_steps` names, within the epochs of data in memory too."""

import pytest

from helpers.between_epochs import killed_between_epochs
from intrinsic_clip.runs.results import read_metrics
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.slow


def _steps(folder, name: str) -> list[int]:
    table = read_metrics(next(folder.glob("custom/*")))
    return table[table.metric == name].step.tolist()


@pytest.mark.parametrize(("probe", "name"), [("dimension", "id/mle/x"), ("alignment", "uniformity/x")])
def test_a_probe_measures_every_n_steps_of_data_in_memory(tmp_path, compose, probe, name) -> None:
    """It measured at the end of each epoch of eight steps, whatever the number."""
    every = f"+probes.{probe}.every_n_steps=5"
    measured = train(compose(every))
    assert _steps(tmp_path / "outputs", name) == [*range(0, 48, 5), 48]
    plain = train(compose("output_dir=plain"))
    assert measured["metrics"] == plain["metrics"]

    with killed_between_epochs(3), pytest.raises(KeyboardInterrupt):
        train(compose(every, "output_dir=killed"))
    assert train(compose(every, "output_dir=killed"))["metrics"] == measured["metrics"]
    assert _steps(tmp_path / "killed", name) == [*range(0, 48, 5), 48]


def test_measuring_every_n_steps_changes_no_number_of_an_encoder_that_draws(compose) -> None:
    """Dropout draws anew in each epoch of data in memory, and in each batch where batches come one by one."""
    dropout = "encoder._target_=helpers.own_encoders.with_dropout"
    plain = train(compose(dropout, "output_dir=plain"))
    assert train(compose(dropout, "+probes.dimension.every_n_steps=5"))["metrics"] == plain["metrics"]
