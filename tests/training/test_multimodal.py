"""Encoders of three modalities train together; two are the pairs of before; what does not go together is refused."""

from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor

from intrinsic_clip import config
from intrinsic_clip.data import SyntheticLinear
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.probes.embeddings import encoders_of
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.runs.vocabulary import describe
from intrinsic_clip.training.build import build, check_buildable
from intrinsic_clip.training.module import ContrastiveModule
from intrinsic_clip.training.multimodal import MultimodalModule
from intrinsic_clip.training.train import train

THREE = ["data=synthetic_three", "objective=pairs", "data.d_z=12", "trainer.max_epochs=2"]
COSINE = "objective/similarity=cosine"
OBJECTIVES = ("pairs", "anchor", "symile", "gram")


def step_of(compose, *overrides: str) -> tuple[ContrastiveModule, Tensor]:
    """Return a module and the losses of its first batch."""
    spec = RunSpec.of(compose(*overrides))
    training = build(spec)
    data, module = training.data, training.module
    module.x_append, module.y_append = data.pairs("append").x, data.pairs("append").y
    if isinstance(module, MultimodalModule):
        module._further_append = tuple(data.pairs("append").further.values())
    batch = [rows.narrow(-2, 0, 64) for rows in data.pairs("train").modalities().values()]
    losses, _ = module._losses(*batch, *module._population())
    return module, losses


@pytest.mark.slow
def test_a_run_measures_each_encoder_each_pair_and_each_block(compose, capsys) -> None:
    results = train(compose(*THREE, COSINE, "probes=modalities", "replicates=2"))
    names = set(results["metrics"])
    for side in "xyz":
        assert {
            f"id/mle/{side}",
            f"jacobian/rank/{side}",
            f"consensus/rank/{side}",
        } <= names
        assert {f"recovery/linear/{block}/{side}" for block in ("xyz", "xy", "xz", "yz")} <= names
    ways = [f"{one}_to_{other}" for one in "xyz" for other in "xyz" if one != other]
    assert {f"retrieval/top_1/{way}" for way in ways} <= names
    assert [name for name in names if not describe(name).declared] == []
    assert len({describe(name).full_title for name in names}) == len(names)
    assert results["shared_dim"] is None
    printed = capsys.readouterr().out
    assert "h(Z)" in printed
    assert "z → y" in printed
    (written,) = Path("outputs").rglob("results.json")
    kept = Run.load(written.parent).embeddings()
    assert kept.further["z"].shape == kept.x.shape == (100, 6)
    assert {block: rows.shape for block, rows in kept.latents.items()} == {
        "xyz": (100, 3), "xy": (100, 2), "xz": (100, 2), "yz": (100, 2),
    }  # fmt: skip
    assert kept.z is None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_encoder_gets_a_gradient_and_each_replicate_its_own(compose, objective: str) -> None:
    overrides = [*THREE, f"objective={objective}", COSINE]
    module, both = step_of(compose, *overrides, "replicates=2")
    both.sum().backward()
    for name, encoder in encoders_of(module).items():
        assert all(bool(weight.grad.abs().amax() > 0) for weight in encoder.parameters()), name
    _, alone = step_of(compose, *overrides, "replicates=[1]")
    assert both.shape == (2,)
    torch.testing.assert_close(both[1:], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("similarity", ["population", "cosine", "fast"])
def test_two_modalities_are_those_of_info_nce_to_the_bit(compose, similarity: str) -> None:
    common = [f"objective/similarity={similarity}", "kernel=none", "replicates=2"]
    module, ours = step_of(compose, *common, "objective=pairs")
    assert isinstance(module, MultimodalModule)
    pairs, theirs = step_of(compose, *common)
    assert type(pairs) is ContrastiveModule
    assert torch.equal(ours, theirs)
    test = SyntheticLinear(n_train=8, n_append=8, n_test=32, replicates=2).pairs("test")
    module.eval(), pairs.eval()
    for one, other in zip(module(test.x, test.y), pairs(test.x, test.y), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
def test_a_training_on_two_modalities_is_that_of_info_nce(compose) -> None:
    common = ["trainer.max_epochs=2", COSINE, "kernel=none", "probes=latent"]
    ours, theirs = (train(compose(*common, f"objective={name}"))["metrics"] for name in ("pairs", "infonce"))
    assert ours == theirs


@pytest.mark.slow
def test_the_population_norm_takes_the_append_rows_of_all(compose) -> None:
    results = train(compose(*THREE, "probes={dimension:null,matching:null,temperature:null}"))
    for side in "xyz":
        assert results["metrics"][f"relative_norm/{side}"]["mean"] == pytest.approx(1, abs=0.15)


REFUSED = {
    "objective=infonce": "InfoNCE compares two modalities, and the data have x, y, z; choose objective=pairs",
    "objective=anchor objective.anchor=v": "objective.anchor=v: must be one of x, y, z",
    "objective/similarity=batch": "PopulationSimilarity over batch knows x and y alone; SumOverPairs takes",
    "objective/similarity=moving_average": "MovingAverageSimilarity knows x and y alone",
    "objective=gram objective/similarity=population": "does not go together with Gram; choose objective/similarity=",
    "objective/temperature=per_direction": "SumOverPairs takes one temperature",
    "kernel=cpp": "kernel=cpp: serves steps on pairs; SumOverPairs runs in plain PyTorch, so choose kernel=auto",
    "compile=true": "compile=true: serves steps on pairs",
    "cuda_graph=true": "cuda_graph=true: serves steps on pairs",
    "regularisation=held_out objective/similarity=cosine": "regularisation.input_noise=0.3: is made for pairs",
}


def _check(cfg: DictConfig) -> None:
    spec = RunSpec.of(cfg)
    config.check(spec.settings)
    check_buildable(spec)


@pytest.mark.parametrize("overrides", REFUSED)
def test_what_does_not_go_together_is_refused_in_one_line(compose, overrides: str) -> None:
    with pytest.raises(ConfigError) as error:
        _check(compose(*THREE, *overrides.split()))
    assert REFUSED[overrides] in str(error.value)
    assert "\n" not in str(error.value)


def test_data_of_other_modalities_than_the_module(compose) -> None:
    training = build(RunSpec.of(compose(*THREE, COSINE)))
    module = training.module
    trainer = {"world_size": 1, "precision": "32-true", "callbacks": [], "datamodule": SyntheticLinear()}
    module._trainer = type("Trainer", (), trainer)()
    with pytest.raises(Exception, match="the data have the modalities x, y, and the module x, y, z"):
        module.setup()
