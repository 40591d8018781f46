"""Write shares into names as percentages, and read them back without rounding."""

from decimal import Decimal

import numpy as np


def percentage(share: float) -> str:
    """Return a share as a percentage with all of its digits, from which `share_of` gives the share back.

    Example:
        >>> from intrinsic_clip.dimension.percentages import percentage, share_of
        >>> percentage(0.005), percentage(0.95), percentage(1 / 3)
        ('0.5', '95', '33.33333333333333')
        >>> share_of(percentage(1 / 3)) == 1 / 3
        True
    """
    shortest = str(share) if isinstance(share, np.floating) else repr(float(share))
    percent = f"{Decimal(shortest).scaleb(2):f}"
    return percent.rstrip("0").rstrip(".") if "." in percent else percent


def components_name(share: float) -> str:
    """Return the name of the number of components that hold a share of the variance.

    Example:
        >>> from intrinsic_clip.dimension.percentages import components_name
        >>> components_name(0.99)
        'components_99pct'
    """
    return f"components_{percentage(share)}pct"


def share_of(percent: str) -> float:
    """Return the share that a percentage stands for.

    Raises:
        ValueError: it is no number.
    """
    return float(f"{percent}e-2")  # the nearest number, as a division by 100 may not be
