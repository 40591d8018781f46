"""Name the ways in which models hold a temperature."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import softplus

Form = Literal["τ", "log τ", "scale", "log scale", "softplus τ", "softplus scale", "sigmoid τ"]


class Parametrisation(NamedTuple):
    """One way to hold a temperature.

    Attributes:
        words: for a message, "log 1/τ".
        tau: τ from the value that a model holds.
    """

    words: str
    tau: Callable[[Tensor], Tensor]


FORMS: dict[Form, Parametrisation] = {
    "τ": Parametrisation("τ itself", lambda value: value),
    "log τ": Parametrisation("log τ", lambda value: value.exp()),
    "scale": Parametrisation("the scale 1/τ", lambda value: 1 / value),
    "log scale": Parametrisation("log 1/τ", lambda value: (-value).exp()),
    "softplus τ": Parametrisation("τ before a softplus", softplus),
    "softplus scale": Parametrisation("the scale 1/τ before a softplus", lambda value: 1 / softplus(value)),
    "sigmoid τ": Parametrisation("τ before a sigmoid", lambda value: value.sigmoid()),
}
