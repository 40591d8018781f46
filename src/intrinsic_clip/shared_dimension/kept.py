"""Keep finished trainings of an estimate in a folder, so that one that is killed continues with the next."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from intrinsic_clip.runs.atomic import make_folder
from intrinsic_clip.runs.sealed import Damaged, read_sealed, write_sealed
from intrinsic_clip.shared_dimension.training import Pair, Recipe, Trained

END = ".training.json"


class KeptTrainings:
    """Finished trainings in a folder, one sealed file each.

    Args:
        folder: made when the first training is kept.
        budget: seconds that the estimate may take; None: no limit.
    """

    def __init__(self, folder: Path | str, budget: float | None = None) -> None:
        self.folder, self.budget = Path(folder), budget

    def load(
        self, label: str, x: Tensor, y: Tensor, recipe: Recipe, seed: int
    ) -> tuple[Trained, float] | None:
        """Return a training and the seconds it took; None if it is not kept, damaged (which is said), or another.

        One that another budget shortened is another.

        Args:
            label: of the stage.
            x, y, recipe, seed: what it was trained with.
        """
        path = self._path(label)
        try:
            content = read_sealed(path, ("trained_with",))
            if content is None or content["trained_with"] != _key(x, y, recipe, seed):
                return None
            if content["shortened"] and content["budget"] != self.budget:
                return None
            tensors = load(base64.b64decode(content["tensors"]))
            pair = Pair((x.shape[1], y.shape[1]), recipe, seed)
            for name, encoder in (("f", pair.f), ("g", pair.g)):
                encoder.load_state_dict(_below(tensors, name))
            numbers = {name: tensors[name] for name in ("tau", "loss", "step")}
            trained = Trained(
                pair.f, pair.g, **numbers, steps=content["steps"], shortened=content["shortened"]
            )
            return trained, content["seconds"]
        except Damaged as error:
            reason = error.reason
        except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as error:
            reason = repr(error)
        print(f"{path}: damaged ({reason}); trained anew", flush=True)
        return None

    def save(
        self, label: str, trained: Trained, seconds: float, x: Tensor, y: Tensor, recipe: Recipe, seed: int
    ) -> None:
        """Keep a training, and the seconds it took."""
        tensors = {
            f"{name}/{key}": weight
            for name, encoder in (("f", trained.f), ("g", trained.g))
            for key, weight in encoder.state_dict().items()
        }
        tensors |= {"tau": trained.tau, "loss": trained.loss, "step": trained.step}
        encoded = base64.b64encode(save({name: each.contiguous() for name, each in tensors.items()}))
        make_folder(self.folder)
        content = {
            "trained_with": _key(x, y, recipe, seed),
            "steps": trained.steps,
            "shortened": trained.shortened,
            "budget": self.budget,
            "seconds": seconds,
            "tensors": encoded.decode(),
        }
        write_sealed(self._path(label), content)

    def remove(self) -> None:
        """Remove all that is kept: the estimate is written."""
        for path in self.folder.glob(f"*{END}"):
            path.unlink(missing_ok=True)

    def _path(self, label: str) -> Path:
        return self.folder / f"{label.replace(', ', '_').replace(' ', '_')}{END}"


def _below(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of one encoder by their own names."""
    return {key.partition("/")[2]: tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}


def _key(x: Tensor, y: Tensor, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Return what a training depends on."""
    data = hashlib.sha256()
    for side in (x, y):
        data.update(str(tuple(side.shape)).encode())
        data.update(side.contiguous().numpy().tobytes())
    return {"data": data.hexdigest(), "recipe": asdict(recipe), "seed": seed, "torch": torch.__version__}
