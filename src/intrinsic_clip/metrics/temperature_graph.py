"""Read off a loss's graph what the model does with a parameter: which function, and a factor or a divisor of logits."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from intrinsic_clip.metrics.temperature_forms import FORMS, Form

FALLING: tuple[Form, ...] = ("scale", "log scale", "softplus scale")
TOLERANCE = 0.01  # relative: 16-bit logits are as coarse


class Use(NamedTuple):
    """How a loss uses a parameter.

    Attributes:
        form: how τ follows from its value.
        lowest, highest: limits that the model clamps τ to.
    """

    form: Form
    lowest: float = 0.0
    highest: float = math.inf


def use_in_graph(loss: Tensor, parameter: Tensor | None, value: Tensor) -> Use | None:
    """Return how the loss uses a temperature; None where the graph does not show it.

    Upward from the parameter, the first product or quotient that is larger than the parameter is that with the
    embeddings or the logits. The other factor is kept there for the gradient, and the form whose τ agrees with it is
    the one. A compiled graph shows nothing; nor does one that was freed by `backward()`.

    Args:
        loss: of one batch.
        parameter: a leaf of its graph.
        value: its number.
    """
    if parameter is None or loss.grad_fn is None or parameter.numel() != 1:
        return None
    try:
        path = _path(loss.grad_fn, parameter)
        tau = _tau_at_end(path)
        uses = [_use(path, form) for form in FORMS]
    except RuntimeError:  # the graph was freed
        return None
    if tau is None or not math.isfinite(tau) or tau <= 0:
        return None
    # Where several forms agree at this value, such as τ and scale at 1, the functions on the way decide.
    matches = [use for use in uses if _agree(_clamped(use, float(FORMS[use.form].tau(value))), tau)]
    by_operations = [use for use in matches if use.form == _form_of(_operations(path))]
    agreeing = by_operations or matches
    return agreeing[0] if len(agreeing) == 1 else None


def _use(path: list[tuple[Any, int]], form: Form) -> Use:
    """Return a form with the limits that clamps on the way set."""
    lowest, highest = 0.0, math.inf
    for place, (node, _) in enumerate(path):
        behind = _form_of(_operations(path[place + 1 :]))
        if not _kind(node).startswith("Clamp") or behind is None:
            continue
        least, most = (_limit(node, name, behind) for name in ("_saved_min", "_saved_max"))
        if behind in FALLING:  # the larger the value, the smaller τ
            least, most = most, least
        lowest = lowest if least is None else max(lowest, least)
        highest = highest if most is None else min(highest, most)
    return Use(form, lowest, highest)


def _limit(node: Any, name: str, behind: Form) -> float | None:
    """Return the τ at an edge of a clamp, behind which the value is of a form; None without an edge."""
    edge = getattr(node, name, None)
    if edge is None or not math.isfinite(float(edge)):
        return None
    tau = float(FORMS[behind].tau(torch.tensor(float(edge), dtype=torch.float64)))
    return tau if math.isfinite(tau) else None


def _clamped(use: Use, tau: float) -> float:
    return min(max(tau, use.lowest), use.highest)


def _agree(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE)


def _path(root: Any, parameter: Tensor) -> list[tuple[Any, int]]:
    """Return the nodes from the parameter up to the first that is larger, each with the input that leads to it."""
    consumers: dict[Any, list[tuple[Any, int]]] = {}
    leaf, stack, seen = None, [root], {root}
    while stack:
        node = stack.pop()
        for slot, (child, _) in enumerate(node.next_functions):
            if child is None:
                continue
            consumers.setdefault(child, []).append((node, slot))
            if getattr(child, "variable", None) is parameter:
                leaf = child
            if child not in seen:
                seen.add(child)
                stack.append(child)
    paths: list[tuple[Any, list[tuple[Any, int]]]] = [(leaf, [])]
    while paths:
        node, path = paths.pop(0)
        for consumer, slot in consumers.get(node, ()):
            longer = [*path, (consumer, slot)]
            if math.prod(consumer._input_metadata[0].shape) <= 1:
                paths.append((consumer, longer))
            elif _kind(consumer) in ("Mul", "Div"):
                return longer
    return []


def _kind(node: Any) -> str:
    return str(node.name()).partition("Backward")[0]


def _operations(path: list[tuple[Any, int]]) -> list[str]:
    """Return what is done to the parameter, in order: `Exp`, `Mul`; `Divisor` where it divides."""
    return ["Divisor" if _kind(node) == "Div" and slot == 1 else _kind(node) for node, slot in path]


def _tau_at_end(path: list[tuple[Any, int]]) -> float | None:
    """Return the number that the logits are divided by, as the last node keeps it."""
    if not path:
        return None
    node, slot = path[-1]
    saved = getattr(node, "_saved_other" if slot == 1 else "_saved_self", None)
    if saved is None or (_kind(node) == "Div" and slot == 0):
        return None
    numbers = torch.as_tensor(saved).detach().double().flatten()
    if not numbers.numel() or not bool((numbers == numbers[0]).all()):
        return None
    number = float(numbers[0])
    return number if _kind(node) == "Div" else 1 / number if number else None


def _form_of(operations: list[str]) -> Form | None:
    """Return the form that operations mean; those that leave a number as it is, or clamp it, do not matter."""
    functions = [each for each in operations if each in ("Exp", "Neg", "Reciprocal", "Softplus", "Sigmoid")]
    divides = operations[-1:] == ["Divisor"]
    inverted = divides != (functions.count("Reciprocal") % 2 == 1)  # τ itself in the end, not 1/τ
    core = [each for each in functions if each != "Reciprocal"]
    if core == ["Neg", "Exp"]:
        core, inverted = ["Exp"], not inverted
    forms: dict[tuple[str, ...], tuple[Form, Form]] = {
        (): ("τ", "scale"),
        ("Exp",): ("log τ", "log scale"),
        ("Softplus",): ("softplus τ", "softplus scale"),
        ("Sigmoid",): ("sigmoid τ", "sigmoid τ"),
    }
    pair = forms.get(tuple(core))
    return None if pair is None or not operations else pair[0 if inverted else 1]
