"""Sealed JSON is whole, or it is named as damaged; the files beside results.json too."""

import json
import pickle
import random

import numpy as np
import pandas as pd
import pytest

from intrinsic_clip.errors import ConfigError, Unfinished
from intrinsic_clip.runs import Run, results
from intrinsic_clip.runs.sealed import Damaged, read_sealed, write_sealed
from intrinsic_clip.runs.stored_embeddings import EMBEDDINGS, write_embeddings

CONTENT = {
    "status": "completed",
    "numbers": [0.1, 1.0, -0.0, 3, None, True],
    "text": "Grüße\n",
    "inner": {"a": {}},
}


def test_it_is_json_that_a_person_reads_with_version_and_checksum_in_front(tmp_path) -> None:
    path = tmp_path / "results.json"
    write_sealed(path, CONTENT)
    assert read_sealed(path) == CONTENT
    lines = path.read_text().splitlines()
    assert lines[1] == '  "format": 1,'
    assert lines[2].startswith('  "checksum": "')
    assert lines[3] == '  "status": "completed",'
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))  # in another layout
    assert read_sealed(path) == CONTENT
    assert read_sealed(tmp_path / "none") is None
    assert read_sealed(path / "none") is None


def test_flipped_bits_everywhere_are_noticed_or_change_nothing(tmp_path) -> None:
    path = tmp_path / "results.json"
    write_sealed(path, CONTENT)
    whole = path.read_bytes()
    refused = []
    for place in range(len(whole)):
        for bit in (place % 8, (place + 5) % 8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                assert read_sealed(path) == CONTENT  # a space for another
            except ConfigError as error:
                refused.append(str(error))
    assert len(refused) > 1.7 * len(whole)
    assert "\n" not in "".join(refused)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("format"),
        lambda c: c.pop("checksum"),
        lambda c: c.pop("text"),
        lambda c: c.update(format=0),
        lambda c: c.update(format=True),
        lambda c: c.update(format="1"),
        lambda c: c.update(checksum=3),
        lambda c: c["numbers"].__setitem__(1, 1),
        lambda c: c["numbers"].__setitem__(2, 0.0),
        lambda c: c["inner"].update(b=float("nan")),
    ],
)
def test_every_change_is_damage(tmp_path, change) -> None:
    path = tmp_path / "results.json"
    write_sealed(path, CONTENT)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(Damaged, match=r"results.json: damaged \(its checksum differs\); delete it"):
        read_sealed(path)


@pytest.mark.parametrize(
    "text", ["", "3", "null", "[1]", "\0\0", '{"a": 1', "[" * 100_000, "\ud800", "1" * 5000]
)
def test_what_is_no_json_object_is_damage(tmp_path, text) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(Damaged) as raised:
        read_sealed(path)
    assert "\n" not in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # launchers send it


def test_a_newer_version_is_refused_by_name_and_a_folder_too(tmp_path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"format": 2, "checksum": "of another kind", "status": "completed"}')
    with pytest.raises(
        ConfigError, match="format 2 is of a newer version of intrinsic-clip, this one reads up to 1"
    ):
        results.read_completed(tmp_path)
    with pytest.raises(ConfigError, match="newer version"):
        Run.load(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(
        ConfigError, match=r"results.json: is a folder, where a file is expected; move it away"
    ):
        results.read_completed(tmp_path)


def _finished(folder, **change) -> Run:
    """Write a finished run, whose results.json is then changed, and read it."""
    folder.mkdir(exist_ok=True)
    draw = np.random.default_rng(0)
    write_embeddings(folder, {name: draw.normal(size=(5, 2)) for name in ("x", "y", "x_raw", "y_raw")}, False)
    (folder / "metrics.csv").write_text("step,epoch,metric,output_dim,replicate,value\n1,0,loss,,,2.5\n")
    config = {"seed": 0, "name": "a", "replicates": None, "encoder": {"output_dim": 2}}
    metrics = {"loss": {"mean": 2.5, "std": None, "values": [2.5]}}
    content = {"status": "completed", "config": config, "metrics": metrics, "timings": {}, "shared_dim": None}
    results.write_results(folder, {**content, "n_test": 5, **change}, files=("metrics.csv", EMBEDDINGS))
    return Run.load(folder)


@pytest.mark.parametrize("name", ["metrics.csv", EMBEDDINGS])
def test_a_flipped_bit_in_the_files_of_a_finished_run_is_noticed(tmp_path, name) -> None:
    run = _finished(tmp_path)
    read = {"metrics.csv": run.history, EMBEDDINGS: run.embeddings}[name]
    read()
    assert results.damaged_files(tmp_path, run.results) == []
    whole = (tmp_path / name).read_bytes()
    for spoilt in (whole[:-1], whole + b"\n", whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:]):
        (tmp_path / name).write_bytes(spoilt)
        with pytest.raises(Damaged, match=f"{name}: damaged .*; delete the folder to train the run anew"):
            read()
        assert results.damaged_files(tmp_path, run.results) == [
            f"{tmp_path / name}: damaged since the run was finished; delete the folder to train the run anew"
        ]
    (tmp_path / name).unlink()  # perhaps to save space
    assert results.damaged_files(tmp_path, run.results) == []


