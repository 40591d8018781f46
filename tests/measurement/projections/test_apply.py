"""`intrinsic-clip apply` reduces files of any format, row by row, or says in one line why it cannot."""

import csv
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from helpers.dataset_folders import write_folder
from helpers.projections import write_small_projection
from helpers.shared_latent import shared_latent
from helpers.tar_files import write_members
from helpers.tiny_runs import files_below
from intrinsic_clip import Reduce
from intrinsic_clip.data.formats.arrays import read_array
from intrinsic_clip.data.formats.row_ids import ids_as_written
from intrinsic_clip.data.formats.row_writers import WRITERS
from intrinsic_clip.measurement.projections import apply as verb

X, Y = shared_latent(300, 0.3, 0.1)
CUT = Path("cut.safetensors")


@pytest.fixture(autouse=True)
def _files() -> None:
    write_small_projection(CUT, X, Y, 6, "canonical")
    np.save("x.npy", X)
    np.save("y.npy", Y)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_holds_the_same_rows(command_line, monkeypatch, suffix) -> None:
    monkeypatch.setattr(verb, "BLOCK", 7 * 64 * 8)  # bytes, so 7 rows at a time
    assert command_line("apply", str(CUT), "x=x.npy", f"output=small{suffix}") == 0
    whole = Reduce.load(CUT).x(X.astype(np.float64)).astype(np.float32)
    small = read_array(Path(f"small{suffix}"))[0].numpy()
    np.testing.assert_allclose(small, whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_format_is_read(command_line, capsys, suffix) -> None:
    from intrinsic_clip.data.formats.row_writers import writing_rows

    with writing_rows(Path(f"new{suffix}"), X.shape, "float32", "x") as add:
        add(X[:200])
        add(X[200:])
    assert command_line("apply", str(CUT), f"x=new{suffix}", "output=small.npy") == 0
    assert "x: 300 rows, 64 → 6 columns, small.npy" in capsys.readouterr().out
    np.testing.assert_allclose(np.load("small.npy"), Reduce.load(CUT).x(X), rtol=1e-5, atol=1e-6)


def table(suffix: str, ids: dict[str, list[str]]) -> None:
    """Write X with columns of ids before it, as the format has them."""
    if suffix == ".npz":
        arrays = {name: np.array(values) for name, values in ids.items()}
        np.savez("new.npz", embedding=X, **arrays)
        return
    if suffix in (".csv", ".tsv"):
        frame = pd.DataFrame(X, columns=[f"d{place}" for place in range(X.shape[1])])
    else:
        frame = pd.DataFrame({"embedding": list(X)})
    for place, (name, values) in enumerate(ids.items()):
        frame.insert(place, name, values)
    if suffix == ".parquet":
        frame.to_parquet("new.parquet", row_group_size=100)
    elif suffix == ".feather":
        frame.to_feather("new.feather")
    elif suffix == ".folder":
        write_folder(Path("new.folder"), pa.Table.from_pandas(frame, preserve_index=False))
    else:
        frame.to_csv(f"new{suffix}", index=False, sep="," if suffix == ".csv" else "\t")


CODES = [f"{number:03}" if number % 7 else "NA" for number in range(300)]  # neither numbers nor missing
IDS = {"image_id": list(range(2**53, 2**53 + 300)), "code_id": CODES}
TABLES = (".npz", ".parquet", ".feather", ".csv", ".tsv")


@pytest.mark.parametrize("suffix", [*TABLES, ".folder"])
@pytest.mark.parametrize("written", TABLES)
def test_what_names_a_row_goes_with_it(command_line, capsys, monkeypatch, suffix, written) -> None:
    monkeypatch.setattr(verb, "BLOCK", 7 * 64 * 8)
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "X", np.where(np.arange(300)[:, None] == 5, np.nan, X).astype(np.float32))
        table(suffix, IDS)
    assert command_line("apply", str(CUT), f"x=new{suffix}", f"output=small{written}", "nan=drop") == 0
    assert f"'image_id', 'code_id' of each row goes into small{written}, too" in capsys.readouterr().out
    kept = np.delete(np.arange(300), 5)
    ids = ids_as_written(Path(f"small{written}"))
    assert ids["image_id"].tolist() == [IDS["image_id"][row] for row in kept]
    assert ids["code_id"].tolist() == [CODES[row] for row in kept]
    small = read_array(Path(f"small{written}"))[0].numpy()
    np.testing.assert_allclose(small, Reduce.load(CUT).x(X[kept]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_texts_of_any_characters_and_bytes_go_with_their_rows_into_a_text_table(command_line, suffix) -> None:
    texts = ["a\rb", "c\r\nd", 'e,"f"', "g\th", " i", *(f"t{place}" for place in range(295))]
    frame = pd.DataFrame({"caption": texts, "image_id": [f"{place} é".encode() for place in range(300)]})
    frame.assign(embedding=list(X)).to_parquet("new.parquet")
    assert command_line("apply", str(CUT), "x=new.parquet", f"output=small{suffix}") == 0
    with Path(f"small{suffix}").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="," if suffix == ".csv" else "\t"))
    assert [row[0] for row in rows[1:]] == texts
    assert [row[1] for row in rows[1:]] == [f"{place} é" for place in range(300)]
    small = read_array(Path(f"small{suffix}"))[0].numpy()
    np.testing.assert_allclose(small, Reduce.load(CUT).x(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_ids_that_an_output_has_no_room_for_are_told(command_line, capsys, suffix) -> None:
    table(".csv", IDS)
    assert command_line("apply", str(CUT), "x=new.csv", f"output=small{suffix}", "drop=code_id") == 0
    told = f"x: 'image_id', 'code_id' of each row is not kept, since {suffix} has no room for it"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_dropped_column_names_the_rows_of_the_output_all_the_same(command_line, suffix) -> None:
    frame = pd.DataFrame(X, columns=[f"d{place}" for place in range(X.shape[1])])
    frame.insert(0, "code_id", CODES)
    frame.to_csv("new.csv", index=False)
    frame.to_parquet("new.parquet")
    assert command_line("apply", str(CUT), f"x=new{suffix}", "output=small.npz", "drop=code_id") == 0
    assert ids_as_written(Path("small.npz"))["code_id"].tolist() == CODES


@pytest.mark.parametrize("written", TABLES)
def test_names_of_samples_go_with_their_rows(command_line, written) -> None:
    names = [f"sample{place:03}" for place in range(300)]
    members = {}
    for name, row in zip(names, X, strict=True):
        np.save(content := io.BytesIO(), row)
        members[name] = {"npy": content.getvalue()}
    write_members(Path("shard.tar"), members)
    assert command_line("apply", str(CUT), "x=shard.tar", f"output=small{written}") == 0
    assert ids_as_written(Path(f"small{written}"))["key"].tolist() == names


def test_half_precision_in_and_out(command_line) -> None:
    np.save("x.npy", X.astype(np.float16))
    assert command_line("apply", str(CUT), "x=x.npy", "output=small.npy", "precision=float16") == 0
    small = np.load("small.npy")
    assert small.dtype == np.float16
    np.testing.assert_allclose(small, Reduce.load(CUT).x(X), atol=2e-3)
    assert command_line("apply", str(CUT), "x=x.npy", "output=wide.npy", "precision=float64") == 0
    assert np.load("wide.npy").dtype == np.float64


@pytest.mark.parametrize(
    ("scale", "precision", "told"),
    [(1e-5, "float16", True), (1e-9, "float16", True), (1e-5, "float32", False), (1, "float16", False)],
)
def test_numbers_too_small_for_a_precision_are_told(command_line, capsys, scale, precision, told) -> None:
    rows = (scale * X).astype(np.float64)
    np.save("x.npy", rows)
    write_small_projection(CUT, rows, None, 6, "principal")
    assert command_line("apply", str(CUT), "x=x.npy", "output=small.npy", f"precision={precision}") == 0
    words = f"% of the numbers that are not zero are too small for precision={precision}"
    assert (words in capsys.readouterr().out) is told


def test_rows_that_are_not_finite_are_refused_or_dropped_with_their_partners(command_line, capsys) -> None:
    broken, other = X.copy(), Y.copy()
    broken[5, 1], other[250, 0] = np.nan, np.inf
    np.save("x.npy", broken)
    np.save("y.npy", other)
    command = ("apply", str(CUT), "x=x.npy", "y=y.npy", "output=a.npy", "output_y=b.parquet")
    assert command_line(*command) == 2
    assert "1 of 300 rows of x, 1 of 300 rows of y hold NaN or infinity; nan=drop" in capsys.readouterr().err
    assert not Path("a.npy").exists()
    assert command_line(*command, "nan=drop") == 0
    assert "298 rows are left, without pairs 5, 250 (counted from 0)" in capsys.readouterr().out
    kept, reduce = np.delete(np.arange(300), [5, 250]), Reduce.load(CUT)
    np.testing.assert_allclose(np.load("a.npy"), reduce.x(X[kept]), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        read_array(Path("b.parquet"))[0].numpy(), reduce.y(Y[kept]), rtol=1e-5, atol=1e-6
    )


WRONG = {
    "": "no projection: give the file that `intrinsic-clip measure … export=FILE` wrote",
    "cut.safetensors": "nothing to reduce: give x=FILE output=FILE",
    "cut.safetensors x=x.npy": "x: needs output=…, which is missing",
    "cut.safetensors output=a.npy y=y.npy output_y=b.npy": "output: needs x=…, which is missing",
    "cut.safetensors x=x.npy output=a.npy x_kye=b": "x_kye: unknown key, did you mean x_key?",
    "cut.safetensors x=x.npy output=a.npy precision=float8": "precision: input should be 'float16'",
    "cut.safetensors x=x.npy output=a.pkl": "output=a.pkl: .pkl extension, which is not written",
    "cut.safetensors x=x.npy output=no/a.npy": "output=no/a.npy: there is no folder no",
    "cut.safetensors x=x.npy output=x.npy overwrite=true": "output=x.npy: is x, which would be lost",
    "cut.safetensors x=x.npy output=cut.safetensors overwrite=true": "output=cut.safetensors: is projection",
    "cut.safetensors x=x.npy output=kept.npy": "output=kept.npy: exists; overwrite=true replaces it",
    "cut.safetensors x=x.npy output=a.npy y=y.npy output_y=a.npy": "output and output_y: must be two files",
    "cut.safetensors x=narrow.npy output=a.npy": "has 63 columns, but cut.safetensors was fitted to 64 columns of x",
    "cut.safetensors x=x.npy y=short.npy output=a.npy output_y=b.npy": "x has 300 rows, y has 299 rows",
    "cut.safetensors x=nowhere.npy output=a.npy": "x=nowhere.npy: no such file or directory",
    "nowhere.safetensors x=x.npy output=a.npy": "nowhere.safetensors: no such file or directory",
    "other.safetensors x=x.npy output=a.npy": "other.safetensors: no projection; intrinsic-clip measure",
    "x.npy x=x.npy output=a.npy": "x.npy: damaged, cut short, or no .safetensors file",
    "half.safetensors x=x.npy output=a.npy": "half.safetensors: damaged, cut short, or no .safetensors file",
    "flipped.safetensors x=x.npy output=a.npy": "flipped.safetensors: damaged: its numbers are not those",
    "alone.safetensors y=y.npy output_y=a.npy": "y: alone.safetensors has a projection of x alone",
    "cut.safetensors alone.safetensors x=x.npy output=a.npy": "apply takes one projection; embeddings are x=…",
    "cut.safetensors large.npy": "apply takes one projection",
    "cut.safetensors x=large.npy output=a.npy precision=float16": "numbers of x are too large for it",
    "cut.safetensors -m x=x.npy output=a.npy": "--multirun: apply takes one projection",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_bad_input_is_one_line_exit_2_and_nothing_written(command_line, capsys, tmp_path, arguments) -> None:
    from safetensors.numpy import save_file

    np.save("narrow.npy", X[:, 1:])
    np.save("short.npy", Y[1:])
    np.save("kept.npy", X[:3])
    np.save("large.npy", X)
    if "float16" in arguments:
        write_small_projection(CUT, X, Y, 6)  # principal maps keep the rows' lengths
        np.save("large.npy", 1e6 * X)
    save_file({"x": X}, "other.safetensors")
    data = CUT.read_bytes()
    Path("half.safetensors").write_bytes(data[: len(data) // 2])
    Path("flipped.safetensors").write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    write_small_projection(Path("alone.safetensors"), X, None, 6)
    before = contents(tmp_path)
    assert command_line("apply", *arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("intrinsic-clip: ")
    assert error.count("\n") == 1
    assert WRONG[arguments] in error
    assert contents(tmp_path) == before
    assert not [path for path in files_below(tmp_path) if str(path).endswith(".tmp")]


def test_what_fails_midway_leaves_the_files_that_were_there(
    command_line, capsys, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(verb, "BLOCK", 100 * 64 * 8)
    np.save("small.npy", X[:3])
    before = contents(tmp_path)
    transform, calls = Reduce.transform, []

    def failing(reduce: Reduce, rows, side):
        calls.append(side)
        if len(calls) == 5:  # in the second file
            raise OSError(28, "No space left on device")
        return transform(reduce, rows, side)

    monkeypatch.setattr(Reduce, "transform", failing)
    outputs = ["output=small.npy", "output_y=b.csv", "overwrite=true"]
    assert command_line("apply", str(CUT), "x=x.npy", "y=y.npy", *outputs) == 2
    assert "b.csv: No space left on device" in capsys.readouterr().err
    assert contents(tmp_path) == before


CHANGES = {
    "cut short": lambda path: os.truncate(path, 128 + 40 * 64 * 8),
    "rewritten": lambda path: np.save(path, X[::-1]),
    "replaced": lambda path: (np.save("new.npy", X[::-1]), os.replace("new.npy", path)),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("side", ["x", "y"])
def test_an_input_that_changes_midway_is_told_and_nothing_is_written(
    command_line, capsys, monkeypatch, tmp_path, change, side
) -> None:
    """Rows of two contents would be one file, and a mapped file that is cut short would end the process (SIGBUS)."""
    monkeypatch.setattr(verb, "BLOCK", 7 * 64 * 8)
    path = Path(f"{side}.npy")
    transform, calls = Reduce.transform, []

    def changing(reduce: Reduce, rows, side):
        calls.append(side)
        if len(calls) == 5:
            os.utime(path, (1, 1))  # long ago
            CHANGES[change](path)
        return transform(reduce, rows, side)

    monkeypatch.setattr(Reduce, "transform", changing)
    assert command_line("apply", str(CUT), "x=x.npy", "y=y.npy", "output=a.npy", "output_y=b.csv") == 2
    error = capsys.readouterr().err
    assert f"{side}: {path} changed while it was read, so nothing is written; run the command" in error
    assert error.count("\n") == 1
    assert not {"a.npy", "b.csv"} & set(contents(tmp_path))
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.fixture(params=[signal.SIG_DFL, lambda number, frame: sys.exit(number)], ids=["usual", "own"])
def at_sigterm(request) -> Iterator[object]:
    """Set how the process ends at SIGTERM: as usual, or by a handler that a library such as Ray has set."""
    before = signal.signal(signal.SIGTERM, request.param)
    yield request.param
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("suffix", WRITERS)
def test_termination_leaves_no_unfinished_file(
    command_line, monkeypatch, tmp_path, suffix, at_sigterm
) -> None:
    """`timeout` and schedulers send SIGTERM; it used to leave `.small.npy.….tmp` behind."""
    code = 143 if at_sigterm is signal.SIG_DFL else int(signal.SIGTERM)
    monkeypatch.setattr(verb, "BLOCK", 7 * 64 * 8)  # bytes, so 7 rows at a time
    transform, blocks = Reduce.transform, []

    def terminated(self: Reduce, *arguments: object) -> object:
        blocks.append(arguments)
        if len(blocks) == 20:
            assert list(tmp_path.glob(".small*.tmp"))
            os.kill(os.getpid(), signal.SIGTERM)
        return transform(self, *arguments)

    monkeypatch.setattr(Reduce, "transform", terminated)
    before = contents(tmp_path)
    assert command_line("apply", str(CUT), "x=x.npy", f"output=small{suffix}") == code
    assert contents(tmp_path) == before
    assert len(blocks) == 20
    assert signal.getsignal(signal.SIGTERM) is at_sigterm


def test_help_names_the_settings(command_line, capsys) -> None:
    assert command_line("apply", "--help") == 0
    shown = capsys.readouterr().out
    for setting in ("projection: null", "output: null", "precision: float32", "overwrite: false"):
        assert setting in shown
