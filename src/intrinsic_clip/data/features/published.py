"""Read the feature files of the paper's published experiment by the names that its code gives them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from intrinsic_clip.data.features.feature_files import FeaturePairs, Features, read_files
from intrinsic_clip.data.images.image_captions import require_file, require_folder
from intrinsic_clip.data.splits import row_digests
from intrinsic_clip.errors import ConfigError

CELLS = ("rna_pca.csv", "adt_pca.csv")
CELL_LABELS = {"coarse": "lab1.csv", "fine": "lab2.csv"}
IMAGES, TEXTS, CLASSES = "image_embeds", "label_embeds", "class"


class PublishedFeatures(FeaturePairs):
    """`FeaturePairs` from a folder of the published experiment (github.com/yugjerry/mmcl-adapt).

    yfcc/ and imagenetv2/ hold `<set>_image_embeds_<joint>_<n>.npy`, `<set>_label_embeds_<joint>_<n>.npy` and
    `<set>_class_<joint>_<n>.npy`, the label set `class`; citeseq/ holds rna_pca.csv and adt_pca.csv, with lab1.csv and
    lab2.csv, the label sets `coarse` and `fine`.

    Args:
        folder: one of these folders.
        joint: `<joint>` in the file names, where the folder holds files of both values.
        options: see `FeaturePairs`.

    Raises:
        ConfigError: from `read`: files are missing, or there are several and `joint` is not given.
    """

    def __init__(self, folder: str, joint: bool | None = None, **options: Any) -> None:
        self.folder, self.joint = Path(folder), joint
        super().__init__(**options)

    def read_rows(self) -> Features:
        """Find the folder's files and read them."""
        x, y, labels = _files(self.folder, self.joint)
        read = read_files((str(x), None), (str(y), None), {name: str(path) for name, path in labels.items()})
        return replace(read, contents=row_digests(read.x))  # rows of y are texts of classes


def _files(folder: Path, joint: bool | None) -> tuple[Path, Path, dict[str, Path]]:
    """Return the paths of x, y and each label set."""
    require_folder(folder, f"{CELLS[0]}, or <set>_{IMAGES}_<joint>_<n>.npy")
    if (folder / CELLS[0]).is_file():
        x, y = (require_file(folder, name) for name in CELLS)
        return x, y, {name: require_file(folder, file) for name, file in CELL_LABELS.items()}
    names = sorted(path.name for path in folder.glob(f"*_{IMAGES}_{'*' if joint is None else joint}_*.npy"))
    if len(names) != 1:
        contents = (
            f"holds {' and '.join(names)}; data.joint=… says which" if names else f"holds no {CELLS[0]}"
        )
        missing = "" if names else f", and no <set>_{IMAGES}_{'<joint>' if joint is None else joint}_<n>.npy"
        raise ConfigError(f"data.folder={folder}: {contents}{missing}")
    x, y, classes = (
        require_file(folder, names[0].replace(IMAGES, part)) for part in (IMAGES, TEXTS, CLASSES)
    )
    return x, y, {"class": classes}
