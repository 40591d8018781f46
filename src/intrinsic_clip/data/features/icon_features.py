"""Features of Iconify's icons and of their names, from the two packaged towers."""

from collections.abc import Sequence
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from intrinsic_clip.data.features.frozen import PackagedFeatures
from intrinsic_clip.data.images.icons import LICENCES, Icons
from intrinsic_clip.data.skipped_samples import Share
from intrinsic_clip.typed_values import checked


class IconFeatures(PackagedFeatures):
    """Features of icons `(n, 1280)` of EfficientNet-Lite0 and of their names `(n, 384)` of all-MiniLM-L6-v2.

    It is `Icons` under `PackagedFeatures` with the settings of both side by side, so that icons can take their turn
    among sources of features, in a sweep over `data` and in the verbs `measure` and `shared`.

    Args:
        folder: of the package @iconify/json.
        collections, licences, per_name: see `Icons`.
        image_size, pixels, max_bad, limit_gb, n_train, n_append, n_test, batch_size, split_seed: see `CaptionedImages`.
        standardise, noise_y: see `FrozenFeatures`.
        features_folder: parent of the folders of features.
        features_device: where the towers compute; None: a GPU if there is one.
    """

    @checked("data", besides=("features_device",))
    def __init__(
        self,
        folder: str,
        collections: list[str] | None = None,
        licences: Sequence[str] = LICENCES,
        per_name: PositiveInt | None = 1,
        image_size: PositiveInt = 64,
        pixels: Literal["float", "uint8"] = "uint8",
        max_bad: Share = 0.01,
        limit_gb: PositiveFloat = 8.0,
        n_train: PositiveInt | None = None,
        n_append: NonNegativeInt = 0,
        n_test: PositiveInt | None = 1000,
        batch_size: PositiveInt = 256,
        split_seed: NonNegativeInt = 0,
        standardise: bool = True,
        noise_y: NonNegativeFloat = 0.0,
        features_folder: str = "outputs/features",
        features_device: str | None = None,
    ) -> None:
        icons = Icons(
            collections,
            licences,
            per_name,
            folder=folder,
            image_size=image_size,
            pixels=pixels,
            max_bad=max_bad,
            limit_gb=limit_gb,
            n_train=n_train,
            n_append=n_append,
            n_test=n_test,
            batch_size=batch_size,
            split_seed=split_seed,
        )
        super().__init__(
            icons,
            standardise=standardise,
            noise_y=noise_y,
            folder=features_folder,
            device=features_device,
        )
