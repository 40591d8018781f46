"""Make a W&B workspace for a project: a section per question, a group's mean and spread in every chart."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intrinsic_clip import config
from intrinsic_clip.errors import ConfigError
from intrinsic_clip.reports.overwriting import check_specification
from intrinsic_clip.runs import atomic
from intrinsic_clip.runs.vocabulary import (
    DIRECTIONS,
    MODALITIES,
    PAIRS,
    SIDES,
    USUAL_ESTIMATORS,
    describe,
    pair_name,
)

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

PACKAGE = "wandb_workspaces"
TIMEOUT = 20  # seconds that W&B may take to answer


def _lines(chart: str, parts: Mapping[str, str] = SIDES) -> list[str]:
    return [f"{chart}/{part}" for part in parts]


RECOVERY = "recovery/kernel"
SHARES = ("90pct", "95pct", "99pct")
SECTIONS: dict[str, list[list[str]]] = {  # section → charts → metrics
    "dimension": [
        *(
            _lines(f"id/{name}") for name in USUAL_ESTIMATORS
        ),  # a chart of what is hardly ever logged would be empty
        _lines("jacobian/rank"),
        _lines(RECOVERY),
    ],
    "temperature": [["temperature"], ["loss"], ["information/infonce_bound"]],
    "matching": [
        [*_lines(f"matching/{name}", DIRECTIONS), *_lines(f"retrieval/{name}", DIRECTIONS)]
        for name in ("top_1", "top_0.5pct", "median_rank")
    ],
    "similarities": [
        _lines("similarity", PAIRS),
        ["alignment/cosine"],
        _lines("uniformity"),
        ["modality_gap"],
        ["distribution_gap"],
        _lines("norm"),
        _lines("relative_norm"),
    ],
    "spectra": [
        _lines("spectrum/participation_ratio"),
        _lines("spectrum/effective_rank"),
        *(_lines(f"spectrum/components_{share}") for share in SHARES),
        _lines("jacobian/gap"),
    ],
}
HISTOGRAMS = {
    "similarities": [f"similarity/histogram_{pairs}" for pairs in PAIRS],
    "spectra": _lines("spectrum/histogram_log10_share"),
}
OF_X_AND_Y = ("temperature", "loss", *HISTOGRAMS["similarities"])  # whatever modalities there are
COLUMNS = ("id/mle/x", "id/mle/y", "temperature")


def dashboard(settings: Mapping[str, Any]) -> str:
    """Make the workspace, or write its specification; returns its address or the file.

    Args:
        settings: the resolved conf/dashboard.yaml.

    Raises:
        ConfigError: wandb-workspaces is not installed, there is no account, or W&B refuses or cannot be reached; or
            the file's name does not end in .json, or it is another file than such a specification.
        OSError: the file cannot be written.
    """
    config.check_dashboard(settings)
    if find_spec(PACKAGE) is None:
        raise ConfigError("wandb-workspaces is not installed: pip install wandb-workspaces")
    if settings["dry_run"]:
        path = Path(settings["file"])
        check_specification(path)
        specification = workspace(settings, settings["entity"] or "")._model
        atomic.write_atomically(
            path, specification.model_dump_json(by_alias=True, exclude_none=True, indent=2)
        )
        return str(settings["file"])
    return _save(settings)


def workspace(settings: Mapping[str, Any], entity: str) -> "Workspace":
    """Return the workspace that the settings describe, not saved yet."""
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    dims, modalities = settings["output_dims"], list(MODALITIES)[: settings["modalities"]]
    return ws.Workspace(
        entity=entity,
        project=settings["project"],
        name=settings["name"],
        sections=[_section(name, dims, modalities) for name in SECTIONS],
        settings=ws.WorkspaceSettings(x_axis="epoch"),
        runset_settings=ws.RunsetSettings(
            groupby=[expr.Metric("Group")],
            pinned_columns=[f"summary:{name}" for metric in COLUMNS for name in _names([metric], dims)],
        ),
    )


def _section(name: str, dims: Sequence[int] | None, modalities: Sequence[str]) -> "Section":
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    lines = [
        wr.LinePlot(
            title=describe(metrics[0]).title,
            x="epoch",
            y=[*_names(metrics, dims)],
            log_y=True if describe(metrics[0]).scale.axis == "log" else None,
            groupby="Group",
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )
        for metrics in _charts(name, modalities)
    ]
    histograms = [  # no mean of these: W&B draws one run's over time
        wr.LinePlot(title=describe(metric).full_title + key.removeprefix(metric), y=[key])
        for metric in HISTOGRAMS.get(name, [])
        for key in _names(_of_modalities([metric], modalities), dims)
    ]
    return ws.Section(name=name, panels=[*lines, *histograms], is_open=True)


def _charts(section: str, modalities: Sequence[str]) -> list[list[str]]:
    """Return the metrics of each chart of a section.

    Three modalities have no one latent: its recovery is logged by block, those that two or all of them share. No data
    with more modalities have a known latent.
    """
    several, charts = len(modalities) > 2, list[list[str]]()
    for metrics in SECTIONS[section]:
        if not (several and metrics == _lines(RECOVERY)):
            charts.append(_of_modalities(metrics, modalities))
        elif len(modalities) == 3:
            blocks = [*combinations(modalities, 3), *combinations(modalities, 2)]
            charts += [[f"{RECOVERY}/{''.join(block)}/{side}" for side in modalities] for block in blocks]
    return charts


def _of_modalities(metrics: Sequence[str], modalities: Sequence[str]) -> list[str]:
    """Return the names that the metrics of a chart of x and y have for each two modalities."""
    names = (
        metric if metric in OF_X_AND_Y else pair_name(metric, *pair)
        for pair in combinations(modalities, 2)
        for metric in metrics
    )
    return list(dict.fromkeys(names))


def _names(metrics: Sequence[str], dims: Sequence[int] | None) -> list[str]:
    """Return metrics' names in W&B, one for each output dimension; see `loggers.replicated.by_output_dim`."""
    return list(metrics) if dims is None else [f"{metric}/d={d}" for metric in metrics for d in dims]


def _save(settings: Mapping[str, Any]) -> str:
    import wandb

    try:
        entity = settings["entity"] or wandb.Api(timeout=TIMEOUT).default_entity
        if entity is None:
            raise ConfigError("entity: the account has no default entity; give entity=…")
        return str(workspace(settings, entity).save().url)
    except (wandb.errors.Error, OSError) as error:
        raise ConfigError(f"W&B: {' '.join(str(error).split())}") from error
