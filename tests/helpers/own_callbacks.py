"""Callbacks of a user's, as a config lists them under `probes`."""

import torch
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


class OwnNumbers(AnyProbe):
    """Callback that holds numbers of several forms, whatever the replicates are."""

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hold a tensor of one number, a plain number, and a number for each of five things."""
        self.latest |= {"mine/one": torch.tensor(1.5), "mine/plain": 2, "mine/five": torch.arange(5.0)}  # type: ignore[dict-item]
