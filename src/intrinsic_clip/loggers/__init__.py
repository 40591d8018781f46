"""Where numbers go while they are measured: metrics.csv, and W&B."""
