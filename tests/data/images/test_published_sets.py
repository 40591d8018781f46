"""COCO, Flickr30k, ImageNetV2 and YFCC, each in a miniature of its published layout."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from open_clip import IMAGENET_CLASSNAMES, tokenize

from helpers.miniatures import SIZES, spoil, write_image
from helpers.reading import check_read_once, read
from intrinsic_clip.data.formats.pixels import read_pixels
from intrinsic_clip.data.images.coco import CocoCaptions
from intrinsic_clip.data.images.flickr30k import Flickr30k
from intrinsic_clip.data.images.imagenetv2 import ImageNetV2
from intrinsic_clip.data.images.yfcc import Yfcc
from intrinsic_clip.errors import ConfigError

N = 24


def row_of(data, caption: str) -> torch.Tensor:
    """Return the pixels of the pair with this caption."""
    pairs = [data.pairs(split) for split in ("train", "append", "test")]
    x, y = (torch.cat([getattr(p, side) for p in pairs]) for side in ("x", "y"))
    (place,) = (y == tokenize([caption])).all(1).nonzero()[0]
    return x[place]


def pixels(path: Path) -> torch.Tensor:
    return torch.tensor(read_pixels(path, SIZES["image_size"])) / 255


def make_coco(root: Path) -> dict[str, str]:
    images = [{"id": 7 * i, "file_name": f"{7 * i:012d}.jpg"} for i in range(N)]
    notes = [
        {"id": 1000 + i, "image_id": 7 * (i % N), "caption": f"Caption {i} of image {i % N}.\n"}
        for i in range(5 * N)
    ]
    for i, image in enumerate(images):
        write_image(root / "val2017" / image["file_name"], i)
    (root / "annotations").mkdir()
    file = root / "annotations" / "captions_val2017.json"
    file.write_text(json.dumps({"info": {}, "images": images[::-1], "annotations": notes}))
    return {"folder": str(root / "val2017"), "annotations": str(file)}


def test_coco(tmp_path: Path) -> None:
    options = make_coco(tmp_path)
    data = read(CocoCaptions(**options, **SIZES))
    assert sum(data.sizes.values()) == N
    file = tmp_path / "val2017" / f"{7 * 5:012d}.jpg"
    assert torch.equal(row_of(data, "Caption 5 of image 5."), pixels(file))
    check_read_once(data, *options.values())
    several = read(CocoCaptions(**options, **SIZES | {"n_test": 10}, captions_per_image=5))
    assert torch.equal(row_of(several, f"Caption {5 + 2 * N} of image 5."), pixels(file))


def test_coco_in_disorder(tmp_path: Path) -> None:
    options = make_coco(tmp_path)
    with pytest.raises(ConfigError, match=r"data.annotations=absent.json: no such file"):
        read(CocoCaptions(**{**options, "annotations": "absent.json"}, **SIZES))
    Path("other.json").write_text('{"images": [{"id": 1}]}')
    with pytest.raises(ConfigError, match=r"no COCO captions, which have images with id and file_name"):
        read(CocoCaptions(**{**options, "annotations": "other.json"}, **SIZES))
    Path("cut.json").write_text('{"images": [{"id": 1')
    with pytest.raises(ConfigError, match=r"damaged, or not JSON"):
        read(CocoCaptions(**{**options, "annotations": "cut.json"}, **SIZES))
    with pytest.raises(ConfigError, match=r"no such folder; expected the images, 000000000009.jpg"):
        read(CocoCaptions(**{**options, "folder": "absent"}, **SIZES))


def test_coco_with_one_number_for_two_images(tmp_path: Path) -> None:
    options = make_coco(tmp_path)
    file = Path(options["annotations"])
    content = json.loads(file.read_text())
    content["images"] += [content["images"][3]]  # the same once more is no contradiction
    file.write_text(json.dumps(content))
    assert sum(read(CocoCaptions(**options, **SIZES)).sizes.values()) == N
    content["images"][3] = {"id": 14, "file_name": "train/000000000140.jpg"}  # as in two files merged to one
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"id 14 is that of .*140.jpg and of 0+14.jpg; each image must"):
        read(CocoCaptions(**options, **SIZES))


def with_captions(root: Path, form: str, caption: object) -> CocoCaptions | Flickr30k:
    """Return a source in which every other image has this caption instead of a text of its own."""
    for i in range(N):
        write_image(root / "images" / f"{i}.jpg", i)
    texts = [caption if i % 2 else f"caption {i}" for i in range(N)]
    coco = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(N)],
        "annotations": [{"image_id": i, "caption": text} for i, text in enumerate(texts)],
    }
    flickr = {"images": [{"filename": f"{i}.jpg", "sentences": [{"raw": t}]} for i, t in enumerate(texts)]}
    file = root / "captions.json"
    file.write_text(json.dumps(coco if form == "coco" else flickr))
    options = {"folder": str(root / "images"), **SIZES, "n_append": 2, "n_test": 4, "max_bad": 0.6}
    if form == "coco":
        return CocoCaptions(annotations=str(file), **options)
    return Flickr30k(captions=str(file), **options)


@pytest.mark.parametrize("form", ["coco", "flickr30k"])
def test_a_caption_of_null_is_none(form: str, tmp_path: Path, capsys) -> None:
    data = read(with_captions(tmp_path, form, None))
    captions = [c for split in ("train", "append", "test") for c in data.read_captions(split)]
    assert all(caption.startswith("caption ") for caption in captions)
    assert f"{N // 2} of {N} samples skipped: {N // 2} empty caption" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["coco", "flickr30k"])
def test_a_list_is_no_caption(form: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a caption is a list where a text is wanted"):
        read(with_captions(tmp_path, form, ["a dog", "a brown dog"]))


@pytest.mark.parametrize("form", ["results_20130124.token", "results.csv", "dataset_flickr30k.json"])
def test_flickr30k(tmp_path: Path, form: str) -> None:
    names = [f"{1000092795 + i}.jpg" for i in range(N)]
    for i, name in enumerate(names):
        write_image(tmp_path / "images" / name, i)
    texts = [[f'Man {i} says "hello, {j}" .' for j in range(5)] for i in range(N)]
    lines = [(name, j, text) for name, five in zip(names, texts, strict=True) for j, text in enumerate(five)]
    contents = {
        ".token": "".join(f"{name}#{j}\t{text}\n" for name, j, text in lines),
        ".csv": "image_name| comment_number| comment\n"
        + "".join(f"{name}| {j}| {text}\n" for name, j, text in lines),
        ".json": json.dumps(
            {
                "images": [
                    {
                        "filename": name,
                        "split": "train",
                        "sentences": [{"raw": t, "tokens": []} for t in five],
                    }
                    for name, five in zip(names, texts, strict=True)
                ]
            }
        ),
    }
    (tmp_path / form).write_text(contents[Path(form).suffix])
    data = read(Flickr30k(captions=str(tmp_path / form), folder=str(tmp_path / "images"), **SIZES))
    assert sum(data.sizes.values()) == N
    assert torch.equal(row_of(data, texts[3][0]), pixels(tmp_path / "images" / names[3]))
    check_read_once(data, tmp_path / "images", tmp_path / form)
    with pytest.raises(ConfigError, match=r"must be a .token, .csv, .json file"):
        Flickr30k(captions="results.xls", folder=str(tmp_path / "images"), **SIZES)
    with pytest.raises(ConfigError, match=r"data.captions=absent.csv: no such file"):
        read(Flickr30k(captions="absent.csv", folder=str(tmp_path / "images"), **SIZES))


def test_imagenetv2(tmp_path: Path) -> None:
    for i in range(30):
        write_image(tmp_path / str(i % 3 * 400) / f"{i:040x}.jpeg", i)
    data = read(ImageNetV2(folder=str(tmp_path), **SIZES))
    assert sum(data.sizes.values()) == 30
    test = data.pairs("test")
    captions = {
        tuple(tokenize([f"a photo of a {IMAGENET_CLASSNAMES[c]}."])[0].tolist()) for c in (0, 400, 800)
    }
    assert {tuple(row) for row in test.y.tolist()} <= captions
    assert set(test.labels["class"].tolist()) <= {0, 1, 2}
    check_read_once(data, tmp_path)
    with pytest.raises(ConfigError, match=r"must hold {} where"):
        ImageNetV2(prompt="a photo", folder=str(tmp_path), **SIZES)
    (tmp_path / "n01440764").mkdir()
    with pytest.raises(ConfigError, match=r"holds no folder named 0 to 999"):
        read(ImageNetV2(folder=str(tmp_path / "n01440764"), **SIZES))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv"])
def test_yfcc(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    for i in range(N):
        write_image(tmp_path / "images" / f"{100 + i}.jpg", i)
    title, text = [f"red+bridge%2C+no.+{i}" for i in range(N)], ["", "seen"] * (N // 2)
    table = pd.DataFrame({"photoid": range(100, 100 + N), "title": title, "description": text})
    table["class"] = ["bridge", "boat", "cat"] * (N // 3)
    file = tmp_path / f"yfcc{suffix}"
    if suffix == ".parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, sep="\t" if suffix == ".tsv" else ",", index=False)
    options = {"captions": ["title", "description"], "labels": ["class"], "folder": str(tmp_path / "images")}
    data = read(Yfcc(table=str(file), **options, **SIZES))
    assert torch.equal(row_of(data, "red bridge, no. 3. seen"), pixels(tmp_path / "images" / "103.jpg"))
    assert torch.equal(row_of(data, "red bridge, no. 4"), pixels(tmp_path / "images" / "104.jpg"))
    assert set(data.pairs("train").labels["class"].tolist()) == {0, 1, 2}
    check_read_once(data, tmp_path / "images", file)
    with pytest.raises(ConfigError, match=r"column 'description' lacks a class in \d+ of \d+ rows"):
        read(Yfcc(table=str(file), **{**options, "labels": ["description"]}, **SIZES))
    with pytest.raises(ConfigError, match=r"data.table=absent.tsv: no such file"):
        read(Yfcc(table="absent.tsv", **options, **SIZES))
    with pytest.raises(ConfigError, match=r"no column 'id'; its columns are photoid, title"):
        read(Yfcc(table=str(file), image="id", **options, **SIZES))


@pytest.mark.parametrize("largest", [float("inf"), 1e20, 2.0**63])
def test_fractions_beside_the_captions_may_be_of_any_size(largest: float, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for i in range(N):
        write_image(tmp_path / "images" / f"{100 + i}.jpg", i)
    table = pd.DataFrame({"photoid": [100.0 + i for i in range(N)], "title": [f"no.+{i}" for i in range(N)]})
    table["score"] = [largest, *range(1, N)]
    table.to_parquet(tmp_path / "yfcc.parquet")
    data = read(Yfcc(table=str(tmp_path / "yfcc.parquet"), folder=str(tmp_path / "images"), **SIZES))
    assert torch.equal(row_of(data, "no. 3"), pixels(tmp_path / "images" / "103.jpg"))


@pytest.mark.parametrize(
    ("before", "told"),
    [("", "'0 + 1 boats' to '0   1"), ("many small " * 9, "small 0 + 1 boats' to ' small")],
)
def test_captions_that_are_hardly_url_encoded(before: str, told: str, tmp_path: Path, capsys) -> None:
    for i in range(N):
        write_image(tmp_path / "images" / f"{100 + i}.jpg", i)
    table = pd.DataFrame(
        {"photoid": range(100, 100 + N), "title": [f"{before}{i} + 1 boats" for i in range(N)]}
    )
    table.to_csv(tmp_path / "mine.csv", index=False)
    options = {"table": str(tmp_path / "mine.csv"), "folder": str(tmp_path / "images"), **SIZES}
    read(Yfcc(**options))
    said = f"{N} of {N} texts hold spaces, so they are hardly url-encoded, and are decoded, "
    error = capsys.readouterr().err
    assert said in error
    one, _, other = error.partition(said)[2].partition("; data.url_encoded")[0].partition(" to ")
    assert told in f"{one} to {other}"
    assert one != other
    data = read(Yfcc(**options, url_encoded=False))
    assert "hardly" not in capsys.readouterr().err
    assert torch.equal(row_of(data, f"{before}3 + 1 boats"), pixels(tmp_path / "images" / "103.jpg"))


def test_corrupt_files_by_the_dozen(tmp_path: Path, capsys) -> None:
    for i in range(60):
        path = write_image(tmp_path / str(i % 6) / f"{i}.jpeg", i)
        if i % 2:
            spoil(path, i)
    with pytest.raises(ConfigError, match=r"30 of 60 samples cannot be used, more than data.max_bad=0.01"):
        read(ImageNetV2(folder=str(tmp_path), **SIZES))
    data = read(ImageNetV2(folder=str(tmp_path), max_bad=0.5, **SIZES))
    assert sum(data.sizes.values()) == 30
    assert "30 of 60 samples skipped: 30 corrupt image" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("source", ["coco", "flickr30k", "imagenetv2", "yfcc", "captions_folder"])
def test_a_missing_folder_is_named_on_the_command_line(source: str, command_line, tmp_path, capsys) -> None:
    towers = "encoder=pixels_and_tokens"
    assert command_line("train", f"data={source}", "data.folder=absent", towers) == 2
    assert "data.folder=absent: there is no such folder; expected" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
