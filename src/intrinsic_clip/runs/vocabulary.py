"""Every number's name, title and unit: the one place that progress bars, tables, pictures, pages and W&B read."""

ESTIMATORS = {
    "mle": "MLE",
    "twonn": "TwoNN",
    "gride": "GRIDE",
    "correlation_integral": "correlation integral",
    "method_of_moments": "method of moments",
    "mada": "MADA",
    "tle": "TLE",
    "local_pca": "local PCA",
}


def estimator_title(name: str) -> str:
    """Return how tables and charts write an estimator's name; scikit-dimension's classes are marked as such."""
    return ESTIMATORS.get(name, f"{name} (scikit-dimension)")
