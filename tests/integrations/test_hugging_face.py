"""The Trainer of Hugging Face measures dimensions, shows them, and keeps the model that is best by them."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import intrinsic_clip as ic
from helpers import trainer_ranks
from helpers.ranks import in_ranks, succeeded
from intrinsic_clip.errors import ConfigError

pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from transformers import CLIPConfig, CLIPModel, EvalPrediction, Trainer, TrainerCallback, TrainingArguments
from transformers.models.clip.modeling_clip import CLIPOutput

from intrinsic_clip.integrations.hugging_face import DimensionCallback, DimensionMetrics
from intrinsic_clip.integrations.trainer_callback import without_repeated

N = 60
SMALL = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40,
    "image_size": 8, "patch_size": 8, "projection_dim": 8, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EMBEDS = ("image_embeds", "text_embeds")
PROJECTIONS = ("visual_projection", "text_projection")


@pytest.fixture
def model() -> CLIPModel:
    torch.manual_seed(0)
    return CLIPModel(CLIPConfig(text_config=SMALL, vision_config=SMALL, projection_dim=8))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, 40, (N, 6), generator=generator)
    tokens[:, -1] = 2
    images = torch.randn(N, 3, 8, 8, generator=generator)
    return [{"input_ids": tokens[i], "pixel_values": images[i]} for i in range(N)]


def collate(batch: list[dict[str, Tensor]]) -> dict[str, Any]:
    joined = {key: torch.stack([row[key] for row in batch]) for key in batch[0]}
    return joined | {"return_loss": True}


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    usual = {
        "use_cpu": True, "report_to": "none", "per_device_eval_batch_size": 16, "per_device_train_batch_size": 32,
        "num_train_epochs": 2, "eval_strategy": "epoch", "save_strategy": "epoch", "disable_tqdm": True,
        "learning_rate": 1e-2, "logging_strategy": "no",
    }  # fmt: skip
    return TrainingArguments(str(folder), **(usual | options))


def trainer(model: nn.Module, rows: Any, folder: Path, options: Any = None, **parts: Any) -> Trainer:
    return Trainer(
        model, arguments(folder, **(options or {})), collate, train_dataset=rows, eval_dataset=rows, **parts
    )


@torch.no_grad()
def expected(model: CLIPModel, rows: list[dict[str, Tensor]], **options: Any) -> dict[str, float]:
    output = model.eval()(**collate(rows))
    return ic.measure(output.image_embeds, output.text_embeds, **options)


def close(metrics: dict[str, float], numbers: dict[str, float]) -> None:
    for name, number in numbers.items():
        assert metrics[f"eval_{name}"] == pytest.approx(number, rel=1e-4, nan_ok=True), name


@pytest.mark.parametrize("named_by", ["model", "class"])
@pytest.mark.parametrize("batch_eval_metrics", [False, True])
def test_predictions_are_found_by_name(
    named_by: str, batch_eval_metrics: bool, model, rows, tmp_path
) -> None:
    metrics = DimensionMetrics(*EMBEDS, model=model if named_by == "model" else None, only=["id", "matching"])
    run = trainer(model, rows, tmp_path, {"batch_eval_metrics": batch_eval_metrics}, compute_metrics=metrics)
    numbers = expected(model, rows, only=["id", "matching"])
    close(run.evaluate(), numbers)
    close(run.evaluate(), numbers)  # the rows of the first evaluation are gone
    assert run.state.log_history[-1]["eval_id/mle/x"] == pytest.approx(numbers["id/mle/x"], rel=1e-4)


def test_ignored_keys_and_places(model, rows, tmp_path) -> None:
    ignored = ["logits_per_image", "logits_per_text", "text_model_output", "vision_model_output"]
    numbers = expected(model, rows, only="id")
    metrics = DimensionMetrics(*EMBEDS, model=model, only="id")
    run = trainer(model, rows, tmp_path, compute_metrics=metrics)
    with pytest.raises(ConfigError, match="predictions has 2 outputs; pass the same ignore_keys"):
        run.evaluate(ignore_keys=ignored)
    run.compute_metrics = DimensionMetrics(*EMBEDS, model=model, ignore_keys=ignored, only="id")
    close(run.evaluate(ignore_keys=ignored), numbers)
    run.compute_metrics = DimensionMetrics(*EMBEDS, ignore_keys=ignored, only="id")
    close(run.evaluate(ignore_keys=ignored), numbers)
    run.compute_metrics = DimensionMetrics(1, 0, only="id")
    close(run.evaluate(ignore_keys=ignored), numbers)
    run.compute_metrics = DimensionMetrics("image_embeds", model=model, ignore_keys=[*ignored, "text_embeds"])
    assert "eval_id/mle/x" in run.evaluate(ignore_keys=[*ignored, "text_embeds"])


def prediction(*outputs: Any) -> EvalPrediction:
    return EvalPrediction(outputs if len(outputs) != 1 else outputs[0], ())


def test_names_that_are_not_there_get_one_line(model, rows) -> None:
    wrong = DimensionMetrics("image_embed", model=model)
    model(**collate(rows))
    flat = np.zeros((4, 3), np.float32)
    with pytest.raises(
        ConfigError, match="returns no 'image_embed' for evaluation; it returns logits_per_image, "
    ):
        wrong(prediction(flat, flat))
    with pytest.raises(ConfigError, match=r"cannot tell which of 2 outputs is 'image_embeds'.* pass model=…"):
        DimensionMetrics("image_embeds")(prediction(flat, flat))
    with pytest.raises(ConfigError, match="x=2: predictions has 2 outputs, numbered from 0"):
        DimensionMetrics(2)(prediction(flat, flat))
    with pytest.raises(ConfigError, match="take an output that is pooled over tokens"):
        DimensionMetrics(0)(prediction(np.zeros((4, 5, 3), np.float32)))
    layer = nn.Linear(3, 3)
    nameless = DimensionMetrics("weight", model=layer)
    layer(torch.ones(4, 3))
    with pytest.raises(
        ConfigError, match="the model returns a Tensor without names; give the place of 'weight'"
    ):
        nameless(prediction(flat))
    with pytest.raises(ConfigError, match="the output 0 is no tensor but a tuple"):
        DimensionMetrics(0)(prediction((flat,), flat))


def test_batches_that_are_not_joined() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(50, 6, generator=generator).numpy() for _ in range(2))
    batches = [(x[:30], y[:30]), (x[30:], y[30:])]
    numbers = DimensionMetrics(0, 1, only="id")(EvalPrediction(batches, ()))
    assert numbers == dict(ic.measure(x, y, only="id"))


def nan_warnings(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(warning.message) for warning in caught if " NaN: " in str(warning.message)]


def test_a_nan_is_told_once_with_its_reason() -> None:
    x = torch.randn(10, 6, generator=torch.Generator().manual_seed(0)).numpy()
    metrics = DimensionMetrics(0, only=["id/mle", "spectrum/effective_rank"])
    reason = "needs at least 21 distinct points for k = 20, got 10"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            assert np.isnan(metrics(prediction(x))["id/mle/x"])
    assert nan_warnings(caught) == [f"id/mle/x is NaN: {reason}"]
    assert metrics.reasons["id/mle/x"] == reason


def test_the_callback_tells_of_a_nan_too(model, rows, tmp_path) -> None:
    callback = DimensionCallback(*PROJECTIONS, only="id/mle/x")
    run = Trainer(model, arguments(tmp_path), collate, eval_dataset=rows[:10], callbacks=[callback])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            assert np.isnan(run.evaluate()["eval_id/mle/x"])
    (message,) = nan_warnings(caught)
    assert message.startswith("id/mle/x is NaN: needs at least 21 distinct points")
    assert set(callback.reasons) == {"id/mle/x"}


@pytest.mark.parametrize("attached", [True, False])
def test_a_callback_measures_modules(attached: bool, model, rows, tmp_path) -> None:
    callback = DimensionCallback(*PROJECTIONS, only=["id", "spectrum"])
    run = trainer(model, rows, tmp_path, callbacks=[] if attached else [callback])
    if attached:
        assert callback.attach(run) is callback
    model(**collate(rows[:7]))  # outside of an evaluation
    images, texts = [], []
    hooks = [
        getattr(model, name).register_forward_hook(
            lambda module, args, output, kept=kept: kept.append(output)
        )
        for name, kept in zip(PROJECTIONS, (images, texts), strict=True)
    ]
    metrics = run.evaluate()
    for hook in hooks:
        hook.remove()
    numbers = ic.measure(torch.cat(images), torch.cat(texts), only=["id", "spectrum"])
    close(metrics, numbers)
    close(run.state.log_history[-1], numbers)
    assert run.predict(rows).metrics["test_id/mle/x"] == pytest.approx(numbers["id/mle/x"], rel=1e-4)
    callback.remove()
    assert not model._forward_pre_hooks
    assert not model.visual_projection._forward_hooks


class Logger(TrainerCallback):
    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.seen.append(dict(logs))


@pytest.mark.parametrize("way", ["metrics", "callback"])
def test_the_best_model_is_the_one_of_the_best_number(way: str, model, rows, tmp_path) -> None:
    logger = Logger()
    best = {
        "metric_for_best_model": "eval_id/mle/x",
        "load_best_model_at_end": True,
        "greater_is_better": True,
    }
    metrics = DimensionMetrics(*EMBEDS, model=model, only="id") if way == "metrics" else None
    run = trainer(model, rows, tmp_path, best, compute_metrics=metrics, callbacks=[logger])
    if way == "callback":
        DimensionCallback(*PROJECTIONS, only="id").attach(run)
    run.train()
    dimensions = [entry["eval_id/mle/x"] for entry in run.state.log_history if "eval_id/mle/x" in entry]
    assert len(dimensions) == 2
    assert run.state.best_metric == max(dimensions)
    assert [entry["eval_id/mle/x"] for entry in logger.seen if "eval_id/mle/x" in entry] == dimensions
    assert run.evaluate()["eval_id/mle/x"] == pytest.approx(max(dimensions), rel=1e-3)  # the loaded one


def test_loggers_get_numbers_under_the_prefix_of_the_training_too(model, rows, tmp_path) -> None:
    logger = Logger()
    run = trainer(
        model, rows, tmp_path, {"num_train_epochs": 1, "logging_strategy": "epoch"}, callbacks=[logger]
    )
    DimensionCallback(*PROJECTIONS, only="id/mle/x").attach(run)
    run.train()
    assert [name for logs in logger.seen for name in logs if "id/mle" in name] == ["eval_id/mle/x"]
    number = run.evaluate(metric_key_prefix="train")["train_id/mle/x"]
    assert logger.seen[-1]["train_id/mle/x"] == run.state.log_history[-1]["train_id/mle/x"] == number


class Siamese(nn.Module):
    """One encoder for both texts, whose outputs the model does not return."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(6, 4)

    def forward(self, first: Tensor, second: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.encoder(first) - self.encoder(second)).square().mean()}


