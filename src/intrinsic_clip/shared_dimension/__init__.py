"""Estimate how many dimensions two paired data sets share.

Example:
    >>> import torch, intrinsic_clip as ic
    >>> generator = torch.Generator().manual_seed(0)
    >>> z = torch.randn(1000, 1, generator=generator)
    >>> x, y = (torch.cat([z, torch.randn(1000, 2, generator=generator)], 1) for _ in range(2))
    >>> ic.shared(x, y, steps=200).dimension
    1
"""
