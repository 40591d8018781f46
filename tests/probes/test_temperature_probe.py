"""The temperature of any module is found, logged by name, and told in one line when training ends."""

import copy
import math
import pickle

import pandas as pd
import pytest
import torch
from torch import nn

from helpers.foreign_module import BATCH, SmallClip, WithoutValidation, loader, trainer
from helpers.lightning_name import IGNORED, CSVLogger, ModelCheckpoint, Trainer
from intrinsic_clip.metrics import infonce_bound, optimal_temperature
from intrinsic_clip.probes import (
    InformationProbe,
    OptimalTemperatureProbe,
    TemperatureProbe,
    by_output,
    temperature_of,
)

pytestmark = pytest.mark.filterwarnings(*IGNORED)


def fit(module, *callbacks, epochs: int = 6, **options):
    done = trainer(*callbacks, epochs=epochs, **options)
    done.fit(module, loader("train"), loader("val") if isinstance(module, SmallClip) else None)
    return done


class Plain(WithoutValidation):
    """A module whose parameter `logit_scale` is the scale itself, which its value does not show."""

    def step(self, batch):
        x, y = (nn.functional.normalize(rows, dim=-1) for rows in self.embed(batch))
        logits = x @ y.T * self.logit_scale
        return {"loss": nn.functional.cross_entropy(logits, torch.arange(len(x)))}


def test_the_first_loss_shows_that_a_scale_is_no_logarithm_and_it_is_printed(capsys) -> None:
    module, probe = Plain(), TemperatureProbe()
    trainer(probe).fit(module, loader("train"))
    assert float(probe.latest["temperature"]) == pytest.approx(1 / module.logit_scale.item())
    printed = capsys.readouterr().out
    assert "TemperatureProbe: logit_scale = 1 is the scale 1/τ (as the loss uses it): τ = 1" in printed


