"""Small WebDataset shards, whole and damaged, streamed by any number of workers and processes."""

import gzip
import io
import json
import tarfile
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer

from helpers.reading import check_read_once, read
from helpers.tar_files import BAD, sample, write_members, write_shard, write_shards
from helpers.tiny_runs import files_below
from intrinsic_clip.data.formats.shards import decode, expand, read_members
from intrinsic_clip.data.formats.tokens import captions_of
from intrinsic_clip.data.openclipart import FOLDER
from intrinsic_clip.data.skipped_samples import SkippedSamples
from intrinsic_clip.data.streams.shard_stream import ShardStream
from intrinsic_clip.data.streams.webdataset import WebDatasetShards
from intrinsic_clip.errors import ConfigError


@pytest.fixture
def shards(tmp_path: Path) -> str:
    return write_shards(tmp_path / "set", [12] * 5)


def load(shards: str, **options) -> WebDatasetShards:
    sizes = {"n_append": 4, "n_test": 8, "batch_size": 8, "image_size": 16, "workers": 0}
    return read(WebDatasetShards(shards, **{**sizes, **options}))


def rows(batches) -> list[bytes]:
    return [row.numpy().tobytes() for x, _ in batches for row in x]


def test_patterns(shards: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    names = [str(folder / f"0000{i}.tar") for i in range(5)]
    assert [str(path) for path in expand(shards)] == names
    assert [str(path) for path in expand(str(folder / "*.tar"))] == names
    assert [str(path) for path in expand(str(folder / "0000{0,{2..3}}.tar"))] == [
        names[0],
        names[2],
        names[3],
    ]
    with pytest.raises(ConfigError, match=r"2 of 7 are missing, the first .*00005.tar; expected .tar files"):
        expand(str(folder / "{00000..00006}.tar"))
    with pytest.raises(ConfigError, match=r"no file matches"):
        expand(str(folder / "*.tgz"))


def test_captions_belong_to_the_pairs_held_out(shards: str) -> None:
    data = load(shards)
    for split in ("append", "test"):
        captions = data.read_captions(split)
        read = captions_of(data.pairs(split).y)  # with a space between digits
        assert [c.replace(" ", "") for c in captions] == [c.replace(" ", "") for c in read]
        assert data.read_captions(split, torch.tensor([2, 0])) == [captions[2], captions[0]]
    assert data.examples(torch.tensor([3])).captions == data.read_captions("test")[3:4]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2, 7])
def test_an_epoch_holds_every_pair_once_and_none_held_out(shards: str, workers: int) -> None:
    data = load(shards, workers=workers, labels=["kind"])
    check_read_once(data, Path(shards).parent)
    epochs = data.train_dataloader()
    first, second = rows(epochs), rows(epochs)
    assert len(first) == len(set(first)) == 48
    assert set(first) == set(second)
    assert first != second
    assert first == rows(load(shards, workers=workers).train_dataloader())
    held = {row.mul(255).byte().numpy().tobytes() for s in ("append", "test") for row in data.pairs(s).x}
    assert len(held) == 12
    assert not held & set(first)
    assert data.pairs("test").x.shape == (8, 3, 16, 16)
    assert set(data.pairs("test").labels) == {"kind"}


def test_labels_are_keys_of_the_json(shards: str) -> None:
    with pytest.raises(
        ConfigError, match=r"data.labels=kinds: no key of the samples' json, which has caption, kind$"
    ):
        load(shards, labels=["kind", "kinds"])


@pytest.mark.parametrize("kind", [None, "", "absent"])
def test_held_out_samples_without_a_class_are_refused(tmp_path: Path, kind: str | None) -> None:
    samples = {f"{i:03d}": sample(i) for i in range(40)}
    metadata = {"caption": "a cat"} | ({} if kind == "absent" else {"kind": kind})
    samples |= {f"{i:03d}": sample(i) | {"json": json.dumps(metadata).encode()} for i in range(0, 40, 2)}
    shard = write_members(tmp_path / "a.tar", samples)
    with pytest.raises(
        ConfigError, match=r"^data.labels=kind: 6 of 12 held-out samples lack it in their json; each"
    ):
        load(str(shard), labels=["kind"])
    load(str(shard))


