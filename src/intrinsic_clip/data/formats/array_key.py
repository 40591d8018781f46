"""Choose one of several arrays, or columns of lists, in a file."""

from dataclasses import dataclass

from intrinsic_clip.errors import ConfigError


@dataclass(frozen=True)
class Key:
    """The name of an array in an .npz or .safetensors, or of a column of lists in a table.

    Attributes:
        value: the name; None if the file holds only one.
        option: name of the setting, for messages.
    """

    value: str | None = None
    option: str = "key"

    def choose(self, names: list[str], kind: str) -> str:
        """Return the requested name, or the only one; `kind` is the plural used in messages.

        Raises:
            ConfigError: there is no such name, or several and none requested.
        """
        if self.value is None and len(names) == 1:
            return names[0]
        offer = f"{kind}: {', '.join(sorted(names)) or 'none'}"
        if self.value is None:
            raise ConfigError(f"holds {len(names)} {offer}; {self.option}=… says which")
        if self.value not in names:
            raise ConfigError(f"holds no {self.value!r} ({self.option}); {offer}")
        return self.value

    def refuse(self, suffix: str) -> None:
        """Refuse a name for a file that holds one array without a name.

        Raises:
            ConfigError: a name is given.
        """
        if self.value is not None:
            raise ConfigError(f"{self.option}={self.value}: {suffix} holds one array, so leave it out")
