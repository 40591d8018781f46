"""Embedding metrics keep torchmetrics' promises: what its own MetricTester checks, and the numbers of ic.measure."""

import pickle
import warnings
from copy import deepcopy
from functools import partial
from pathlib import Path

import matplotlib
import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.wrappers import Running

import intrinsic_clip as ic
from intrinsic_clip.integrations.torchmetrics import (
    Alignment,
    EmbeddingNumber,
    EmbeddingNumbers,
    InfoNCEBound,
    IntrinsicDimension,
    ModalityGap,
    PairMatching,
    Spectrum,
    Uniformity,
)
from intrinsic_clip.integrations.torchmetrics.row_order import order_of

GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(4, 40, 3, generator=GENERATOR)  # batches
Y = X @ torch.randn(3, 3, generator=GENERATOR) + 0.1 * torch.rand(4, 40, 3, generator=GENERATOR)
ALL_X, ALL_Y = X.flatten(0, 1), Y.flatten(0, 1)
METRICS = {
    "id/mle/x": lambda **options: IntrinsicDimension(**options),
    "id/gride/y": lambda **options: IntrinsicDimension("gride", side="y", **options),
    "spectrum/effective_rank/x": lambda **options: Spectrum(**options),
    "spectrum/components_95pct/y": lambda **options: Spectrum("components_95pct", side="y", **options),
    "uniformity/x": lambda **options: Uniformity(**options),
    "matching/top_1/x_to_y": lambda **options: PairMatching(direction="x_to_y", **options),
    "retrieval/top_10pct/y_to_x": lambda **options: PairMatching(
        share=0.1, direction="y_to_x", similarity="cosine", **options
    ),
    "alignment/cosine": lambda **options: Alignment(**options),
    "modality_gap": lambda **options: ModalityGap(**options),
    "information/infonce_bound": lambda **options: InfoNCEBound(**{"tau": 0.1, **options}),
    "id/tle/x": lambda **options: EmbeddingNumber("id/tle/x", **options),
}
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit", "ignore:.*too few", "ignore:.*max_samples")
each_metric = pytest.mark.parametrize("name", METRICS)


def expected(name: str, x=ALL_X, y=ALL_Y) -> float:
    """Return the number that ic.measure gives."""
    return ic.measure(x, y, only=name, tau=0.1)[name]


def fed(metric, x=X, y=Y):
    """Return a metric that has seen the batches."""
    for x_batch, y_batch in zip(x, y, strict=True):
        metric.update(x_batch, y_batch)
    return metric


@each_metric
def test_what_the_tester_of_torchmetrics_checks(name: str) -> None:
    metric = METRICS[name]()
    for constant in ("is_differentiable", "higher_is_better"):
        with pytest.raises(RuntimeError):
            setattr(metric, constant, True)
    clone = metric.clone()
    assert clone is not metric
    assert type(clone) is type(metric)
    metric = pickle.loads(pickle.dumps(metric.to("cpu")))
    other = deepcopy(metric)
    for i, (x, y) in enumerate(zip(X, Y, strict=True)):
        of_batch = metric(x.clone().requires_grad_(), y)
        assert float(of_batch) == pytest.approx(expected(name, x, y), rel=1e-6)
        assert not of_batch.requires_grad
        if i == 0:
            other.update(x, y)
            assert torch.equal(other.compute(), of_batch)
    assert hash(metric)
    assert metric.state_dict() == {}
    assert isinstance(metric.compute(), torch.Tensor)
    assert metric.compute().shape == ()
    assert float(metric.compute()) == pytest.approx(expected(name), rel=1e-6)
    metric.reset()
    assert float(fed(metric).compute()) == pytest.approx(expected(name), rel=1e-6)


def test_metrics_can_be_scripted() -> None:
    torch.jit.script(IntrinsicDimension())


def test_states_can_be_kept_in_a_checkpoint() -> None:
    metric = fed(PairMatching())
    metric.persistent(True)
    restored = PairMatching()
    restored.persistent(True)
    restored.load_state_dict(metric.state_dict())
    restored._update_count = 1
    assert torch.equal(restored.compute(), metric.compute())


OTHER_WIDTHS = {
    "IntrinsicDimension": (lambda: IntrinsicDimension(), "first x of 3 columns, now x of 2 columns"),
    "of y": (lambda: Uniformity(side="y"), "first y of 3 columns, now y of 2 columns"),
    "of pairs": (
        lambda: Alignment(),
        "first x of 3 columns, y of 3 columns, now x of 2 columns, y of 2 columns",
    ),
    "several": (lambda: EmbeddingNumbers("id"), "first x of 3 columns, y of 3 columns, now x of 2 columns"),
}