def test_members_that_are_no_data_change_nothing(tmp_path: Path, capsys) -> None:
    plain = write_members(tmp_path / "a.tar", {f"{i}": sample(i) for i in range(40)})
    both = {f"{folder}{i}": sample(i) for i in range(40) for folder in ("._", "")}
    mac = write_members(tmp_path / "b.tar", both)
    seen = [set(rows(load(str(shard), split_seed=1).train_dataloader())) for shard in (plain, mac)]
    held = [set(load(str(shard), split_seed=1)._held_out) for shard in (plain, mac)]
    assert seen[0] == seen[1]
    assert held[0] == held[1]
    assert (
        capsys.readouterr().err
        == f"data.shards={mac}: 120 of 240 members are not read: 120 macOS's ._ files\n"
    )


def test_processes_share_the_pairs(shards: str) -> None:
    for pattern in (shards, shards.replace("{00000..00004}", "00002")):
        streams = [
            ShardStream(expand(pattern), 16, 4, frozenset(), 5, 0, False, rank, 3, "shards")
            for rank in range(3)
        ]
        seen = Counter(row for stream in streams for row in rows((chunk.x, chunk.y) for chunk in stream))
        assert set(seen.values()) == {1}
        assert len(seen) == (60 if pattern == shards else 12)


def test_epochs_of_a_given_length(shards: str) -> None:
    data = load(shards, epoch_batches=13)
    epochs = data.train_dataloader()
    assert len(epochs) == 13
    assert [len(x) for x, _ in epochs] == [8] * 13


def test_captions_from_json_and_compressed_shards(tmp_path: Path) -> None:
    plain = write_shard(tmp_path / "a.tar", range(30))
    packed = write_shard(tmp_path / "b.tar.gz", range(30), json_only=True)
    one, other = load(str(plain)), load(str(packed))
    assert set(rows(one.train_dataloader())) != set()
    assert torch.equal(one.pairs("test").y, other.pairs("test").y)
    assert torch.equal(one.pairs("test").x, other.pairs("test").x)


@pytest.mark.parametrize("cut", [100, 512, 5000, 5120 + 300, -12000, -20000])
def test_a_truncated_shard_is_counted_and_its_whole_samples_used(tmp_path: Path, cut: int) -> None:
    shard = write_shard(tmp_path / "a.tar", range(40))
    whole = dict(read_members(shard, SkippedSamples("shards")))
    shard.write_bytes(shard.read_bytes()[:cut])
    skipped = SkippedSamples("shards")
    read = dict(read_members(shard, skipped))
    assert (len(skipped), skipped.seen) == (1, 1)
    assert skipped.reasons == {"truncated or corrupt shard": 1}
    assert all(whole[name] == members for name, members in read.items())
    assert len(read) < 40


def test_other_damage(tmp_path: Path) -> None:
    packed = write_shard(tmp_path / "b.tar.gz", range(40))
    packed.write_bytes(packed.read_bytes()[:-3000])
    contents = {"empty.tar": b"", "text.tar": b"<html>" * 500, "no.tar.gz": b"nothing"}
    for name, content in (contents | {"b.tar.gz": packed.read_bytes()}).items():
        (tmp_path / name).write_bytes(content)
        skipped = SkippedSamples("shards")
        list(read_members(tmp_path / name, skipped))
        assert len(skipped) == 1, name


