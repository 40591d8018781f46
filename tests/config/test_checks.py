"""Bad configs end in one line that names the key and what would be right."""

import hydra
import pytest

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build

pytestmark = pytest.mark.slow

WRONG = {
    "encoder.output_dim=0": "encoder.output_dim=0: input should be greater than 0",
    "encoder.output_dim=many": 'encoder.output_dim="many": input should be a valid integer',
    "encoder.output_dim=2.5": "encoder.output_dim=2.5: input should be a valid integer",
    "encoder.output_dim=true": "encoder.output_dim=true: input should be a valid integer",
    "+encoder.widht=3": "encoder.widht: unknown key, did you mean width?; mlp takes input_dim, output_dim",
    "encoder.output_dim=[4,0]": "encoder.output_dim=0: input should be greater than 0",
    "encoder.output_dim=[4,4]": "encoder.output_dim=[4, 4]: must name at least one, and each once",
    "encoder.output_dim=[]": "encoder.output_dim=[]: must name at least one, and each once",
    "replicates=0": "replicates: input should be greater than 0 or input should be a valid array",
    "replicates=[2,2]": "replicates=[2, 2]: must name at least one, and each once",
    "replicates_per_chunk=0": "replicates_per_chunk: input should be greater than 0",
    "+sed=3": "sed: unknown key, did you mean seed?",
    "seed=-1": "seed: input should be greater than or equal to 0",
    "name=../elsewhere": "name: string should match pattern",
    "data.batch_size=513": "data.batch_size=513: must not exceed data.n_train=512",
    "data.noise=-0.1": "data.noise=-0.1: input should be greater than or equal to 0",
    "data.n_append=0": "data.n_append=0: the population norm needs at least 1 row",
    "probes.dimension.k=100": "probes.dimension.k=100: must be less than the 100 test rows",
    "probes.dimension.k=1": "probes.dimension.k=1: input should be greater than or equal to 2",
    "probes.dimension.estimators=[mle,tonn]": "there is no estimator tonn; choose from mle, twonn, gride",
    "probes.matching.ks=[1,100]": "probes.matching.ks=100: must be less than the 100 test rows",
    "probes.matching.alphas=[1.5]": "input should be less than or equal to 1",
    "optimizer.lr=fast": 'optimizer.lr="fast": input should be a valid number',
    "trainer.max_epochs=forever": 'trainer.max_epochs="forever": input should be a valid integer',
    "trainer.max_epochs=0": "trainer.max_epochs=0: must be at least 1",
    "trainer.max_epochs=-1": "trainer.max_epochs=-1: never ends without max_steps or max_time",
    "trainer.max_epochs=-2": "trainer.max_epochs=-2: must be at least 1",
    "trainer.max_epochs=1.5": "trainer.max_epochs=1.5: input should be a valid integer",
    "trainer.devices=1000": "trainer.devices=1000: must be at most",
    "+trainer.callbacks=[]": "trainer.callbacks: is set by intrinsic-clip; probes=… adds probes",
    "+trainer.logger=true": "trainer.logger: is set by intrinsic-clip; logger=… chooses it",
    "+trainer.fast_dev_run=true": "size=smoke is the quick trial",
    "+trainer.gradient_clip_val=1.0": "trainer.gradient_clip_val=1.0: is not offered",
    "+trainer.limit_test_batches=0.5": "trainer.limit_test_batches=0.5: is not offered; the probes measure all",
    "+trainer.val_check_interval=5": "trainer.val_check_interval=5: is not offered; nothing is validated",
    "+trainer.limit_train_batches=0": "trainer.limit_train_batches=0: would train nothing",
    "optimizer.lr=inf": "optimizer.lr=inf: must be a finite number",
    "optimizer.lr=nan": "optimizer.lr=nan: must be a finite number",
    "probes.matching.alphas=[nan]": "probes.matching.alphas=nan: must be a finite number",
    "checkpoint_seconds=inf": "checkpoint_seconds=inf: must be a finite number",
    "seed=99999999999999999999999": "seed=99999999999999999999…: must be less than 2^63",
    "optimizer._target_=null": "optimizer._target_=None: must name a class or function",
    "optimizer._target_=math.pi": "math.pi is not a class or function",
    "optimizer._target_=print": "there is no print to import",
    "~data._target_": "data._target_: is missing; data must name the class that it configures",
    "data.n_test={_target_: os.system}": "data.n_test=",
    "~objective": "objective: is missing",
    "~name": "name: is missing",
    "probes.dimension=3": "probes.dimension=3: must be settings with a _target_, or null",
    "+probes.mine={k: 3}": "probes.mine._target_: is missing",
    "+logger.mine=true": "logger.mine=true: must be settings with a _target_, or null",
    "name=chunks": "name: chunks is the name of a file or folder that intrinsic-clip writes",
    "name=measure": "name: measure is the name of a file or folder",
    "name=results.json": "name: results.json is the name of a file or folder",
    f"name={'x' * 101}": "name: string should have at most 100 characters",
    "name='a '": "name: string should match pattern",
    "name=a/b": "name: string should match pattern",
    "output_dir=''": "output_dir=: must name a file or folder",
    "threads=100000": "threads: input should be less than or equal to 1024",
    "replicates=1000000000": "replicates: input should be less than or equal to 100000",
    "data.batch_size=1": "data.batch_size=1: must be at least 2",
    "+trainer.max_epoch=3": "trainer.max_epoch: unknown key, did you mean max_epochs?",
    "objective.chunk=0": "objective.chunk=0: input should be greater than 0",
    "+objective.chnk=8": (
        "objective.chnk: unknown key, did you mean chunk?; InfoNCE takes label_smoothing, chunk, local_block"
    ),
    "objective.local_block=2": "objective.local_block=2: input should be a valid boolean",
    "trainer.precision=bf17": "trainer.precision=",
    "trainer.precision=64-true": "trainer.precision=64-true: must be 32-true, bf16-mixed or 16-mixed",
    "trainer.precision=bf16-true": "trainer.precision=bf16-true: must be 32-true, bf16-mixed or 16-mixed",
    "objective.temperature.scale=0": "objective.temperature.scale=0: input should be greater than 0",
    "encoder._target_=intrinsic_clip.encoders.mpl": "there is no intrinsic_clip.encoders.mpl to import",
    "logger.metrics=null": "logger.metrics: must stay, since a run draws its picture from metrics.csv",
    "~logger.metrics": "logger.metrics: must stay",
    "data.seed=${nowhere}": "Interpolation key 'nowhere' not found",
    "+logger.wandb={_target_: intrinsic_clip.loggers.WandbLogger, mode: onlin}": "'offline', 'online', 'disabled'",
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_values_are_named(compose, override: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.check(RunSpec.of(compose(override)).settings)
    assert WRONG[override] in str(error.value)
    assert "\n" not in str(error.value)


EXPERIMENTS = sorted(path.stem for path in (config.conf_folder() / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("size", ["", "size=smoke", "size=laptop", "size=paper"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_are_valid(experiment: str, size: str) -> None:
    missing = "objective.temperature.tau=0.1" if experiment == "fixed_temperature" else "seed=0"
    overrides = [f"experiment={experiment}", missing, *filter(None, [size])]
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        config.check(config.resolve(hydra.compose("train", overrides=overrides)))


@pytest.mark.parametrize(
    "choice",
    [
        *(
            f"data=synthetic_{kind}"
            for kind in ("linear", "nonlinear", "rotated", "gaussian_nonlinear", "independent")
        ),
        *(
            f"encoder={kind}"
            for kind in ("mlp", "shallow", "linear", "deep", "transformer", "pixels_and_tokens")
        ),
        *(f"trainer={kind}" for kind in ("cpu", "gpu", "ddp")),
        *(f"logger={kind}" for kind in ("csv", "wandb", "both")),
        *(f"objective/temperature={kind}" for kind in ("fixed", "clamped", "scheduled", "per_direction")),
        *(f"objective/similarity={kind}" for kind in ("cosine", "none")),
        *(f"objective/similarity={kind}" for kind in ("batch", "renewed", "stopped", "moving_average")),
        "objective.chunk=16",
        "trainer.precision=bf16-mixed",
        "replicates=3",
        "encoder.output_dim=[4,6]",
    ],
)
def test_every_choice_is_valid(compose, choice: str) -> None:
    config.check(config.resolve(compose(choice)))


def test_the_papers_setting_stands_in_the_experiment_as_it_is() -> None:
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        settings = config.resolve(hydra.compose("train", overrides=["experiment=synthetic_nonlinear"]))
    data, loss = settings["data"], settings["objective"]
    assert (data["n_train"], data["n_append"], data["n_test"], data["batch_size"]) == (
        10_000,
        2_000,
        2_000,
        256,
    )
    assert (data["d_x"], data["d_y"], data["shared_dim"]) == (20, 20, 5)
    assert (loss["temperature"]["scale"], loss["temperature"]["minimum"]) == (4.0, 1e-4)
    assert (settings["optimizer"]["lr"], settings["optimizer"]["weight_decay"]) == (1e-4, 1e-4)
    assert settings["trainer"]["max_epochs"] == 800


def test_shallow_is_as_wide_as_the_protocol_says(compose) -> None:
    for sizes, width in (((20, 20), 50), ((200, 24), 200), ((24, 200), 200)):
        cfg = compose("encoder=shallow", *(f"data.d_{side}={d}" for side, d in zip("xy", sizes, strict=True)))
        module = build(RunSpec.of(cfg)).module
        for encoder, d in zip((module.f, module.g), sizes, strict=True):
            assert encoder.layers[0].weight.shape == (1, width, d)


def test_a_value_without_default_is_asked_for(compose) -> None:
    with pytest.raises(ConfigError, match=r"data\.folder: has no default and must be given"):
        config.resolve(compose("data=captions_folder"))


def test_a_class_in_the_working_folder_is_told_how_it_is_found(compose, tmp_path) -> None:
    (tmp_path / "my_probes.py").write_text("")
    with pytest.raises(ConfigError, match=r"PYTHONPATH=\. has this folder searched"):
        config.check(RunSpec.of(compose("+probes.mine._target_=my_probes.Probe")).settings)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["~objective.temperature"], "objective/temperature=null: InfoNCE has a temperature; choose learned"),
        (["objective.similarity=null"], "objective.similarity=null: must be settings with a _target_"),
        (["objective.temperature=0.1"], "objective.temperature=0.1: must be settings with a _target_"),
    ],
)
def test_an_objective_needs_its_parts(compose, overrides, message) -> None:
    with pytest.raises(ConfigError) as error:
        config.check(RunSpec.of(compose(*overrides)).settings)
    assert message in str(error.value)