def told(caught: list[warnings.WarningMessage], part: str) -> int:
    return sum(part in str(warning.message) for warning in caught)


def test_rows_of_one_view_are_not_taken_for_two_in_silence(model, rows, tmp_path) -> None:
    callback = DimensionCallback("visual_projection", views=2, only="spectrum")
    run = trainer(model, rows[:32], tmp_path, callbacks=[callback])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.evaluate()
    assert told(caught, "called once in a step and gives 16 rows for a batch of 16") == 1
    assert told(caught, "leave out views=2") == 1


class Joined(Siamese):
    """The same, with one call for both texts."""

    def forward(self, first: Tensor, second: Tensor, labels: Tensor) -> dict[str, Tensor]:
        both = self.encoder(torch.cat([first, second]))
        return {"loss": both.square().mean()}


@pytest.mark.parametrize("views", [1, 2])
def test_views_that_are_joined_in_one_call_are_told_apart(views: int, tmp_path) -> None:
    generator = torch.Generator().manual_seed(0)
    sides = torch.randn(40, 2, 6, generator=generator)
    data = [{"first": first, "second": second, "labels": 0} for first, second in sides]
    model = Joined()
    callback = DimensionCallback("encoder", views=views, only=["id", "spectrum"])
    run = Trainer(model, arguments(tmp_path), eval_dataset=data, callbacks=[callback])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metrics = run.evaluate()
    assert told(caught, "DimensionCallback('encoder', views=2)") == (views == 1)
    assert told(caught, "called once") == 0
    assert ("eval_id/mle/y" in metrics) == (views == 2)


