"""Quantised rows: 8 bits or 1 bit per coordinate, or the numbers of centroids of parts of a row."""

from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_clip.dimension.row_workers import by_workers
from intrinsic_clip.seeding import seeded

LEVELS = 255  # of 8 bits; 254 steps either way from the middle
CENTROIDS = 256  # of each part: one byte
PER_CENTROID = 39  # rows to fit a centroid to, as FAISS asks for
ROUNDS = 10  # of Lloyd's algorithm
BLOCK = 2048  # rows


@dataclass(frozen=True)
class ByteQuantiser:
    """Rounding of each coordinate to one of 256 levels between its smallest and its largest value.

    The levels are those of FAISS's `SQ8` and of sentence-transformers' `quantize_embeddings(precision="uint8")`.

    Attributes:
        low, step: `(d,)`.
    """

    low: Tensor
    step: Tensor

    @classmethod
    def fit(cls, rows: Tensor) -> "ByteQuantiser":
        """Take the ranges of rows `(n, d)`."""
        low, high = rows.amin(0), rows.amax(0)
        return cls(low, (high - low) / LEVELS)

    def codes(self, rows: Tensor) -> Tensor:
        """Return the level of each coordinate, uint8 `(n, d)`; values out of range take the nearest level."""
        steps = self.step.where(self.step > 0, 1.0)
        return ((rows - self.low) / steps).round().clamp(0, LEVELS).to(torch.uint8)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the values that codes stand for, `(n, d)`."""
        return self.low + codes.to(self.low.dtype) * self.step

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the values that remain of rows."""
        return self.decode(self.codes(rows))


def signs(rows: Tensor) -> Tensor:
    """Return 1 where a coordinate is positive and −1 elsewhere.

    Their inner products order rows as Hamming distances of bits do.

    Example:
        >>> import torch
        >>> from intrinsic_clip.metrics.quantisation import signs
        >>> signs(torch.tensor([[0.2, -0.1, 0.0]])).tolist()
        [[1.0, -1.0, -1.0]]
    """
    return torch.where(rows > 0, 1.0, -1.0).to(rows.dtype)


@dataclass(frozen=True)
class ProductQuantiser:
    """Parts of a row, each of which is replaced by the nearest of up to 256 centroids: a byte for each part.

    Jégou, Douze, Schmid, *Product quantization for nearest neighbor search*, PAMI 2011.

    Attributes:
        centroids: of each part, float64 `(c, width of the part)`; the parts are consecutive coordinates.
    """

    centroids: tuple[Tensor, ...]

    @classmethod
    def fit(cls, rows: Tensor, parts: int, seed: int = 0) -> "ProductQuantiser":
        """Fit the centroids of each part by Lloyd's algorithm.

        Args:
            rows: `(n, d)`; at most 39 for each centroid are used.
            parts: bytes of a row, at most d.
            seed: of the choice of rows and first centroids.

        Raises:
            ValueError: not 1 to d parts.
        """
        if not 1 <= parts <= rows.shape[1]:
            raise ValueError(f"parts must lie between 1 and {rows.shape[1]}, got {parts}")
        order = torch.randperm(len(rows), generator=seeded(seed)).to(rows.device)
        pieces = rows[order[: PER_CENTROID * CENTROIDS]].tensor_split(parts, 1)
        workers = torch.get_num_threads() if rows.device.type == "cpu" else 1
        fitted = dict(
            by_workers(lambda place: _centroids(pieces[place], seed + place), range(parts), workers)
        )
        return cls(tuple(fitted[place] for place in range(parts)))

    def codes(self, rows: Tensor) -> Tensor:
        """Return the number of the nearest centroid of each part, uint8 `(n, parts)`."""
        columns = []
        for piece, own in zip(rows.tensor_split(len(self.centroids), 1), self.centroids, strict=True):
            centre = own.mean(0)
            columns.append(_nearest(_about(centre, piece), _about(centre, own)))
        return torch.stack(columns, 1).to(torch.uint8)

    def decode(self, codes: Tensor) -> Tensor:
        """Return the rows that codes stand for, float64 `(n, d)`."""
        parts = [own[codes[:, place].long()] for place, own in enumerate(self.centroids)]
        return torch.cat(parts, 1)

    def __call__(self, rows: Tensor) -> Tensor:
        """Return the values that remain of rows."""
        return self.decode(self.codes(rows))


def _about(centre: Tensor, rows: Tensor) -> Tensor:
    """Return rows about a point near them: beside it, their differences may be too small for float32."""
    return (rows - centre).float()


def _centroids(rows: Tensor, seed: int) -> Tensor:
    """Return the means of up to 256 clusters of rows `(n, w)`, in float64."""
    centre = rows.double().mean(0)
    rows = _about(centre, rows)
    generator = seeded(seed)
    count = min(CENTROIDS, len(rows))
    centroids = rows[:count].clone()  # rows are in random order
    previous = None
    for _ in range(ROUNDS):
        nearest = _nearest(rows, centroids)
        if previous is not None and torch.equal(nearest, previous):
            break
        previous = nearest
        sizes = torch.bincount(nearest, minlength=count)
        sums = torch.stack([torch.bincount(nearest, column, count) for column in rows.T], 1)
        empty = (sizes == 0).nonzero().flatten()
        centroids = sums / sizes.clamp_min(1)[:, None]
        if len(empty):  # start again at a row each
            again = torch.randint(len(rows), (len(empty),), generator=generator).to(rows.device)
            centroids[empty] = rows[again]
    return centroids.double() + centre


def _nearest(rows: Tensor, centroids: Tensor) -> Tensor:
    """Return the number of the nearest centroid of each row."""
    offsets = centroids.square().sum(1) / 2
    # One pass, into memory that is at hand: anything else takes several times as long as so narrow a product.
    distances = rows.new_empty(min(BLOCK, len(rows)), len(centroids))
    nearest = []
    for block in rows.split(BLOCK):
        near = torch.addmm(offsets, block, centroids.T, alpha=-1, out=distances[: len(block)])
        nearest.append(_smallest(near))
    return torch.cat(nearest)


def _smallest(distances: Tensor) -> Tensor:
    if distances.device.type != "cpu":
        return distances.argmin(1)
    return torch.from_numpy(distances.numpy().argmin(1))  # several times as fast as PyTorch's own