@pytest.mark.parametrize("kind", OTHER_WIDTHS)
@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("before", ["update", "few rows kept", "pickle", "checkpoint"])
def test_rows_of_another_width_are_refused_and_those_before_stay(kind, forward, before) -> None:
    make, message = OTHER_WIDTHS[kind]
    metric = fed(make())
    if before == "few rows kept":
        metric.max_rows = 30
    if before == "pickle":
        metric = pickle.loads(pickle.dumps(metric))
    if before == "checkpoint":
        metric.persistent(True)
        states = metric.state_dict()
        metric = make()
        metric.load_state_dict({name: state for name, state in states.items() if name != "widths"})
    with pytest.raises(ValueError, match=f"batches differ: {message}"):
        (metric if forward else metric.update)(X[0][:, :2], Y[0][:, :2])
    metric.update(X[0], Y[0])
    fresh = fed(make())
    fresh.max_rows = metric.max_rows
    fresh.update(X[0], Y[0])
    assert str(metric.compute()) == str(fresh.compute())
    metric.reset()
    metric.update(X[0][:, :2], Y[0][:, :2])  # the first since then


def test_a_collection_refuses_another_width_of_one_side() -> None:
    collection = MetricCollection({"id": IntrinsicDimension(), "alignment": ModalityGap()})
    collection.update(X[0], Y[0])
    with pytest.raises(
        ValueError, match="batches differ: first x of 3 columns, y of 3 columns, now x of 3 colu"
    ):
        collection.update(X[1], Y[1][:, :2])


def test_metrics_of_other_widths_are_not_merged() -> None:
    metric, narrow, empty = fed(Spectrum()), fed(Spectrum(), X[..., :2]), Spectrum()
    value = metric.compute()
    for state in (narrow, narrow.metric_state):
        with pytest.raises(ValueError, match="of one x of 2 columns, of another x of 3 columns"):
            metric.merge_state(state)
    metric.merge_state(empty)
    empty.merge_state(metric)
    empty.update(X[0])
    metric._computed = None
    assert metric.compute() == value
    with pytest.raises(ValueError, match="first x of 3 columns, now x of 2"):
        empty.update(X[0][:, :2])


def test_another_temperature_is_another_number() -> None:
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    metric, other = InfoNCEBound(0.1), InfoNCEBound(1.0)
    for each in (metric, other):
        each.update(x, 0.5 * x)
    before = float(metric.compute())
    metric.tau = torch.tensor(1.0)
    assert float(metric.compute()) == float(other.compute()) != before


@pytest.mark.parametrize("make", [InfoNCEBound, partial(EmbeddingNumbers, "information")])
def test_a_learned_temperature_is_no_parameter_of_the_metric(make) -> None:
    learned = torch.nn.Parameter(torch.tensor(0.1))
    metric = make(tau=learned)
    assert [*metric.parameters()] == [*metric.state_dict()] == []
    rows = ALL_X, ALL_Y
    for value in (1.0, 0.5):  # it counts as it is when the number is computed
        with torch.no_grad():
            learned.fill_(value)
        metric.reset()
        metric.update(*rows)
        assert _only(metric.compute()) == pytest.approx(
            ic.measure(*rows, only="information", tau=value).popitem()[1]
        )
    metric.tau = 0.1
    assert _only(metric.compute()) == pytest.approx(expected("information/infonce_bound"))


