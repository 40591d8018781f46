"""The shipped Open Clip Art set: its content, its selection, and how it is read."""

import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from intrinsic_clip.data.openclipart import FOLDER, OpenClipArt, read_features, read_samples
from intrinsic_clip.data.openclipart.build import (
    TITLE_REPEATS,
    Drawing,
    choose,
    clean_description,
    clean_keywords,
    on_white,
    readable,
    render,
    write_tar,
)

SVG = """<svg xmlns="http://www.w3.org/2000/svg"><metadata><rdf:RDF xmlns:cc="http://web.resource.org/cc/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<cc:Work rdf:about=""><dc:title>{title}</dc:title><dc:description/><dc:subject><rdf:Bag><rdf:li>{keyword}</rdf:li>
</rdf:Bag></dc:subject><dc:publisher><cc:Agent><dc:title>Open Clip Art</dc:title></cc:Agent></dc:publisher>
<cc:license rdf:resource="{licence}"/></cc:Work></rdf:RDF></metadata><g/></svg>"""


@pytest.fixture(scope="module")
def samples() -> list:
    return list(read_samples())


def test_size_and_licence(samples) -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*") if path.is_file()) < 25e6
    assert len(samples) == 2704
    assert not any("gpl" in metadata["licence"].lower() for _, metadata in samples)
    assert all("ublic" in metadata["licence"] or not metadata["licence"] for _, metadata in samples)


def test_titles_captions_and_categories(samples) -> None:
    titles = Counter(metadata["title"].lower() for _, metadata in samples)
    assert max(titles.values()) <= TITLE_REPEATS
    captions = [metadata["caption"] for _, metadata in samples]
    assert len(set(captions)) == len(captions)
    assert all(3 <= len(caption) <= 700 and "\n" not in caption for caption in captions)
    assert not any("hash(" in caption.lower() or "@" in caption for caption in captions)
    assert len({metadata["category"] for _, metadata in samples}) == 22


@pytest.mark.slow
def test_pictures_are_64_by_64_and_distinct(samples) -> None:
    pictures = [Image.open(io.BytesIO(webp)) for webp, _ in samples]
    assert {picture.size for picture in pictures} == {(64, 64)}
    assert {picture.format for picture in pictures} == {"WEBP"}
    assert len({picture.convert("RGB").tobytes() for picture in pictures}) > 0.999 * len(pictures)


def test_features_belong_to_the_tar_row_by_row(samples) -> None:
    features = read_features()
    assert features["x"].shape == (2704, 1280)
    assert features["y"].shape == (2704, 384)
    assert features["x"].dtype == features["y"].dtype == torch.float16
    assert torch.isfinite(features["x"]).all()
    assert torch.allclose(features["y"].float().norm(dim=1), torch.ones(2704), atol=1e-2)
    with safe_open(str(FOLDER / "features.safetensors"), framework="pt") as file:
        header = file.metadata()
    for level, plural in (("category", "categories"), ("subcategory", "subcategories")):
        names = json.loads(header[plural])
        assert [names[i] for i in features[level].tolist()] == [metadata[level] for _, metadata in samples]
    import hashlib

    assert header["images.tar"] == hashlib.sha256((FOLDER / "images.tar").read_bytes()).hexdigest()


def test_splits_share_no_row_and_do_not_depend_on_a_seed() -> None:
    first, again = OpenClipArt(), OpenClipArt()
    rows = torch.cat([first.pairs(split).y for split in ("train", "append", "test")])
    assert rows.shape == (2704, 384)
    assert len(torch.unique(rows, dim=0)) == 2704
    assert torch.equal(first.pairs("test").x, again.pairs("test").x)
    assert first.pairs("train").x.dtype == torch.float32
    assert first.pairs("train").x.square().mean() == pytest.approx(1, abs=1e-3)
    assert first.shared_dim is None


@pytest.mark.slow
def test_images_and_tokens(samples) -> None:
    data = OpenClipArt(n_train=64, n_append=2, n_test=10, batch_size=32, images=True)
    features = OpenClipArt(n_train=64, n_append=2, n_test=10, batch_size=32)
    x, y = next(iter(next(iter(data.train_dataloader()))))
    assert x.shape == (32, 3, 64, 64)
    assert y.shape == (32, 77)
    assert y.dtype == torch.int64
    assert 0 <= float(x.min()) < float(x.max()) <= 1
    assert torch.equal(data.pairs("test").labels["category"], features.pairs("test").labels["category"])


def test_images_need_an_encoder_of_images(command_line, capsys) -> None:
    assert command_line("train", "experiment=openclipart", "data.images=true") == 2
    assert "takes feature vectors, not inputs of shape (3, 64, 64)" in capsys.readouterr().err


@pytest.mark.slow
def test_more_rows_than_there_are(command_line, capsys) -> None:
    assert command_line("train", "experiment=openclipart", "data.n_test=5000") == 2
    assert "must not exceed the set's 2704 pairs" in capsys.readouterr().err


@pytest.mark.slow
def test_real_data_trains_above_chance(compose) -> None:
    from intrinsic_clip.training.train import train

    sizes = ["data.n_train=2048", "data.n_append=156", "data.n_test=500", "data.batch_size=256"]
    overrides = ["experiment=openclipart", *sizes, "trainer.max_epochs=10", "optimizer.lr=1e-3"]
    metrics = train(compose(*overrides))["metrics"]
    assert metrics["matching/top_10/x_to_y"]["mean"] > 0.1  # chance: 0.02
    assert metrics["matching/label_category/x_to_y"]["mean"] > 0.3


# The selection of the set, on drawings made here.


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "svg" / "animals").mkdir(parents=True)
    (tmp_path / "png" / "animals").mkdir(parents=True)
    return tmp_path


def _add(
    source: Path, name: str, title: str, colour: str = "red", licence: str = "PublicDomain", size=(40, 20)
) -> None:
    svg = SVG.format(title=title, keyword="a_keyword", licence=licence)
    (source / "svg" / "animals" / f"{name}.svg").write_text(svg)
    Image.new("RGBA", size, colour).save(source / "png" / "animals" / f"{name}.png")


def test_drawings_left_out_are_counted_by_reason(source: Path) -> None:
    for i in range(TITLE_REPEATS + 2):
        _add(source, f"star_{i}", "Gramastar" if i % 2 else "gramastar")
    _add(source, "free", "Gnu", licence="http://creativecommons.org/licenses/GPL/2.0/")
    _add(source, "nameless", "")
    _add(source, "huge", "Huge", size=(4001, 4000))
    (source / "svg" / "animals" / "broken.svg").write_text("<svg><metadata>")
    Image.new("RGB", (2, 2)).save(source / "png" / "animals" / "broken.png")
    (source / "svg" / "animals" / "alone.svg").write_text(SVG)
    counts: Counter[str] = Counter()
    kept = list(choose(source, counts))
    assert [drawing.path for drawing in kept] == [f"animals/star_{i}" for i in range(TITLE_REPEATS)]
    assert kept[0].keywords == ["a keyword"]
    assert sorted(counts.values()) == [1, 1, 1, 1, 1, 2]


def test_repeated_pictures_and_captions_are_dropped(source: Path) -> None:
    for name, title, colour in (
        ("a", "Ant", "red"),
        ("b", "Bee", "red"),
        ("c", "Ant", "blue"),
        ("d", "Doe", "white"),
    ):
        _add(source, name, title, colour)
    counts: Counter[str] = Counter()
    drawings = [
        Drawing(f"animals/{name}", title)
        for name, title in (("a", "Ant"), ("b", "Bee"), ("c", "ant"), ("d", "Doe"))
    ]
    drawings[2].path = "animals/c"
    kept = list(render(source / "png", iter(drawings), counts))
    assert kept[0][0].path == "animals/a"
    assert counts["left out: the same pixels as an earlier picture"] == 1
    assert counts["left out: nothing but white"] == 1


def test_captions() -> None:
    assert Drawing("food/fondue_uliphant_01", "Fondue", "", ["food"]).caption == "Fondue. food"
    assert (
        Drawing("computer/network_cloud", "antenna", "", ["diagrams"]).caption
        == "antenna. network cloud. diagrams"
    )
    assert readable("Clipart by Nicu Buculei - jigsaw_red_10") == "jigsaw red"
    assert readable("firewall2_hash_0x89c79d4_01") == "firewall"
    assert clean_description("by jean@example.org\n see http://example.org/x now") == "by see now"
    assert len(clean_description("word " * 100)) <= 200


def test_junk_keywords() -> None:
    words = ["Bird", "hash(0x866e640)", "0x8863bcc", "hash", "", "unsorted", "2600", "bird", "united_nations"]
    assert clean_keywords(words) == ["bird", "united nations"]


def test_pictures_lie_centred_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 20), (255, 0, 0, 255)).save(tmp_path / "red.png")
    picture = on_white(tmp_path / "red.png", 64)
    assert picture.size == (64, 64)
    assert picture.getpixel((32, 2)) == (255, 255, 255)
    assert picture.getpixel((32, 32)) == (255, 0, 0)
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert on_white(tmp_path / "clear.png", 8).getextrema() == ((255, 255),) * 3


def test_the_tar_is_the_same_every_time(tmp_path: Path) -> None:
    pictures = [(Drawing("animals/ant", "Ant"), b"webp"), (Drawing("animals/bee", "Bee"), b"other")]
    for name in ("one.tar", "two.tar"):
        write_tar(tmp_path / name, pictures)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        assert archive.getnames() == ["000000.webp", "000000.json", "000001.webp", "000001.json"]
