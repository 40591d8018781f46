"""Every objective in conf/ is valid, has the defaults of its class, and refuses what its formula does not allow."""

import inspect

import pytest
from hydra.utils import get_class, instantiate

from intrinsic_clip import config
from intrinsic_clip.config.folders import conf_folder
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.spec import RunSpec

NAMES = sorted(file.stem for file in (conf_folder() / "objective").glob("*.yaml"))


def test_no_objective_is_missing() -> None:
    assert len(NAMES) >= 16


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_valid_and_those_of_the_class(compose, name: str) -> None:
    cfg = compose(f"objective={name}")
    config.check(RunSpec.of(cfg).settings)
    own = config.without_parts(cfg.objective)
    parameters = inspect.signature(get_class(own["_target_"])).parameters
    defaults = {key: value.default for key, value in parameters.items() if key != "replicates"}
    assert {key: value for key, value in own.items() if key != "_target_"} == defaults
    assert instantiate(own).takes_temperature == (cfg.objective.get("temperature") is not None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("objective=cloob objective/similarity=population", "does not go together with CLOOB; choose"),
        ("objective=triplet objective/similarity=none", "does not go together with Triplet; choose"),
        (
            "objective=vicreg encoder.output_dim=[4,6]",
            "must be one number with VICReg, which counts the zeros",
        ),
        ("objective=soft_dcca encoder.output_dim=[4,6]", "must be one number with SoftDCCA"),
        ("objective=vicreg objective/temperature=learned", "VICReg has no temperature"),
        ("objective=vicreg +objective.temperature.tau=0.1", "temperature.tau: VICReg has no temperature"),
        (
            "objective/temperature=per_direction objective.local_block=true",
            "local_block=true: does not go together",
        ),
        (
            "objective=sigmoid ~objective.temperature",
            "choose learned, fixed, clamped or scheduled",
        ),
        ("objective=mse +objective.margin=1", "objective.margin: unknown key; MSE takes no settings"),
        (
            "objective/similarity=cosine +objective.similarity.over=batch",
            "objective.similarity.over: unknown key; CosineSimilarity takes no settings",
        ),
        ("objective=individual objective.rho=-1", "objective.rho=-1"),
        ("objective=uncertainty objective.source=norm", "objective.source="),
        ("objective=dcca objective.components=99", "must be at least 99 with objective.components=99"),
        (
            "objective=uncertainty objective.source=coordinate encoder.output_dim=1",
            "encoder.output_dim=1: must be at least 2 with objective.source=coordinate",
        ),
        (
            "objective=uncertainty objective.source=coordinate encoder.output_dim=[2,4]",
            "must be one number, since narrower outputs end in zeros",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(compose, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.check(RunSpec.of(compose(*override.split())).settings)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