@pytest.mark.parametrize("collect", [lambda metric: metric, MetricCollection])
def test_a_metric_with_a_temperature_that_has_a_graph_can_be_copied(collect) -> None:
    scale = torch.nn.Parameter(torch.tensor(1 / 0.1).log())
    metric = collect(InfoNCEBound(1 / scale.exp()))
    for copy in (metric.clone(), deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        copy.update(ALL_X, ALL_Y)
        assert _only(copy.compute()) == pytest.approx(expected("information/infonce_bound"), rel=1e-4)


def _only(value) -> float:
    """Return the one number of a metric or a collection."""
    return float(next(iter(value.values())) if isinstance(value, dict) else value)


@pytest.mark.parametrize(
    "feed", [lambda running, *rows: running.update(*rows), lambda running, *rows: running(*rows)]
)
@pytest.mark.parametrize("name", ["alignment/cosine", "id/gride/y", "uniformity/x"])
def test_a_running_window_measures_the_rows_of_its_batches(feed, name) -> None:
    running = Running(METRICS[name](), window=2)
    for x, y in zip(X, Y, strict=True):
        feed(running, x, y)
    last = X[2:].flatten(0, 1), Y[2:].flatten(0, 1)
    for _ in range(2):
        assert float(running.compute()) == pytest.approx(expected(name, *last), rel=1e-5)
    running.reset()
    feed(running, X[0], Y[0])
    assert float(running.compute()) == pytest.approx(expected(name, X[0], Y[0]), rel=1e-5)


def test_a_collection_shares_states_and_calculates_all() -> None:
    collection = MetricCollection(
        {
            "id": IntrinsicDimension(), "twonn": IntrinsicDimension("twonn"), "id_y": IntrinsicDimension(side="y"),
            "short": IntrinsicDimension(max_rows=30), "rank": Spectrum(), "top_1": PairMatching(),
            "top_5": PairMatching(5), "alignment": Alignment(),
        },
        prefix="val/",
    )  # fmt: skip
    for x, y in zip(X, Y, strict=True):
        collection.update(x, y)
    groups = {frozenset(group) for group in collection.compute_groups.values()}
    assert groups == {
        frozenset({"id", "twonn", "rank"}), frozenset({"id_y"}), frozenset({"short"}),
        frozenset({"top_1", "top_5", "alignment"}),
    }  # fmt: skip
    numbers = collection.compute()
    assert float(numbers["val/id"]) == pytest.approx(expected("id/mle/x"), rel=1e-6)
    assert float(numbers["val/id_y"]) == pytest.approx(expected("id/mle/y"), rel=1e-6)
    collection.reset()
    batch = collection.clone()(X[0], y=Y[0])
    assert float(batch["val/alignment"]) == pytest.approx(expected("alignment/cosine", X[0], Y[0]), rel=1e-6)


def test_equal_modalities_are_not_taken_for_one() -> None:
    collection = MetricCollection({"x": IntrinsicDimension(), "y": IntrinsicDimension(side="y")})
    collection.update(X[0], X[0])
    collection.update(X[1], Y[1])
    numbers = collection.compute()
    assert numbers["x"] != numbers["y"]


@pytest.mark.parametrize("forward", [False, True])
def test_memory_is_bounded_and_the_sample_depends_on_the_rows_alone(forward: bool) -> None:
    samples = []
    for size in (7, 40, 160):
        metric = EmbeddingNumber("retrieval/top_1/x_to_y", max_rows=25)
        for x, y in zip(ALL_X.split(size), ALL_X.split(size), strict=True):
            (metric if forward else metric.update)(x, y)
            assert sum(map(len, metric.order)) <= 50
        samples.append(metric._kept(25)[0]["x"])
        assert metric.compute() == 1  # pairs stay paired
    assert torch.equal(samples[0], samples[1])
    assert torch.equal(samples[0], samples[2])
    reverse = EmbeddingNumber("id/mle/x", max_rows=25)
    reverse.update(ALL_X.flip(0))
    assert {*map(tuple, reverse._kept(25)[0]["x"].tolist())} != set()
    other = EmbeddingNumber("id/mle/x", max_rows=25, seed=1)
    other.update(ALL_X)
    assert not torch.equal(other._kept(25)[0]["x"], samples[0])


def test_the_order_is_random() -> None:
    order = order_of(torch.rand(20_000, 5, generator=GENERATOR), 0)
    counts = torch.histc(order, 20, 0, 1)
    assert (counts - 1000).abs().max() < 150
    steps = order_of(torch.arange(20_000.0)[:, None], 0)  # rows that differ little
    assert (torch.histc(steps, 20, 0, 1) - 1000).abs().max() < 150
    assert len(steps.unique()) == 20_000


def test_precision_and_device() -> None:
    metric = fed(IntrinsicDimension(), X.bfloat16(), Y)
    assert metric.rows_x[0].dtype == torch.float32
    assert metric.half().rows_x[0].dtype == torch.float32  # as all of torchmetrics
    assert float(metric.compute()) == pytest.approx(expected("id/mle/x"), rel=0.1)
    double = IntrinsicDimension().set_dtype(torch.float64)
    double.update(ALL_X.double() + 1e-9)
    assert double.rows_x[0].dtype == torch.float64
    half = IntrinsicDimension().set_dtype(torch.float16)
    assert fed(half).compute().dtype == torch.float32
    moved = fed(IntrinsicDimension()).to("meta")
    assert moved.rows_x[0].is_meta
    assert moved.order[0].is_meta


def test_one_embedding_and_rows_of_other_kinds() -> None:
    metric = IntrinsicDimension()
    metric.update(ALL_X.numpy())
    assert float(metric.compute()) == pytest.approx(expected("id/mle/x"), rel=1e-6)
    with pytest.raises(ValueError, match="needs y in every update"):
        IntrinsicDimension(side="y").update(ALL_X)
    with pytest.raises(ValueError, match='needs y in every update; sides="x" measures x alone'):
        EmbeddingNumbers("id").update(ALL_X)
    for pairs in (PairMatching(), EmbeddingNumbers("matching"), ModalityGap()):
        with pytest.raises(
            ValueError, match=rf"{type(pairs).__name__} needs y in every update: update\(x, y\)$"
        ):
            pairs.update(ALL_X)
    for side in ("x", "y"):
        with pytest.raises(ValueError, match="sides must be 'xy' for matching/top_1, which needs x and y"):
            PairMatching(sides=side)
    with pytest.raises(ValueError, match="sides must be 'xy' for id/mle/x"):
        EmbeddingNumber("id/mle/x", sides="y")
    alone = EmbeddingNumbers("id/mle", sides="x")
    alone.update(ALL_X)
    assert set(alone.compute()) == {"id/mle/x"}
    with pytest.raises(ValueError, match="x has 160 rows and y 3"):
        Alignment().update(ALL_X, ALL_Y[:3])


@pytest.mark.filterwarnings("ignore")
def test_nan_has_a_reason() -> None:
    metric = IntrinsicDimension()
    assert metric.compute().isnan()
    metric.update(ALL_X[:3])
    assert metric.compute().isnan()
    assert "21 distinct points" in metric.reason
    fresh = IntrinsicDimension()
    with pytest.warns(UserWarning, match="id/mle/x is NaN: needs at least 21 distinct points"):
        fresh(ALL_X[:3])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fresh(ALL_X[:3])
    assert not any(" NaN: " in str(warning.message) for warning in caught)
    of_y = Uniformity(side="y")
    of_y.update(ALL_X, ALL_Y * torch.nan)
    assert of_y.compute().isnan()
    assert of_y.reason == "160 of 160 rows of y hold NaN or infinity"


@pytest.mark.parametrize(
    "make",
    [
        *(partial(make, tau=0.1) for make in METRICS.values()), lambda: EmbeddingNumbers(["id", "alignment"]),
        lambda: EmbeddingNumbers("spectrum", sides="x"),
    ],
)  # fmt: skip
def test_before_the_first_update_numbers_are_nan_with_a_reason(make) -> None:
    metric = make()
    with pytest.warns(
        UserWarning, match=r"NaN: no rows came since the metric was made or reset: call update"
    ):
        value = metric.compute()
    if isinstance(value, dict):
        metric.update(ALL_X, ALL_Y)
        assert list(value) == list(metric.compute())
    assert all(number.isnan() for number in (value.values() if isinstance(value, dict) else [value]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IntrinsicDimension(only="id"), "IntrinsicDimension has no argument only: it is of one number; Emb"),
        (lambda: IntrinsicDimension(estimators=["mle"]), r'no argument estimators: IntrinsicDimension\("twonn"\)'),
        (lambda: IntrinsicDimension(["mle", "twonn"]), r"estimator must be one name, such as 'mle', got \['mle"),
        (lambda: IntrinsicDimension(side="image"), "side must be 'x' or 'y', got 'image'"),
        (lambda: EmbeddingNumber(only="id/mle/x"), "EmbeddingNumber has no argument only"),
        (lambda: EmbeddingNumber(), "name must be one number, such as id/mle/x, got None"),
        (lambda: EmbeddingNumber("matching/top_5/x_to_y", k=5), "k is the number of neighbours of an intrinsic"),
        (lambda: EmbeddingNumbers(max_points=9), "EmbeddingNumbers has no argument max_points: max_rows=… says"),
        (lambda: EmbeddingNumbers(labels=[1]), "a metric takes no labels"),
        (lambda: Spectrum(name="x"), r'EmbeddingNumber\("id/mle/x"\) takes a name'),
        (lambda: PairMatching(top_k=5), r"PairMatching\(k=…\) says how many"),
        (lambda: PairMatching(direction="image"), "direction must be 'x_to_y' or 'y_to_x' or 'both', got 'image'"),
        (lambda: PairMatching(share=5), "share must be above 0 and at most 1, a share of all rows, got 5"),
        (lambda: PairMatching(share=0), "share must be above 0 and at most 1"),
        (lambda: InfoNCEBound(temperature=0.1), "tau=… is the temperature"),
        (lambda: Alignment(nonsense=1), "Unexpected keyword arguments: `nonsense`"),
    ],
)  # fmt: skip
def test_arguments_of_measure_are_refused_by_the_right_name(make, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: EmbeddingNumber("id/mel/x"), lambda: IntrinsicDimension("mel"), lambda: PairMatching(0),
        lambda: PairMatching(similarity="dot"), lambda: Spectrum(max_rows=0), lambda: EmbeddingNumber(["id"]),
        lambda: EmbeddingNumber("id"),
    ],
)  # fmt: skip
def test_wrong_arguments(make) -> None:
    with pytest.raises(ValueError, match=r"no number|must be"):
        make()


