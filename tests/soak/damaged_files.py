"""Damage the files that runs leave, and read them again through everything that reads them.

Allowed is one line and exit code 2, the numbers that were there before, or the same numbers computed anew; a traceback,
another number, or one that is missing without a word is a fault.
"""

import json
import random
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from soak.crash_points import Observer
from soak.scenarios import Scenario, measuring, numbers, scenarios
from soak.warm_children import Ended, child

Damage = Callable[[Path, random.Random], object]


def flip_a_bit(path: Path, draw: random.Random) -> None:
    """Flip one bit."""
    content = bytearray(path.read_bytes() or b" ")
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def cut_off(path: Path, draw: random.Random) -> None:
    """Cut the file off somewhere."""
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(max(1, len(content)))])


def empty(path: Path, draw: random.Random) -> None:
    """Empty the file."""
    path.write_bytes(b"")


def add_bytes(path: Path, draw: random.Random) -> None:
    """Append bytes that are not part of it."""
    path.write_bytes(path.read_bytes() + draw.randbytes(draw.choice((1, 40, 5000))))


def overwrite(path: Path, draw: random.Random) -> None:
    """Overwrite a block with zeros, as a lost sector reads."""
    content = bytearray(path.read_bytes())
    start = draw.randrange(max(1, len(content)))
    content[start : start + 64] = bytes(len(content[start : start + 64]))
    path.write_bytes(content)


def make_it_a_folder(path: Path, draw: random.Random) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


def write_other_text(path: Path, draw: random.Random) -> None:
    """Write something else that is easily taken for it."""
    path.write_text(
        draw.choice(("{}", "[]", "null", "3", '"x"', "[[0]]", '{"status": "completed"}', "a,b\n1,2\n"))
    )


def change_json(path: Path, draw: random.Random) -> None:
    """Change one value of a JSON file: another type, another number, another version, or remove a key."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        flip_a_bit(path, draw)
        return
    places = list(_places(content))
    holder, key = draw.choice(places)
    way = draw.randrange(4)
    if way == 0:
        del holder[key]
    elif way == 1:
        holder[key] = draw.choice((None, 3, "x", [], {}, [1, 2], {"a": 1}, True))
    elif way == 2 and isinstance(content, dict):
        content["format"] = draw.choice((0, 2, 99, "1", None))
    elif isinstance(holder[key], float):
        holder[key] += 1
    else:
        holder[key] = [holder[key]]
    path.write_text(json.dumps(content))


def _places(value: Any) -> Any:
    """Yield each place in a JSON value, as the object or list that has it and its key or index."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


DAMAGES: list[Damage] = [
    flip_a_bit, flip_a_bit, flip_a_bit, cut_off, empty, add_bytes, overwrite, make_it_a_folder, write_other_text,
    change_json, change_json,
]  # fmt: skip
READ_BACK = (
    "results.json", "metrics.csv", "embeddings.safetensors", "last.ckpt", "config.yaml", "chunks.json",
    "measure.json", "progress.json", "x.npy", "y.npy", "lock", "failed.txt",
)  # fmt: skip


