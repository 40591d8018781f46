"""Test the rank of Jacobians: maps of known rank, torch.autograd as reference, any encoder, masked outputs."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.manifolds import gaussian
from intrinsic_clip import encoders
from intrinsic_clip.dimension import JacobianSpectrum, jacobian_spectrum
from intrinsic_clip.encoders.replication import ReplicatedEncoder, replicate


def linear_map(d: int, d_in: int, rank: int) -> Tensor:
    """Return a matrix with `rank` singular values between 1 and 2."""
    left = torch.linalg.qr(gaussian(d, d)).Q[:, :rank]
    right = torch.linalg.qr(gaussian(d_in, d_in, seed=1)).Q[:, :rank]
    return left * torch.linspace(2, 1, rank) @ right.T


def by_autograd(encoder: nn.Module, rows: Tensor) -> Tensor:
    """Return the singular values of each row's Jacobian by torch.autograd, `(n, min(d, d_in))`."""
    jacobians = [torch.autograd.functional.jacobian(lambda r: encoder(r[None])[0], row) for row in rows]
    return torch.linalg.svdvals(torch.stack(jacobians).flatten(2).double())


@pytest.fixture(autouse=True)
def _weights() -> None:
    torch.manual_seed(0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "d_in"), [(7, 7), (5, 12), (12, 5), (1, 6), (6, 1)])
def test_rank_of_a_linear_map(d: int, d_in: int, dtype: torch.dtype) -> None:
    x = gaussian(10, d_in).to(dtype)
    for rank in range(1, min(d, d_in) + 1):
        weight = linear_map(d, d_in, rank).to(dtype)
        for encoder in (lambda rows, weight=weight: rows @ weight.T, nn.Linear(d_in, d).to(dtype)):
            if isinstance(encoder, nn.Linear):
                encoder.weight.data = weight
            spectrum = jacobian_spectrum(encoder, x)
            assert spectrum.rank == rank
            expected = torch.zeros(min(d, d_in), dtype=torch.float64)
            expected[:rank] = torch.linspace(2, 1, rank)
            torch.testing.assert_close(spectrum.singular_values, expected, rtol=1e-5, atol=1e-5)
            assert spectrum.standard_error.max() < 1e-6
            for directions in (rank, rank + 1):
                compressed = jacobian_spectrum(encoder, x, directions=directions)
                count = min(directions, d, d_in)
                torch.testing.assert_close(compressed.singular_values, expected[:count], rtol=1e-5, atol=1e-5)
                assert compressed.rank == rank


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rank_of_two_linear_maps_with_a_bottleneck(dtype: torch.dtype) -> None:
    for rank in range(1, 8):
        encoder = nn.Sequential(nn.Linear(20, 50), nn.Linear(50, rank), nn.Linear(rank, 44)).to(dtype)
        spectrum = jacobian_spectrum(encoder, gaussian(10, 20).to(dtype), min_gap=1000)
        assert spectrum.rank == rank


def test_replicates_have_their_own_rank() -> None:
    encoder = replicate(lambda d: encoders.linear(6, d), 6, (11, 12, 13), (4,), (3,))
    with torch.no_grad():
        for r, layer in enumerate(encoder.layers):
            if r == 0:
                layer.weight[:, :6] = torch.eye(6)
            else:
                layer.weight[:] = 0.0
                for rank in (1, 2, 3):
                    layer.weight[rank - 1, :, :6] = linear_map(4, 6, rank)
    spectrum = jacobian_spectrum(encoder, gaussian(9, 6).float())
    assert spectrum.rank.tolist() == [1, 2, 3]
    assert spectrum.pointwise.shape == (3, 9, 4)


@pytest.mark.slow
@pytest.mark.parametrize("directions", [None, 3])
@pytest.mark.parametrize("own_rows", [False, True])
@pytest.mark.parametrize("kind", ["feed-forward", "any module"])
def test_replicates_equal_one_at_a_time(kind: str, own_rows: bool, directions: int | None) -> None:
    def build(d: int) -> nn.Module:
        if kind == "feed-forward":
            return encoders.mlp(6, d)
        return nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.Tanh(), nn.Linear(9, d))

    together = replicate(build, 6, (11, 12, 13), (2, 5), (2, 3))
    assert isinstance(together, ReplicatedEncoder) == (kind == "any module")
    x = gaussian(2, 3, 7, 6).float() if own_rows else gaussian(7, 6).float()
    latent = gaussian(6, 2)
    many = jacobian_spectrum(together, x, latent=latent, directions=directions)
    shared = jacobian_spectrum(together, x, latent=latent.expand(3, 6, 2), directions=directions)
    assert torch.equal(shared.overlap, many.overlap)
    assert many.rank.shape == many.gap.shape == many.participation.shape == many.overlap.shape == (2, 3)
    for place, d in enumerate((2, 5)):
        for r, seed in enumerate((11, 12, 13)):
            torch.manual_seed(seed)
            rows = x[place, r] if own_rows else x
            alone = jacobian_spectrum(build(d), rows, latent=latent, directions=directions)
            m = alone.singular_values.shape[-1]
            for field in ("singular_values", "standard_error"):
                together_here = getattr(many, field)[place, r]
                torch.testing.assert_close(
                    together_here[..., :m], getattr(alone, field), rtol=1e-4, atol=1e-5
                )
                assert together_here[m:].abs().max() < 1e-6 if m < len(together_here) else True
            assert many.rank[place, r] == alone.rank
            for field in ("gap", "participation", "overlap"):
                together_here = getattr(many, field)[place, r]
                torch.testing.assert_close(
                    together_here, getattr(alone, field), rtol=1e-3, atol=1e-5, equal_nan=True
                )


