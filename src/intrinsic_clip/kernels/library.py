"""Build the C++ kernel with the machine's compiler, once per machine, and load it.

It needs no headers but the compiler's own, so that it takes three seconds to build, and neither ninja nor Python's
headers. The library lies in PyTorch's folder of extensions (`TORCH_EXTENSIONS_DIR`, or `~/.cache/torch_extensions`)
under a name that depends on the source, the flags and what the processor can do: a home folder that different machines
share holds one for each kind. It is renamed into place once it is whole, so that no process waits for another, and one
that is killed while it builds leaves nothing that another would read. It ends in its own checksum, since the system
kills a process that loads a library whose end is missing, as after a power cut.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
SOURCES = ("panels.h", "feed_forward.h", "info_nce.h", "adam.h", "kernels.cpp")
FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC",
    "-shared",
)  # fmt: skip
COMPILERS = ("g++", "c++", "clang++")
LONGEST_BUILD = 120.0  # seconds
ABANDONED = 3600.0  # seconds after which the file of a build that was killed is removed


class KernelUnavailableError(RuntimeError):
    """The kernel cannot be built or loaded here; the message is a reason in half a line."""


class Network(ctypes.Structure):
    """Replicated linear maps, as in the source."""

    _fields_ = (
        ("replicates", ctypes.c_int64),
        ("layers", ctypes.c_int64),
        ("widths", ctypes.POINTER(ctypes.c_int64)),
        ("weights", ctypes.POINTER(ctypes.c_void_p)),
        ("biases", ctypes.POINTER(ctypes.c_void_p)),
        ("relu", ctypes.POINTER(ctypes.c_uint8)),
    )


class Rows(ctypes.Structure):
    """Rows of each replicate, as in the source."""

    _fields_ = (
        ("first", ctypes.c_void_p),
        ("offsets", ctypes.POINTER(ctypes.c_int64)),
        ("stride", ctypes.c_int64),
        ("count", ctypes.c_int64),
    )


class Adam(ctypes.Structure):
    """Settings of an optimizer, as in the source."""

    _fields_ = tuple(
        (name, ctypes.c_double) for name in ("rate", "mean_decay", "square_decay", "epsilon", "weight_decay")
    )


class Moved(ctypes.Structure):
    """A parameter that an optimizer moves, with its gradient and state, as in the source."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("parameter", "gradient", "mean", "square", "steps")),
        ("size", ctypes.c_int64),
    )


class Threads(ctypes.Structure):
    """PyTorch's threads, as in the source."""

    _fields_ = (("parallel", ctypes.c_void_p), ("count", ctypes.c_int64))


_loaded: ctypes.CDLL | None = None
_parallel: int | None = None
_reason: str | None = None


def load() -> ctypes.CDLL:
    """Return the kernel's functions, built first if they are not yet.

    Raises:
        KernelUnavailableError: there is no compiler, or it fails, or what it builds cannot be loaded.
    """
    global _loaded, _parallel
    if _loaded is None:
        _loaded = _open(built())
        _parallel = _openmp()
    return _loaded


def why_not() -> str | None:
    """Return why the kernel cannot be built or loaded here, which is tried once; None: it is there."""
    global _reason
    if _loaded is None and _reason is None:
        try:
            load()
        except KernelUnavailableError as error:
            _reason = str(error)
    return None if _loaded is not None else _reason


def threads() -> Threads:
    """Return PyTorch's threads, as many as it may use now."""
    return Threads(_parallel, torch.get_num_threads())


def compiler() -> list[str] | None:
    """Return the command of the C++ compiler: `CXX`, or the first of the usual names; None: there is none."""
    try:
        chosen = shlex.split(os.environ.get("CXX", ""))
    except ValueError:  # a quotation mark that is never closed
        chosen = []
    for command in (chosen, *([name] for name in COMPILERS)):
        if command and shutil.which(command[0]):
            return command
    return None


