"""Compute the losses of a training step with the C++ kernel."""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from torch import Tensor
from torch.optim import Optimizer

from intrinsic_clip.encoders.chain import Chain, chain_of, has_hooks
from intrinsic_clip.kernels import contrast, feed_forward, library, whole_step
from intrinsic_clip.kernels.places import is_served
from intrinsic_clip.kernels.whole_step import Norm
from intrinsic_clip.loss.info_nce import InfoNCE
from intrinsic_clip.loss.similarity import CosineSimilarity, PopulationSimilarity

if TYPE_CHECKING:
    from intrinsic_clip.training.module import ContrastiveModule

LossesAndTau = tuple[Tensor, Tensor | None]  # `(*R,)` each; no τ where the objective has none
Step = Callable[[Tensor, Tensor, Tensor, Tensor], LossesAndTau]
WholeRows = Callable[..., LossesAndTau | None]
KernelName = Literal["auto", "cpp", "triton", "none"]
# Of PyTorch 2.15 and of earlier ones.
GRAPH_CHECKS = ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check")


class KernelStep:
    """A training step by the kernel: all of it, or the encoders' part, or nothing where the kernel does not serve.

    Args:
        module: whose losses they are.
        otherwise: the step where the kernel does not serve: on a GPU, in another precision, for other encoders, or
            without a compiler.
        explained: whether to warn of the first step that the kernel does not serve.
    """

    def __init__(self, module: "ContrastiveModule", otherwise: Step, explained: bool = False) -> None:
        self.module, self.otherwise, self.explained = module, otherwise, explained
        # A subclass with an objective of its own must not get this one.
        self.own_losses = getattr(module._losses, "__qualname__", "") != "ContrastiveModule._losses"

    def whole(self) -> WholeRows | None:
        """Return what takes rows and returns losses and τ, `(*R,)` each, with the gradients in the parameters.

        It serves as long as nothing but numbers change in the module, and returns None for rows that it does not serve,
        and once the numbers of parameters lie elsewhere.
        Where the module's steps take autograd, there is none.
        """
        module, norm = self.module, _norm(self.module)
        chains = whole_step.chains_of(module.f, module.g)
        if norm is None or chains is None or module.temperature is None or self.own_losses:
            return None
        step, plain = whole_step.WholeStep(*chains, module.temperature, norm), _plain(module)

        def differentiated(x: Tensor, y: Tensor, *append: Tensor) -> LossesAndTau | None:
            population = (append[0], append[1]) if module.takes_population else None
            if not step.is_in_place() or _why_not_rows(plain, (x, y, *(population or ()))):
                return None
            return step((x, y), population)

        return differentiated

    def __call__(self, x: Tensor, y: Tensor, x_append: Tensor, y_append: Tensor) -> LossesAndTau:
        """Return losses and τ, `(*R,)` each, as `ContrastiveModule._losses` does."""
        module, chains = self.module, (chain_of(self.module.f), chain_of(self.module.g))
        reason = self._why_not(chains) or _why_not_rows(_plain(module), (x, y))
        if reason is None and module.takes_population:
            reason = "with a population norm it computes InfoNCE with one temperature alone, and no hooks"
        if reason is not None:
            if self.explained:
                self.explained = False
                warn_unserved(reason)
            return self.otherwise(x, y, x_append, y_append)
        return self._by_encoders(chains, x, y)

    def _why_not(self, chains: Sequence[Chain | None]) -> str | None:
        """Return why the kernel does not compute the encoders; None: it does."""
        if self.own_losses:
            return "the module has losses of its own"
        reason = unserved_similarity(self.module)
        for encoder, chain in zip((self.module.f, self.module.g), chains, strict=True):
            reason = reason or feed_forward.why_not(encoder, chain)
        return reason or library.why_not()

    def _by_encoders(self, chains: Sequence[Chain | None], *rows: Tensor) -> LossesAndTau:
        """Return losses and τ of rows that the kernel encodes."""
        module, tau = self.module, self.module.tau_of_objective()
        x, y = (feed_forward.encode(chain, each) for chain, each in zip(chains, rows, strict=True) if chain)
        if not module.takes_raw:
            x, y = module._alone("x", x), module._alone("y", y)
        if _plain(module) is not None and tau is not None and all(map(is_served, (x, y))):
            return contrast.info_nce(x, y, tau), tau
        return module.objective(x, y, tau), tau


def warn_unserved(reason: str) -> None:
    """Say in one line why steps run without the kernel that was asked for."""
    warnings.warn(f"kernel=cpp does not serve, so steps run without it: {reason}", stacklevel=2)


def _why_not_rows(plain: InfoNCE | None, rows: Sequence[Tensor]) -> str | None:
    """Return why the kernel does not compute a step on rows, of which the first two are the batch; None: it does."""
    reason = feed_forward.why_not_rows(rows)
    if reason is None and plain is not None:
        reason = contrast.why_not(rows[0].shape[-2], plain.chunk)
    return reason


def _plain(module: "ContrastiveModule") -> InfoNCE | None:
    """Return the objective if the kernel computes it, so that it is not called itself; None: it is."""
    return None if has_hooks(module.objective) else module.plain_info_nce


def _norm(module: "ContrastiveModule") -> Norm | None:
    """Return what outputs are divided by in steps that the kernel computes as a whole; None: not in this module's."""
    if _plain(module) is None or has_hooks(module.similarity):
        return None
    if type(module.similarity) is CosineSimilarity:
        return Norm.OWN
    if not module.takes_population or type(module.similarity) is not PopulationSimilarity:
        return None
    constant = bool(module.similarity.stop_gradient)
    return Norm.CONSTANT_OF_POPULATION if constant else Norm.OF_POPULATION


def unserved_similarity(module: "ContrastiveModule") -> str | None:
    """Return why no kernel computes this normalisation; None where one does."""
    if module.takes_population and type(module.similarity) is not PopulationSimilarity:
        return f"{type(module.similarity).__name__} has its own way with the population"
    return "the similarity has hooks" if module.takes_population and has_hooks(module.similarity) else None


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
