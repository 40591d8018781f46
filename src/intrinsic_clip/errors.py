"""Exceptions of the project; each message is one line for the user."""


class ConfigError(ValueError):
    """Configuration that cannot run; the message names the key and what would be right."""


class InUse(BlockingIOError):
    """Run that another process trains; the message says which process."""


class Unfinished(ValueError):
    """Run folder without results; the message says why."""
