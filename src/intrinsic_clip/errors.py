"""The project's exceptions. Each message is one line for the user."""


class ConfigError(ValueError):
    """A configuration that cannot run; the message is one line that names the key and what would be right."""


class InUse(BlockingIOError):
    """Another process trains the run; the message is one line that says which."""


class Unfinished(ValueError):
    """A run folder without results."""
