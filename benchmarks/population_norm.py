"""Compare the choices of objective/similarity: does training shrink the rows whose norm divides, at what cost?

    python benchmarks/population_norm.py [--data openclipart synthetic_linear icons] [--output outputs/benchmarks]

Trains two replicates at d = 19 for each data set and choice, then takes the mean norms of the encoders'
outputs over the append rows, the training rows and the held-out rows from the last checkpoint. Finished runs are not
repeated, and an interrupted one resumes; the tables are printed, and written to <output>/population_norm.md after every
run. `icons` needs its package, named by `--icons`, and those of features=packaged.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
import torch
from torch import Tensor

from intrinsic_clip import config
from intrinsic_clip.runs.results import CHECKPOINT
from intrinsic_clip.runs.spec import RunSpec
from intrinsic_clip.training.build import build
from intrinsic_clip.training.checkpoints import read_checkpoint
from intrinsic_clip.training.train import train

SIMILARITIES = ("population", "stopped", "renewed", "moving_average", "batch", "cosine")
COMMON = (
    "logger=csv", "progress=false", "threads=1", "compile=false", "probes=default", "probes.every_n_epochs=100",
    "probes.matching.ks=[1,10]", "probes.examples=null",
)  # fmt: skip
DATA = {
    "openclipart": ("experiment=openclipart", "replicates=2"),
    "synthetic_linear": ("experiment=synthetic_linear", "replicates=2", "trainer.max_epochs=100"),
    "icons": (
        "data=icons", "features=packaged", "data.n_train=4096", "data.n_append=256", "data.n_test=1000", "name=icons",
        "objective.temperature.scale=2.0", "optimizer.lr=1e-3", "replicates=2", "trainer.max_epochs=60",
    ),
}  # fmt: skip
HEADER = (
    "similarity", "τ", "norm of append / training rows, f and g", "held-out / training rows, f and g", "MLE f, g",
    "TwoNN f, g", "recall@1, @10 held out", "recall@1, @10 in sample",
)  # fmt: skip


def measured(overrides: list[str]) -> dict[str, Any]:
    """Train a run unless it is finished, and return its metrics and the mean norms of each split's rows."""
    spec = RunSpec.of(hydra.compose("train", overrides=overrides))
    metrics = train(spec.cfg)["metrics"]
    return {name: torch.tensor(metric["values"]) for name, metric in metrics.items()} | norms(spec)


@torch.no_grad()
def norms(spec: RunSpec) -> dict[str, Tensor]:
    """Return the mean norm of the encoders' outputs over each split, `(*R,)` each, at the end of a finished run."""
    training = build(spec)
    training.module.load_state_dict(read_checkpoint(spec.folder / CHECKPOINT)["state_dict"])
    training.module.eval()
    found = {}
    for split in ("train", "append", "test"):
        pairs = training.data.pairs(split)
        for side, outputs in zip("xy", training.module.encode(pairs.x, pairs.y), strict=True):
            found[f"{split}_norm/{side}"] = torch.linalg.vector_norm(outputs, dim=-1).mean(-1)
    return found


def cells(similarity: str, values: Mapping[str, Tensor]) -> list[str]:
    """Return one line of the table, mean ± standard deviation over replicates."""
    ratios = {
        split: [values[f"{split}_norm/{side}"] / values[f"train_norm/{side}"] for side in "xy"]
        for split in ("append", "test")
    }
    recalls = [[values[f"{kind}matching/top_{k}/x_to_y"] for k in (1, 10)] for kind in ("", "in_sample/")]
    groups = [
        [values["temperature"]], ratios["append"], ratios["test"],
        *([values[f"id/{estimator}/{side}"] for side in "xy"] for estimator in ("mle", "twonn")), *recalls,
    ]  # fmt: skip
    return [similarity, *(", ".join(map(spread, group)) for group in groups)]


def spread(values: Tensor) -> str:
    """Return mean ± standard deviation of some replicates."""
    return f"{float(values.mean()):.3g} ± {float(values.std()):.1g}"


def table(data: str, lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    rows = [list(HEADER), ["---"] * len(HEADER), *lines]
    return "\n".join([f"## {data}", "", *(f"| {' | '.join(row)} |" for row in rows), ""])


def main() -> None:
    """Train what is unfinished, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=DATA, default=["openclipart", "synthetic_linear"])
    parser.add_argument("--similarity", nargs="+", choices=SIMILARITIES, default=list(SIMILARITIES))
    parser.add_argument("--icons", default="node_modules/@iconify/json", help="folder of the icons' package")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"))
    arguments = parser.parse_args()
    tables: dict[str, list[list[str]]] = {data: [] for data in arguments.data}
    with hydra.initialize_config_dir(str(config.conf_folder()), version_base="1.3"):
        for data, lines in tables.items():
            for similarity in arguments.similarity:
                own = [f"data.folder={arguments.icons}"] if data == "icons" else []
                overrides = [*COMMON, *DATA[data], *own, f"objective/similarity={similarity}"]
                lines.append(cells(similarity, measured([*overrides, f"output_dir={arguments.output}"])))
                text = "\n".join(table(name, rows) for name, rows in tables.items() if rows)
                arguments.output.mkdir(parents=True, exist_ok=True)
                (arguments.output / "population_norm.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
