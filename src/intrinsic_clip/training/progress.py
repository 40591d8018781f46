"""Show one progress bar for the whole training: epoch, loss, τ and the last intrinsic dimension."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from tqdm.auto import tqdm

from intrinsic_clip.runs.vocabulary import main_numbers


class TrainingProgress(ProgressBar):
    """Progress bar over epochs; Lightning's own restarts each epoch, which here is a fraction of a second."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm | None = None

    def disable(self) -> None:
        """Show nothing; Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start at the epoch that the run resumes from."""
        if sys.stderr is None:  # closed
            return
        interval = 0.2 if sys.stderr.isatty() else 10.0  # a log file wants few lines
        with self._drawing():
            self._bar = tqdm(
                total=trainer.max_epochs if (trainer.max_epochs or 0) > 0 else None,
                initial=trainer.current_epoch,
                desc="epoch",
                unit="epoch",
                mininterval=interval,
                dynamic_ncols=True,
                disable=not self._enabled,
            )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Advance by one epoch."""
        if self._bar is not None:
            with self._drawing():
                self._bar.set_postfix_str(_postfix(trainer.callback_metrics), refresh=False)
                self._bar.update()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the last state on screen."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the message has a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            with self._drawing():
                self._bar.close()
            self._bar = None

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """Draw no more where it fails: a bar is not worth a training."""
        try:
            yield
        except (OSError, ValueError) as error:  # a stream that is closed, full, or cannot encode it
            self._bar = None
            warnings.warn(f"no progress bar: {error}", stacklevel=2)


def _postfix(metrics: Any) -> str:
    shown = {"loss": "loss", **main_numbers(metrics)}
    return ", ".join(
        f"{label} {float(metrics[name]):.3g}" for label, name in shown.items() if name in metrics
    )