@pytest.mark.parametrize(("share", "k"), [(1 / 3, 2), (1e-7, 1), (0.5, 3), (5 / 6, 5)])
def test_a_share_counts_all_rows_that_it_stands_for(share: float, k: int) -> None:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    y = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
    of_share, of_k = PairMatching(share=share), PairMatching(k)
    assert of_share(x, y) == of_k(x, y)


def test_all_numbers_at_once() -> None:
    metric = fed(EmbeddingNumbers(["id", "matching"]))
    numbers = ic.measure(ALL_X, ALL_Y, only=["id", "matching"])
    assert {name: float(value) for name, value in metric.compute().items()} == pytest.approx(
        dict(numbers), rel=1e-6
    )


def test_beside_other_metrics_and_in_arithmetic() -> None:
    both = IntrinsicDimension() - Spectrum("participation_ratio")
    both.update(ALL_X)
    difference = expected("id/mle/x") - expected("spectrum/participation_ratio/x")
    assert float(both.compute()) == pytest.approx(difference, rel=1e-4)
    MetricCollection([IntrinsicDimension(), BinaryAccuracy()])


def test_plots() -> None:
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    metric = IntrinsicDimension()
    values = [metric(x) for x in X]
    _, axes = metric.plot(values)
    assert axes.get_ylim()[0] <= 0
    fed(PairMatching()).plot(ax=axes)
    plt.close("all")


