"""What measures embeddings in anyone's training gives the same numbers on a device as on a CPU."""

import pytest
import torch
from torch import Tensor

import intrinsic_clip as ic
from helpers.tiny_runs import tiny_open_clip
from intrinsic_clip.probes.transfer import on_cpu

pytestmark = pytest.mark.filterwarnings("ignore:matching compares")
WORDS = ["id", "spectrum", "matching", "retrieval", "alignment", "uniformity", "modality_gap", "similarity"]


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=generator) @ torch.randn(4, 12, generator=generator)
    return x, x + 0.1 * torch.randn(200, 12, generator=generator)


@pytest.mark.filterwarnings("ignore:.*too few")
def test_measure(pair: tuple[Tensor, Tensor], device: torch.device) -> None:
    expected = ic.measure(*(rows.double() for rows in pair), only=WORDS)
    numbers = ic.measure(*(rows.to(device) for rows in pair), only=WORDS)
    assert dict(numbers) == pytest.approx(dict(expected), rel=1e-4, abs=1e-5)


def test_half_precision_and_autocast_do_not_matter(pair: tuple[Tensor, Tensor], device: torch.device) -> None:
    rows = pair[0].bfloat16()
    expected = ic.measure(rows.double(), only="id/twonn")["id/twonn/x"]
    with torch.autocast(device.type, torch.bfloat16):
        number = ic.measure(rows.to(device), only="id/twonn")["id/twonn/x"]
    assert number == pytest.approx(expected, rel=1e-6)


def test_rows_that_come_in_batches(pair: tuple[Tensor, Tensor], device: torch.device) -> None:
    measure = ic.Measure(only="id/mle", device=device)
    for batch in pair[0].to(device).split(50):
        measure.update(batch)
    assert measure.compute()["id/mle/x"] == pytest.approx(float(ic.mle(pair[0].double()).value), rel=1e-5)


def test_numbers_come_from_a_device_as_they_are(device: torch.device) -> None:
    values = {
        "rank": torch.tensor([3, 2**40 + 1]),
        "id": torch.rand(2, 3, dtype=torch.float64),
        "loss": torch.tensor(0.1),
        "missing": torch.tensor([torch.nan]),
    }
    brought = on_cpu({name: value.to(device) for name, value in values.items()})
    assert list(brought) == list(values)
    for name, value in values.items():
        torch.testing.assert_close(brought[name], value, rtol=0, atol=0, equal_nan=True)


def test_torchmetrics(pair: tuple[Tensor, Tensor], device: torch.device) -> None:
    pytest.importorskip("torchmetrics")
    from intrinsic_clip.integrations.torchmetrics import IntrinsicDimension, PairMatching

    rows = [side.to(device) for side in pair]
    dimension, matching = IntrinsicDimension("twonn").to(device), PairMatching(k=1).to(device)
    for start in range(0, 200, 50):
        dimension.update(rows[0][start : start + 50])
        matching.update(*(side[start : start + 50] for side in rows))
    assert float(dimension.compute()) == pytest.approx(float(ic.twonn(pair[0].double()).value), rel=1e-5)
    assert float(matching.compute()) == pytest.approx(
        ic.measure(*pair, only="matching/top_1")["matching/top_1/x_to_y"], abs=0.02
    )


def test_towers_of_open_clip(tmp_path, device: torch.device) -> None:
    pytest.importorskip("open_clip")
    from intrinsic_clip.encoders.open_clip import OpenClip

    tiny_open_clip(tmp_path / "model")
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    tokens = torch.randint(1, 400, (5, 20), generator=torch.Generator().manual_seed(1))
    outputs = []
    for where in ("cpu", str(device)):
        f, g = OpenClip(str(tmp_path / "model"), device=where).encoders((3, 32, 32), (20,))
        with torch.no_grad():
            outputs.append([f.to(where)(images.to(where)).cpu(), g.to(where)(tokens.to(where)).cpu()])
    for expected, got in zip(*outputs, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)
