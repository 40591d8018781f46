"""A size keeps its epochs beside whatever is merged after it."""

import itertools

import hydra
import pytest
from omegaconf import OmegaConf

from intrinsic_clip import config
from intrinsic_clip.config.sizes import LONGEST

SIZES = sorted((config.conf_folder() / "size").glob("*.yaml"))


def _epochs(*overrides: str) -> int:
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        settings = config.resolve(hydra.compose("train", overrides=list(overrides)))
    epochs: int = settings["trainer"]["max_epochs"]
    return epochs


@pytest.mark.parametrize("path", SIZES, ids=lambda path: path.stem)
def test_the_epochs_of_a_size_are_written_once_more_in_the_code(path) -> None:
    assert OmegaConf.select(OmegaConf.load(path), "trainer.max_epochs") == LONGEST.get(path.stem)


def test_a_short_size_wins_over_a_recipe_in_any_order_and_a_number_over_both() -> None:
    choices = ["size=smoke", "recipe=fast", "experiment=ladder"]
    assert {_epochs(*order) for order in itertools.permutations(choices)} == {2}
    assert _epochs(*choices, "trainer.max_epochs=7") == 7
    assert _epochs("recipe=fast", "size=laptop") == _epochs("recipe=fast") == 103


@pytest.mark.parametrize(("experiment", "epochs"), [("objectives", 52), ("information_estimates", 40)])
def test_it_wins_over_what_an_experiment_sweeps_over(experiment: str, epochs: int) -> None:
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        for size, expected in (("smoke", 2), ("laptop", epochs)):
            overrides = [f"experiment={experiment}", f"size={size}"]
            cfg = hydra.compose("train", overrides=overrides, return_hydra_config=True)
            assert int(cfg.hydra.sweeper.params["trainer.max_epochs"]) == expected
