"""Traces of a run: its address, results, embeddings and locks, and many runs as one table."""

from intrinsic_clip.runs.replicates import Replicates
from intrinsic_clip.runs.run import Run
from intrinsic_clip.runs.tidy_table import collect

__all__ = ["Replicates", "Run", "collect"]