def test_a_training_without_evaluations_is_told(model, rows, tmp_path) -> None:
    for evaluating in (False, True):
        callback = DimensionCallback("visual_projection")
        options = {"eval_strategy": "epoch" if evaluating else "no"}
        run = trainer(model, rows if evaluating else None, tmp_path, options, callbacks=[callback])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            callback.on_train_begin(run.args, run.state, run.control, model=model)
        assert told(caught, "this training has none") == (not evaluating)


def test_a_module_that_is_called_twice_gives_both_views(tmp_path) -> None:
    generator = torch.Generator().manual_seed(0)
    data = [
        {
            "first": torch.randn(6, generator=generator),
            "second": torch.randn(6, generator=generator),
            "labels": 0,
        }
        for _ in range(40)
    ]
    model = Siamese()
    callback = DimensionCallback("encoder", views=2, only=["id", "alignment"])
    run = Trainer(model, arguments(tmp_path), eval_dataset=data, train_dataset=data, callbacks=[callback])
    first, second = (torch.stack([row[side] for row in data]) for side in ("first", "second"))
    close(run.evaluate(), ic.measure(model.encoder(first), model.encoder(second), only=["id", "alignment"]))


class CallsTwice(Trainer):
    """Trainer whose loss calls the model once for each side of a batch."""

    dies = False

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        x = model(inputs["first"])
        if self.dies:
            raise KeyboardInterrupt
        y = model(inputs["second"])
        loss = nn.functional.cross_entropy(x @ y.T, torch.arange(len(x)))
        return (loss, {"x": x}) if return_outputs else loss


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_model_that_is_called_once_for_each_side_gives_both(views: int, persistent: bool, tmp_path) -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(40, 6, generator=generator)
    second = first + 0.1 * torch.randn(40, 6, generator=generator)
    data = [{"first": x, "second": y} for x, y in zip(first, second, strict=True)]
    model = nn.Sequential(nn.Linear(6, 4))
    options = {"label_names": ["first"], "remove_unused_columns": False}
    if persistent:
        options |= {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}
    run = CallsTwice(model, arguments(tmp_path, **options), eval_dataset=data)
    words = ["spectrum", "alignment"][:views]
    DimensionCallback("0", views=views, only=words).attach(run)
    run.dies = True
    with pytest.raises(KeyboardInterrupt):
        run.evaluate()
    run.dies = False
    model.eval()(second)  # outside of an evaluation
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = run.evaluate()
    wanted = (model(first), model(second))[:views]
    close(numbers, ic.measure(*wanted, only=words))
    told = [str(each.message) for each in caught if "the module '0'" in str(each.message)]
    assert len(told) == (views == 1)
    assert all("called 2 times in a step" in message for message in told)