class Target:
    """A folder with finished or half-done work, whose files are damaged in copies of it.

    Args:
        scenario: the work that wrote it.
        point: the file operation before which it was killed; None: it is finished.
    """

    def __init__(self, scenario: Scenario, point: int | None) -> None:
        self.scenario, self.finished = scenario, point is None
        self.root = Path(tempfile.mkdtemp())
        self.folder, whole = self.root / "damaged", self.root / "whole"
        for folder in (self.folder, whole):
            folder.mkdir()
            scenario.prepare(folder)
        ended = child(whole, scenario.work)
        assert ended.code == 0, ended.err
        self.expected = numbers(whole)
        if point is None:
            shutil.copytree(whole, self.folder, dirs_exist_ok=True)
        else:
            ended = child(self.folder, lambda: self._killed_at(point))
            assert ended.code == -signal.SIGKILL, ended.err
        self.run = next((path.relative_to(whole) for path in sorted(whole.glob("outputs/custom/*"))), None)

    def _killed_at(self, point: int) -> None:
        Observer(self.folder, point).start()
        self.scenario.work()

    def files(self) -> list[Path]:
        """Return what is read back, relative to the folder."""
        below = sorted(self.folder.rglob("*"))
        return [
            path.relative_to(self.folder) for path in below if path.name in READ_BACK and self._is_ours(path)
        ]

    def _is_ours(self, path: Path) -> bool:
        """Return whether a file is read back: not the input, nor the parts of a run that is joined."""
        relative = path.relative_to(self.folder)
        return len(relative.parts) > 1 and not (self.finished and "chunks" in relative.parts)

    def check(self, file: Path, damage: Damage, seed: int, reader: str) -> str | None:
        """Damage one file of a copy, read it, and return what went wrong, if anything did."""
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / "copy"
            shutil.copytree(self.folder, copy)
            damage(copy / file, random.Random(seed))
            before = contents(copy)
            ended = child(copy, self.work(reader))
            if ended.code < 0:
                return f"died of signal {-ended.code}"
            if ended.has_traceback:
                return f"traceback: {ended.err.strip()[-500:]}"
            if ended.code == 2:
                return _refused_well(ended, before, contents(copy))
            if ended.code:
                return f"exit code {ended.code}"
            return self.judge(reader, copy, file, ended)

    def work(self, reader: str) -> Callable[[], object]:
        """Return what a reader does in the working folder."""
        return {
            "again": self.scenario.work,
            "report": _report,
            "measure": measure_run,
            "python": self._python,
        }[reader]

    def readers(self) -> list[str]:
        """Return the names of what reads this folder: the same command again, and the verbs for finished runs."""
        return ["again"] if self.run is None else ["again", "again", "report", "python"]

    def judge(self, reader: str, copy: Path, file: Path, ended: Ended) -> str | None:
        """Return what is wrong with what a reader made of a damaged file, if anything is."""
        said = ended.out + ended.err
        if reader == "again":
            reached = numbers(copy)
            differing = [name for name in self.expected if reached.get(name) != self.expected[name]]
            unsaid = [name for name in differing if f"{name}: damaged" not in said]
            return f"silently other: {', '.join(unsaid)}" if unsaid else None
        words = ("damaged", "left out", "no curves", "no histograms", "unfinished")
        if any(word in said for word in words):
            return None
        same = _values(ended.out) == _values(child(self.folder, self.work(reader)).out)
        return None if same else f"silently other: {ended.out[-300:]}"

    def _python(self) -> None:
        """Read a run as `intrinsic_clip.Run` does, and print a digest of all of it."""
        from intrinsic_clip.cli.one_line import in_one_line
        from intrinsic_clip.errors import ConfigError, Unfinished
        from intrinsic_clip.runs import Run

        assert self.run is not None
        with in_one_line():
            try:
                run = Run.load(self.run)
            except Unfinished as error:
                raise ConfigError(f"{self.run}: {error}") from error
            embeddings = run.embeddings()
            history = run.history()
        print("values", json.dumps(run.metrics), history.to_csv(), embeddings.x.sum(), embeddings.y_raw.sum())


def _report() -> None:
    """Write the page of all runs, and print what it shows."""
    from intrinsic_clip.cli.one_line import in_one_line
    from intrinsic_clip.reports.page.contents import contents as page_contents
    from intrinsic_clip.reports.page.write import report

    with in_one_line():
        report(Path("outputs"))
    print("values", json.dumps(page_contents(Path("outputs"))))


def measure_run() -> None:
    """Measure the first finished run."""
    run = next(Path().glob("outputs/custom/*"))
    measuring(f"run={run}")()


def _values(out: str) -> str:
    return re.sub(r'"(date|seconds)": [^,}]+', "", out.partition("values")[2])


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def _refused_well(ended: Ended, before: dict[str, bytes], after: dict[str, bytes]) -> str | None:
    """Return what is wrong with a refusal: it is one line, and changes no file."""
    if len(ended.lines) != 1:
        return f"refused in {len(ended.lines)} lines: {ended.err[-300:]}"
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return f"refused ({ended.lines[0]}), but wrote {changed}" if changed else None


@cache
def targets() -> list[Target]:
    """Return finished and half-done folders of every kind."""
    every = scenarios()
    listed = [
        ("run", None),
        ("run", 20),
        ("chunks", None),
        ("chunks", 60),
        ("stream", 30),
        ("features", None),
    ]
    listed += [("features", 25), ("measure", None)]
    return [Target(every[name], point) for name, point in listed]


def campaign(n: int, seed: int, chosen: list[Target] | None = None) -> Counter[str]:
    """Damage `n` files, drawn at random with the damage and the reader; return counts of what happened."""
    draw, counts = random.Random(seed), Counter[str]()
    chosen = chosen or targets()
    for _ in range(n):
        target, number = draw.choice(chosen), draw.randrange(2**32)
        file, damage, reader = (
            draw.choice(target.files()),
            draw.choice(DAMAGES),
            draw.choice(target.readers()),
        )
        fault = target.check(file, damage, number, reader)
        counts["damaged files"] += 1
        if fault:
            counts["faults"] += 1
            print(
                f"{target.scenario.name}: {file}, {damage.__name__} ({number}), {reader}: {fault}", flush=True
            )
    return counts
