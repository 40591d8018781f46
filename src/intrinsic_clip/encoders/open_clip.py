"""Embed images and captions with a pretrained open_clip model."""

import difflib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import PositiveInt
from torch import Tensor, nn
from tqdm import tqdm

from intrinsic_clip.encoders.fine_tuning import Trainable, fine_tuned
from intrinsic_clip.encoders.preprocessing import check_images_and_tokens, fit_context_length, prepare_images
from intrinsic_clip.encoders.projections import FeatureLayer, take_projections
from intrinsic_clip.errors import ConfigError, first_line

VOCABULARY = 49408  # of open_clip's own tokenizer
LOCAL, HUB = "local-dir:", "hf-hub:"


class OpenClip:
    """A pretrained model that embeds images `(n, 3, h, w)`, floats in [0, 1] or uint8, and token ids `(n, length)`.

    Projected embeddings have unit norm, as the model compares them; features before the projection are not normalised.

    Args:
        model: a name that open_clip knows, `hf-hub:NAME`, or a folder (also as `local-dir:FOLDER`) that holds
            open_clip_config.json and the weights.
        pretrained: where `model` is a name: one of its tags, or a file of weights.
        batch_size: rows at once.
        device: where to compute; None: a GPU if there is one.
        features: `projected` for embeddings after the projection, `tower` for features before it.
        trainable, output_dim: the parts that `encoders` trains, and the size of new heads, see `fine_tuned`.
    """

    def __init__(
        self,
        model: str,
        pretrained: str | None = None,
        batch_size: PositiveInt = 64,
        device: str | None = None,
        features: FeatureLayer = "projected",
        trainable: Trainable = "heads",
        output_dim: PositiveInt | None = None,
    ) -> None:
        self.requested_model, self.pretrained, self.batch_size = model, pretrained, batch_size
        self.requested_device = device
        self.layer, self.trainable, self.output_dim = features, trainable, output_dim

    @cached_property
    def model(self) -> Any:
        """Load the model at first use.

        Raises:
            ConfigError: there is no such model, its weights are missing or do not fit, or it has its own tokenizer.
        """
        with torch.inference_mode(False):  # weights made in inference mode could not be trained later
            model = _load(self.name, self.pretrained).to(self.device).eval()
            if self.layer == "tower":
                take_projections(model, self.name)
        return model

    def load(self) -> Self:
        """Load the model now, so that an error comes before anything else is done; see `model`."""
        _ = self.model
        return self

    @cached_property
    def name(self) -> str:
        """Return the name by which open_clip knows the model; a folder is `local-dir:FOLDER`."""
        return LOCAL + self.requested_model if Path(self.requested_model).is_dir() else self.requested_model

    @cached_property
    def device(self) -> torch.device:
        """Return the device of the model."""
        return torch.device(self.requested_device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def embed(self, images: Tensor, tokens: Tensor, progress: bool = False) -> tuple[Tensor, Tensor]:
        """Return embeddings `(n, d)` float32 of both modalities, on the CPU."""
        check_images_and_tokens(images, tokens)
        return self.embed_images(images, progress), self.embed_texts(tokens, progress)

    def encoders(self, d_x: int | tuple[int, ...], d_y: int | tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
        """Return f and g to train on rows of these shapes, the towers with heads; the model is taken apart for them.

        Raises:
            ConfigError: rows that are no images and token ids, a vocabulary smaller than the tokenizer's, or see
                `fine_tuned`.
        """
        if not (isinstance(d_x, tuple) and len(d_x) == 3 and isinstance(d_y, tuple) and len(d_y) == 1):
            raise ConfigError(
                f"encoder: takes images (3, h, w) and token ids, the data's rows are {d_x} and {d_y}"
            )
        if self.model.vocab_size < VOCABULARY:
            raise ConfigError(
                f"encoder.model={self.name}: knows {self.model.vocab_size} tokens, open_clip's tokenizer {VOCABULARY}"
            )
        return fine_tuned(self.model, self.name, self.layer, self.trainable, self.output_dim, self.batch_size)

    def functions(self) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """Return functions of images and of token ids to outputs `(n, d)` on the CPU, which can be differentiated."""
        return (
            lambda images: self.model.encode_image(self._prepared(images.to(self.device))).float().cpu(),
            lambda tokens: self.model.encode_text(self._fitted(tokens).to(self.device)).float().cpu(),
        )

    @torch.inference_mode()
    def features(self, images: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(n, d_x)` and `(n, d_y)` of one batch, float32 on the CPU, never normalised."""
        check_images_and_tokens(images, tokens)
        x = self.model.encode_image(self._prepared(images.to(self.device)))
        y = self.model.encode_text(self._fitted(tokens).to(self.device))
        return x.float().cpu(), y.float().cpu()

    def embed_images(self, images: Tensor, progress: bool = False) -> Tensor:
        """Return embeddings of images, which are resized and normalised as the model was trained."""
        return self._in_batches(
            lambda rows: self.model.encode_image(self._prepared(rows), normalize=self.layer == "projected"),
            images,
            "images",
            progress,
        )

    def embed_texts(self, tokens: Tensor, progress: bool = False) -> Tensor:
        """Return embeddings of ids of open_clip's tokenizer, cut or padded to the model's context length."""
        return self._in_batches(
            lambda rows: self.model.encode_text(rows, normalize=self.layer == "projected"),
            self._fitted(tokens),
            "captions",
            progress,
        )

    def _fitted(self, tokens: Tensor) -> Tensor:
        words = self.model.vocab_size
        if int(tokens.max()) >= words:
            raise ConfigError(
                f"encoder.model={self.name}: knows {words} tokens, but the data's ids go to {int(tokens.max())}"
            )
        return fit_context_length(tokens, self.model.context_length)

    @torch.inference_mode()
    def _in_batches(
        self, tower: Callable[[Tensor], Tensor], rows: Tensor, name: str, progress: bool
    ) -> Tensor:
        bar = tqdm(total=len(rows), desc=f"embedding {name}", dynamic_ncols=True, disable=not progress)
        embeddings = []
        with bar:
            for batch in rows.split(self.batch_size):
                embeddings.append(tower(batch.to(self.device)).float().cpu())
                bar.update(len(batch))
        return torch.cat(embeddings).clone()

    def _prepared(self, images: Tensor) -> Tensor:
        return prepare_images(images, self.model.visual.preprocess_cfg)


def _load(name: str, pretrained: str | None) -> Any:
    import open_clip

    has_weights = name.startswith((LOCAL, HUB))
    if has_weights and pretrained is not None:
        raise ConfigError(f"encoder.pretrained={pretrained}: {name} has its own weights; leave it out")
    if not has_weights:
        _check_name(name, pretrained)
    with _silent():
        try:
            model = open_clip.create_model(name, pretrained, require_pretrained=True)
        except Exception as error:  # the hub, the network, the disk and a state dict raise many types
            raise ConfigError(_unavailable(name, pretrained, error)) from error
        _check_tokenizer(name, open_clip.get_model_config(name) or {})
    return model


def _check_name(name: str, pretrained: str | None) -> None:
    import open_clip

    models = open_clip.list_models()
    if name.replace("/", "-") not in models:
        close = difflib.get_close_matches(name, models, n=1)
        hint = f"did you mean {close[0]}?" if close else "nor is it a folder"
        raise ConfigError(f"encoder.model={name}: open_clip has no such model, {hint}")
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained is None or (pretrained not in tags and not Path(pretrained).is_file()):
        problem = "not given" if pretrained is None else f"no tag of {name} and no file"
        nearest = difflib.get_close_matches(pretrained or "", tags, n=3, cutoff=0) or tags[:3]
        offer = f"it has {len(tags)} tags, such as {', '.join(nearest)}" if tags else "it has no tags"
        raise ConfigError(
            f"encoder.pretrained={pretrained or ''}: {problem}; {offer}; or give a file of weights"
        )


def _check_tokenizer(name: str, config: dict[str, Any]) -> None:
    if config.get("text_cfg", {}).get("hf_tokenizer_name") or "siglip" in name.lower():
        raise ConfigError(
            f"encoder.model={name}: has a tokenizer of its own, and the data's ids are those of open_clip's"
        )


def _unavailable(name: str, pretrained: str | None, error: Exception) -> str:
    """Return the message for a model that could not be loaded: the cause, and the settings to use instead."""
    reason = first_line(error).partition(". Last error")[0].rpartition(": ")[2]
    if pretrained is not None and Path(pretrained).is_file():
        return f"encoder.pretrained={pretrained}: these are no weights of {name} ({reason})"
    if name.startswith(LOCAL):
        return f"encoder.model={name}: cannot be loaded ({reason})"
    subject = (
        f"encoder.pretrained={pretrained}: the weights of {name}"
        if pretrained
        else f"encoder.model={name}: it"
    )
    return (
        f"{subject} cannot be downloaded ({reason}); where there is a local copy, "
        f"encoder.pretrained=FILE or encoder.model=FOLDER reads it"
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Silence the log of open_clip, whose errors are reported in one line instead."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