@pytest.mark.slow
@pytest.mark.parametrize(("d", "d_in"), [(5, 8), (8, 5), (6, 6)])
def test_mlp_equals_autograd(d: int, d_in: int) -> None:
    encoder = encoders.mlp(d_in, d).double()
    x = gaussian(20, d_in)
    spectrum = jacobian_spectrum(encoder, x)
    expected = by_autograd(encoder, x)
    torch.testing.assert_close(spectrum.pointwise, expected)
    torch.testing.assert_close(spectrum.singular_values, expected.mean(0))
    torch.testing.assert_close(spectrum.standard_error, expected.std(0) / math.sqrt(20))
    mean = expected.mean(0)
    participation = mean.square().sum().square() / mean.pow(4).sum()
    torch.testing.assert_close(spectrum.participation, participation)
    torch.testing.assert_close(spectrum.gap, (mean[:-1] / mean[1:]).max())
    blocks = jacobian_spectrum(encoder, x, block_bytes=1)
    torch.testing.assert_close(blocks.pointwise, spectrum.pointwise)


@pytest.mark.parametrize("directions", [None, 6])
def test_convolutions_on_images(directions: int | None) -> None:
    encoder = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2),
        nn.GELU(),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.Linear(6, 9),
    )
    encoder = encoder.double().eval()
    images = gaussian(4, 3, 8, 8)
    spectrum = jacobian_spectrum(encoder, images, input_dims=3, directions=directions)
    expected = by_autograd(encoder, images)
    assert spectrum.pointwise.shape == (4, directions or 9)
    torch.testing.assert_close(spectrum.pointwise, expected[:, : directions or 9], rtol=1e-6, atol=1e-9)


class Pooled(nn.Module):
    """Encoder of sequences: a transformer layer, a bottleneck of 3, then d = 8."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Sequential(nn.Linear(8, 3), nn.Linear(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).mean(-2))


@pytest.mark.parametrize("directions", [None, 3, 5])
def test_transformer_on_sequences(directions: int | None) -> None:
    encoder = Pooled().double().eval()
    x = gaussian(5, 4, 8)
    spectrum = jacobian_spectrum(encoder, x, input_dims=2, directions=directions)
    m = directions or 8
    torch.testing.assert_close(spectrum.pointwise, by_autograd(encoder, x)[:, :m], rtol=1e-6, atol=1e-9)
    assert jacobian_spectrum(encoder, x, input_dims=2, min_gap=1e3).rank == 3


def test_image_tower_of_open_clip() -> None:
    open_clip = pytest.importorskip("open_clip")
    tower = open_clip.model.CLIP(
        embed_dim=12,
        vision_cfg={"image_size": 16, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
        text_cfg={"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1},
    )
    tower.eval()
    with torch.no_grad():
        tower.visual.proj[:, 4:] = tower.visual.proj[:, :4] @ torch.randn(4, 8)  # rank 4
    images = gaussian(3, 3, 16, 16).float()
    exact = jacobian_spectrum(tower.encode_image, images, input_dims=3)
    assert exact.singular_values.shape == (12,)
    spectrum = jacobian_spectrum(tower.encode_image, images, input_dims=3, directions=6, min_gap=1e3)
    torch.testing.assert_close(spectrum.pointwise[:, :4], exact.pointwise[:, :4], rtol=1e-4, atol=0)
    assert spectrum.rank == 4


def test_fewer_directions_than_the_rank_give_no_more_than_the_values() -> None:
    encoder, x = encoders.mlp(12, 10).double(), gaussian(30, 12)
    exact = jacobian_spectrum(encoder, x).pointwise
    spectrum = jacobian_spectrum(encoder, x, directions=5).pointwise
    assert (spectrum <= exact[:, :5] + 1e-12).all()
    assert torch.equal(jacobian_spectrum(encoder, x, directions=5).pointwise, spectrum)
    assert not torch.equal(jacobian_spectrum(encoder, x, directions=5, seed=1).pointwise, spectrum)
    assert jacobian_spectrum(encoder, x, directions=99).pointwise.equal(exact)


class NoForwardDerivative(torch.autograd.Function):
    """x³ with nothing but a backward pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, grad):
        return 3 * ctx.saved_tensors[0] ** 2 * grad


