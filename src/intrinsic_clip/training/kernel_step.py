"""Compute the losses of a training step with the C++ kernel."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor
from torch.optim import Optimizer

from intrinsic_clip.encoders.chain import Chain, chain_of
from intrinsic_clip.kernels import contrast, feed_forward, library
from intrinsic_clip.loss.similarity import PopulationSimilarity

if TYPE_CHECKING:
    from intrinsic_clip.training.module import ContrastiveModule

LossesAndTau = tuple[Tensor, Tensor | None]  # `(*R,)` each; no τ where the objective has none
Step = Callable[[Tensor, Tensor, Tensor, Tensor], LossesAndTau]
# Of PyTorch 2.15 and of earlier ones.
GRAPH_CHECKS = ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check")


def kernel_step(module: "ContrastiveModule", otherwise: Step, explained: bool = False) -> Step:
    """Return a step that encodes and contrasts a batch with the kernel.

    Args:
        module: whose losses they are.
        otherwise: the step where the kernel does not serve: on a GPU, in another precision, for other encoders, or
            without a compiler.
        explained: whether to warn of the first step that the kernel does not serve.
    """
    # A subclass with an objective of its own must not get this one.
    own_losses = getattr(module._losses, "__qualname__", "") != "ContrastiveModule._losses"
    loads: str | None = None  # why the library does not load, once it was tried
    tried = False

    def run(x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> LossesAndTau:
        nonlocal explained, loads, tried
        f, g = chain_of(module.f), chain_of(module.g)
        reason = "the module has losses of its own" if own_losses else None
        reason = reason or _why_not(module, (f, g), (x, y), (x_append, y_append))
        if reason is None and not tried:
            loads, tried = _why_not_loaded(), True
        reason = reason or loads
        if reason is None:
            assert f is not None
            assert g is not None
            return _losses(module, (f, g), (x, y), (x_append, y_append))
        if explained:
            explained = False
            warn_unserved(reason)
        return otherwise(x, y, x_append, y_append)

    return run


def warn_unserved(reason: str) -> None:
    """Say in one line why steps run without the kernel that was asked for."""
    warnings.warn(f"kernel=cpp does not serve, so steps run without it: {reason}", stacklevel=2)


Both = tuple[Tensor, Tensor]


def _why_not(
    module: "ContrastiveModule",
    chains: tuple[Chain | None, Chain | None],
    batch: Both,
    append: Both,
) -> str | None:
    plain, reason = module.plain_info_nce, unserved_similarity(module)
    if reason is None and module.takes_population and plain is None:
        reason = "with a population norm it computes InfoNCE with one temperature alone"
    if reason is not None:
        return reason
    for encoder, chain, *inputs in zip((module.f, module.g), chains, batch, append, strict=True):
        reason = feed_forward.why_not(encoder, chain, *(inputs if module.takes_population else inputs[:1]))
        if reason is not None:
            return reason
    return None if plain is None else contrast.why_not(batch[0].shape[-2], plain.chunk)


def unserved_similarity(module: "ContrastiveModule") -> str | None:
    """Return why no kernel computes this normalisation; None where one does."""
    if module.takes_population and type(module.similarity) is not PopulationSimilarity:
        return f"{type(module.similarity).__name__} has its own way with the population"
    return None


def _why_not_loaded() -> str | None:
    try:
        library.load()
    except library.KernelUnavailableError as error:
        return str(error)
    return None


def _losses(
    module: "ContrastiveModule",
    chains: tuple[Chain, Chain],
    batch: Both,
    append: Both,
) -> LossesAndTau:
    """Return losses and τ, `(*R,)` each, as `ContrastiveModule._losses` does."""
    tau = module.tau_of_objective()
    if module.takes_population:
        assert tau is not None
        return feed_forward.losses(*chains, batch, append, tau, bool(module.similarity.stop_gradient)), tau
    x, y = (feed_forward.encode(chain, rows) for chain, rows in zip(chains, batch, strict=True))
    if not module.takes_raw:
        x, y = module._alone("x", x), module._alone("y", y)
    if module.plain_info_nce is not None and tau is not None:
        return contrast.info_nce(x, y, tau), tau
    return module.objective(x, y, tau), tau


def without_graph_checks(optimizer: Optimizer) -> Optimizer:
    """Spare an optimizer of parameters on a CPU the search for a GPU in each step, a tenth of a small step."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if all(parameter.device.type == "cpu" for parameter in parameters):
        for name in GRAPH_CHECKS:
            if hasattr(optimizer, name):
                setattr(optimizer, name, _nothing)
    return optimizer


def _nothing() -> None:
    """Do nothing."""
