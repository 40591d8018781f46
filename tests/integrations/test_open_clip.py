"""The lines of the page go into open_clip's own training loop, and its recipe for large batches is exact."""

import importlib.util
import json
import logging
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from intrinsic_clip.loss import info_nce

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "open_clip.md"
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def with_the_lines_of_the_page(source: str) -> tuple[str, int]:
    """Return a source with the page's added lines behind the lines that it shows before them, and their number."""
    added = 0
    for hunk in re.findall(r"```diff\n(.*?)```", PAGE.read_text(), re.DOTALL):
        before, *lines = hunk.splitlines()
        assert all(line.startswith("+") for line in lines)
        assert source.count(f"{before[1:]}\n") == 1, before
        source = source.replace(f"{before[1:]}\n", "\n".join([before[1:], *(line[1:] for line in lines), ""]))
        added += len(lines)
    return source, added


def test_readme_and_page_name_the_number_of_lines() -> None:
    lines = re.findall(r"^\+", PAGE.read_text(), re.MULTILINE)
    word = {3: "three", 4: "four"}[len(lines)]
    assert f"{word.capitalize()} lines in `open_clip_train/train.py`" in PAGE.read_text()
    assert f"[{word} lines for open_clip]" in (PAGE.parents[2] / "README.md").read_text()


class Absent(types.ModuleType):
    """A module that is not installed, and which open_clip imports at its start but needs for shards only."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


@pytest.fixture
def open_clip_train(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Import open_clip's training program, with the page's lines in its loop."""
    pytest.importorskip("open_clip_train")
    absent = {name for name in ("braceexpand", "webdataset") if importlib.util.find_spec(name) is None}
    for name in ("braceexpand", "webdataset", "webdataset.filters", "webdataset.tariterators"):
        if name.partition(".")[0] in absent:
            monkeypatch.setitem(sys.modules, name, Absent(name))
    spec = importlib.util.find_spec("open_clip_train.train")
    source, added = with_the_lines_of_the_page(Path(spec.origin).read_text())
    assert added <= 4
    changed = types.ModuleType("open_clip_train.train")
    exec(compile(source, "train.py", "exec"), changed.__dict__)
    monkeypatch.setitem(sys.modules, "open_clip_train.train", changed)
    monkeypatch.delitem(sys.modules, "open_clip_train.main", raising=False)
    from open_clip_train import main

    yield main
    sys.modules.pop("open_clip_train.main", None)


@pytest.fixture
def _logging_as_before():
    root, levels = (
        logging.root,
        {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict},
    )
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_logging_as_before")
def test_the_lines_of_the_page_add_the_numbers_to_open_clips_logs(open_clip_train, tmp_path) -> None:
    import open_clip

    (tmp_path / "tiny-clip.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(tmp_path / "tiny-clip.json")
    rng = np.random.default_rng(0)
    lines = ["filepath\ttitle"]
    for i in range(60):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{tmp_path}/{i}.png\ta photo of {' '.join(rng.choice(list('abcdefghij'), 4))}")
    (tmp_path / "pairs.tsv").write_text("\n".join(lines))
    program = (
        "--model tiny-clip --dataset-type csv --train-data pairs.tsv --val-data pairs.tsv --epochs 2 --batch-size 30 "
        "--workers 0 --device cpu --name run --logs logs --report-to tensorboard --warmup 1 --lr 1e-3 "
        "--log-every-n-steps 1"
    )
    open_clip_train.main(program.split())
    results = [
        json.loads(line) for line in Path("logs/run/checkpoints/results.jsonl").read_text().splitlines()
    ]
    assert len(results) == 2
    for result in results:
        assert 1 < result["id/mle/x"] < 16
        assert 1 < result["id/mle/y"] < 16
        # theirs ranks by the same inner products, among all rows, where equal captions are not one
        assert result["matching/top_1/x_to_y"] >= result["image_to_text_R@1"]
    assert "id/mle/x: " in Path("logs/run/out.log").read_text()
    events = b"".join(path.read_bytes() for path in Path("logs/run/tensorboard").iterdir())
    assert b"val/id/mle/x" in events
    assert b"train/id/mle/y" in events


def recipe() -> dict[str, object]:
    """Return what the first block of Python on the page defines."""
    namespace: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1), namespace)
    return namespace


def test_the_recipe_gives_the_gradient_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    encoders = [nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, 4)).double() for width in (7, 5)]
    inputs = torch.randn(23, 7).double(), torch.randn(23, 5).double()  # 23 is no multiple of the parts
    log_tau = nn.Parameter(torch.tensor(-1.0, dtype=torch.float64))
    encode = [lambda rows, f=f: nn.functional.normalize(f(rows), dim=-1) for f in encoders]
    parameters = [log_tau, *(weight for f in encoders for weight in f.parameters())]

    plain = info_nce(*(f(rows) for f, rows in zip(encode, inputs, strict=True)), log_tau.exp())
    expected = torch.autograd.grad(plain, parameters)
    loss = recipe()["cached_backward"](encode, inputs, log_tau.exp(), part=6, chunk=4)
    assert float(loss) == pytest.approx(float(plain), rel=1e-12)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-12)
