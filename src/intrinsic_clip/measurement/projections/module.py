"""A projection as a module of PyTorch, to be put behind an encoder."""

import torch
from torch import Tensor, nn


class ReductionModule(nn.Module):
    """Map rows `(…, d)` to `(…, m)`: subtract a mean, multiply by a basis; scale to length 1 first where asked.

    Nothing is trained: mean and basis are buffers. The calculation is in float32, or float64 for rows of it, and the
    result has the precision of the rows.

    Args:
        mean: `(d,)`.
        basis: `(d, m)`.
        unit_rows: whether rows are scaled to length 1 first; a row of zeros stays zero.

    Example:
        >>> import torch
        >>> from intrinsic_clip.measurement.projections.module import ReductionModule
        >>> cut = ReductionModule(torch.zeros(3), torch.eye(3)[:, :2], unit_rows=True)
        >>> cut(torch.tensor([[3.0, 4.0, 0.0]]))
        tensor([[0.6000, 0.8000]])
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, mean: Tensor, basis: Tensor, unit_rows: bool) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("basis", basis)
        self.unit_rows = unit_rows
        self.in_features, self.out_features = basis.shape

    def forward(self, rows: Tensor) -> Tensor:
        """Return rows in fewer dimensions.

        Raises:
            ValueError: the rows have another number of columns; one alone would be taken for each of the columns.
        """
        if rows.dim() < 1 or rows.shape[-1] != self.in_features:
            raise ValueError(
                f"rows must have {self.in_features} columns, which the projection was fitted to, "
                f"got shape {list(rows.shape)}"
            )
        precision = torch.float64 if rows.dtype == torch.float64 else torch.float32
        values = rows.to(precision)
        if self.unit_rows:
            values = _within_range(values)
            lengths = torch.linalg.vector_norm(values, dim=-1, keepdim=True)
            values = values / torch.where(lengths == 0, torch.ones_like(lengths), lengths)
        reduced = (values - self.mean.to(precision)) @ self.basis.to(precision)
        return reduced.to(rows.dtype) if rows.is_floating_point() else reduced

    def extra_repr(self) -> str:
        """Return what `print` shows of the module."""
        return f"{self.in_features}, {self.out_features}, unit_rows={self.unit_rows}"

    def get_extra_state(self) -> Tensor:
        """Return what a state_dict must hold besides the buffers."""
        return torch.tensor(self.unit_rows)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what a state_dict holds besides the buffers."""
        self.unit_rows = bool(state)


def _within_range(values: Tensor) -> Tensor:
    """Scale rows whose squares would overflow or vanish so that their largest number is 1; leave others as they are."""
    largest = values.abs().amax(-1, keepdim=True)
    # Literals, for TorchScript: sums of a million such squares stay in the range of float32.
    low, high = 1e-16, 1e16
    if values.dtype == torch.float64:
        low, high = 1e-150, 1e150
    extreme = ((largest > 0) & (largest < low)) | ((largest > high) & largest.isfinite())
    return values / torch.where(extreme, largest, torch.ones_like(largest))
