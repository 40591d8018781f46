"""Write the pages that are made from the package itself: the metrics, the settings, the public names of each room."""

import importlib
from collections.abc import Iterator
from pathlib import Path

from intrinsic_clip.config.folders import conf_folder
from intrinsic_clip.runs import vocabulary

ROOMS = {
    "dimension": "Intrinsic dimension",
    "metrics": "Metrics",
    "loss": "Loss, similarity, temperature",
    "probes": "Probes",
    "encoders": "Encoders",
    "data": "Data",
    "runs": "Runs",
    "integrations": "Integrations",
    "measurement": "Measurement",
    "shared_dimension": "Shared dimension",
    "paper_figures": "Paper figures",
}
# Modules that a room's users need beside its public names.
BESIDE = {
    "data": [
        "intrinsic_clip.data.features.feature_files",
        "intrinsic_clip.data.images.captions_folder",
        "intrinsic_clip.data.streams.webdataset",
    ],
    "integrations": [
        "intrinsic_clip.integrations.numbers",
        "intrinsic_clip.integrations.torchmetrics",
        "intrinsic_clip.integrations.hugging_face",
        "intrinsic_clip.integrations.sentence_transformers",
        "intrinsic_clip.integrations.scikit_learn",
    ],
    "measurement": [
        "intrinsic_clip.measurement.measurements",
        "intrinsic_clip.measurement.embedding_measurement",
        "intrinsic_clip.measurement.families",
    ],
    "shared_dimension": [
        "intrinsic_clip.shared_dimension.estimate",
        "intrinsic_clip.shared_dimension.given_encoders",
        "intrinsic_clip.shared_dimension.result",
        "intrinsic_clip.shared_dimension.probe",
    ],
}


def write(folder: Path) -> None:
    """Write every generated page below a folder; a page that is unchanged is left alone."""
    pages = {"metrics.md": metrics_page(), "configuration.md": configuration_page()}
    pages |= {f"api/{room}.md": api_page(room, title) for room, title in ROOMS.items()}
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def metrics_page() -> str:
    """Return the page of all metric names, from the vocabulary of the package."""
    return f"""# Table of metrics

Every number has one name. It is the same in `metrics.csv`, `results.json`, W&B, `collect(…)`, the report and the
figures. This page is generated from `intrinsic_clip.runs.vocabulary`.

x and y are the two modalities; [terms](../index.md#terms) explains the others. A number without a prefix is of
held-out rows. `in_sample/…` is the same number on training rows (in a training script of your own, on the last
training batches), and `test/…` on the rows of `trainer.test` there.

In W&B, a run with several replicates logs the mean under the name and the standard deviation under `…/std`; with
several output dimensions the names are `…/d=19` and `…/d=19/std`.

{vocabulary.markdown_table()}
"""


def configuration_page() -> str:
    """Return the reference of all settings: each verb's own, and every choice of every group."""
    parts = [
        "# Configuration",
        "A setting is given as `key=value`, a choice of a group as `group=choice`, and a setting of a group as "
        "`group.key=value`. `intrinsic-clip train … --cfg job` prints the whole config of a run. This page shows the "
        "files of `conf/` as they are.",
    ]
    for verb in ("train", "measure", "apply", "shared", "dashboard"):
        parts += [f"## `intrinsic-clip {verb}`", _listing(conf_folder() / f"{verb}.yaml")]
    for group in sorted(folder for folder in conf_folder().glob("**/") if list(folder.glob("*.yaml"))):
        name = str(group.relative_to(conf_folder()))
        if name == ".":
            continue
        parts.append(f"## `{name}=`")
        for choice in sorted(group.glob("*.yaml")):
            parts += [f"### `{name}={choice.stem}`", _listing(choice)]
    return "\n\n".join(parts) + "\n"


def _listing(file: Path) -> str:
    return f"```yaml\n{file.read_text().strip()}\n```"


def api_page(room: str, title: str) -> str:
    """Return the page of a room's public names, with those of the modules that its users need beside them."""
    modules = [f"intrinsic_clip.{room}", *BESIDE.get(room, [])]
    documented: set[str] = set()
    parts = [f"# {title}", f"`intrinsic_clip.{room}`"]
    for name in modules:
        module = importlib.import_module(name)
        names = [public for public in _public(module) if public not in documented]
        documented |= set(names)
        if name != modules[0] and not names:
            continue
        if name != modules[0]:
            parts.append(f"## `{name}`")
        parts.append(_directive(name, names))
    return "\n\n".join(parts) + "\n"


def _public(module: object) -> Iterator[str]:
    """Yield a module's public names: `__all__`, or else the functions and classes that it defines itself."""
    if hasattr(module, "__all__"):
        yield from module.__all__
        return
    for name, value in vars(module).items():
        if (
            not name.startswith("_")
            and callable(value)
            and getattr(value, "__module__", "") == module.__name__
        ):
            yield name


def _directive(module: str, names: list[str]) -> str:
    members = f"   :members: {', '.join(names)}" if names else "   :no-members:"
    return f"```{{eval-rst}}\n.. automodule:: {module}\n{members}\n```"