def test_callbacks_tell_of_wrong_names_and_of_loggers_before_them(model, rows, tmp_path) -> None:
    with pytest.raises(ValueError, match="there is no module 'projection'; at the top are text_model"):
        trainer(model, rows, tmp_path, callbacks=[DimensionCallback("projection")])
    callback = DimensionCallback("visual_projection")
    with pytest.warns(
        UserWarning, match=r"behind tensorboard, which will not show its numbers; use .*attach"
    ):
        run = trainer(model, rows, tmp_path, {"report_to": "tensorboard"}, callbacks=[callback])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        callback.attach(run)
    assert run.callback_handler.callbacks[0] is callback
    assert run.callback_handler.callbacks.count(callback) == 1


def test_rows_that_fill_up_the_last_batch_of_several_processes_are_left_out() -> None:
    assert [without_repeated(8, 13, process) for process in (0, 1)] == [8, 5]
    assert [without_repeated(8, 3, process) for process in (0, 1)] == [3, 0]


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 19])
def test_a_process_without_rows_of_its_own_measures_no_repeated_ones(n: int, tmp_path) -> None:
    assert succeeded(in_ranks(2, tmp_path, lambda: trainer_ranks.evaluate_as_one_of_two(tmp_path, n)))
    results = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    model, (x, y) = trainer_ranks.Pair(), trainer_ranks.rows(n)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        numbers = ic.measure(model.f(x), model.g(y), only=trainer_ranks.ONLY)
    for metrics in results:
        close(metrics, numbers)