class Several(SmallClip):
    """A module with two scales and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_bias = nn.Parameter(torch.tensor(-1.0))
        self.tau_text = nn.Parameter(torch.tensor(0.2))

    def step(self, batch):
        x, y = (nn.functional.normalize(rows, dim=-1) for rows in self.embed(batch))
        logits = x @ y.T * self.logit_scale.exp() + self.logit_bias
        targets = torch.arange(len(x))
        loss = nn.functional.cross_entropy(logits, targets)
        return {"loss": loss + nn.functional.cross_entropy(y @ y.T / self.tau_text, targets), "x": x, "y": y}


def test_several_temperatures_and_a_bias_have_names_of_their_own(tmp_path) -> None:
    module, probe = Several(), TemperatureProbe(prefix="mine/")
    done = fit(module, probe, logger=CSVLogger(tmp_path))
    expected = {
        "mine/temperature/logit_scale": math.exp(-module.logit_scale.item()),
        "mine/temperature/tau_text": module.tau_text.item(),
        "mine/logit_bias": module.logit_bias.item(),
    }
    assert {name: float(value) for name, value in probe.latest.items()} == pytest.approx(expected)
    assert set(expected) <= set(done.callback_metrics)
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    assert table["mine/temperature/tau_text"].notna().sum() == 30
    assert [note.partition(" ")[0] for note in probe.notes] == list(expected)[:2]


def test_what_cannot_be_decided_is_nan_with_a_reason() -> None:
    module, probe = WithoutValidation(), TemperatureProbe()
    module.logit_scale.data.fill_(8.0)
    with pytest.warns(UserWarning, match=r"it may be a scale, 1/τ, or its logarithm; pass tau=lambda module"):
        probe.setup(trainer(probe), module, "fit")
    assert probe.reasons == {"temperature": "it may be a scale, 1/τ, or its logarithm"}
    assert probe._now(module)["temperature"].isnan()


def test_the_end_of_training_is_told_in_one_line_beside_the_best_temperature(capsys) -> None:
    module, probe = SmallClip(), TemperatureProbe()
    best = OptimalTemperatureProbe(by_output("images", "texts"))
    done = fit(module, probe, best, epochs=8)
    (note,) = probe.notes
    assert note in capsys.readouterr().out.splitlines()
    assert note.startswith("temperature ")
    assert f"the best τ for held-out rows is {float(best.latest['optimal_temperature']):.3g}" in note
    assert float(done.callback_metrics["optimal_temperature"]) > 0
    module.eval()
    x, y = ([module.step(batch)[name] for batch in loader("val")] for name in ("images", "texts"))
    expected = optimal_temperature(torch.cat(x).detach(), torch.cat(y).detach(), BATCH)
    assert float(best.latest["optimal_temperature"]) == pytest.approx(
        float(expected), rel=0.5
    )  # order differs


def test_a_scale_that_is_frozen_at_the_usual_clamp_is_fixed() -> None:
    module, probe = SmallClip(), TemperatureProbe()
    module.logit_scale.requires_grad_(False).fill_(math.log(100))
    fit(module, probe, epochs=8)
    (note,) = probe.notes
    assert note.startswith("temperature fixed: τ = 0.01 in all steps")


def test_too_few_steps_give_no_verdict_and_that_is_said(capsys) -> None:
    probe = TemperatureProbe()
    fit(SmallClip(), probe, epochs=1)
    assert probe.notes == ["temperature too short: 5 steps give no verdict, 100 are needed"]
    assert probe.notes[0] in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("scale", [14.0, 100.0, 2.66])
def test_a_scale_given_as_temperature_is_told(scale: float) -> None:
    probe = TemperatureProbe(tau=lambda module: torch.tensor(scale))
    with pytest.warns(UserWarning, match=f"tau = {scale:g} looks like a logit scale"):
        fit(SmallClip(), probe, epochs=1)
    assert probe.notes[-1].startswith(f"temperature implausible: tau = {scale:g} looks like a logit scale")


def test_a_temperature_above_2_that_the_loss_shows_is_believed() -> None:
    module, probe = Plain(), TemperatureProbe()
    module.logit_scale.data.fill_(0.2)
    trainer(probe).fit(module, loader("train"))
    assert probe.notes[-1].startswith("temperature too short: 10 steps")


def test_a_perfect_and_a_hopeless_match_have_no_best_temperature() -> None:
    perfect = OptimalTemperatureProbe(lambda module, batch: (batch[0], batch[0]))
    hopeless = OptimalTemperatureProbe(lambda module, batch: (batch[0], -batch[0]), prefix="no/")
    trainer(perfect, hopeless).validate(SmallClip(), loader("val"), verbose=False)
    assert perfect.latest["optimal_temperature"].isnan()
    assert hopeless.latest["no/optimal_temperature"].isnan()
    assert "as τ goes to 0" in perfect.reasons["optimal_temperature"]
    assert "as τ grows" in hopeless.reasons["no/optimal_temperature"]


def test_the_course_goes_on_after_a_checkpoint(tmp_path) -> None:
    def resumed(epochs: int, path=None) -> TemperatureProbe:
        probe = TemperatureProbe()
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        keep = ModelCheckpoint(tmp_path, save_last=True)
        done = Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[probe, keep], **quiet)
        done.fit(SmallClip(), loader("train"), loader("val"), ckpt_path=path)
        return probe

    resumed(3)
    probe = resumed(6, tmp_path / "last.ckpt")
    whole = TemperatureProbe()
    fit(SmallClip(), whole, epochs=6)
    assert probe._course.steps == whole._course.steps == list(range(1, 31))
    assert len(probe.notes) == 1


def test_a_probe_in_a_fit_is_copied_without_the_module() -> None:
    module, probe = SmallClip(), TemperatureProbe()
    probe.setup(trainer(probe), module, "fit")
    for twin in (copy.deepcopy(probe), pickle.loads(pickle.dumps(probe))):
        assert twin._parameters is None
        assert float(twin._now(module)["temperature"]) == pytest.approx(math.exp(-1))


def test_long_courses_are_thinned() -> None:
    probe = TemperatureProbe()
    for step in range(1, 10_001):
        probe._course.add([step], {"temperature": torch.tensor([0.07 * 0.9999**step])}, torch.tensor([1.0]))
    assert 500 <= len(probe._course.steps) <= 1000
    assert len(probe._course.losses) == len(probe._course.taus["temperature"]) == len(probe._course.steps)
    assert "still falling" in probe._course.diagnose("temperature", [0.01], None, None)


class LearnedTau(WithoutValidation):
    """A module whose parameter `temperature` is τ, beside attributes that a ContrastiveModule has too."""

    def __init__(self, **others) -> None:
        super().__init__()
        del self.logit_scale
        self.temperature = nn.Parameter(torch.tensor(0.5))
        for name, value in others.items():
            setattr(self, name, value)

    def step(self, batch):
        x, y = (nn.functional.normalize(rows, dim=-1) for rows in self.embed(batch))
        return {"loss": nn.functional.cross_entropy(x @ y.T / self.temperature, torch.arange(len(x)))}


@pytest.mark.parametrize("others", [{"temperatures": []}, {"replicates": 4}, {"temperatures": print}])
def test_attributes_of_a_module_with_other_meanings_do_not_matter(others, capsys) -> None:
    module, probe = LearnedTau(**others), TemperatureProbe()
    fit(module, probe, epochs=1)
    assert float(probe.latest["temperature"]) == pytest.approx(module.temperature.item())
    assert "temperature too short" in capsys.readouterr().out


def test_a_list_of_temperatures_is_no_sign_of_a_temperature() -> None:
    class Listed(SmallClip):
        def __init__(self) -> None:
            super().__init__()
            self.temperatures = nn.ParameterList([nn.Parameter(torch.tensor(0.1))])

    probe = TemperatureProbe()
    fit(Listed(), probe, epochs=1)
    assert probe.latest["temperature"].isfinite()


@pytest.mark.parametrize("wrong", [lambda: 1 / 0, lambda: None, lambda: "0.07"])
def test_a_function_that_fails_in_a_step_costs_no_training(tmp_path, wrong) -> None:
    def tau(module):
        return wrong() if 3 <= module.trainer.global_step < 7 else torch.tensor([0.1])

    probe = TemperatureProbe(tau=tau)
    with pytest.warns(UserWarning, match="TemperatureProbe failed and is logged as NaN") as caught:
        fit(SmallClip(), probe, epochs=2, logger=CSVLogger(tmp_path))
    assert sum("logged as NaN" in str(warning.message) for warning in caught) == 1
    assert float(probe.latest["temperature"]) == pytest.approx(0.1)
    assert probe.reasons == {}
    assert probe.notes[-1].startswith("temperature too short: 6 steps")
    table = pd.read_csv(next(tmp_path.glob("**/metrics.csv")))
    assert table.temperature.notna().sum() == 6


def test_a_function_that_fails_to_the_end_gives_nan_with_a_reason() -> None:
    probe = TemperatureProbe(tau=lambda module: module.not_there)
    with pytest.warns(UserWarning, match="AttributeError: .*no attribute 'not_there'"):
        fit(SmallClip(), probe, epochs=1)
    assert probe.latest["temperature"].isnan()
    assert "not_there" in probe.reasons["temperature"]
    assert not any(note.startswith("temperature ") for note in probe.notes)


def test_a_method_that_fails_in_a_step_costs_no_training() -> None:
    class Failing(SmallClip):
        def temperature(self):
            return 0.5 if self.trainer.global_step < 3 else 1 / 0

    probe = TemperatureProbe()
    with pytest.warns(UserWarning, match="temperature\\(\\) of Failing gives no temperature any more"):
        fit(Failing(), probe, epochs=1)
    assert probe.latest["temperature"].isnan()


def test_a_whole_number_is_a_temperature_too() -> None:
    probe = TemperatureProbe(tau=lambda module: 1)
    fit(SmallClip(), probe, epochs=1)
    assert float(probe.latest["temperature"]) == 1


class Noting(SmallClip):
    """A module that keeps the losses of its training steps, with automatic or manual optimization."""

    def __init__(self, by_hand: bool) -> None:
        super().__init__()
        self.automatic_optimization, self.losses = not by_hand, []

    def training_step(self, batch, batch_idx):
        outputs = self.step(batch)
        self.losses.append(float(outputs["loss"].detach()))
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(outputs["loss"])
            optimizer.step()
        return outputs


@pytest.mark.parametrize(("by_hand", "every"), [(False, 1), (False, 5), (True, 1)])
def test_losses_of_the_diagnosis_are_those_of_the_steps(by_hand: bool, every: int) -> None:
    module, probe = Noting(by_hand), TemperatureProbe()
    fit(module, probe, epochs=2, accumulate_grad_batches=every)
    losses = [float(loss) for loss in probe._course.losses]
    assert losses == pytest.approx(module.losses[every - 1 :: every])


class Scaled(SmallClip):
    """A module whose logits are multiplied by a function of the parameter of a given name."""

    def __init__(self, name: str, value: float, scale) -> None:
        super().__init__()
        del self.logit_scale
        self.name, self.scale = name, scale
        self.register_parameter(name, nn.Parameter(torch.tensor(value)))

    def tau_now(self) -> float:
        return 1 / float(self.scale(getattr(self, self.name).detach()))

    def step(self, batch):
        x, y = (nn.functional.normalize(rows, dim=-1) for rows in self.embed(batch))
        logits = x @ y.T * self.scale(getattr(self, self.name))
        loss = nn.functional.cross_entropy(logits, torch.arange(len(x)))
        return {"loss": loss, "images": x, "texts": y}


OTHER_USES = [
    ("temperature", 0.5, torch.exp),
    ("temperature", 2.66, torch.exp),
    ("logit_scale", 1.0, lambda value: 1 * value),
    ("logit_scale", 5.0, lambda value: 1 * value),
    ("logit_scale", 8.0, lambda value: 1 * value),
]


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("use", OTHER_USES)
def test_the_bound_of_information_takes_tau_as_the_loss_does(use, beside: bool) -> None:
    module, probe, tau = Scaled(*use), InformationProbe(by_output("images", "texts")), TemperatureProbe()
    done = fit(module, *([tau] if beside else []), probe, epochs=1)
    module.eval()
    steps = [module.step(batch) for batch in loader("val")]
    x, y = (torch.cat([step[name] for step in steps]).detach() for name in ("images", "texts"))
    expected = float(infonce_bound(x, y, module.tau_now()).mean)
    assert float(probe.latest["information/infonce_bound"]) == pytest.approx(expected, rel=1e-4)
    done.test(module, loader("val"), verbose=False)
    assert float(probe.latest["test/information/infonce_bound"]) == pytest.approx(expected, rel=1e-4)
    if beside:
        assert float(tau.latest["temperature"]) == pytest.approx(module.tau_now())
        assert tau.reasons == {}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "logit_scale",
            5.0,
            "logit_scale = 5 may be a scale, 1/τ, or its logarithm, which no loss has shown",
        ),
        ("logit_scale", 8.0, "logit_scale = 8: it may be a scale, 1/τ, or its logarithm"),
        ("temperature", 1.0, "temperature = 1 may be τ or a logarithm, which no loss has shown"),
        ("temperature", 2.66, "temperature = 2.66: it is too large for a τ"),
        ("width", 1.0, "the module has neither temperature"),
    ],
)
def test_a_use_that_no_loss_has_shown_is_not_guessed(name: str, value: float, reason: str) -> None:
    module, probe = Scaled(name, value, torch.exp), InformationProbe(by_output("images", "texts"))
    trainer(probe).validate(module, loader("val"), verbose=False)
    assert probe.latest["information/infonce_bound"].isnan()
    assert reason in probe.reasons["information/infonce_bound"]


@pytest.mark.parametrize(
    ("name", "value", "tau"),
    [("logit_scale", 2.6593, 0.07), ("logit_scale", 4.6052, 0.01), ("logit_scale", 100.0, 0.01),
     ("temperature", 0.07, 0.07), ("log_tau", 0.0, 1.0), ("t_prime", 2.3026, 0.1)],
)  # fmt: skip
def test_usual_uses_need_no_loss(name: str, value: float, tau: float) -> None:
    assert float(temperature_of(Scaled(name, value, torch.exp))) == pytest.approx(tau, rel=1e-3)


def test_several_temperatures_are_named_where_one_is_needed() -> None:
    probe = InformationProbe(by_output("x", "y"))
    trainer(probe).validate(Several(), loader("val"), verbose=False)
    (reason,) = set(probe.reasons.values())
    assert reason.startswith(
        "there are several temperatures, logit_scale, tau_text: give the module a method"
    )


@pytest.mark.parametrize("of_unit_rows", [True, False])
def test_the_best_temperature_of_rows_that_are_brought_to_length_1_is_no_verdict(of_unit_rows: bool) -> None:
    def embed(module, batch):
        outputs = module.step(batch)
        x, y = (torch.nn.functional.normalize(outputs[name], dim=-1) for name in ("images", "texts"))
        return (x, y) if of_unit_rows else (5 * x, y)

    probe, best = TemperatureProbe(), OptimalTemperatureProbe(embed)
    fit(SmallClip(), probe, best, epochs=8)
    tau = float(best.latest["optimal_temperature"])
    alone = (
        f"the best τ for held-out rows is {tau:.3g}, which means little while the loss is that of guessing"
    )
    both = f"is {tau:.3g} if the loss brings them to length 1, and {5 * tau:.3g} if it takes them as they were given"
    assert (alone in probe.notes[-1]) == of_unit_rows
    assert (both in probe.notes[-1]) == (not of_unit_rows)
    assert [note.startswith("optimal_temperature is of rows brought to length 1") for note in best.notes] == (
        [] if of_unit_rows else [True]
    )
