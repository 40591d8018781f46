"""One training run: build, fit, checkpoint, finish."""
