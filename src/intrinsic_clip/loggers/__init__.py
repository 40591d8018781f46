"""Loggers of a run: metrics.csv in its folder, and W&B."""