@pytest.mark.slow
@pytest.mark.parametrize("damage", BAD)
def test_bad_samples_are_called_what_they_are(tmp_path: Path, damage: str, capsys) -> None:
    members, reason = BAD[damage]
    good = {f"{i:03d}": sample(i) for i in range(2, 40)}
    shard = write_members(tmp_path / "a.tar", {"bad/one": members, **good})
    with pytest.raises(
        ConfigError, match=rf"1 of 39 samples .* the first: bad/one \({reason}(: no \.txt, .*)?\)$"
    ):
        load(str(shard))
    seen = rows(load(str(shard), max_bad=0.1).train_dataloader())
    assert len(seen) == 24  # of 26 that are not held out
    assert f"1 of 39 samples skipped: 1 {reason}; the first: bad/one" in capsys.readouterr().err


def test_a_dozen_of_each_at_once(tmp_path: Path) -> None:
    bad = {f"../{number}/{i}": members for number, (members, _) in enumerate(BAD.values()) for i in range(12)}
    shard = write_members(tmp_path / "a.tar", bad | {f"{i:03d}": sample(i) for i in range(2, 60)})
    for name, cut in {"b.tar": 12_000, "c.tar.gz": 4000}.items():  # a tar ends in up to 10 KiB of nothing
        packed = write_shard(tmp_path / name, range(100, 140))
        packed.write_bytes(packed.read_bytes()[:-cut])
    before = files_below(tmp_path.parent)
    skipped = SkippedSamples("s")
    shards = [shard, tmp_path / "b.tar", tmp_path / "c.tar.gz"]
    members = chain.from_iterable(read_members(path, skipped) for path in shards)
    usable = [decode(name, content, 16, skipped) for name, content in members]
    assert skipped.reasons == Counter(reason for _, reason in BAD.values() for _ in range(12)) + Counter(
        {"truncated or corrupt shard": 2}
    )
    assert len(usable) == skipped.seen - 2
    assert sum(pair is not None for pair in usable) == skipped.seen - len(skipped)
    with pytest.raises(ConfigError, match=r"samples cannot be used.*(\(.*){5}"):
        load(str(tmp_path / "*.tar*"))
    assert files_below(tmp_path.parent) == before


def test_a_good_caption_beside_a_bad_one_is_used() -> None:
    members = {**sample(1), "txt": b" "}
    decoded = decode("1", members, 16, SkippedSamples("s"))
    assert decoded is not None
    assert decoded.caption == "caption 1"
    with_mark = decode("1", {**members, "txt": b"\xef\xbb\xbfa  cat\n"}, 16, SkippedSamples("s"))
    assert with_mark is not None
    assert with_mark.caption == "a cat"


def test_corrupt_samples_are_skipped_and_reported(tmp_path: Path, capsys) -> None:
    write_shard(tmp_path / "a.tar", range(60), spoilt=frozenset(range(0, 60, 5)))
    truncated = write_shard(tmp_path / "b.tar", range(60, 90))
    truncated.write_bytes(truncated.read_bytes()[:20_000])
    pattern = str(tmp_path / "{a,b}.tar")
    with pytest.raises(ConfigError, match=r"samples cannot be used, more than data.max_bad=0.01") as caught:
        load(pattern)
    assert str(caught.value).count("corrupt image") <= 5
    for workers in (0, 3):
        list(load(pattern, max_bad=0.5, workers=workers).train_dataloader())
        report = capsys.readouterr().err
        assert "12 corrupt image" in report
        assert "1 truncated or corrupt shard" in report


