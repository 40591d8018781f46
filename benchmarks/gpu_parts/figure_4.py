"""Train what figure 4 shows: the nonlinear synthetic data, 50 repetitions at 15 output dimensions side by side."""

from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.training import train_at_paper_size


def run(settings: Settings, record: Record, ends: float) -> None:
    """Train it, and write `figure_4.json`."""
    train_at_paper_size("figure_4", settings, record, ends)
