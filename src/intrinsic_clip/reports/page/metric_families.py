"""Group metrics that share a chart, such as the two sides of an estimate."""

from collections.abc import Iterable
from typing import Any

from intrinsic_clip.runs.vocabulary import Metric, describe


def metric_families(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the charts of all metrics but standard errors, the main ones first.

    Each has id (what its metrics have in common), title and `short` one, unit, `zero` (its axis begins there), `log`
    (its axis is best logarithmic), `truth` (k* is its true value), `main` (it is in the summary) and lines, which have
    metric and label.
    """
    families: dict[str, list[Metric]] = {}
    for metric in sorted((describe(name) for name in names), key=lambda metric: metric.order):
        if "standard_error/" not in metric.name:
            families.setdefault(metric.chart, []).append(metric)
    return [_family(metrics) for metrics in families.values()]


def _family(metrics: list[Metric]) -> dict[str, Any]:
    first = metrics[0]
    return {
        "id": first.chart,
        "title": first.title,
        "short": first.short,
        "unit": first.scale.unit,
        "zero": first.scale.axis in ("from zero", "zero to one"),
        "log": first.scale.axis == "log",
        "main": first.main,
        "truth": first.true_dimension,
        "lines": [{"metric": metric.name, "label": metric.part} for metric in metrics],
    }
