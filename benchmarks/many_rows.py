"""Measure many rows: time and memory of `intrinsic-clip measure` and of its search, against the number of rows.

    python benchmarks/many_rows.py --rows 250000 500000 1000000 [--columns 768] [--threads 2] [--folder /tmp/many_rows]

Pairs of half-precision files of 12 shared dimensions are written to the folder, once for each size. Every measurement
is a process of its own, and its result is kept in results.json in the folder: the same command again does the rest.

measure   the whole command, x and y
search    the 20 nearest of 2,000 rows of x among all of them, as `nearest_neighbours(…, queries=2000)` does
faiss     the same by faiss.knn on blocks of rows in single precision, if faiss is installed
skdim     MLE and TwoNN of scikit-dimension, which search all with all: only of up to 20,000 rows

Seconds are those of the clock and of the processors; on a busy machine the latter say more. Memory is the peak of what
the process holds itself (RssAnon), and of that with the pages of mapped files (VmRSS), sampled from /proc.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SHARED, HIDDEN = 12, 64
QUERIES, K = 2000, 20
SKDIM_ROWS = 20_000
BLOCK = 20_000


def main() -> None:
    """Do what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--columns", type=int, default=768)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/many_rows"))
    parser.add_argument("--contenders", nargs="+", default=["measure", "search", "faiss", "skdim"])
    parser.add_argument("--only", nargs=2, metavar=("CONTENDER", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        CONTENDERS[arguments.only[0]](Path(arguments.only[1]))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    kept = arguments.folder / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for rows in arguments.rows:
        prefix = arguments.folder / f"{rows}x{arguments.columns}"
        for contender in arguments.contenders:
            name = f"{contender} {rows} x {arguments.columns}, {arguments.threads} threads"
            if name in results or (contender == "skdim" and rows > SKDIM_ROWS):
                continue
            write_pairs(prefix, rows, arguments.columns)
            results[name] = timed(contender, prefix, arguments.threads)
            kept.write_text(json.dumps(results, indent=1))
    print("| | seconds | of the processors | memory | with mapped files |\n|---|--:|--:|--:|--:|")
    for name, cost in results.items():
        print(
            f"| {name} | {cost['wall']:.0f} | {cost['cpu']:.0f} | {cost['own']:.2f} GiB | {cost['all']:.2f} GiB |"
        )


def write_pairs(prefix: Path, n: int, d: int) -> None:
    """Write x and y of n rows: 12 shared dimensions, bent into d columns, with a little noise."""
    if Path(f"{prefix}_y.npy").exists():
        return
    source = np.random.default_rng(0)
    mix = source.normal(size=(SHARED, HIDDEN)).astype(np.float32) / 3
    out = source.normal(size=(HIDDEN, d)).astype(np.float32) / 8
    parts = {side: Path(f"{prefix}_{side}.part") for side in "xy"}
    files = [np.lib.format.open_memmap(part, "w+", np.float16, (n, d)) for part in parts.values()]
    for start in range(0, n, BLOCK):
        z = source.normal(size=(min(BLOCK, n - start), SHARED)).astype(np.float32)
        for file in files:
            bent = np.tanh((z + 0.1 * source.normal(size=z.shape)).astype(np.float32) @ mix)
            noise = source.standard_normal((len(z), d), np.float32)
            file[start : start + len(z)] = bent @ out + 0.01 * noise
    for side, part in parts.items():
        part.rename(f"{prefix}_{side}.npy")


def timed(contender: str, prefix: Path, threads: int) -> dict[str, float]:
    """Run one contender in a process of its own; return its seconds and its peaks of memory in GiB."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    command = [sys.executable, "-W", "ignore", __file__, "--only", contender, str(prefix)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    peaks, cpu = {"RssAnon": 0, "VmRSS": 0}, 0.0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            break
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") or cpu
        for line in status.splitlines():
            key = line.partition(":")[0]
            if key in peaks:
                peaks[key] = max(peaks[key], int(line.split()[1]))
        time.sleep(0.05)
    if process.wait():
        raise SystemExit(f"{contender} failed")
    wall = time.perf_counter() - started
    return {"wall": wall, "cpu": cpu, "own": peaks["RssAnon"] / 2**20, "all": peaks["VmRSS"] / 2**20}


def measure(prefix: Path) -> None:
    """Run the command."""
    import tempfile

    from intrinsic_clip.cli import program

    with tempfile.TemporaryDirectory() as folder:
        files = [f"{side}={prefix}_{side}.npy" for side in "xy"]
        sys.argv = ["intrinsic-clip", "measure", *files, f"output_dir={folder}", "progress=false"]
        program.main()


def search(prefix: Path) -> None:
    """Search the neighbours of some rows."""
    import torch

    from intrinsic_clip.dimension import nearest_neighbours

    rows = np.load(f"{prefix}_x.npy", mmap_mode="c")
    nearest_neighbours(torch.from_numpy(rows), K, queries=QUERIES)


def faiss(prefix: Path) -> None:
    """Search the neighbours of as many rows by products in single precision."""
    import faiss as library

    rows = np.load(f"{prefix}_x.npy", mmap_mode="r")
    asked = rows[np.random.default_rng(0).permutation(len(rows))[:QUERIES]].astype(np.float32)
    best = library.ResultHeap(QUERIES, K + 1)
    for start in range(0, len(rows), BLOCK):
        distances, indices = library.knn(asked, rows[start : start + BLOCK].astype(np.float32), K + 1)
        best.add_result(distances, indices + start)
    best.finalize()


def skdim(prefix: Path) -> None:
    """Estimate by scikit-dimension."""
    import skdim as library

    rows = np.load(f"{prefix}_x.npy").astype(np.float32)
    library.id.MLE().fit(rows)
    library.id.TwoNN().fit(rows)


CONTENDERS = {"measure": measure, "search": search, "faiss": faiss, "skdim": skdim}

if __name__ == "__main__":
    main()
