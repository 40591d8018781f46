"""Objectives against other packages where they are installed, and against their formulas written with loops."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from intrinsic_clip import loss
from intrinsic_clip.errors import ConfigError

N, D = 14, 4


def _pairs(unit: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, D, generator=generator, dtype=torch.float64)
    y = x + 0.7 * torch.randn(N, D, generator=generator, dtype=torch.float64)
    return (normalize(x, dim=-1), normalize(y, dim=-1)) if unit else (x, y)


def _same(actual: Tensor, expected: Tensor | float, inputs: tuple[Tensor, ...] = ()) -> None:
    """Compare losses, and gradients where both have them."""
    torch.testing.assert_close(actual.detach(), torch.as_tensor(expected).detach().to(actual.dtype))
    if inputs:
        pairs = [torch.autograd.grad(value, inputs) for value in (actual, expected)]
        for ours, theirs in zip(*pairs, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("chunk", [None, 3])
def test_decoupled_leaves_the_positive_out_of_the_denominator(chunk: int | None) -> None:
    x, y = _pairs(unit=True)
    expected = 0.0
    for i in range(N):
        for anchor, others in ((x[i], y), (y[i], x)):
            logits = [float(anchor @ other) / 0.2 for other in others]
            negatives = [value for j, value in enumerate(logits) if j != i]
            expected += (math.log(sum(map(math.exp, negatives))) - logits[i]) / (2 * N)
    _same(loss.decoupled_info_nce(x, y, torch.tensor(0.2, dtype=torch.float64), chunk), expected)


def _softmax_average(state: Tensor, stored: Tensor, beta: float) -> Tensor:
    weights = [math.exp(beta * float(state @ pattern)) for pattern in stored]
    average = sum(weight * pattern for weight, pattern in zip(weights, stored, strict=True))
    return average / average.norm()


@pytest.mark.parametrize("chunk", [None, 3])
def test_cloob_compares_retrieved_patterns(chunk: int | None) -> None:
    x, y = _pairs(unit=True)
    total = 0.0
    for stored, same, other in ((x, x, y), (y, y, x)):
        anchors = [_softmax_average(state, stored, 8.0) for state in same]
        samples = [_softmax_average(state, stored, 8.0) for state in other]
        for i, anchor in enumerate(anchors):
            logits = [30 * float(anchor @ sample) for sample in samples]
            negatives = sum(math.exp(value) for j, value in enumerate(logits) if j != i)
            total += (math.log(negatives) - logits[i]) / N
    _same(loss.CLOOB(chunk=chunk).double()(x, y), total / 30)


def test_cloob_learns_the_inverse_temperatures_that_it_is_told_to() -> None:
    for settings in ({}, {"learn_beta": True}, {"learn_inverse_temperature": True}):
        objective = loss.CLOOB(replicates=(2,), **settings)
        learned = {
            f"learn_{name.removeprefix('log_')}"
            for name, part in objective.named_parameters()
            if part.requires_grad
        }
        assert learned == set(settings)


def test_spectral_is_a_sum_over_different_rows() -> None:
    x, y = _pairs()
    positives = sum(float(x[i] @ y[i]) for i in range(N)) / N
    negatives = sum(float(x[i] @ y[j]) ** 2 for i in range(N) for j in range(N) if i != j) / (N * (N - 1))
    _same(loss.spectral_loss(x, y), negatives - 2 * positives)


@pytest.mark.parametrize("mu", [1.0, 4.0])
def test_spectral_draws_long_outputs_back(mu: float) -> None:
    x, y = _pairs()
    short_x, short_y = (
        torch.stack([row if row.norm() < mu**0.5 else mu**0.5 * row / row.norm() for row in rows])
        for rows in (x, y)
    )
    assert not torch.equal(short_x, x)
    _same(loss.spectral_loss(x, y, mu), loss.spectral_loss(short_x, short_y) / mu)


def test_vicreg_by_hand() -> None:
    x, y = (0.4 * rows for rows in _pairs())
    expected = 25 * float(((x - y) ** 2).sum()) / (N * D)
    for rows in (x, y):
        covariance = torch.cov(rows.T)
        for k in range(D):
            expected += 25 * max(0.0, 1 - math.sqrt(float(covariance[k, k]) + 1e-4)) / (2 * D)
            expected += sum(float(covariance[k, m]) ** 2 for m in range(D) if m != k) / D
    _same(loss.vicreg_loss(x, y), expected)


def test_vicreg_and_barlow_twins_equal_lightly() -> None:
    lightly = pytest.importorskip("lightly.loss")
    x, y = (rows.requires_grad_() for rows in _pairs())
    _same(loss.vicreg_loss(x, y, 3.0, 2.0, 0.5), lightly.VICRegLoss(3.0, 2.0, 0.5)(x, y), (x, y))
    _same(loss.barlow_twins_loss(x, y, 0.02), lightly.BarlowTwinsLoss(0.02)(x, y), (x, y))


def test_barlow_twins_is_a_sum_over_correlations() -> None:
    x, y = _pairs()
    correlations = torch.corrcoef(torch.cat([x, y], dim=1).T)[:D, D:]
    expected = 0.0
    for k in range(D):
        for m in range(D):
            value = float(correlations[k, m])
            expected += (1 - value) ** 2 if k == m else 0.1 * value**2
    _same(loss.barlow_twins_loss(x, y, redundancy=0.1, epsilon=1e-15), expected)


@pytest.mark.parametrize("components", [None, 2, D])
def test_dcca_is_the_sum_of_canonical_correlations(components: int | None) -> None:
    cca = pytest.importorskip("sklearn.cross_decomposition").CCA
    x, y = _pairs()
    fitted = cca(n_components=D, max_iter=20_000, tol=1e-14).fit_transform(x.numpy(), y.numpy())
    correlations = sorted(
        (
            torch.corrcoef(torch.stack([torch.tensor(a), torch.tensor(b)]))[0, 1]
            for a, b in zip(*(s.T for s in fitted), strict=True)
        )
    )
    expected = -sum(correlations[::-1][:components])
    torch.testing.assert_close(loss.dcca_loss(x, y, 1e-12, components), expected, rtol=1e-4, atol=0)


def test_dcca_regularises_both_variances() -> None:
    x, y = _pairs()
    joint = torch.cov(torch.cat([x, y], dim=1).T)
    ridge = 0.3 * torch.eye(D, dtype=torch.float64)
    roots = []
    for block in (joint[:D, :D] + ridge, joint[D:, D:] + ridge):
        values, vectors = torch.linalg.eigh(block)
        roots.append(vectors @ torch.diag(values**-0.5) @ vectors.T)
    product = roots[0] @ joint[:D, D:] @ roots[1]
    expected = -torch.linalg.eigvalsh(product.T @ product).sqrt().sum()
    _same(loss.dcca_loss(x, y, 0.3), expected)


def test_dcca_refuses_more_components_than_dimensions() -> None:
    with pytest.raises(
        ConfigError, match=r"objective\.components=5: must be at most the output dimension, 4"
    ):
        loss.dcca_loss(*_pairs(), components=5)


def test_soft_dcca_equals_cca_zoo() -> None:
    deep = pytest.importorskip("cca_zoo.deep")
    x, y = (rows.requires_grad_() for rows in _pairs())
    theirs = deep.DCCASDL(
        n_components=D, encoders=[torch.nn.Identity(), torch.nn.Identity()], lam=0.3
    ).double()
    _same(loss.soft_dcca_loss(x, y, 0.3), theirs.loss({"views": [x, y]})["objective"], (x, y))


def test_soft_dcca_by_hand() -> None:
    x, y = _pairs()
    scaled = [(rows - rows.mean(0)) / rows.std(0, correction=0) for rows in (x, y)]
    expected = float(((scaled[0] - scaled[1]) ** 2).sum()) / (N * D)
    for rows in scaled:
        covariance = torch.cov(rows.T)
        different = [abs(float(covariance[k, m])) for k in range(D) for m in range(D) if k != m]
        expected += 0.3 * sum(different) / len(different)
    _same(loss.soft_dcca_loss(x, y, 0.3, epsilon=1e-15), expected)


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize(("exponent", "sharpness"), [(2.0, 2.0), (1.0, 3.0)])
def test_alignment_and_uniformity_by_hand(exponent: float, sharpness: float, chunk: int | None) -> None:
    x, y = _pairs(unit=True)
    aligned = sum(float((x[i] - y[i]).norm()) ** exponent for i in range(N)) / N
    spread = [math.log(float(torch.pdist(rows).square().mul(-sharpness).exp().mean())) for rows in (x, y)]
    actual = loss.alignment_uniformity_loss(x, y, 3.0, 0.5, exponent, sharpness, chunk)
    _same(actual, 3.0 * aligned + 0.5 * sum(spread) / 2)


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("hardest", [False, True])
def test_triplets_by_hand(hardest: bool, chunk: int | None) -> None:
    x, y = _pairs(unit=True)
    total = 0.0
    for i in range(N):
        positive = float(x[i] @ y[i])
        for anchor, others in ((x[i], y), (y[i], x)):
            short = [max(0.0, 0.2 - positive + float(anchor @ others[j])) for j in range(N) if j != i]
            total += max(short) if hardest else sum(short)
    _same(loss.triplet_loss(x, y, 0.2, hardest, chunk), total / N)


def test_triplets_equal_pytorch_metric_learning() -> None:
    package = pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import distances, losses, reducers

    assert package
    x, y = (rows.requires_grad_() for rows in _pairs())  # the package normalises them
    triplet = losses.TripletMarginLoss(
        0.2, distance=distances.CosineSimilarity(), reducer=reducers.SumReducer()
    )
    labels = torch.arange(N)
    references = labels.clone()  # the same tensor would say that a pair is one row twice
    both = sum(triplet(a, labels, ref_emb=b, ref_labels=references) for a, b in ((x, y), (y, x)))
    _same(loss.triplet_loss(normalize(x, dim=-1), normalize(y, dim=-1)), both / N, (x, y))


def test_regressions_by_hand() -> None:
    x, y = _pairs()
    _same(loss.mse_loss(x, y), sum(float((x[i] - y[i]).norm()) ** 2 for i in range(N)) / N)
    cosines = [float(x[i] @ y[i] / x[i].norm() / y[i].norm()) for i in range(N)]
    _same(loss.cosine_regression_loss(x, y), 1 - sum(cosines) / N)


@pytest.mark.parametrize("chunk", [None, 3])
def test_temperature_free_logits_are_log_odds(chunk: int | None) -> None:
    x, y = _pairs(unit=True)
    total = 0.0
    for i in range(N):
        for anchor, others in ((x[i], y), (y[i], x)):
            odds = [(1 + float(anchor @ other)) / (1 - float(anchor @ other)) for other in others]
            total -= math.log(odds[i] / sum(odds)) / (2 * N)
    _same(loss.temperature_free_loss(x, y, chunk=chunk), total)


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("source", ["coordinate", "length"])
def test_each_anchor_gives_its_temperature(source: str, chunk: int | None) -> None:
    x, y = _pairs()
    total = 0.0
    for i in range(N):
        for anchors, others in ((x, y), (y, x)):
            if source == "coordinate":
                inverse = 1 / (1 + math.exp(-float(anchors[i, -1]))) / 0.07
                anchor, candidates = anchors[i, :-1], others[:, :-1]
            else:
                inverse = float(anchors[i].norm())
                anchor, candidates = anchors[i], others
            cosines = torch.cosine_similarity(anchor[None], candidates)
            total -= float((cosines * inverse).log_softmax(0)[i]) / (2 * N)
    _same(loss.uncertainty_loss(x, y, source, chunk=chunk), total)


def test_one_coordinate_leaves_nothing_to_compare() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.output_dim=1: must be at least 2"):
        loss.uncertainty_loss(*(rows[:, :1] for rows in _pairs()), source="coordinate")


def test_infonce_equals_the_loss_of_open_clip() -> None:
    clip = pytest.importorskip("open_clip.loss").ClipLoss()
    x, y = (rows.requires_grad_() for rows in _pairs(unit=True))
    _same(
        loss.info_nce(x, y, torch.tensor(0.1, dtype=torch.float64)),
        clip(x, y, torch.tensor(10.0).double()),
        (x, y),
    )
