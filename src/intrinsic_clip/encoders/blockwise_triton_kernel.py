"""The Triton kernel of `blockwise_triton`, and how it is launched."""

import os
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # Triton's own switch, for tests on a CPU
OUTPUTS, GRADIENTS, NORM = 0, 1, 2  # what a pass is for: a constexpr each
MOST_LAYERS = 4
PRECISIONS = {"highest": "tf32x3", "high": "tf32", "medium": "tf32"}
# Rows of a block and warps, tried in turn where one needs too much room. Compiled for an H100, the first takes 206 of
# 255 registers in TF32 and spills little in three times TF32; 64 rows spill much more.
SHAPES = ((32, 8), (16, 8), (16, 4))
PROGRAMS = 264  # two for each of an H100's multiprocessors
Placed = tuple[Tensor, Tensor]


@triton.jit
def _weight(w, r, IN: tl.constexpr, OUT: tl.constexpr):
    """Load W of replicate r, `(OUT, IN)`: whole, as it is filled up, so that masks and addresses take no registers."""
    return tl.load(w + r * IN * OUT + tl.arange(0, OUT)[:, None] * IN + tl.arange(0, IN)[None, :])


@triton.jit
def _linear(
    h, w, b, r,
    IN: tl.constexpr, OUT: tl.constexpr, BIAS: tl.constexpr, RELU: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return h Wᵀ + b of replicate r, behind a ReLU where there is one."""
    out = tl.dot(h, tl.trans(_weight(w, r, IN, OUT)), input_precision=PRECISION)
    if BIAS:
        out += tl.load(b + r * OUT + tl.arange(0, OUT))[None, :]
    if RELU:
        out = tl.maximum(out, 0.0)
    return out


@triton.jit
def _back(g, h, w, r, IN: tl.constexpr, OUT: tl.constexpr, RELU: tl.constexpr, PRECISION: tl.constexpr):
    """Return the cotangent of a layer's inputs h, from that of its outputs; h is behind a ReLU if RELU."""
    back = tl.dot(g, _weight(w, r, IN, OUT), input_precision=PRECISION)
    if RELU:
        back = tl.where(h > 0.0, back, 0.0)
    return back


@triton.jit
def _store(place, gw, gb, dw, db, IN: tl.constexpr, OUT: tl.constexpr, BIAS: tl.constexpr):
    """Store the gradients of one layer."""
    o = tl.arange(0, OUT)
    tl.store(gw + place * IN * OUT + o[:, None] * IN + tl.arange(0, IN)[None, :], dw)
    if BIAS:
        tl.store(gb + place * OUT + o, db)


@triton.jit
def _pass(
    x, offsets, stride, count, cotangents, outputs, norms,
    w1, b1, w2, b2, w3, b3, w4, b4, gw1, gb1, gw2, gb2, gw3, gb3, gw4, gb4,
    d0, d4, splits,
    MODE: tl.constexpr, L: tl.constexpr, R1: tl.constexpr, R2: tl.constexpr, R3: tl.constexpr,
    B1: tl.constexpr, B2: tl.constexpr, B3: tl.constexpr, B4: tl.constexpr,
    D0: tl.constexpr, D1: tl.constexpr, D2: tl.constexpr, D3: tl.constexpr, D4: tl.constexpr,
    DIFFERENTIATED: tl.constexpr, BLOCK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Take every `splits`-th block of a replicate's rows through all layers, and back.

    The last layer is always the fourth: of fewer the first ones are left out, and its inputs are the rows.
    """
    r, split = tl.program_id(0).to(tl.int64), tl.program_id(1)
    place = r * splits + split
    first = x + tl.load(offsets + r)
    dw1, db1 = tl.zeros((D1, D0), tl.float32), tl.zeros((D1,), tl.float32)
    dw2, db2 = tl.zeros((D2, D1), tl.float32), tl.zeros((D2,), tl.float32)
    dw3, db3 = tl.zeros((D3, D2), tl.float32), tl.zeros((D3,), tl.float32)
    dw4, db4 = tl.zeros((D4, D3), tl.float32), tl.zeros((D4,), tl.float32)
    norm = tl.zeros((BLOCK,), tl.float32)
    start = split * BLOCK
    while start < count:
        row = start + tl.arange(0, BLOCK)
        c0, c4 = tl.arange(0, D0), tl.arange(0, D4)
        mask0 = (row[:, None] < count) & (c0[None, :] < d0)
        mask4 = (row[:, None] < count) & (c4[None, :] < d4)
        h0 = tl.load(first + row[:, None] * stride + c0[None, :], mask=mask0, other=0.0)
        h1, h2, h3 = h0, h0, h0
        if L >= 4:
            h1 = _linear(h0, w1, b1, r, D0, D1, B1, R1, PRECISION)
            h2, h3 = h1, h1
        if L >= 3:
            h2 = _linear(h1, w2, b2, r, D1, D2, B2, R2, PRECISION)
            h3 = h2
        if L >= 2:
            h3 = _linear(h2, w3, b3, r, D2, D3, B3, R3, PRECISION)
        out = _linear(h3, w4, b4, r, D3, D4, B4, False, PRECISION)
        if MODE == 0:
            tl.store(outputs + (r * count + row[:, None]) * d4 + c4[None, :], out, mask=mask4)
        else:
            if MODE == 1:
                g = tl.load(cotangents + (r * count + row[:, None]) * d4 + c4[None, :], mask=mask4, other=0.0)
            else:
                out = tl.where(row[:, None] < count, out, 0.0)
                length = tl.sqrt(tl.sum(out * out, 1))
                norm += length
                g = out / tl.where(length > 0.0, length * count, 1.0)[:, None]
            if DIFFERENTIATED:
                dw4 += tl.dot(tl.trans(g), h3, input_precision=PRECISION)
                db4 += tl.sum(g, 0)
                if L >= 2:
                    g = _back(g, h3, w4, r, D3, D4, R3, PRECISION)
                    dw3 += tl.dot(tl.trans(g), h2, input_precision=PRECISION)
                    db3 += tl.sum(g, 0)
                if L >= 3:
                    g = _back(g, h2, w3, r, D2, D3, R2, PRECISION)
                    dw2 += tl.dot(tl.trans(g), h1, input_precision=PRECISION)
                    db2 += tl.sum(g, 0)
                if L >= 4:
                    g = _back(g, h1, w2, r, D1, D2, R1, PRECISION)
                    dw1 += tl.dot(tl.trans(g), h0, input_precision=PRECISION)
                    db1 += tl.sum(g, 0)
        start += splits * BLOCK
    if MODE == 2:
        tl.store(norms + place, tl.sum(norm, 0) / count)
    if DIFFERENTIATED:
        _store(place, gw4, gb4, dw4, db4, D3, D4, B4)
        if L >= 2:
            _store(place, gw3, gb3, dw3, db3, D2, D3, B3)
        if L >= 3:
            _store(place, gw2, gb2, dw2, db2, D1, D2, B2)
        if L >= 4:
            _store(place, gw1, gb1, dw1, db1, D0, D1, B1)


class Network:
    """The layers of all replicates, each filled up with zeros to widths that the kernel takes.

    Args:
        parameters: weight `(B, d_out, d_in)` and bias `(B, d_out, 1)`, or None, of each layer in turn.
        relus: which layers have a ReLU behind them.

    Attributes:
        padded: the parameters, `(B, D_out, D_in)` and `(B, D_out, 1)`.
        widths: of the rows and of each layer's outputs.
    """

    def __init__(self, parameters: Sequence[Tensor | None], relus: Sequence[bool]) -> None:
        self.parameters, self.relus = parameters, relus
        weights = [weight for weight in parameters[::2] if weight is not None]
        self.replicates, self.layers = len(weights[0]), len(weights)
        self.widths = [weights[0].shape[-1], *(weight.shape[-2] for weight in weights)]
        self.padded = [
            None if each is None else _padded(each, index % 2 == 0) for index, each in enumerate(parameters)
        ]


def _width(width: int) -> int:
    return max(16, triton.next_power_of_2(width))


def _padded(parameter: Tensor, is_weight: bool) -> Tensor:
    d_out, d_in = parameter.shape[1:]
    missing = _width(d_in) - d_in if is_weight else 0
    return torch.nn.functional.pad(parameter, (0, missing, 0, _width(d_out) - d_out)).contiguous()


def outputs(network: Network, rows: Placed) -> Tensor:
    """Return the outputs `(B, n, d)` for the rows of each replicate."""
    x = rows[0]
    result = x.new_empty(network.replicates, x.shape[-2], network.widths[-1])
    _launch(network, rows, OUTPUTS, result=result)
    return result


def gradients(network: Network, rows: Placed, cotangents: Tensor) -> list[Tensor | None]:
    """Return the gradient of each parameter, given the cotangents of the outputs, `(B, n, d)`."""
    return _summed(network, _launch(network, rows, GRADIENTS, cotangents=cotangents))


def norm_and_gradients(
    network: Network, rows: Placed, differentiated: bool
) -> tuple[Tensor, list[Tensor | None] | None]:
    """Return the mean norm of the outputs, `(B,)`, and the gradient of each parameter with respect to it."""
    splits = _splits(network, rows)
    norms = rows[0].new_empty(network.replicates, splits)
    parts = _launch(network, rows, NORM, norms=norms, differentiated=differentiated)
    return norms.sum(1), _summed(network, parts) if differentiated else None


def _summed(network: Network, parts: list[Tensor | None]) -> list[Tensor | None]:
    """Add up what several programs have for each replicate, and cut off what was filled up."""
    return [
        None
        if part is None or parameter is None
        else part.sum(1)[:, : parameter.shape[1], : parameter.shape[2]]
        for part, parameter in zip(parts, network.parameters, strict=True)
    ]


def _splits(network: Network, rows: Placed) -> int:
    """Return among how many programs the rows of a replicate are divided, so that the GPU is full."""
    blocks = triton.cdiv(rows[0].shape[-2], SHAPES[0][0])
    return max(1, min(blocks, PROGRAMS // network.replicates))


def _launch(
    network: Network,
    rows: Placed,
    mode: int,
    *,
    cotangents: Tensor | None = None,
    result: Tensor | None = None,
    norms: Tensor | None = None,
    differentiated: bool = True,
) -> list[Tensor | None]:
    """Run the kernel; return what each program has of the gradients, `(B, splits, …)`, of each parameter in turn."""
    (x, offsets), splits = rows, _splits(network, rows)
    b, missing = network.replicates, MOST_LAYERS - network.layers
    differentiated = differentiated and mode != OUTPUTS
    of = [each if differentiated else None for each in network.padded]
    parts = [None if each is None else each.new_empty(b, splits, *each.shape[1:]) for each in of]
    absent = [None, None] * missing
    pointers = [cotangents, result, norms, *absent, *network.padded, *absent, *parts]
    d = [network.widths[0]] * missing + network.widths
    relus = [False] * missing + list(network.relus)
    biases = [False] * missing + [bias is not None for bias in network.padded[1::2]]
    arguments = (
        x, offsets, x.stride(-2), x.shape[-2],
        *(x if each is None else each for each in pointers),  # one that is never followed
        d[0], d[-1], splits,
    )  # fmt: skip
    constants: dict[str, Any] = {
        "MODE": mode, "L": network.layers, "DIFFERENTIATED": differentiated,
        "PRECISION": PRECISIONS[torch.get_float32_matmul_precision()],
        **{f"R{i}": relus[i - 1] for i in (1, 2, 3)},
        **{f"B{i + 1}": bias for i, bias in enumerate(biases)},
        **{f"D{i}": _width(width) for i, width in enumerate(d)},
    }  # fmt: skip
    _run((b, splits), arguments, constants)
    return parts


_fitting: dict[
    tuple[Any, ...], int
] = {}  # the first of SHAPES that the GPU has room for, by what is compiled


def _run(grid: tuple[int, int], arguments: Sequence[Any], constants: dict[str, Any]) -> None:
    key = tuple(constants.values())
    for index in range(_fitting.get(key, 0), len(SHAPES)):
        block, warps = SHAPES[index]
        try:
            _pass[grid](*arguments, **constants, BLOCK=block, num_warps=warps)
        except triton.OutOfResources:
            if index + 1 == len(SHAPES):
                raise
            continue
        _fitting[key] = index
        return
