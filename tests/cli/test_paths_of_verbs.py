"""Each verb takes paths as text, and names the path that it did not find."""

from pathlib import Path

import numpy as np
import pytest

from helpers.tiny_runs import files_below

EMBEDDINGS = ["train", "data=embeddings", "data.y=y.npy"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([*EMBEDDINGS, "data.x=runs/epoch=9-step=1.npy"], "data.x=runs/epoch=9-step=1.npy: no such file"),
        ([*EMBEDDINGS, "data.x=~/emb.npy"], "data.x={home}/emb.npy: no such file"),
        ([*EMBEDDINGS, "data.x=été.npy"], "data.x=été.npy: no such file"),
        ([*EMBEDDINGS, "data.x=a (1).npy"], "data.x=a (1).npy: no such file"),
        ([*EMBEDDINGS, "data.x=x$1.npy"], "data.x=x$1.npy: no such file"),
        ([*EMBEDDINGS, "data.x='a (1).npy'"], "data.x=a (1).npy: no such file"),
        ([*EMBEDDINGS, "data.x=a,b.npy"], "'data.x=\"a,b.npy\"' one text"),
        ([*EMBEDDINGS, "data.x=", "output_dir=out é"], "data.x=: must name a file or folder"),
        (["train", "output_dir=", "name=a b"], "output_dir=: must name a file or folder"),
        (["measure", "x=~/epoch=9,{0}.npy"], "x={home}/epoch=9,{0}.npy: no such file"),
        (["measure", "run=~/runs (old)"], "run={home}/runs (old): no such folder"),
        (["figures", "output_dir=~/out=1"], "output_dir={home}/out=1: no such folder"),
        (["report", "~/runs=1"], "no folder ~/runs=1"),
        (["report", "~"], "{home}: "),
        (["dashboard", "--dry-run", "file=", "name=a (b"], "file=: must name a file or folder"),
    ],
)  # fmt: skip
def test_the_path_is_named_as_it_is(
    command_line, capsys, tmp_path, tmp_path_factory, monkeypatch, arguments, named
) -> None:
    home = tmp_path_factory.mktemp("home")  # matplotlib caches its fonts there
    monkeypatch.setenv("HOME", str(home))
    assert command_line(*arguments) == 2
    error = capsys.readouterr().err
    assert named.replace("{home}", str(home)) in error
    assert error.count("\n") == 1
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_measure_takes_and_writes_where_it_is_told(command_line, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    name = "épisode=9 ({a,b}) it's $5 #1 @~.npy"
    np.save(name, np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32))
    common = ["estimators=[mle]", "progress=false", "threads=1"]
    assert command_line("measure", f"x={name}", "output_dir=~/out = é", *common) == 0
    assert len(list(tmp_path.glob("out = é/measure/*/measure.json"))) == 1
    assert not Path("~").exists()
