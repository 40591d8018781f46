"""Probes check their arguments in Python as a config of probes is checked."""

import inspect

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from helpers.mean_norm_probe import MeanNormProbe
from intrinsic_clip import probes
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.shared_dimension.consensus_probe import ConsensusProbe
from intrinsic_clip.shared_dimension.probe import SharedDimensionProbe


def embed(module, batch):
    return module(batch)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: MeanNormProbe(embed, every_n_epochs=0),
            "MeanNormProbe.every_n_epochs=0: input should be greater",
        ),
        (lambda: MeanNormProbe(embed, 0), "MeanNormProbe.every_n_epochs=0: input should be greater than 0"),
        (
            lambda: MeanNormProbe(embed, max_samples=0),
            "MeanNormProbe.max_samples=0: input should be greater than 0",
        ),
        (
            lambda: MeanNormProbe(embed, every_n_steps=-1),
            "MeanNormProbe.every_n_steps=-1: input should be greater",
        ),
        (
            lambda: MeanNormProbe(embed, in_sample="a"),
            'MeanNormProbe.in_sample="a": input should be a valid boolean',
        ),
        (
            lambda: MeanNormProbe(embed, seed=-1),
            "MeanNormProbe.seed=-1: input should be greater than or equal to 0",
        ),
        (
            lambda: MeanNormProbe(embed, max_samples=1.5),
            "MeanNormProbe.max_samples=1.5: input should be a valid integ",
        ),
        (lambda: MeanNormProbe(embed, prefix=embed), "MeanNormProbe.prefix: a function is not a setting"),
        (
            lambda: probes.MatchingProbe(embed, ks=[1, 0]),
            "MatchingProbe.ks=[1, 0]: input should be greater than 0",
        ),
        (
            lambda: probes.MatchingProbe(embed, max_samples=0),
            "MatchingProbe.max_samples=0: input should be greater",
        ),
        (lambda: probes.MatchingProbe(embed, similarity="l2"), 'MatchingProbe.similarity="l2"'),
        (
            lambda: probes.SpectrumProbe(embed, shares=(1.5,)),
            "SpectrumProbe.shares=[1.5]: input should be less than 1",
        ),
        (
            lambda: probes.IntrinsicDimensionProbe(embed, k=1),
            "IntrinsicDimensionProbe.k=1: input should be greater",
        ),
        (lambda: probes.IntrinsicDimensionProbe(embed, estimators=["mel"]), "mel"),
        (lambda: probes.OptimalTemperatureProbe(embed, batch_size=0), "OptimalTemperatureProbe.batch_size=0"),
        (
            lambda: probes.TemperatureProbe(every_n_steps=0),
            "TemperatureProbe.every_n_steps=0: input should be greater",
        ),
        (lambda: probes.InformationEstimatesProbe(embed, clip=0), "InformationEstimatesProbe.clip=0"),
        (
            lambda: probes.JacobianProbe(embed, max_points=0),
            "JacobianProbe.max_points=0: input should be greater",
        ),
        (
            lambda: probes.RecoveryProbe(max_rows=0),
            "RecoveryProbe.max_rows=0: input should be greater than 0",
        ),
        (
            lambda: probes.ClassificationProbe(embed, k=0),
            "ClassificationProbe.k=0: input should be greater than 0",
        ),
        (lambda: probes.ExamplesProbe(images=0), "ExamplesProbe.images=0: input should be greater than 0"),
        (lambda: ConsensusProbe(max_points=0), "ConsensusProbe.max_points=0: input should be greater than 0"),
        (
            lambda: SharedDimensionProbe(repeats=0),
            "SharedDimensionProbe.repeats=0: input should be greater than 0",
        ),
    ],
)
def test_an_argument_out_of_range_is_refused_in_one_line(call, message) -> None:
    with pytest.raises(ConfigError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_every_probe_with_arguments_of_its_own_checks_them() -> None:
    kinds = [each for each in vars(probes).values() if inspect.isclass(each) and issubclass(each, AnyProbe)]
    own = [
        each
        for each in {*kinds, ConsensusProbe, SharedDimensionProbe} - {AnyProbe}
        if "__init__" in vars(each)
    ]
    assert len(own) > 8
    assert not [each.__name__ for each in own if not hasattr(each.__init__, "__wrapped__")]


def test_a_users_subclass_passes_its_options_on() -> None:
    class Weighted(MeanNormProbe):
        def __init__(self, embed, weights: "dict[object, float]", **options) -> None:  # checked by the user
            super().__init__(embed, **options)
            self.weights = weights

    probe = Weighted(embed, {object(): 1.0}, max_samples=np.int64(7), prefix="mine/")
    assert (probe.max_samples, probe.prefix) == (7, "mine/")
    with pytest.raises(ConfigError, match=r"^Weighted\.every_n_steps=0: input should be greater than 0$"):
        Weighted(embed, {}, every_n_steps=0)


def test_lists_of_a_config_and_other_sequences_are_taken() -> None:
    config = OmegaConf.create(
        {"_target_": "intrinsic_clip.probes.MatchingProbe", "ks": [1, 5], "every_n_epochs": 2}
    )
    assert list(instantiate(config).ks) == [1, 5]
    assert instantiate(config, _convert_="all").every_n_epochs == 2
    assert list(probes.MatchingProbe(embed, ks=range(1, 3), alphas=(np.float32(0.5),)).ks) == [1, 2]
    partial = OmegaConf.create(
        {
            "_target_": "helpers.mean_norm_probe.MeanNormProbe",
            "source": {"_target_": "intrinsic_clip.probes.by_output", "_args_": ["x", "y"]},
        }
    )
    assert instantiate(partial).source is not None


def test_density_ratios_need_not_be_clipped() -> None:
    assert "information/smile" in probes.InformationEstimatesProbe(embed, clip=float("inf")).estimators
