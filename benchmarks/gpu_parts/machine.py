"""Say which device and which versions gave the numbers."""

import platform
from functools import cache
from importlib import metadata


@cache
def describe_machine(device: str) -> dict[str, str]:
    """Return device, driver and versions by name."""
    import torch

    machine = {"torch": torch.__version__, "python": platform.python_version(), "package": _package()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        machine["device"] = properties.name
        machine["memory"] = f"{properties.total_memory / 2**30:.0f} GiB"
        machine["cuda"] = str(torch.version.cuda)
    else:
        machine["device"] = f"CPU, {platform.machine()}"
    return machine


def _package() -> str:
    try:
        return metadata.version("intrinsic-clip")
    except metadata.PackageNotFoundError:  # used from a checkout
        from intrinsic_clip import __version__

        return __version__
