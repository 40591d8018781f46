"""Replay forward and backward pass of a training step as one CUDA graph, so that a small step does not wait for Python.

A step of one replicate launches about two hundred kernels of a few microseconds each, which takes the processor longer
to ask for than the GPU to do. A graph asks once for all of them. With hundreds of replicates it changes little.
"""

import warnings

import torch
from torch import Tensor, nn

from intrinsic_clip.training.kernel_step import LossesAndTau, Step

WARM_UP = 3  # passes before the capture, in which libraries choose their kernels and take their memory


class GraphedStep:
    """A step's losses, τ and gradients, replayed with new inputs in the same places of memory.

    Inputs of another shape, another device than a GPU, and autocast are left to the plain step. So is everything once a
    capture has failed, after one warning.

    Args:
        step: returns losses and τ, `(*R,)` each; Python in it runs when it is captured and never again.
        module: whose parameters get the gradients.
    """

    def __init__(self, step: Step, module: nn.Module) -> None:
        self.step, self.module = step, module
        self.failed = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: LossesAndTau | None = None
        self._gradients: list[tuple[nn.Parameter, Tensor | None]] = []

    def __call__(self, *inputs: Tensor) -> LossesAndTau | None:
        """Return the losses and τ, with the gradients in the parameters; None where the plain step must do it."""
        if self.failed or not inputs[0].is_cuda or torch.is_autocast_enabled("cuda"):
            return None
        if self._graph is None:
            stream = torch.cuda.current_stream()
            try:
                self._capture(inputs)
            except (
                Exception
            ) as error:  # what cannot be captured: a look at a number, an allocation outside PyTorch, …
                torch.cuda.set_stream(stream)  # PyTorch 2.11 stays on the stream of a capture that failed
                self._forget()
                warnings.warn(
                    f"the training step cannot be a CUDA graph, so it runs without: {_reason(error)}",
                    stacklevel=3,
                )
                return None
        if [rows.shape for rows in inputs] != [place.shape for place in self._inputs]:
            return None
        return self._replay(inputs)

    def _replay(self, inputs: tuple[Tensor, ...]) -> LossesAndTau:
        assert self._graph is not None
        assert self._outputs is not None
        for place, rows in zip(self._inputs, inputs, strict=True):
            place.copy_(rows)
        self._graph.replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient  # zero_grad() may have taken it away
        losses, tau = self._outputs
        return losses.clone(), None if tau is None else tau.clone()  # the next replay writes over them

    def _capture(self, inputs: tuple[Tensor, ...]) -> None:
        """Run the step a few times, put back what that moved, and capture it."""
        self._inputs = tuple(rows.detach().clone() for rows in inputs)
        kept = [(buffer, buffer.clone()) for buffer in self.module.buffers()]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._differentiate()
        torch.cuda.current_stream().wait_stream(aside)
        self._without_gradients()
        for buffer, value in kept:
            buffer.copy_(value)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            losses, tau = self._differentiate()
            self._outputs = losses.detach(), None if tau is None else tau.detach()
        self._gradients = [(parameter, parameter.grad) for parameter in self.module.parameters()]
        self._graph = graph

    def _differentiate(self) -> LossesAndTau:
        self._without_gradients()
        losses, tau = self.step(*self._inputs)
        losses.sum().backward()
        return losses, tau

    def _without_gradients(self) -> None:
        for parameter in self.module.parameters():
            parameter.grad = None

    def _forget(self) -> None:
        self.failed, self._graph, self._inputs, self._outputs = True, None, (), None
        self._gradients = []
        self._without_gradients()
        torch.cuda.synchronize()


def _reason(error: BaseException) -> str:
    """Return the first line of what ended a capture; its end, which fails too, knows nothing of the cause."""
    cause = error.__context__ or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
