"""A W&B workspace for a project: one section per question, a group's mean and spread in every chart."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.runs import atomic
from intrinsic_clip.runs.vocabulary import ESTIMATORS

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace


PACKAGE = "wandb_workspaces"


TIMEOUT = 20  # seconds that W&B may take to answer


SIDES = ("x", "y")


DIRECTIONS = ("x_to_y", "y_to_x")


LINES = {  # section → chart → metrics
    "dimension": {
        **{f"ID, {name}": [f"id/{name}/{side}" for side in SIDES] for name in ESTIMATORS},
        "rank of the Jacobian": [f"jacobian/rank/{side}" for side in SIDES],
        "R² of the latent, kernel": [f"recovery/kernel/{side}" for side in SIDES],
    },
    "temperature": {
        "temperature": ["temperature"],
        "loss": ["loss"],
        "InfoNCE bound (nats)": ["information/infonce_bound"],
    },
    "matching": {
        f"matching, {name}": [f"matching/{name}/{direction}" for direction in DIRECTIONS]
        for name in ("top_1", "top_0.5pct", "median_rank")
    },
    "similarities": {
        "similarity of pairs": ["similarity/positive", "similarity/random"],
        "alignment": ["alignment/cosine"],
        "uniformity": [f"uniformity/{side}" for side in SIDES],
        "modality gap": ["modality_gap"],
        "norms": [f"norm/{side}" for side in SIDES],
        "norms relative to the append rows": [f"relative_norm/{side}" for side in SIDES],
    },
    "spectra": {
        name.replace("_", " "): [f"spectrum/{name}/{side}" for side in SIDES]
        for name in (
            "participation_ratio",
            "effective_rank",
            "components_90pct",
            "components_95pct",
            "components_99pct",
        )
    }
    | {"gap of the Jacobian": [f"jacobian/gap/{side}" for side in SIDES]},
}


HISTOGRAMS = {
    "similarities": ["similarity/histogram_positive", "similarity/histogram_random"],
    "spectra": [f"spectrum/histogram_log10_share/{side}" for side in SIDES],
}


LOGARITHMIC = {"temperature", "matching, median_rank"}


COLUMNS = ["id/mle/x", "id/mle/y", "temperature"]


def dashboard(settings: Mapping[str, Any]) -> str:
    """Make the workspace, or write its specification; returns where it is.

    Raises:
        ConfigError: wandb-workspaces is not installed, there is no account, or W&B refuses or cannot be reached.
        OSError: the file cannot be written.
    """
    config.check_dashboard(settings)
    if find_spec(PACKAGE) is None:
        raise ConfigError(
            "wandb-workspaces: not installed; pip install 'intrinsic-clip[dashboard]' brings it"
        )
    if settings["dry_run"]:
        specification = workspace(settings, settings["entity"] or "")._model
        atomic.write_atomically(
            Path(settings["file"]), specification.model_dump_json(by_alias=True, exclude_none=True, indent=2)
        )
        return str(settings["file"])
    return _save(settings)


def workspace(settings: Mapping[str, Any], entity: str) -> "Workspace":
    """The workspace that the settings ask for, not saved yet."""
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    dims = settings["output_dims"]
    return ws.Workspace(
        entity=entity,
        project=settings["project"],
        name=settings["name"],
        sections=[_section(name, dims) for name in LINES],
        settings=ws.WorkspaceSettings(x_axis="epoch"),
        runset_settings=ws.RunsetSettings(
            groupby=[expr.Metric("Group")],
            pinned_columns=[f"summary:{name}" for metric in COLUMNS for name in _names(metric, dims)],
        ),
    )


def _section(name: str, dims: Sequence[int] | None) -> "Section":
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    lines = [
        wr.LinePlot(
            title=title,
            x="epoch",
            y=[name for metric in metrics for name in _names(metric, dims)],
            log_y=True if title in LOGARITHMIC else None,
            groupby="Group",
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )
        for title, metrics in LINES[name].items()
    ]
    histograms = [  # no mean of these: W&B draws one run's over time
        wr.LinePlot(title=key, y=[key]) for metric in HISTOGRAMS.get(name, []) for key in _names(metric, dims)
    ]
    return ws.Section(name=name, panels=[*lines, *histograms], is_open=True)


def _names(metric: str, dims: Sequence[int] | None) -> list[str]:
    """What a metric is called in W&B; see `loggers.by_output_dim`."""
    return [metric] if dims is None else [f"{metric}/d={d}" for d in dims]


def _save(settings: Mapping[str, Any]) -> str:
    import wandb

    try:
        entity = settings["entity"] or wandb.Api(timeout=TIMEOUT).default_entity
        if entity is None:
            raise ConfigError("entity: the account has no default, so entity=… must be given")
        return str(workspace(settings, entity).save().url)
    except (wandb.errors.Error, OSError) as error:
        raise ConfigError(f"W&B: {' '.join(str(error).split())}") from error
