"""Ask W&B's service for a sign of life, before its own client waits longer than it was told."""

import ssl
import urllib.error
import urllib.request
from queue import Empty, SimpleQueue
from threading import Thread


def require_answer(url: str, timeout: float) -> None:
    """Return as soon as the service answers anything, an error included.

    Args:
        url: the service's address.
        timeout: seconds to wait, in which the name is looked up as well.

    Raises:
        ConnectionError: it cannot be reached, or does not answer in time.
    """
    outcome: SimpleQueue[str] = SimpleQueue()
    # Python bounds no look-up of a name, so the wait is in a thread of its own, which ends with the process.
    Thread(target=lambda: outcome.put(_problem(url, timeout)), daemon=True).start()
    try:
        problem = outcome.get(timeout=timeout)
    except Empty:
        problem = f"no answer within {timeout:g} s"
    if problem:
        raise ConnectionError(f"{url}: {problem}")


def _problem(url: str, timeout: float) -> str:
    """Return why a service cannot be reached; "" if it answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout):
            return ""
    except urllib.error.HTTPError:
        return ""  # W&B's client says more about it
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLError):  # W&B's client has certificates of its own
            return ""
        return str(getattr(error.reason, "strerror", None) or error.reason).lower()
    except (OSError, ValueError) as error:
        return str(error).lower()
