"""Measure rows in two processes that talk by gloo; each writes its numbers."""

import json
import os
import re
import warnings
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

import intrinsic_clip as ic
from intrinsic_clip.integrations import processes
from intrinsic_clip.integrations.torchmetrics import EmbeddingNumbers, IntrinsicDimension, PairMatching

ONLY = ["id", "retrieval", "alignment"]
TIMEOUT = timedelta(seconds=240)  # of a process that waits for one which failed
SPLIT, BATCH, FEW = 90, 30, 60  # rows of process 0, of a batch, and kept where there are more
ODD = 149  # rows that two processes cannot share alike
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "any_loop.md"


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows of both processes together."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(150, 3, generator=generator)
    return x, x + 0.1 * torch.rand(150, 3, generator=generator)


def measured(
    x: torch.Tensor, y: torch.Tensor, gather: bool, empty: bool = False
) -> dict[str, dict[str, float]]:
    """Return all kinds of numbers of rows that come in batches."""
    batches = list(zip(x.split(BATCH), y.split(BATCH), strict=True))
    kept, few = ic.Measure(ONLY, max_rows=200), ic.Measure(ONLY, max_rows=FEW)
    metric, metric_of_few = EmbeddingNumbers(ONLY), EmbeddingNumbers(ONLY, max_rows=FEW)
    for batch in batches:
        for each in (kept, few, metric, metric_of_few):
            each.update(*batch)
    in_one_only, kept_in_one, unpaired = IntrinsicDimension(), ic.Measure(ONLY), PairMatching()
    part = slice(0 if empty else BATCH)
    if not empty:
        in_one_only.update(x[part])
        kept_in_one.update(x[part], y[part])
        unpaired.update(x[part], y[part])
    metric(*batches[0])  # the value of a batch is not synchronised
    return {
        "call": ic.measure(x, y, only=ONLY, gather=gather),
        "sample": ic.measure(x, y, only=ONLY, gather=gather, max_points=FEW),
        "batches": kept.compute(gather=gather),
        "few batches": few.compute(gather=gather),
        "metric": {name: float(value) for name, value in metric.compute().items()},
        "metric of few": {name: float(value) for name, value in metric_of_few.compute().items()},
        "in one only": {"id/mle/x": float(in_one_only.compute()), "matching": float(unpaired.compute())},
        "kept in one only": kept_in_one.compute(gather=gather),
        "given in one only": ic.measure(x[part], y[part], only=ONLY, gather=gather),
    }


def refused(x: torch.Tensor, rank: int) -> list[str]:
    """Return the messages of both kinds of rows that do not fit."""
    messages = []
    for rows_here in (x[:, : 3 - rank], x if rank == 0 else x[0]):
        try:
            ic.measure(rows_here, gather=True)
        except ValueError as error:
            messages.append(str(error))
    try:
        ic.Measure().compute(gather=True)
    except ValueError as error:
        messages.append(str(error))
    metric = IntrinsicDimension()
    metric.update(x[:, : 3 - rank])
    try:
        metric.compute()
    except ValueError as error:
        messages.append(str(error))
    return messages


class Unsendable(Exception):
    """Error that cannot be made again of its message."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


class Local:
    """Result that cannot be sent."""

    def __reduce__(self) -> tuple:
        raise TypeError("stays where it is")


def raising(error: Exception) -> None:
    """Raise an error, of a function that takes arguments."""
    raise error


def errors_of_one_rank(x: torch.Tensor, y: torch.Tensor, rank: int) -> dict[str, list[str]]:
    """Return type and message of what all processes raise where one alone fails."""
    kept = ic.Measure(["information", "alignment"])
    kept.update(x, y)
    nan, only = float("nan"), "information"
    first = {
        "tau": lambda: kept.compute(tau=nan, gather=True),
        "tau of one": lambda: kept.compute(tau=nan if rank else 0.1, gather=True),
        "tau of a call": lambda: ic.measure(x, y, only=only, tau=-1.0 if rank else 0.1, gather=True),
        "only": lambda: ic.measure(x, None if rank else y, only="alignment", gather=True),
        "max_points": lambda: ic.measure(x, max_points=0 if rank == 0 else 10, gather=True),
        "any type": lambda: processes.by_the_first(lambda: raising(KeyError("here"))),
        "unsendable": lambda: processes.by_the_first(lambda: raising(Unsendable(1, 2))),
        "unsendable result": lambda: processes.by_the_first(Local),
        "reading": lambda: processes.checked_together(
            lambda: raising(TypeError("no rows")) if rank else {}, len
        ),
    }
    found = {}
    for name, work in first.items():
        try:
            work()
        except Exception as error:
            found[name] = [type(error).__name__, str(error)]
    found["after"] = [processes.by_the_first(lambda: "in step"), ""]
    return found


def shared_out_by_a_sampler(rank: int) -> dict[str, float]:
    """Return the numbers of an odd number of pairs, which a sampler shares out, as the page on any loop says."""
    (code,) = re.findall(r"```python\n(from torch\.utils\.data .*?)```", PAGE.read_text(), re.DOTALL)
    x, y = (side[:ODD] for side in rows())
    code = code.replace("world, rank = 1, 0", f"world, rank = 2, {rank}")
    namespace = {"ic": ic, "image": x, "text": y}
    exec(code, namespace)
    return {**namespace["numbers"], "rows": namespace["numbers"].rows}


def measure_as_one_of_two(folder: Path) -> None:
    """Measure this process's part of the rows, and write the numbers."""
    rank = int(os.environ["RANK"])
    warnings.simplefilter("ignore")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2, timeout=TIMEOUT
    )
    x, y = rows()
    part = slice(SPLIT) if rank == 0 else slice(SPLIT, None)
    results = measured(x[part], y[part], gather=True, empty=rank == 1) | {"refused": refused(x, rank)}
    results["page"] = shared_out_by_a_sampler(rank)
    results["errors"] = errors_of_one_rank(x, y, rank)
    (folder / f"{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()