def test_operation_without_forward_derivative() -> None:
    first, last = gaussian(6, 4), gaussian(4, 9, seed=1)
    x = gaussian(5, 6)
    with pytest.raises(RuntimeError):
        torch.func.jvp(NoForwardDerivative.apply, (x,), (x,))

    expected = jacobian_spectrum(lambda rows: (rows @ first) ** 3 @ last, x)
    for directions in (None, 4):
        spectrum = jacobian_spectrum(
            lambda r: NoForwardDerivative.apply(r @ first) @ last, x, directions=directions
        )
        m = directions or 6
        torch.testing.assert_close(spectrum.pointwise, expected.pointwise[:, :m], rtol=1e-6, atol=1e-9)


def test_overlap() -> None:
    x = gaussian(40, 20).float()
    latent = torch.eye(20)[:, :5]
    on_latent = nn.Sequential(nn.Linear(20, 5, bias=False), encoders.mlp(5, 9))
    with torch.no_grad():
        on_latent[0].weight[:] = latent.T
    assert jacobian_spectrum(on_latent, x, latent=latent).overlap.item() == pytest.approx(1, abs=1e-5)
    mixed = latent.double() @ gaussian(5, 5)
    assert jacobian_spectrum(on_latent, x, latent=mixed).overlap.item() == pytest.approx(1, abs=1e-5)
    assert jacobian_spectrum(on_latent, x, latent=torch.eye(20)[:, 5:8]).overlap == 0
    random = replicate(lambda d: encoders.mlp(20, d), 20, range(20), (9,), (20,))
    overlap = jacobian_spectrum(random, x, latent=latent).overlap
    assert overlap.mean().item() == pytest.approx(5 / 20, abs=0.05)
    each = latent.expand(20, 20, 5).clone()
    each[0] = torch.eye(20)[:, 15:]
    assert torch.equal(jacobian_spectrum(random, x, latent=each).overlap[1:], overlap[1:])


def test_a_direction_that_is_not_read_does_not_overlap() -> None:
    weight = torch.zeros(4, 6)
    weight[0, 0] = 1.0  # rank 1, so the second right singular vector is arbitrary
    spectrum = jacobian_spectrum(lambda rows: rows @ weight.T, torch.ones(3, 6), latent=torch.eye(6)[:, :2])
    assert spectrum.overlap == 0.5


def test_fewer_outputs_than_latent_directions_are_measured_as_if_padded() -> None:
    x, latent = gaussian(40, 20).float(), torch.eye(20)[:, :5]
    narrow = encoders.mlp(20, 3)
    alone = jacobian_spectrum(narrow, x, latent=latent)
    padded = jacobian_spectrum(lambda rows: nn.functional.pad(narrow(rows), (0, 4)), x, latent=latent)
    assert alone.rank == padded.rank == 3
    torch.testing.assert_close(alone.overlap, padded.overlap)
    inside = jacobian_spectrum(lambda rows: rows[..., :3] ** 3, x, latent=latent)
    assert inside.overlap.item() == pytest.approx(3 / 5)


def test_outputs_that_are_masked_do_not_count() -> None:
    def encoder(rows: Tensor) -> Tensor:
        return torch.nn.functional.pad(rows @ torch.diag(torch.tensor([9.0, 8.0, 1.0, 0.9])), (0, 3))

    spectrum = jacobian_spectrum(encoder, torch.ones(5, 4))
    assert spectrum.rank == 2  # and not 4, for the zeros of the mask
    assert spectrum.gap.item() == pytest.approx(8)
    assert jacobian_spectrum(encoder, torch.ones(5, 4), min_gap=9).rank == 4


