"""Forms in which rows can be stored: fewer coordinates of several kinds, and quantised ones, by the bytes of a row.

Everything is fitted on other rows than it is compared on. Stored rows are the candidates of a search. Where a form has
fewer coordinates or one bit for each, queries are in the same form; otherwise queries stay as they are and the stored
rows are decoded, as vector stores do.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from intrinsic_clip.metrics.alignment import directions
from intrinsic_clip.metrics.leading_directions import canonical_directions, principal_directions
from intrinsic_clip.metrics.quantisation import ByteQuantiser, ProductQuantiser, signs
from intrinsic_clip.seeding import seeded

FLOAT_BYTES = 4  # of a coordinate in single precision
HALVINGS = 6  # numbers of bytes to compare, from the full ones down to those of a bit per coordinate
PRODUCT_PARTS = (4, 8, 16)  # coordinates for each byte of a product quantiser
Sides = tuple[Tensor, ...]  # directions of x and perhaps of y
Map = Callable[[Sides], Sides]
Cut = Callable[[int], Map]  # to that many coordinates


@dataclass(frozen=True)
class StoredForm:
    """A form of rows.

    Attributes:
        name: of the kind: a basis or a choice of coordinates, "principal_int8", "canonical_int8", "int8", "binary" or
            "product".
        dims: coordinates of a stored row; of a product quantiser those that it encodes.
        bytes: of a stored row.
        queries, stored: maps of directions of x, and of y if there is one, to what is compared by cosine; None as
            `queries`: the directions themselves.
    """

    name: str
    dims: int
    bytes: int
    stored: Map
    queries: Map | None


def byte_steps(width: int, dims: tuple[int, ...] = ()) -> list[int]:
    """Return the numbers of bytes to compare: those of all coordinates in single precision, their half, …, a 32nd.

    Args:
        width: coordinates of a row.
        dims: numbers of coordinates to add.

    Example:
        >>> from intrinsic_clip.metrics.stored_forms import byte_steps
        >>> byte_steps(12, (5,))
        [48, 24, 20, 12, 6, 4]
    """
    full = FLOAT_BYTES * width
    steps = {-(-full // 2**halving) for halving in range(HALVINGS)}
    return sorted({max(step, FLOAT_BYTES) for step in steps} | {FLOAT_BYTES * d for d in dims}, reverse=True)


def stored_forms(fitted: Sides, dims: tuple[int, ...] = (), seed: int = 0) -> Iterator[StoredForm]:
    """Fit and yield all forms, each when it is needed.

    Args:
        fitted: directions of x, and of y if there is one, to fit on; of equal widths.
        dims: numbers of coordinates to add to the steps.
        seed: of the random coordinates, the random rotation and the first centroids.
    """
    width = fitted[0].shape[1]
    steps = byte_steps(width, dims)
    axes = principal_directions(torch.cat(fitted))
    cuts: dict[str, Cut] = {"principal": lambda m: lambda sides: tuple(rows @ axes[:, :m] for rows in sides)}
    if len(fitted) > 1:
        cuts["canonical"] = _canonical(fitted)
    cuts |= _unfitted(width, seed)
    for name, cut in cuts.items():
        yield from _fewer(name, cut, width, steps)
    yield from _fewer_in_int8("principal", cuts["principal"], fitted, width, steps)
    yield StoredForm(
        "int8", width, width, partial(_encoded, _itself, list(map(ByteQuantiser.fit, fitted))), None
    )
    yield StoredForm("binary", width, -(-width // 8), _bits, _bits)
    for parts in sorted({-(-width // each) for each in PRODUCT_PARTS if width >= each}, reverse=True):
        codebooks = [ProductQuantiser.fit(rows, parts, seed) for rows in fitted]
        yield StoredForm("product", width, parts, partial(_encoded, _itself, codebooks), None)


def canonical_forms(fitted: Sides, dims: tuple[int, ...] = ()) -> Iterator[StoredForm]:
    """Fit and yield the forms of pairs of unequal widths: canonical directions, all of them first, and in int8.

    Such pairs have no other coordinates in common; both sides are stored with as many as the narrower one has.

    Args:
        fitted: directions of x and of y to fit on.
        dims: numbers of coordinates to add to the steps.
    """
    width = min(rows.shape[1] for rows in fitted)
    steps = byte_steps(width, dims)
    cut = _canonical(fitted)
    yield from _fewer("canonical", cut, width, steps)
    yield from _fewer_in_int8("canonical", cut, fitted, width, steps)


def _fewer(name: str, cut: Cut, width: int, steps: Sequence[int]) -> Iterator[StoredForm]:
    """Yield the forms that keep fewer coordinates in single precision."""
    for m in dict.fromkeys(min(width, size // FLOAT_BYTES) for size in steps):
        kept = cut(m)
        yield StoredForm(name, m, FLOAT_BYTES * m, kept, kept)


def _fewer_in_int8(
    name: str, cut: Cut, fitted: Sides, width: int, steps: Sequence[int]
) -> Iterator[StoredForm]:
    """Yield the forms that keep fewer coordinates, a byte for each."""
    for size in steps:
        if size <= width:
            kept = cut(size)
            levels = [ByteQuantiser.fit(directions(rows)) for rows in kept(fitted)]
            yield StoredForm(f"{name}_int8", size, size, partial(_encoded, kept, levels), kept)


def _itself(sides: Sides) -> Sides:
    return sides


def _bits(sides: Sides) -> Sides:
    return tuple(map(signs, sides))


def _encoded(cut: Map, encoders: Sequence[Callable[[Tensor], Tensor]], sides: Sides) -> Sides:
    """Return what remains of rows of length 1, one encoder for each side."""
    return tuple(encode(directions(rows)) for encode, rows in zip(encoders, cut(sides), strict=True))


def _unfitted(width: int, seed: int) -> dict[str, Cut]:
    """Return the ways to keep coordinates that need no fit: as they come, at random, and along random directions."""
    generator = seeded(seed)
    order = torch.randperm(width, generator=generator)
    normal = torch.randn(width, width, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(normal).Q
    return {
        "prefix": lambda m: lambda sides: tuple(rows[:, :m] for rows in sides),
        "random_coordinates": lambda m: (
            lambda sides: tuple(rows[:, order[:m].to(rows.device)] for rows in sides)
        ),
        "random_projection": lambda m: (
            lambda sides: tuple(rows @ turn[:, :m].to(rows.device) for rows in sides)
        ),
    }


def _canonical(fitted: Sides) -> Cut:
    """Return the map to canonical directions, weighted as `retrieval_by_dimension` does."""
    at = canonical_directions(fitted[0], fitted[1])
    return lambda m: lambda sides: at.weighted(sides[0], sides[1], m)
