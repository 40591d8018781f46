"""Messages are dropped or escaped where they cannot be written; the work goes on."""

import os
import subprocess
import sys

import pytest

from helpers.tiny_runs import TINY
from intrinsic_clip.cli.streams import _tolerant
from soak.warm_children import child, command_line, warm_up

FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")


def test_a_pipe_that_nobody_reads() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = _tolerant(writer, "utf-8", line_buffering=True)
    print("lost" * 100_000, file=stream)
    print("and what follows", file=stream, flush=True)
    os.close(writer)


@FULL
def test_a_full_device() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream = _tolerant(full, "utf-8", line_buffering=True)
    print("lost", file=stream, flush=True)
    os.close(full)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", b"\\u03c4 \\xb1 \\u2192 \\udcff\n"),
        ("latin-1", b"\\u03c4 \xb1 \\u2192 \\udcff\n"),
        ("utf-8", "τ ± → \\udcff\n".encode()),
    ],
)
def test_characters_without_a_code_become_escapes(encoding, expected) -> None:
    reader, writer = os.pipe()
    print("τ ± → \udcff", file=_tolerant(writer, encoding, line_buffering=True), flush=True)
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read() == expected


def test_a_pipe_that_is_read_slowly() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    program = "import os, sys, time; time.sleep(0.2); print(len(sys.stdin.buffer.read()))"
    slow = subprocess.Popen([sys.executable, "-c", program], stdin=reader, stdout=subprocess.PIPE)
    os.close(reader)
    print("x" * 1_000_000, file=_tolerant(writer, "utf-8", line_buffering=True), flush=True)
    os.close(writer)
    assert slow.communicate()[0] == b"1000001\n"


SHELL = """
clip() {{ {python} -m intrinsic_clip "$@"; }}
clip --help | head -1
echo "pipe ${{PIPESTATUS[0]}}"
clip --version >&-; echo "closed stdout $?"
clip nonsense 2>&-; echo "closed stderr $?"
clip --help >/dev/full; echo "full stdout $?"
clip nonsense 2>/dev/full; echo "full stderr $?"
PYTHONIOENCODING=ascii clip --help | head -1; echo "ascii ${{PIPESTATUS[0]}}"
LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 COLUMNS=0 TERM= clip train --help >/dev/null; echo "C $?"
"""


@pytest.mark.slow
@FULL
def test_exit_codes_speak_of_the_work_and_not_of_its_last_words() -> None:
    shown = subprocess.run(
        ["bash", "-c", SHELL.format(python=sys.executable)], capture_output=True, text=True
    )
    usage = "usage: intrinsic-clip VERB [group=choice {}] [key=value {}]"
    assert shown.stdout.splitlines() == [
        usage.format("…", "…"), "pipe 0", "closed stdout 0", "closed stderr 2", "full stdout 0", "full stderr 2",
        usage.format("\\u2026", "\\u2026"), "ascii 0", "C 0",
    ]  # fmt: skip
    assert shown.stderr == ""


ONE_EPOCH = [*TINY, "trainer.max_epochs=1", "progress=true"]


@pytest.mark.long
@FULL
def test_a_run_is_finished_when_nobody_reads_on(tmp_path) -> None:
    command = (
        f"set -o pipefail; {sys.executable} -m intrinsic_clip train {' '.join(ONE_EPOCH)} 2>&1 | head -1"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "1", "TERM": "nonsense"}
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0
    assert "Traceback" not in ended.stdout + ended.stderr
    assert len(list(tmp_path.glob("outputs/custom/*/results.json"))) == 1


@pytest.mark.slow
@FULL
def test_a_run_is_finished_with_stdout_closed_and_stderr_full(tmp_path) -> None:
    """Give a child the streams with which Python starts after `>&- 2>/dev/full`."""

    def work() -> None:
        os.environ |= {"COLUMNS": "1", "TERM": "nonsense"}
        os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
        os.close(1)
        sys.stdout = sys.__stdout__ = None
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="ascii", closefd=False)  # noqa: SIM115
        command_line(["train", *ONE_EPOCH])

    warm_up()
    assert child(tmp_path, work).code == 0
    assert len(list(tmp_path.glob("outputs/custom/*/results.json"))) == 1