def built() -> Path:
    """Return the path of the library, and build it if it is not there.

    Raises:
        KernelUnavailableError: there is no compiler, it fails, or the folder cannot be written.
    """
    path = _path()
    if _is_whole(path):
        return path
    command = compiler()
    if command is None:
        raise KernelUnavailableError("there is no C++ compiler")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path.parent)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
        os.close(handle)
    except OSError as error:
        raise KernelUnavailableError(f"{path.parent} cannot be written ({error.strerror})") from error
    try:
        _compile([*command, *FLAGS, str(FOLDER / SOURCES[-1]), "-o", unfinished])
        contents = Path(unfinished).read_bytes()
        Path(unfinished).write_bytes(contents + _checksum(contents))
        os.replace(unfinished, path)
    except OSError as error:
        raise KernelUnavailableError(f"{path} cannot be written ({error.strerror})") from error
    finally:
        Path(unfinished).unlink(missing_ok=True)
    return path


def _compile(command: list[str]) -> None:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=LONGEST_BUILD
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelUnavailableError(f"{command[0]} failed: {' '.join(str(error).split())[:200]}") from error
    if ended.returncode:
        errors = [line for line in ended.stderr.splitlines() if "error" in line] or ended.stderr.splitlines()
        raise KernelUnavailableError(f"{command[0]} failed: {(errors or ['no message'])[0].strip()[:200]}")


def _checksum(contents: bytes) -> bytes:
    return hashlib.sha256(contents).digest()


def _is_whole(path: Path) -> bool:
    """Return whether a library is there, and is what was built."""
    try:
        contents = path.read_bytes()
    except OSError:
        return False
    length = hashlib.sha256().digest_size
    return _checksum(contents[:-length]) == contents[-length:]


def _path() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = os.environ.get("TORCH_EXTENSIONS_DIR") or str(Path(cache) / "torch_extensions")
    key = hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in SOURCES))
    key.update("\n".join([*FLAGS, platform.machine(), *platform.libc_ver(), _processor()]).encode())
    return Path(folder).expanduser() / "intrinsic_clip" / f"kernels-{key.hexdigest()[:16]}.so"


def _processor() -> str:
    """Return what the processor can do, which decides what `-march=native` means."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    abilities = [line for line in lines if line.split(":")[0].strip() in ("flags", "Features")]
    return abilities[0] if abilities else platform.processor()


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob("*.unfinished"):
        try:
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)
        except OSError:
            continue  # another process removed it


def _open(path: Path) -> ctypes.CDLL:
    try:
        return _typed(ctypes.CDLL(str(path)))
    except (OSError, AttributeError) as error:  # no library, or without the functions
        path.unlink(missing_ok=True)
        raise KernelUnavailableError(f"{path} cannot be loaded: {' '.join(str(error).split())}") from error


def _typed(library: ctypes.CDLL) -> ctypes.CDLL:
    """Say what the functions take, so that no pointer is cut to 32 bits."""
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    network, rows, team = (ctypes.POINTER(kind) for kind in (Network, Rows, Threads))
    signatures = {
        "encode_memory": [network, rows],
        "encode": [network, rows, pointer, pointer, team],
        "encode_backward": [network, rows, pointer, pointer, pointer, team],
        "info_nce": [count, count, count, *[pointer] * 7, team],
        "step_memory": [network, network, *[rows] * 4],
        "step": [network, network, *[rows] * 4, pointer, count, *[pointer] * 5, team],
        "adam": [ctypes.POINTER(Adam), ctypes.POINTER(Moved), count, team],
    }
    for name, arguments in signatures.items():
        function = getattr(library, name)
        function.argtypes = arguments
        function.restype = count if name.endswith("_memory") else None
    return library


def _openmp() -> int | None:
    """Return the address of the function by which PyTorch starts its threads, so that there is one team, or None."""
    path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        return ctypes.cast(ctypes.CDLL(str(path)).GOMP_parallel, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None  # then one thread does it all
