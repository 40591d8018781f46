"""The consensus of replicates: what the metrics that normalised embeddings pull back to the inputs have in common.

G(x) = J(x)ᵀ J(x) / tr, with J the Jacobian of f(x) / ‖f(x)‖. What overfitting adds to it differs from replicate to
replicate, and what both views share does not. The directions are therefore taken from one half of the replicates, as
eigenvectors of their mean metric, and their lengths from the other half: a direction that only one half has is short in
the other, so that the spectrum is flat behind the shared dimensions and has a gap at their end.
"""

import math

import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.replication import ReplicatedFeedForward, ReplicatedLinear
from intrinsic_clip.loss.similarity import SMALLEST_NORM

HALVINGS = 4  # choices of a half of the replicates; both halves give directions in turn
BLOCK = 2**25  # numbers in the Jacobians of one block of points


@torch.no_grad()
def metrics(encoder: ReplicatedFeedForward, points: Tensor, lengths: bool = False) -> Tensor:
    """Return the pulled-back metric of every replicate at every point, `(S, n, p, p)`, each of trace 1.

    A replicate that is constant at a point has the zero metric there. S counts all copies, whatever their axes.

    Args:
        encoder: S replicates.
        points: `(n, p)`.
        lengths: whether the outputs' lengths count; if not, only their directions, which are compared in training.
    """
    replicates, p = math.prod(encoder.shape), points.shape[1]
    widest = max(layer.weight.shape[1] for layer in encoder.layers if isinstance(layer, ReplicatedLinear))
    block = max(1, BLOCK // (replicates * widest * p))
    return torch.cat(
        [_metrics(encoder, points[i : i + block], lengths) for i in range(0, len(points), block)], 1
    )


def _metrics(encoder: ReplicatedFeedForward, points: Tensor, lengths: bool) -> Tensor:
    jacobian = _scaled_jacobian(encoder, points)[0] if lengths else normalised_jacobian(encoder, points)
    gram = torch.einsum("sopn,soqn->snpq", jacobian, jacobian)
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    return gram / trace.clamp_min(torch.finfo(gram.dtype).tiny)[..., None, None]


@torch.no_grad()
def normalised_jacobian(encoder: ReplicatedFeedForward, points: Tensor) -> Tensor:
    """Return ∂(f / ‖f‖) / ∂x of every replicate at every point, `(S, d, p, n)`, for layers with ReLU.

    Raises:
        TypeError: an activation other than ReLU.
    """
    jacobian, unit = _scaled_jacobian(encoder, points)
    return jacobian - unit[:, :, None] * torch.einsum("son,sopn->spn", unit, jacobian)[:, None]


def _scaled_jacobian(encoder: ReplicatedFeedForward, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return (∂f / ∂x) / ‖f‖ of every replicate at every point, `(S, d, p, n)`, and f / ‖f‖, `(S, d, n)`."""
    replicates, (n, p) = math.prod(encoder.shape), points.shape
    hidden = points.T.expand(replicates, p, n)
    jacobian: Tensor | None = None
    for layer in encoder.layers:
        if isinstance(layer, ReplicatedLinear):
            hidden = layer(hidden)
            if jacobian is None:
                jacobian = layer.weight[..., None].expand(-1, -1, -1, n)
            else:
                flat = torch.bmm(layer.weight, jacobian.reshape(replicates, jacobian.shape[1], p * n))
                jacobian = flat.reshape(replicates, -1, p, n)
        elif isinstance(layer, nn.ReLU) and jacobian is not None:
            jacobian = jacobian * (hidden > 0).to(jacobian.dtype)[:, :, None]
            hidden = hidden.relu()
        else:
            raise TypeError(f"no derivative of {type(layer).__name__} is known here")
    assert jacobian is not None
    norm = torch.linalg.vector_norm(hidden, dim=1, keepdim=True).clamp_min(SMALLEST_NORM)
    return jacobian / norm[:, :, None], hidden / norm


def crossed(metrics: Tensor) -> Tensor:
    """Return what one half of the replicates assigns to the eigenvectors of the other half's mean metric.

    Args:
        metrics: of replicates at points, `(S, n, p, p)`.

    Returns:
        Values in the order of the eigenvalues, largest first, `(m, n, p)` float64, for m choices of a half; for one
        replicate its own eigenvalues, `(1, n, p)`.
    """
    replicates = len(metrics)
    if replicates == 1:
        return torch.linalg.eigvalsh(metrics.double()).flip(-1).clamp_min(0)
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(HALVINGS):
        order = torch.randperm(replicates, generator=generator)
        halves = [metrics[half].mean(0).double() for half in order.tensor_split(2)]
        for directions, lengths in (halves, halves[::-1]):
            vectors = torch.linalg.eigh(directions).eigenvectors.flip(-1)
            values.append((vectors * (lengths @ vectors)).sum(-2))
    return torch.stack(values).clamp_min(0)


def spectra(metrics: Tensor) -> Tensor:
    """Return the roots of the crossed values at every point, the mean over the choices of a half, `(n, p)` float64.

    Args:
        metrics: of replicates at points, `(S, n, p, p)`.
    """
    return crossed(metrics).mean(0).sqrt()


def ratios(spectrum: Tensor, output_dim: int) -> Tensor:
    """Return the ratio of each value to the next, `(…, m)`, as far as the outputs can tell directions apart.

    The tangent space of the sphere has d − 1 dimensions, and a view of p inputs has p: the ratio behind the last of
    them says nothing, so m = min(p, d − 1) − 1.
    """
    count = min(spectrum.shape[-1], output_dim - 1)
    values = spectrum[..., :count].clamp_min(torch.finfo(spectrum.dtype).eps)
    return values[..., :-1] / values[..., 1:]
