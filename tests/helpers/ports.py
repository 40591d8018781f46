"""Reserve ports of this machine, so that no other process is given them meanwhile."""

import socket


def reserved_port() -> socket.socket:
    """Return a socket that keeps a port of this machine, where nothing listens, from everyone who takes any free one.

    Who names the port can listen there, as PyTorch's store does; nobody else gets it in the meantime.
    """
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept
