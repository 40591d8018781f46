"""Examples of retrieval: captions listed and marked, their sources, the sheet and W&B's table."""

import io
import itertools
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from pytorch_lightning import Trainer
from torch import nn

from helpers.captioned_folder import load, make
from helpers.tiny_runs import files_below
from intrinsic_clip.data import PairedData, Pairs, SyntheticLinear
from intrinsic_clip.data.formats.tokens import captions_of
from intrinsic_clip.data.openclipart import OpenClipArt
from intrinsic_clip.loggers.wandb_logger import WandbLogger
from intrinsic_clip.loss.similarity import CosineSimilarity, PopulationSimilarity
from intrinsic_clip.loss.temperature import LearnedTemperature
from intrinsic_clip.probes import ExamplesProbe
from intrinsic_clip.probes import contact_sheet as sheet
from intrinsic_clip.training.module import ContrastiveModule
from intrinsic_clip.training.train import train

pytestmark = pytest.mark.pictures

SIZES = {"n_train": 64, "n_append": 16, "n_test": 30, "batch_size": 32}


class Duplicates(PairedData):
    """Twelve test rows of random pixels, two captions of each picture, and two training rows."""

    def __init__(self) -> None:
        super().__init__(batch_size=2)
        self.sizes = {"train": 2, "append": 2, "test": 12}
        self.d_x, self.d_y = (3, 4, 4), (77,)

    def load(self, device):
        from open_clip import tokenize

        generator = torch.Generator().manual_seed(0)
        x, y = torch.rand(6, 3, 4, 4, generator=generator), tokenize([f"caption {i}" for i in range(12)])
        x = x.repeat_interleave(2, dim=0)  # two captions of each picture
        return {s: Pairs(x[:n], y[:n], row_axis=0) for s, n in self.sizes.items()}


class Ids(nn.Module):
    """Encoder that projects token ids, as numbers, to four dimensions."""

    def __init__(self, length: int = 77) -> None:
        super().__init__()
        self.linear = nn.Linear(length, 4)

    def forward(self, tokens):
        return self.linear((tokens / 49408).float())


def _module(data: PairedData, similarity: nn.Module | None = None) -> ContrastiveModule:
    data.read()
    torch.manual_seed(3)
    pixels = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
    f, g = (
        (pixels, Ids()) if isinstance(data.d_x, tuple) else (nn.Linear(data.d_x, 4), nn.Linear(data.d_y, 4))
    )
    f(data.pairs("test").x)
    adam = partial(torch.optim.Adam, lr=1e-3)
    return ContrastiveModule(f, g, similarity or CosineSimilarity(), LearnedTemperature(), adam)


def _trainer(folder: Path, *probes, logger=False) -> Trainer:
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=logger,
        callbacks=list(probes),
        default_root_dir=str(folder),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _retrieved(folder: Path, monkeypatch, data: PairedData, module: ContrastiveModule, **options):
    """Return the retrievals that the probe draws in a run."""
    drawn = []
    monkeypatch.setattr(
        "intrinsic_clip.probes.examples_probe.contact_sheet",
        lambda retrieved: drawn.append(retrieved) or sheet.contact_sheet(retrieved),
    )
    trainer = _trainer(folder, ExamplesProbe(**options))
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data, verbose=False)
    (retrieved,) = drawn
    assert Image.open(folder / "examples.png").size[0] > 1000
    return retrieved


@pytest.mark.parametrize("similarity", [CosineSimilarity, PopulationSimilarity])
@pytest.mark.parametrize("max_samples", [10_000, 20])
@pytest.mark.slow
def test_the_captions_of_the_largest_cosines(tmp_path, monkeypatch, similarity, max_samples) -> None:
    data = OpenClipArt(**SIZES)
    module = _module(data, similarity())
    retrieved = _retrieved(tmp_path, monkeypatch, data, module, images=4, captions=3, max_samples=max_samples)
    kept = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:max_samples].sort().values
    test, shown = data.pairs("test"), data.examples(kept)
    with torch.no_grad():
        x, y = module.f(test.x)[kept].double(), module.g(test.y)[kept].double()
    cosines = (x @ y.T) / x.norm(dim=1)[:, None] / y.norm(dim=1)
    assert len(retrieved) == 4
    for retrieval in retrieved:
        (row,) = (i for i, caption in enumerate(shown.captions) if caption == retrieval.true_caption)
        values, best = cosines[row].topk(3)
        assert retrieval.captions == [shown.captions[i] for i in best]
        assert retrieval.scores == pytest.approx(values.tolist(), abs=1e-6)
        assert retrieval.right == [bool(i == row) for i in best]
        assert retrieval.rank == retrieval.own_rank == 1 + int((cosines[row] > cosines[row, row]).sum())
        assert retrieval.candidates == len(kept)
        assert torch.equal(retrieval.image, shown.images[row])


@pytest.mark.slow
def test_another_caption_of_the_same_picture_is_right(tmp_path, monkeypatch) -> None:
    data = Duplicates()
    retrieved = _retrieved(tmp_path, monkeypatch, data, _module(data), images=3, captions=12)
    for retrieval in retrieved:
        number = int(retrieval.true_caption.split()[1])
        partners = {f"caption {number}", f"caption {number ^ 1}"}
        assert retrieval.right == [caption in partners for caption in retrieval.captions]
        assert sum(retrieval.right) == 2
        assert retrieval.captions[retrieval.own_rank - 1] == retrieval.true_caption
        assert retrieval.rank == 1 + retrieval.right.index(True)


@pytest.mark.parametrize("max_samples", [10_000, 11])
def test_a_right_caption_counts_wherever_it_is(tmp_path, monkeypatch, max_samples) -> None:
    data = Duplicates()
    options = {"images": 12, "max_samples": max_samples}
    retrieved, longer = (
        _retrieved(tmp_path, monkeypatch, data, _module(data), captions=c, **options) for c in (2, 12)
    )
    assert any(one.rank < one.own_rank for one in retrieved)
    for one, whole in zip(retrieved, longer, strict=True):
        assert (
            (one.rank, one.own_rank)
            == (whole.rank, whole.own_rank)
            == (1 + whole.right.index(True), one.own_rank)
        )
        assert any(one.right) == (one.rank <= 2)
    hits = sum(any(one.right) for one in retrieved)
    texts = [text.get_text() for text in sheet.draw_contact_sheet(retrieved).findobj(Text)]
    assert f"{hits} of {len(retrieved)} images have a right one" in texts
    better = next(one for one in retrieved if one.rank < one.own_rank)
    assert f"true caption, at rank {better.own_rank}, another right one at rank {better.rank}:" in texts


def test_token_ids_become_captions_again() -> None:
    from open_clip import tokenize

    captions = ["a red bridge", "naïve café – 3 dogs", "stop!", "", "!"]
    assert captions_of(tokenize(captions)) == ["a red bridge", "naïve café – 3 dogs", "stop !", "", "!"]
    cut = tokenize(["dog " * 200])
    assert captions_of(cut) == [" ".join(["dog"] * 75)]
    assert torch.equal(tokenize(captions_of(cut)), cut)


@pytest.mark.parametrize("pixels", ["float", "uint8"])
def test_a_folder_shows_its_captions_as_written(tmp_path, pixels) -> None:
    data = load(make(tmp_path, captions={i: f"Drawing No. {i}" for i in range(40)}), pixels=pixels)
    rows = torch.tensor([3, 0])
    shown, by_ids = data.examples(rows), PairedData.read_captions(data, "test", rows)
    assert shown is not None
    assert all(caption.startswith("Drawing No. ") for caption in shown.captions)
    written, read = ([c.lower().replace(" ", "") for c in captions] for captions in (shown.captions, by_ids))
    assert written == read
    assert 0 <= float(shown.images.min()) < float(shown.images.max()) <= 1


@pytest.mark.slow
def test_features_show_the_drawings_behind_them() -> None:
    rows = torch.tensor([5, 2, 2])
    features, pixels = OpenClipArt(**SIZES), OpenClipArt(**SIZES, images=True)
    assert features.examples(rows).captions == pixels.examples(rows).captions
    assert torch.equal(features.examples(rows).images, pixels.pairs("test").x[rows])


def test_nothing_without_pictures(tmp_path) -> None:
    data = SyntheticLinear(**SIZES)
    trainer = _trainer(tmp_path, ExamplesProbe())
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*xamples.*")
        trainer.test(_module(data), datamodule=data, verbose=False)
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_what_is_not_finite_is_a_warning(tmp_path) -> None:
    data = OpenClipArt(**SIZES)
    module = _module(data)
    with torch.no_grad():
        module.f.weight.fill_(torch.nan)
    with pytest.warns(UserWarning, match="there are no examples: the embeddings are not finite"):
        _trainer(tmp_path, ExamplesProbe()).test(module, datamodule=data, verbose=False)
    assert files_below(tmp_path) == []


@pytest.mark.slow
def test_wandb_gets_a_table(tmp_path, monkeypatch) -> None:
    import wandb

    tables = []
    monkeypatch.setattr(WandbLogger, "log_table", lambda self, *table: tables.append(table))
    data = OpenClipArt(**SIZES)
    logger = WandbLogger(str(tmp_path / "name" / "hash"), mode="disabled")
    trainer = _trainer(tmp_path, ExamplesProbe(images=2), logger=logger)
    trainer.test(_module(data), datamodule=data, verbose=False)
    logger.close()
    ((name, columns, rows),) = tables
    assert name == "examples"
    assert columns == ["image", "true caption", "rank", *(f"caption {i}" for i in range(1, 6))]
    assert [len(row) for row in rows] == [8, 8]
    for image, true_caption, rank, *captions in rows:
        assert isinstance(image, wandb.Image)
        assert (f"✓ {true_caption}" in captions) == (rank <= 5)
        assert all(caption[:2] in ("✓ ", "✗ ") for caption in captions)


@pytest.mark.long
@pytest.mark.parametrize(
    "more",
    [
        [],
        ["replicates=2"],
        ["replicates=2", "encoder.output_dim=[3,6]"],
        ["replicates=2", "replicates_per_chunk=1"],
    ],
)
def test_a_run_leaves_the_sheet(tmp_path, compose, capsys, more) -> None:
    small = [f"data.{key}={value}" for key, value in SIZES.items()]
    train(
        compose("data=openclipart", "objective.similarity.rows=null", "probes.dimension.k=5", *small, *more)
    )
    (path,) = tmp_path.glob("outputs/custom/*/examples.png")
    assert Image.open(path).format == "PNG"
    assert str(path.relative_to(tmp_path)) in capsys.readouterr().out


ODD = ["W" * 500, "$x_1$ {} \\ 100 % $", "two\nlines\tand\x00more", "日本" * 200, ""]


def _odd(true_caption: str) -> sheet.Retrieved:
    scores, right = [0.5, 0.4, 0.3, 0.0, -0.1], [True] + [False] * 4
    return sheet.Retrieved(torch.rand(3, 20, 90), ODD, scores, right, true_caption, 1, 4, 9)


@pytest.mark.slow
@pytest.mark.parametrize("true_caption", ODD)
def test_long_and_odd_captions_stay_on_their_card(true_caption) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = Image.open(io.BytesIO(sheet.contact_sheet([_odd(true_caption)])))
    below_title = round(2 * sheet.LINE * sheet.DPI)
    right = picture.convert("RGB").crop((picture.width // 2 + 20, below_title, picture.width, picture.height))
    assert right.getcolors() == [(right.width * right.height, (255, 255, 255))]


@pytest.mark.slow
def test_the_sheet_shows_captions_marks_and_cosines() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = sheet.draw_contact_sheet([_odd("one two three four " * 20)] * 3)
    FigureCanvasAgg(figure).draw()
    image, card = figure.axes[:2]
    assert len(figure.axes) == 6
    texts = card.texts
    shown = [text.get_text() for text in texts]
    assert not any(text.get_parse_math() for text in texts)
    assert shown[0::3][:5] == ["✓", "✗", "✗", "✗", "✗"]
    assert [text.get_color() for text in texts[0:15:3]] == [sheet.BLUE] + [sheet.ORANGE] * 4
    assert shown[1::3][:5] == ["0.50", "0.40", "0.30", "0.00", "−0.10"]
    captions = shown[2::3][:5]
    assert captions[0] == "W" * (sheet.CHARACTERS - 1) + "…"
    assert captions[1:3] == ["$x_1$ {} \\ 100 % $", "two lines and more"]
    assert captions[4] == ""
    label, *true_caption = shown[15:]
    assert label == "true caption, at rank 4, another right one at rank 1:"
    assert len(true_caption) == 2
    assert " ".join(true_caption).startswith("one two three four one two")
    assert true_caption[1].endswith("…")
    tops = sorted(
        {round(text.get_window_extent().y1, 1) for text in (texts[2], texts[5], texts[15], *texts[16:])}
    )
    assert min(b - a for a, b in itertools.pairwise(tops)) > texts[15].get_window_extent().height
    assert texts[16].get_window_extent().x1 < card.bbox.x1
    assert image.get_images()[0].get_array().shape == (20, 90, 3)
    title, _, _, count = (text.get_text() for text in figure.texts)
    assert title == "Held-out images, each with the 5 captions most like it of 9 (and their cosine)"
    assert count == "3 of 3 images have a right one"
    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_what_is_wrapped_and_what_is_cut() -> None:
    assert sheet._wrapped("fits", 1) == ["fits"]
    assert sheet._wrapped("", 2) == []
    words = "word " * 30
    lines = sheet._wrapped(words, 3)
    assert " ".join(lines) == words.strip()
    assert all(len(line) <= sheet.CHARACTERS for line in [*lines, *sheet._wrapped("日本" * 200, 2)])
