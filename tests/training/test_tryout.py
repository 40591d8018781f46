"""What trains is tried out before anything is written, and refused in one line by its own rules."""

import pytest

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.memory import check_memory
from intrinsic_clip.training.tryout import try_out

REFUSED = {
    "optimizer.lr=-1": "optimizer: Invalid learning rate: -1",
    "optimizer.weight_decay=-0.1": "optimizer: Invalid weight_decay value: -0.1",
    "+optimizer.betas=[1.5,0.9]": "optimizer: Invalid beta parameter at index 0: 1.5",
    "+optimizer.eps=-1": "optimizer: Invalid epsilon value: -1",
    "+optimizer.foreach=true": "optimizer: `fused` and `foreach` cannot be `True` together",
    "optimizer={_target_: torch.optim.LBFGS, fused: null}": "optimizer: ",  # its step needs the loss again
    "optimizer._target_=builtins.dict": "optimizer._target_=builtins.dict: is not an optimizer",
    "trainer.accelerator=tpu": "trainer: ",
    "trainer.accelerator=nonsense": "trainer: ",
    "trainer.devices=0": "trainer: ",
    "trainer.devices=[5]": "trainer: ",
    "trainer.devices=many": "trainer: ",
    "+trainer.strategy=nonsense": "trainer: ",
    "+trainer.num_nodes=0": "trainer: ",
    "+trainer.limit_train_batches=-1": "trainer: ",
    "objective.temperature.initial=1000": "objective.temperature: starts at τ = inf",
    "+logger.x={_target_: builtins.dict}": "logger.x._target_=builtins.dict: is not a logger",
    "+logger.x={_target_: pytorch_lightning.loggers.CSVLogger}": "logger.x: ",
}


@pytest.mark.parametrize("override", REFUSED)
def test_settings_that_their_class_refuses(compose, override) -> None:
    with pytest.raises(ConfigError) as error:
        try_out(RunSpec.of(compose(override)), here=True)
    assert str(error.value).startswith(REFUSED[override])
    assert "\n" not in str(error.value)


def test_a_trainer_for_another_machine_is_not_constructed_here(compose) -> None:
    try_out(RunSpec.of(compose("trainer.accelerator=tpu")), here=False)


def test_what_trains_passes(compose, tmp_path) -> None:
    for overrides in (
        ["seed=0"],
        ["trainer=ddp", "trainer.accelerator=cpu"],
        ["+trainer.max_time={hours: 1}"],
    ):
        try_out(RunSpec.of(compose(*overrides)), here=True)
    assert list(tmp_path.iterdir()) == []


TOO_LARGE = {
    "data.n_train=1000000000000": "data: 1,000,000,000,164 rows of 40 numbers would take 149,",
    "data.d_x=10000000000": "would take",
    "encoder.output_dim=1000000000000": "encoder: its weights would take",
    "encoder.output_dim=9000000000000000000": "encoder: its weights are more than any memory holds",
    "encoder.hidden_layers=1000000000": "encoder.hidden_layers=1000000000: must be at most 10,000",
    "data.batch_size=10000000": "data.batch_size=10000000: the logits would take",
}


@pytest.mark.parametrize("override", TOO_LARGE)
def test_sizes_beyond_memory(compose, override) -> None:
    spec = RunSpec.of(compose(override))
    d_x = spec.settings["data"]["d_x"]
    with pytest.raises(ConfigError) as error:
        check_memory(spec, (d_x, 20))
    assert TOO_LARGE[override] in str(error.value)


def test_replicates_in_chunks_need_the_memory_of_a_chunk(compose, monkeypatch) -> None:
    from intrinsic_clip.training import memory

    monkeypatch.setattr(memory, "_memory", lambda spec: (30_000_000, "a small machine"))
    with pytest.raises(ConfigError, match=r"more than the 0\.0 GiB of a small machine"):
        check_memory(RunSpec.of(compose("replicates=1000")), (20, 20))
    check_memory(RunSpec.of(compose("replicates=1000", "replicates_per_chunk=10")), (20, 20))


COUPLED = {
    "torch.optim.Adafactor": ["~optimizer.fused"],
    "helpers.own_optimizers.clipped_adam": [],
}


@pytest.mark.parametrize("target", COUPLED)
def test_an_optimizer_that_mixes_replicates_trains_them_alone(compose, target) -> None:
    def settings(*more: str) -> RunSpec:
        return RunSpec.of(compose(f"optimizer._target_={target}", *COUPLED[target], *more))

    for alone in ([], ["replicates=1"], ["replicates=3", "replicates_per_chunk=1"]):
        try_out(settings(*alone), here=True)
    for together in (["replicates=2"], ["encoder.output_dim=[2,3]"]):
        with pytest.raises(ConfigError, match="its step of one replicate depends on the others"):
            try_out(settings(*together), here=True)


@pytest.mark.parametrize("name", ["SGD", "AdamW", "NAdam", "RMSprop", "Adagrad", "Rprop", "ASGD", "Adadelta"])
def test_optimizers_that_keep_replicates_apart_pass(compose, name) -> None:
    settings = ["~optimizer.fused", f"optimizer._target_=torch.optim.{name}", "replicates=2"]
    settings += ["~optimizer.weight_decay"] if name == "Rprop" else []
    try_out(RunSpec.of(compose(*settings)), here=True)