def test_results_of_another_run_do_not_count_as_done(tmp_path) -> None:
    _finished(tmp_path / "a1")
    assert results.read_completed(tmp_path / "a1")["metrics"]["loss"]["mean"] == 2.5
    (tmp_path / "b2").mkdir()
    (tmp_path / "a1" / "results.json").rename(tmp_path / "b2" / "results.json")
    assert results.read_completed(tmp_path / "b2") is None
    assert results.damage(tmp_path / "b2") == "of another run, a1"


def _version_0(**change) -> dict:
    config = {"seed": 0, "name": "a", "replicates": None, "encoder": {"output_dim": 2}}
    metrics = {"loss": {"mean": 2.5, "std": None, "values": [2.5]}}
    content = {"status": "completed", "config": config, "metrics": metrics, "timings": {}, "shared_dim": None}
    return {**content, "n_test": 5, **change}


@pytest.mark.parametrize(
    ("change", "is_whole"),
    [
        ({}, True),
        ({"shared_dim": 5, "reasons": {}, "versions": {"torch": "2"}}, True),
        ({"metrics": []}, False),
        ({"metrics": {"loss": 3}}, False),
        ({"metrics": {"loss": {"mean": "2", "std": None, "values": []}}}, False),
        ({"metrics": {"loss": {"mean": [2.5], "std": [1.0], "values": [[2.5]]}}}, False),
        ({"config": "demo"}, False),
        ({"config": {"replicates": None, "encoder": 3}}, False),
        ({"timings": None}, False),
        ({"n_test": "5"}, False),
    ],
)
def test_results_of_version_0_are_read_if_they_have_its_shape(tmp_path, change, is_whole) -> None:
    (tmp_path / "results.json").write_text(json.dumps(_version_0(**change)))
    assert (results.read_completed(tmp_path) is not None) == is_whole
    assert (results.damage(tmp_path) is None) == is_whole
    if is_whole:
        assert Run.load(tmp_path).metrics["loss"]["mean"] == 2.5


@pytest.mark.parametrize("value", ["x", "2.5\0\0"])
def test_metrics_without_a_fingerprint_must_be_numbers(tmp_path, value) -> None:
    (tmp_path / "metrics.csv").write_text(
        f"step,epoch,metric,output_dim,replicate,value\n1,0,loss,,,{value}\n"
    )
    with pytest.raises(Damaged, match=r"metrics.csv: damaged \("):
        results.read_metrics(tmp_path)


def test_the_reason_of_a_failure_is_one_line_whatever_the_file_holds(tmp_path) -> None:
    (tmp_path / "failed.txt").write_bytes(b"out of\n memory \xff")
    with pytest.raises(Unfinished, match=r"^failed \(out of memory .\)$"):
        Run.load(tmp_path)
    (tmp_path / "failed.txt").unlink()
    (tmp_path / "failed.txt").mkdir()
    with pytest.raises(Unfinished, match=r"^unfinished$"):
        Run.load(tmp_path)


def test_where_a_file_will_be_written_there_must_be_one_or_nothing(tmp_path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to("a")
    results.check_replaceable(tmp_path, ("a", "link", "none"))
    (tmp_path / "device").symlink_to("/dev/full")
    (tmp_path / "folder").mkdir()
    for name in ("device", "folder"):
        with pytest.raises(ConfigError, match=f"{name}: is no regular file"):
            results.check_replaceable(tmp_path, ("a", name))


def test_random_changes_of_a_finished_run_are_read_right_or_refused_in_one_line(tmp_path) -> None:
    run = _finished(tmp_path)
    names = ["results.json", "metrics.csv", EMBEDDINGS]
    whole = {name: (tmp_path / name).read_bytes() for name in names}
    metrics, history, x = run.metrics, run.history(), run.embeddings().x
    draw = random.Random(0)
    refused = []
    for _ in range(300):
        name = draw.choice(names)
        spoilt = bytearray(whole[name])
        start = draw.randrange(len(spoilt))
        spoilt[start : start + draw.choice((1, 30))] = draw.choice((b"", b"\0", b"}", draw.randbytes(9)))
        (tmp_path / name).write_bytes(spoilt)
        try:
            again = Run.load(tmp_path)
            assert again.metrics == metrics
            pd.testing.assert_frame_equal(again.history(), history)
            assert np.array_equal(again.embeddings().x, x)
        except (Unfinished, ConfigError) as error:
            refused.append(str(error))
        (tmp_path / name).write_bytes(whole[name])
    assert len(refused) > 280
    assert "\n" not in "".join(refused)
