"""Exceptions of the project, whose messages are one line for the user, and the messages of others in one line."""


class ConfigError(ValueError):
    """Configuration that cannot run; the message names the key and what would be right."""


class NonFiniteRows(ConfigError):
    """Rows that hold NaN or infinity where they are refused.

    Args:
        message: one line for the user.
        counts: such rows of each side.
    """

    def __init__(self, message: str, counts: dict[str, int]) -> None:
        super().__init__(message)
        self.counts = counts


class InUse(BlockingIOError):
    """Run that another process trains; the message says which process."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in work that left something behind; the message says what the same command does next."""


class Unfinished(ValueError):
    """Run folder without results; the message says why."""


def joined_lines(error: BaseException) -> str:
    """Return the whole message of an error in one line, or its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def system_reason(error: OSError) -> str:
    """Return the system's own words for an error, or its message where it comes from a library, in one line."""
    return (error.strerror or first_line(error)).lower()


def reason_of(error: Exception) -> str:
    """Return why a number is NaN, on one line: a ValueError's own words, another error's with its type."""
    return (
        joined_lines(error)
        if isinstance(error, ValueError)
        else f"{type(error).__name__}: {joined_lines(error)}"
    )
