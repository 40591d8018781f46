"""Callbacks of a user's, as a config lists them under `probes`."""

from pytorch_lightning import Callback, LightningModule, Trainer

from intrinsic_clip.probes import AnyProbe


class PlainCallback(Callback):
    """Callback of Lightning's that holds no numbers."""


class WithoutSuper(AnyProbe):
    """Probe that forgets its base."""

    def __init__(self) -> None:
        pass


class StopsGradients(AnyProbe):
    """Callback that keeps f as it is, once its gradients are there."""

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the gradients to zero."""
        for parameter in pl_module.f.parameters():
            assert parameter.grad is not None
            parameter.grad.zero_()