def test_output_classes_agree_on_the_order_that_is_relied_on() -> None:
    """CLIPOutput is the class by which the page's names are found; its order is that of its fields."""
    assert list(CLIPOutput(image_embeds=torch.ones(1), text_embeds=torch.ones(1))) == [
        "text_embeds",
        "image_embeds",
    ]


@pytest.fixture(autouse=True)
def _no_warning_of_few_rows() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*rows.*")
        yield


def test_numbers_of_pairs_need_y_before_training_starts() -> None:
    for refused in (DimensionMetrics, DimensionCallback):
        with pytest.raises(ValueError, match="matching compares x with y, and there is no y"):
            refused("image_embeds", only=["id", "matching"])
    assert DimensionCallback("encoder", views=2, only="matching")


class Interrupts:
    """End the next evaluation with an error in its third batch."""

    def __init__(self, run: Trainer, rows: Any, kind: type[BaseException] = RuntimeError) -> None:
        self.batches, self.kind = 0, kind
        handle = run.model.register_forward_pre_hook(self.count)
        with pytest.raises(kind):
            run.evaluate(rows)
        handle.remove()

    def count(self, module: nn.Module, args: Any) -> None:
        self.batches += 1
        if self.batches == 3:
            raise self.kind


WORKERS = {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loading", [{}, WORKERS])
@pytest.mark.parametrize("way", ["metrics", "callback"])
def test_rows_of_an_interrupted_evaluation_are_forgotten(way: str, loading, model, rows, tmp_path) -> None:
    parts: dict[str, Any] = {}
    if way == "metrics":
        parts = {"compute_metrics": DimensionMetrics(*EMBEDS, model=model, only="spectrum")}
    options = {"batch_eval_metrics": way == "metrics", **loading}
    run = trainer(model, rows, tmp_path, options, **parts)
    if way == "callback":
        DimensionCallback(*PROJECTIONS, only="spectrum").attach(run)
    shorter = rows if loading else rows[:40]  # a loader that stays takes no other rows
    whole = run.evaluate(shorter)
    for kind in (RuntimeError, KeyboardInterrupt, RuntimeError):
        Interrupts(run, rows, kind)
    for _ in range(2):
        again = run.evaluate(shorter)
        for side in ("x", "y"):
            name = f"eval_spectrum/effective_rank/{side}"  # counts a row that comes twice, unlike id
            assert again[name] == pytest.approx(whole[name], rel=1e-5)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_rows_of_a_measurement_that_fails_are_forgotten(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(50, 6, generator=generator).numpy() for _ in range(2))
    metrics = DimensionMetrics(0, only="id/mle")
    with monkeypatch.context() as patch:
        patch.setattr(metrics.measure, "compute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            metrics(prediction(first))
    with pytest.raises(ConfigError):
        metrics(EvalPrediction([first, first[0]], ()))
    assert metrics(prediction(second)) == dict(ic.measure(second, only="id/mle"))


def test_a_loop_of_ones_own_resets_the_metrics() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(50, 6, generator=generator).numpy() for _ in range(2))
    metrics = DimensionMetrics(0, only="id/mle")
    assert metrics(prediction(first), compute_result=False) == {}
    metrics.reset()
    assert metrics(prediction(second)) == dict(ic.measure(second, only="id/mle"))
