"""Sources that pair texts, read by a frozen text tower, with numbers or with other texts."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intrinsic_clip.data.features.feature_files import FeaturePairs, Features
from intrinsic_clip.data.features.row_cache import Compute, load_or_compute_rows
from intrinsic_clip.data.paired import Split
from intrinsic_clip.data.splits import split_by_content
from intrinsic_clip.encoders.packaged import PackagedTowers, caption_weights
from intrinsic_clip.runs.contents import digest, weights_digest

TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class TextRows:
    """Pairs as a source lists them, before its texts become features.

    Attributes:
        texts: the text of each row.
        other: the other modality, numbers `(n, d)` or other texts.
        contents: digests that tell which rows must stay in one split, see `linked_digests`.
        labels: label sets by name, each `(n,)` int64.
    """

    texts: list[str]
    other: Tensor | list[str]
    contents: list[bytes]
    labels: dict[str, Tensor] = field(default_factory=dict)


class TextPairs(FeaturePairs):
    """Features of texts x `(n, 384)` of all-MiniLM-L6-v2, paired with y: numbers `(n, d)`, or texts `(n, 384)`.

    Subclasses implement `list_rows`. The tower reads the rows of the splits alone, so that few rows of a large set cost
    little; its features are kept on disk under a hash of the texts and the weights.

    Args:
        features_folder: parent of the folders of features.
        features_device: where the tower computes; None: a GPU if there is one.
        options: see `FeaturePairs`.
    """

    def __init__(
        self, features_folder: str = "outputs/features", features_device: str | None = None, **options: Any
    ) -> None:
        self.features_folder, self.features_device = Path(features_folder), features_device
        super().__init__(**options)

    @abstractmethod
    def list_rows(self) -> TextRows:
        """List the pairs of all splits.

        Raises:
            ConfigError: in one line that names the setting and what is wrong with it.
        """

    def read_rows(self) -> Features:
        """List the rows, keep those of the splits, and read the features of their texts."""
        listed = self.list_rows()
        splits = split_by_content(listed.contents, self._requested, self.split_seed)
        kept = torch.cat(list(splits.values())).sort().values
        contents = [listed.contents[row] for row in kept.tolist()]
        labels = {name: values[kept] for name, values in listed.labels.items()}
        self._texts = [listed.texts[row] for row in kept.tolist()]
        if isinstance(listed.other, Tensor):
            return Features(self._features_of(self._texts), listed.other[kept], labels, contents)
        others = [listed.other[row] for row in kept.tolist()]
        both = self._features_of([*self._texts, *others])
        return Features(both[: len(kept)], both[len(kept) :], labels, contents)

    def read_captions(self, split: Split, rows: Tensor | None = None) -> list[str]:
        """Return the texts of a split's rows."""
        self.read()
        chosen = self.rows[split] if rows is None else self.rows[split][rows]
        return [self._texts[row] for row in chosen.tolist()]

    def _features_of(self, texts: Sequence[str]) -> Tensor:
        return text_features(texts, self.features_folder, self.features_device)


def text_features(texts: Sequence[str], folder: Path, device: str | None = None) -> Tensor:
    """Return features `(n, 384)` float32 of texts by all-MiniLM-L6-v2, computed once for each set of texts.

    Args:
        texts: any texts; one that repeats is read once.
        folder: parent of the folders of features.
        device: where to compute; None: a GPU if there is one.

    Raises:
        ConfigError: the tower's packages are not installed.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))  # equal lengths need no padding
    key = digest([distinct, weights_digest(str(caption_weights()))])

    def prepare() -> Compute:
        towers = PackagedTowers(TEXTS_AT_ONCE, device)
        _ = towers.caption_tower  # so that an error comes before anything else is done
        return lambda start, stop: [towers.caption_features(distinct[start:stop])]

    (features,) = load_or_compute_rows(
        folder / key, len(distinct), TEXTS_AT_ONCE, prepare, "features of texts", ["text"]
    )
    places = {text: place for place, text in enumerate(distinct)}
    return torch.from_numpy(np.asarray(features)[[places[text] for text in texts]])
