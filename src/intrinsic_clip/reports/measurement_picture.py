"""Draw a measurement: spectrum, intrinsic dimension over scale and sample size, recall of fewer dimensions."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from intrinsic_clip.reports.chart_panels import panels, png
from intrinsic_clip.reports.measurement_charts import charts
from intrinsic_clip.reports.measurement_printout import headline
from intrinsic_clip.reports.two_model_charts import two_model_charts


def draw(measurement: Mapping[str, Any]) -> bytes:
    """Return a PNG of up to four panels; bands are ± one standard error."""
    return png(figure(measurement))


def figure(measurement: Mapping[str, Any]) -> Figure:
    """Return the picture as a figure of Matplotlib."""
    return panels(charts(measurement), headline(measurement))


def draw_two_models(measurement: Mapping[str, Any]) -> bytes:
    """Return a PNG of both models beside each other, under the verdict on them."""
    return png(figure_of_two_models(measurement))


def figure_of_two_models(measurement: Mapping[str, Any]) -> Figure:
    """Return the picture of both models as a figure of Matplotlib."""
    verdict = measurement["against"]["compared"]["verdict"].split("; ")
    return panels(two_model_charts(measurement), "\n".join([headline(measurement), *verdict]))
