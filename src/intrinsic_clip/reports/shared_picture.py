"""Draw an estimate of the shared dimension: consensus spectra beside those of shuffled pairs, and their ratios."""

from collections.abc import Mapping
from typing import Any

from intrinsic_clip.reports.chart_panels import panels, png
from intrinsic_clip.reports.shared_charts import shared_charts
from intrinsic_clip.reports.shared_printout import headline
from intrinsic_clip.shared_dimension.wording import verdict_line


def draw(estimated: Mapping[str, Any]) -> bytes:
    """Return a PNG of two panels."""
    return png(panels(shared_charts(estimated), f"{headline(estimated)}\n{verdict_line(estimated)}", rows=1))