def test_nothing_is_left_behind() -> None:
    encoder = Pooled().train()
    encoder.layer.eval()
    before = copy.deepcopy(encoder.state_dict())
    x = gaussian(3, 4, 8).float().requires_grad_()
    state = torch.get_rng_state()
    spectrum = jacobian_spectrum(encoder, x, input_dims=2, directions=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.backends.mha.get_fastpath_enabled()
    assert encoder.training
    assert not encoder.layer.training
    assert x.grad is None
    assert not spectrum.singular_values.requires_grad
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is None
        assert torch.equal(parameter, before[name])


@pytest.mark.parametrize("directions", [None, 4])
def test_under_inference_mode_and_autocast(directions: int | None) -> None:
    encoder = Pooled().eval()
    x = gaussian(3, 4, 8).float()
    expected = jacobian_spectrum(encoder, x, input_dims=2, directions=directions)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        spectrum = jacobian_spectrum(encoder, x + 0.0, input_dims=2, directions=directions)
    torch.testing.assert_close(spectrum.pointwise, expected.pointwise)


def test_a_constant_encoder_has_rank_0() -> None:
    with pytest.warns(UserWarning, match="the output ignores the input"):
        spectrum = jacobian_spectrum(
            lambda rows: torch.zeros_like(rows) * rows, torch.ones(5, 3), latent=torch.eye(3)
        )
    assert (spectrum.rank, spectrum.overlap) == (0, 0)
    assert spectrum.gap.isnan()
    assert spectrum.participation.isnan()
    assert spectrum.reason == "the output ignores the input"


def test_points_without_a_finite_jacobian_are_left_out() -> None:
    x = gaussian(2, 10, 3)
    x[0, 4], x[1] = math.nan, math.inf
    encoder = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5)).double()
    with pytest.warns(UserWarning, match="at 11 of 20 points is not finite; .*no point has.*in 1 of 2"):
        spectrum = jacobian_spectrum(encoder, x, latent=torch.eye(3))
    good = [i for i in range(10) if i != 4]
    alone = jacobian_spectrum(encoder, x[0, good], latent=torch.eye(3))
    for field in ("singular_values", "standard_error", "rank", "overlap"):
        torch.testing.assert_close(getattr(spectrum, field)[0], getattr(alone, field))
    assert spectrum.pointwise[0, 4].isnan().all()
    assert spectrum.rank[1].isnan()
    assert spectrum.overlap[1].isnan()
    assert spectrum.singular_values[1].isnan().all()


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_scale_changes_values_only(scale: float) -> None:
    encoder, x = encoders.mlp(6, 5), gaussian(10, 6).float()
    plain, scaled = jacobian_spectrum(encoder, x), jacobian_spectrum(lambda rows: encoder(rows) * scale, x)
    torch.testing.assert_close(scaled.singular_values, plain.singular_values * scale, rtol=1e-5, atol=0)
    assert scaled.rank == plain.rank
    torch.testing.assert_close(scaled.participation, plain.participation, rtol=1e-5, atol=0)


def test_one_point_has_no_standard_error() -> None:
    spectrum = jacobian_spectrum(encoders.mlp(6, 5), gaussian(1, 6).float())
    assert isinstance(spectrum, JacobianSpectrum)
    assert spectrum.standard_error.isnan().all()
    assert spectrum.singular_values.isfinite().all()


def test_wrong_arguments() -> None:
    encoder, x = nn.Linear(4, 3), torch.ones(6, 4)
    for options, message in [
        ({"directions": 0}, "directions must be at least 1"),
        ({"min_gap": 0.5}, "min_gap must be at least 1"),
        ({"input_dims": 2}, "2 input axes"),
        ({"input_dims": 1.0}, "input_dims must be a whole number, got 1.0"),
        ({"latent": ["a"]}, "latent"),
        ({"latent": torch.eye(5)}, r"latent must be \(4, k\)"),
        ({"latent": torch.ones(4, 5)}, "between 1 and 4 directions, got 5"),
        ({"latent": torch.eye(4), "directions": 3}, "directions must be at least the 4 of the latent, got 3"),
        ({"latent": torch.ones(4, 2)}, "linearly independent"),
        ({"latent": torch.full((4, 1), math.nan)}, "must be finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            jacobian_spectrum(encoder, x, **options)
    as_array = jacobian_spectrum(encoder, x, latent=np.eye(4)[:, :2])
    assert torch.equal(as_array.overlap, jacobian_spectrum(encoder, x, latent=torch.eye(4)[:, :2]).overlap)
    with pytest.raises(ValueError, match="x must be a tensor, as the encoder takes it, got the ndarray"):
        jacobian_spectrum(encoder, x.numpy())
    with pytest.raises(ValueError, match="float32 or float64"):
        jacobian_spectrum(encoder.half(), x.half())
    with pytest.raises(ValueError, match="the encoder must map"):
        jacobian_spectrum(lambda rows: rows.sum(-1), x)
    with pytest.raises(ValueError, match="the encoder must map"):
        jacobian_spectrum(lambda rows: rows, gaussian(2, 5, 3), input_dims=2)


def test_no_warning_without_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jacobian_spectrum(encoders.mlp(6, 5), gaussian(4, 6).float(), latent=torch.eye(6)[:, :2])


def test_singular_values_below_the_floor_count_as_zero() -> None:
    floor = 16 * 2 * torch.finfo(torch.float32).eps  # 16 machine units times the longer side
    for small, rank in ((floor / 2, 1), (floor * 2, 2)):
        weights = torch.tensor([1.0, small])
        jacobian = jacobian_spectrum(lambda rows, w=weights: rows * w, torch.ones(3, 2), min_gap=1e12)
        assert jacobian.rank == rank