def test_too_many_corrupt_samples_later_on_stop_the_epoch(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", range(60))
    data = load(str(tmp_path / "a.tar"))
    write_shard(tmp_path / "a.tar", range(60), spoilt=frozenset(range(30)))
    with pytest.raises(ConfigError, match=r"30 of 60 samples cannot be used"):
        list(data.train_dataloader())


def test_members_are_never_written(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name in ("../../escaped.txt", "/tmp/escaped.txt", "../escaped.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    before = files_below(tmp_path.parent)
    assert [
        b"evil" in members.values() for _, members in read_members(tmp_path / "evil.tar", SkippedSamples("s"))
    ]
    with pytest.raises(ConfigError, match=r"cannot be used"):
        load(str(tmp_path / "evil.tar"))
    assert files_below(tmp_path.parent) == before


def test_too_few_pairs_and_rows_in_sample(shards: str) -> None:
    with pytest.raises(
        ConfigError, match=r"60 usable pairs; data.n_append \+ n_test \+ batch_size = 72 must not"
    ):
        load(shards, n_test=60)
    with pytest.raises(ConfigError, match=r"training rows are streamed"):
        load(shards).pairs("train")


@pytest.mark.slow
def test_a_pattern_from_the_command_line(command_line, tmp_path: Path, capsys) -> None:
    pattern = 'data.shards="cc3m/{00..03}.tar"'
    assert command_line("train", "data=webdataset", "encoder=pixels_and_tokens", pattern) == 2
    assert "4 of 4 are missing, the first cc3m/00.tar; expected .tar files" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_shipped_set_is_a_shard() -> None:
    data = read(
        WebDatasetShards(str(FOLDER / "images.tar"), n_append=10, n_test=50, labels=["category"], workers=0)
    )
    assert data.pairs("test").x.shape == (50, 3, 64, 64)
    x, y = next(iter(data.train_dataloader()))
    assert (x.shape, y.shape) == ((256, 3, 64, 64), (256, 77))


class Sum(LightningModule):
    """Collect the epoch and the sum of the pixels of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.sums = torch.nn.Parameter(torch.zeros(())), []

    def training_step(self, batch: list, batch_idx: int) -> torch.Tensor:
        assert batch[0].is_floating_point()
        self.sums.append((self.current_epoch, float(batch[0].sum())))
        return self.weight * batch[0].mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.slow
def test_a_resumed_training_sees_what_the_whole_one_does(shards: str, tmp_path: Path) -> None:
    def fit(epochs: int, checkpoint: str | None = None) -> Sum:
        module, quiet = Sum(), {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        trainer = Trainer(accelerator="cpu", max_epochs=epochs, enable_checkpointing=False, **quiet)
        trainer.fit(module, datamodule=load(shards, workers=1), ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return module

    whole, begun = fit(3).sums, fit(1).sums
    assert whole == begun + fit(3, str(tmp_path / "last.ckpt")).sums


def test_the_webdataset_package_reads_the_same(shards: str) -> None:
    webdataset = pytest.importorskip("webdataset")
    path = expand(shards)[1]
    theirs = {sample["__key__"]: sample for sample in webdataset.WebDataset(str(path), shardshuffle=False)}
    ours = dict(read_members(path, SkippedSamples("shards")))
    assert list(theirs) == list(ours)
    for key, members in ours.items():
        assert members == {e: content for e, content in theirs[key].items() if not e.startswith("__")}


def test_gzip_is_what_it_says(tmp_path: Path) -> None:
    plain = write_shard(tmp_path / "a.tar", range(3))
    (tmp_path / "a.tgz").write_bytes(gzip.compress(plain.read_bytes()))
    assert list(read_members(plain, SkippedSamples("s"))) == list(
        read_members(tmp_path / "a.tgz", SkippedSamples("s"))
    )


def test_a_part_may_be_worse_than_allowed_by_chance() -> None:
    seen = SkippedSamples(
        "s", max_bad=0.01, seen=1000, reasons=Counter({"corrupt image": 19})
    )  # 10 + 3 sd: 19.5
    seen.check(so_far=True)
    with pytest.raises(ConfigError):
        seen.check()
    seen.skip("one more", "corrupt image")
    with pytest.raises(ConfigError, match="20 of 1,000"):
        seen.check(so_far=True)


def test_a_large_set_is_judged_by_its_first_thousand(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i in range(3000):
            member = tarfile.TarInfo(f"{i}.jpg")
            archive.addfile(member, io.BytesIO())
    with pytest.raises(ConfigError, match=r"1,000 of 1,000 samples cannot be used"):
        load(str(tmp_path / "a.tar"))
