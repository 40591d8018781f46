"""A folder of images with captions.csv, and how samples that cannot be used are treated."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers.captioned_folder import load, make
from helpers.miniatures import spoil
from helpers.reading import check_read_once
from helpers.tiny_runs import files_below
from intrinsic_clip.data.formats.pixels import BadImage, read_pixels
from intrinsic_clip.data.skipped_samples import SkippedSamples
from intrinsic_clip.errors import ConfigError


def test_pixels_tokens_and_labels(tmp_path: Path) -> None:
    data = load(make(tmp_path))
    pairs = data.pairs("train")
    assert data.sizes == {"train": 28, "append": 4, "test": 8}
    assert (data.d_x, data.d_y) == ((3, 16, 16), (77,))
    assert pairs.x.shape == (28, 3, 16, 16)
    assert pairs.x.dtype == torch.float32
    assert 0 <= float(pairs.x.min()) < float(pairs.x.max()) <= 1
    assert pairs.y.dtype == torch.int64
    assert set(pairs.labels) == {"label", "fine"}
    check_read_once(data, tmp_path)
    assert torch.equal(load(tmp_path).pairs("test").x, data.pairs("test").x)
    whole = load(tmp_path, pixels="uint8").pairs("train").x
    assert whole.dtype == torch.uint8
    assert torch.equal(whole.float() / 255, pairs.x)


def test_image_caption_and_label_belong_together(tmp_path: Path) -> None:
    from open_clip import tokenize

    data = load(make(tmp_path))
    rows = [data.pairs(split) for split in ("train", "append", "test")]
    x, y, label = (torch.cat(c) for c in zip(*((r.x, r.y, r.labels["label"]) for r in rows), strict=True))
    for i in range(40):
        (row,) = (y == tokenize([f'picture, "number" {i}'])).all(1).nonzero()[0]
        file = tmp_path / "images" / f"{i}.{'png' if i % 2 else 'jpg'}"
        assert torch.equal(x[row], torch.tensor(read_pixels(file, 16)) / 255)
        assert label[row] == i % 3


def test_spaces_around_a_label_make_no_other_class(tmp_path: Path) -> None:
    make(tmp_path)
    table = tmp_path / "captions.csv"
    table.write_text(
        table.read_text().replace("class 1,", "class 1 ,", 5).replace(",class 2,", ", class 2,", 5)
    )
    data = load(tmp_path)
    labels = torch.cat([data.pairs(split).labels["label"] for split in ("train", "append", "test")])
    assert labels.unique().tolist() == [0, 1, 2]


def test_captions_that_are_left_out_are_counted(tmp_path: Path, capsys) -> None:
    make(tmp_path)
    assert sum(load(tmp_path).sizes.values()) == 40
    assert "captions" not in capsys.readouterr().err
    with (tmp_path / "captions.csv").open("a") as file:
        file.writelines(f"images/{i}.jpg,another {i} {j},a,b\n" for i in range(0, 40, 2) for j in range(4))
        file.write("images/0.jpg,  ,a,b\n")  # empty, so it would not be used anyway
    load(tmp_path)
    assert capsys.readouterr().err == (
        f"data.folder={tmp_path}: 40 of 120 captions are used, at most 1 per image; "
        "data.captions_per_image=5 takes all\n"
    )
    load(tmp_path, captions_per_image=4, n_test=20)
    assert "100 of 120 captions are used, at most 4 per image" in capsys.readouterr().err
    load(tmp_path, captions_per_image=5, n_test=20)
    assert "captions are used" not in capsys.readouterr().err


def test_several_captions_of_an_image_stay_in_one_split(tmp_path: Path) -> None:
    make(tmp_path)
    with (tmp_path / "captions.csv").open("a") as file:
        file.writelines(f"images/{i}.jpg,another {i} {j},a,b\n" for i in range(0, 40, 2) for j in range(4))
    assert sum(load(tmp_path).sizes.values()) == 40
    data = load(tmp_path, captions_per_image=3, n_test=20)
    assert 80 - 4 <= sum(data.sizes.values()) <= 80  # of an image's three captions, one or two may not fit in
    sides = [{row.numpy().tobytes() for row in data.pairs(s).x} for s in ("train", "append", "test")]
    assert not sides[0] & sides[2]
    assert not sides[1] & (sides[0] | sides[2])


def test_equal_images_stay_in_one_split(tmp_path: Path) -> None:
    make(tmp_path)
    with (tmp_path / "captions.csv").open("a") as file:
        for i in range(0, 40, 2):
            copy = tmp_path / f"copy_{i}.jpg"
            copy.write_bytes((tmp_path / "images" / f"{i}.jpg").read_bytes())
            file.write(f"copy_{i}.jpg,copy of {i},a,b\n")
    data = load(tmp_path, n_test=15)
    train, test = ({row.numpy().tobytes() for row in data.pairs(s).x} for s in ("train", "test"))
    assert not train & test


def test_bad_samples_are_skipped_and_reported(tmp_path: Path, capsys) -> None:
    make(tmp_path, 60, captions={7: "  ", 9: ""})
    for way in range(10):
        spoil(tmp_path / "images" / f"{2 * way + 20}.jpg", way)
    (tmp_path / "images" / "1.png").unlink()
    data = load(tmp_path, max_bad=0.3)
    assert sum(data.sizes.values()) == 47
    report = capsys.readouterr().err
    assert "13 of 60 samples skipped: 10 corrupt image, 2 empty caption, 1 missing image" in report
    assert report.count("\n") == 1


@pytest.mark.slow
def test_too_many_bad_samples_stop_the_run(tmp_path: Path, command_line, capsys) -> None:
    make(tmp_path / "photos", 60)
    for way in range(24):
        spoil(tmp_path / "photos" / "images" / f"{2 * way}.jpg", way)
    before = files_below(tmp_path)
    assert (
        command_line("train", "data=captions_folder", "data.folder=photos", "encoder=pixels_and_tokens") == 2
    )
    message = capsys.readouterr().err
    assert (
        "data.folder=photos: 24 of 60 samples cannot be used, more than data.max_bad=0.01 allows" in message
    )
    assert message.count("(corrupt image)") == 5
    assert message.count("\n") == 1
    assert files_below(tmp_path) == before


def test_messages_name_the_expected_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such folder; expected images and captions.csv"):
        load(tmp_path / "absent")
    with pytest.raises(ConfigError, match=r"holds no captions.csv"):
        load(tmp_path)
    (tmp_path / "captions.csv").write_text("file,caption\na,b\n")
    with pytest.raises(ConfigError, match=r"no column 'image'; its columns are file, caption"):
        load(tmp_path)
    (tmp_path / "captions.csv").write_bytes(b"\x80\x00\xff")
    with pytest.raises(ConfigError, match=r"damaged"):
        load(tmp_path)
    (tmp_path / "captions.csv").write_text("image,caption\n")
    with pytest.raises(ConfigError, match=r"must leave some of the 0 usable pairs"):
        load(tmp_path)


def test_more_than_fits_into_memory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"40 images take .* GiB, more than data.limit_gb=0.001"):
        load(make(tmp_path), image_size=64, limit_gb=0.001)


def test_pictures_of_any_kind_lie_upright_on_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (20, 10), (255, 0, 0, 0)).save(path)
    assert (read_pixels(path, 8) == 255).all()
    Image.new("P", (20, 10)).save(path)
    Image.new("L", (20, 10), 7).save(path)
    assert (read_pixels(path, 8) == 7).all()
    padded = read_pixels(path, 8, "pad")
    assert (padded[:, 0] == 255).all()
    assert (padded[:, 4] == 7).all()
    turned = Image.new("RGB", (20, 10), "white")
    turned.paste("black", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter clockwise: the dark half is then above
    turned.save(tmp_path / "turned.png", exif=exif)
    assert (
        read_pixels(tmp_path / "turned.png", 8)[0, 0].max()
        < 128
        < read_pixels(tmp_path / "turned.png", 8)[0, 7].min()
    )
    with pytest.raises(BadImage, match="missing image"):
        read_pixels(tmp_path / "absent.png", 8)


def test_counts_of_several_processes_add_up() -> None:
    one, other = SkippedSamples("data.shards=a.tar", 0.5), SkippedSamples("data.shards=a.tar", 0.5)
    for skipped, n in ((one, 3), (other, 4)):
        skipped.seen = 7
        for i in range(n):
            skipped.skip(str(i), "corrupt image")
    one.merge(other)
    one.check()
    assert (len(one), one.seen, len(one.examples)) == (7, 14, 5)
    one.skip("last", "empty caption")
    with pytest.raises(ConfigError, match=r"8 of 14 samples cannot be used"):
        one.check()


@pytest.mark.parametrize("missing", ["", " ", "NA"])
def test_rows_without_a_class_are_refused(tmp_path: Path, missing: str) -> None:
    table = make(tmp_path) / "captions.csv"
    lines = table.read_text().splitlines()
    lines[3:5] = [f"{line.rpartition(',')[0]},{missing}" for line in lines[3:5]]
    table.write_text("\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{table}: column 'label_fine' lacks a class in 2 of 40 rows"
