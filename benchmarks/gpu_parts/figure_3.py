"""Train what figure 3 shows: the linear synthetic data, 50 repetitions at 15 output dimensions side by side."""

from gpu_parts.record import Record
from gpu_parts.settings import Settings
from gpu_parts.training import train_at_paper_size


def run(settings: Settings, record: Record, ends: float) -> None:
    """Train it, and write `figure_3.json`."""
    train_at_paper_size("figure_3", settings, record, ends)