@pytest.mark.filterwarnings("ignore")
def test_lightning_logs_it(tmp_path) -> None:
    from lightning.pytorch import LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    class Model(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)
            self.id, self.match = IntrinsicDimension(), PairMatching()

        def training_step(self, batch, _):
            return self.layer(batch[0]).square().mean()

        def validation_step(self, batch, _) -> None:
            self.id.update(batch[0])
            self.match(batch[0], batch[1])
            self.log("id", self.id)
            self.log("match", self.match)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    loader = DataLoader(TensorDataset(ALL_X, ALL_Y), batch_size=40)
    trainer = Trainer(max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                      enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path)  # fmt: skip
    trainer.fit(Model(), loader, loader)
    assert float(trainer.callback_metrics["id"]) == pytest.approx(expected("id/mle/x"), rel=1e-6)
    mean = sum(expected(f"matching/top_1/{way}") for way in ("x_to_y", "y_to_x")) / 2
    assert float(trainer.callback_metrics["match"]) == pytest.approx(mean, rel=1e-6)


def test_pages_that_log_a_dict_reset_the_metric() -> None:
    root = Path(__file__).parents[2]
    pages = [*(root / "docs" / "how-to").glob("*.md")]
    pages += (root / "src" / "intrinsic_clip" / "integrations").glob("**/*.py")
    lines = [line for page in pages for line in page.read_text("utf-8").splitlines() if ".compute())" in line]
    logged = [line for line in lines if "log_dict(" in line]
    assert len(logged) == 2
    assert all("log_dict(metric.compute()); metric.reset()" in line for line in logged)


@pytest.mark.filterwarnings("ignore")
def test_a_dict_that_is_logged_is_of_one_epoch(tmp_path) -> None:
    from lightning.pytorch import LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    rows = []

    class Model(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.numbers = EmbeddingNumbers("id", sides="x")

        def validation_step(self, batch, _) -> None:
            self.numbers.update(batch[0])

        def on_validation_epoch_end(self) -> None:
            rows.append(sum(map(len, self.numbers.order)))
            self.log_dict(self.numbers.compute())
            self.numbers.reset()

    trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
                      enable_model_summary=False, default_root_dir=tmp_path)  # fmt: skip
    model, loader = Model(), DataLoader(TensorDataset(ALL_X), batch_size=40)
    numbers = [trainer.validate(model, loader, verbose=False)[0]["id/mle/x"] for _ in range(2)]
    assert rows == [160, 160]
    assert numbers == pytest.approx([expected("id/mle/x")] * 2, rel=1e-6)
