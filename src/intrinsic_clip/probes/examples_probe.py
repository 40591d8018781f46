"""Show some held-out images, and the captions that the embeddings find for them."""

from pathlib import Path
from typing import Any

import torch
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor

from intrinsic_clip.data.paired import PairedData, Pairs
from intrinsic_clip.errors import joined_lines
from intrinsic_clip.loggers.media import log_picture, log_table, service_of
from intrinsic_clip.probes.base import AnyProbe
from intrinsic_clip.probes.contact_sheet import Retrieved, contact_sheet, mark
from intrinsic_clip.probes.embeddings import forget_embeddings, sampled_rows, take_embeddings
from intrinsic_clip.runs.atomic import write_atomically
from intrinsic_clip.runs.results import EXAMPLES
from intrinsic_clip.seeding import seeded
from intrinsic_clip.typed_values import checked


class ExamplesProbe(AnyProbe):
    """Draw retrieved captions to `examples.png` in the run folder, and log them to W&B as a table, to other
    loggers as a table and the picture.

    It gives a picture and no numbers, so it is no `Probe`. It draws in `trainer.test` of a ContrastiveModule on data
    that have pictures and captions, to the trainer's default_root_dir; with other data it does nothing. Captions are
    ranked by their cosine with the image, in the first replicate. A caption counts as right if it is the image's own,
    or equal to it, or belongs to the same picture, and any right one is a hit, as in recall. A failure is a warning,
    and the run continues.

    Args:
        images: how many to show, drawn with `seed`.
        captions: how many to list for each.
        max_samples: search a sample of that many held-out rows where there are more, the same that other probes draw.
        seed: of both samples.
    """

    @checked()
    def __init__(
        self,
        images: PositiveInt = 8,
        captions: PositiveInt = 5,
        max_samples: PositiveInt = 10_000,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        self.images, self.captions, self.max_samples, self.seed = images, captions, max_samples, seed

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forget the embeddings of an earlier fit or test."""
        forget_embeddings(pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the sheet and log the table, on rank 0."""
        data = getattr(trainer, "datamodule", None)
        if not trainer.is_global_zero or not isinstance(data, PairedData):
            return
        try:
            retrieved = self.retrieve(trainer, pl_module, data)
            if retrieved:
                sheet = contact_sheet(retrieved)
                write_atomically(Path(trainer.default_root_dir) / EXAMPLES, sheet)
                self._log(trainer, retrieved, sheet)
        except Exception as error:  # a picture must not cost the training
            self.warn_once(f"{type(self).__name__} failed, there are no examples: {joined_lines(error)}")

    def _log(self, trainer: Trainer, retrieved: list[Retrieved], sheet: bytes) -> None:
        """Log the table, and the sheet too where a table shows no pictures."""
        columns, rows = _rows(retrieved)
        for logger in trainer.loggers:
            reason = log_table(logger, "examples", columns, rows, trainer.global_step)
            if service_of(logger) != "wandb":
                reason = log_picture(logger, "examples_sheet", sheet, trainer.global_step) or reason
            if reason is not None:
                self.warn_once(f"{type(self).__name__}: {reason}")

    @torch.no_grad()
    def retrieve(self, trainer: Trainer, module: LightningModule, data: PairedData) -> list[Retrieved]:
        """Return the captions found for each image drawn; an empty list where the data have no pictures.

        Raises:
            ValueError: the embeddings are not finite.
        """
        rows = sampled_rows(len(data.pairs("test")), self.max_samples, self.seed)
        drawn = torch.randperm(len(rows), generator=seeded(self.seed))[: self.images]
        own = data.examples(rows[drawn])
        if own is None:
            return []
        embeddings = take_embeddings(trainer, module, "test", self.max_samples, self.seed)
        x, y = (side.flatten(0, -3)[0] if side.ndim > 2 else side for side in embeddings.pair())
        cosines = _cosines(x[drawn.to(x.device)], y).cpu()
        order = cosines.argsort(dim=1, descending=True, stable=True)
        best = order[:, : self.captions]
        best_examples = data.examples(rows[best.flatten()])
        assert best_examples is not None
        width, retrieved = best.shape[1], []
        for i, row in enumerate(drawn.tolist()):
            partners = _partners(data.pairs("test"), rows, row)
            images = best_examples.images[i * width : (i + 1) * width]
            captions = best_examples.captions[i * width : (i + 1) * width]
            # features of equal captions differ by their noise
            same_caption = torch.tensor([caption == own.captions[i] for caption in captions])
            partners[best[i]] |= same_caption | (images == own.images[i]).flatten(1).all(1)
            right = partners[order[i]]
            retrieved.append(
                Retrieved(
                    own.images[i],
                    captions,
                    cosines[i, best[i]].tolist(),
                    right[:width].tolist(),
                    own.captions[i],
                    int(right.nonzero()[0]) + 1,
                    int((order[i] == row).nonzero()) + 1,
                    len(rows),
                )
            )
        return retrieved


def _partners(test: Pairs, rows: Tensor, row: int) -> Tensor:
    """Return which candidates belong to an image, `(n,)`: those whose picture or caption is the same as its own.

    Args:
        test: all test rows.
        rows: the candidates among them.
        row: the image's place among the candidates.
    """
    own = int(rows[row])
    sides = (side.flatten(1) for side in (test.x, test.y))
    same = torch.stack([(side == side[own]).all(1).cpu() for side in sides])
    return same.any(0)[rows]


def _cosines(images: Tensor, captions: Tensor) -> Tensor:
    x, y = (torch.nn.functional.normalize(side.double(), dim=-1) for side in (images, captions))
    cosines = x @ y.T
    if not cosines.isfinite().all():
        raise ValueError("the embeddings are not finite")
    return cosines


def _rows(retrieved: list[Retrieved]) -> tuple[list[str], list[list[Any]]]:
    """Return columns and rows of a table of the retrievals, each caption with its mark."""
    columns = ["image", "true caption", "rank"]
    columns += [f"caption {i + 1}" for i in range(len(retrieved[0].captions))]
    rows = []
    for retrieval in retrieved:
        marked = [f"{mark(right)} {c}" for right, c in zip(retrieval.right, retrieval.captions, strict=True)]
        pixels = (retrieval.image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
        rows.append([pixels, retrieval.true_caption, retrieval.rank, *marked])
    return columns, rows
