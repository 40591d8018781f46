"""Keep the epochs of a short size, whatever is chosen beside it."""

from omegaconf import DictConfig

LONGEST = {"smoke": 2}  # epochs, as in conf/size; the other sizes leave them to experiment and recipe


def epochs(number: int, *, _root_: DictConfig) -> int:
    """Return how many epochs to train: `number`, or those of the chosen size if it is a short one.

    In conf/ `${epochs:103}` stands where a recipe or the sweep of an experiment sets `trainer.max_epochs`: both are
    merged after the size, in whichever order a command names them.
    """
    return min(number, LONGEST.get(_root_.get("size"), number))
