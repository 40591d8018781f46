"""Name the runs of a sweep by what distinguishes them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from intrinsic_clip.config.messages import one_line
from intrinsic_clip.errors import ConfigError


class Names:
    """Names of the runs of a sweep: the overrides that not all of them have.

    Args:
        runs: the overrides of each run, as Hydra's launchers take them.
    """

    def __init__(self, runs: Sequence[Sequence[str]]) -> None:
        self._common = set.intersection(*map(set, runs)) if runs else set()

    def of(self, overrides: Sequence[str]) -> str:
        """Return the name of a run, which is empty if the sweep has no other."""
        return " ".join(override for override in overrides if override not in self._common)

    @contextmanager
    def in_errors(self, overrides: Sequence[str]) -> Iterator[None]:
        """Add the name of a run to the message about its config, for which others of the sweep need not be at fault."""
        try:
            yield
        except (ConfigError, HydraException, OmegaConfBaseException) as error:
            name, reason = self.of(overrides), one_line(error, overrides=overrides)
            raise ConfigError(f"{reason} (run {name})" if name else reason) from error
