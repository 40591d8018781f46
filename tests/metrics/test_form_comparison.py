"""Forms of stored rows, each number against loops in NumPy or scikit-learn on the held-out rows."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor

from helpers.manifolds import gaussian
from intrinsic_clip.metrics import canonical_directions, retrieval_by_dimension
from intrinsic_clip.metrics.form_comparison import FormComparison, compare_forms
from intrinsic_clip.metrics.pairing import Pairing
from intrinsic_clip.metrics.quantisation import ByteQuantiser, ProductQuantiser
from intrinsic_clip.metrics.stored_forms import byte_steps

WIDTH = 32


def pairs(n: int, turned: bool, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    """Return pairs whose first coordinates hold most, as Matryoshka embeddings have it, or the same turned."""
    scales = torch.where(torch.arange(WIDTH) < 8, 1.0, 0.05).double()
    z = gaussian(n, WIDTH).double() * scales
    sides = (z + noise * scales * gaussian(n, WIDTH, seed=seed).double() for seed in (1, 2))
    turn = torch.linalg.qr(gaussian(WIDTH, WIDTH, seed=3).double()).Q if turned else torch.eye(WIDTH).double()
    x, y = (side @ turn for side in sides)
    return x, y


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def halves(n: int) -> tuple[np.ndarray, np.ndarray]:
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0)).numpy()
    return order[: n // 2], order[n // 2 :]


def recall(queries: np.ndarray, stored: np.ndarray, k: int) -> float:
    scores = queries @ stored.T
    return float(np.mean((scores > np.diag(scores)[:, None]).sum(1) < k))


def by_name(comparison: FormComparison, name: str, dims: int | None = None) -> dict:
    form = next(f for f in comparison.forms if f.name == name and dims in (None, f.dims))
    return form.numbers


@pytest.fixture(scope="module")
def plain() -> tuple[Tensor, Tensor, FormComparison]:
    x, y = pairs(600, turned=True)
    return x, y, compare_forms(x, y, dims=(5,))


def test_bytes_are_halved_down_to_a_bit_per_coordinate() -> None:
    assert byte_steps(64) == [256, 128, 64, 32, 16, 8]
    assert byte_steps(3) == [12, 6, 4]


def test_principal_and_canonical_recall_is_that_of_the_curves(plain) -> None:
    x, y, comparison = plain
    for basis in ("principal", "canonical"):
        retrieval = retrieval_by_dimension(x, y, (5, 16, 32), basis, ks=(1, 10))
        for place, m in enumerate((5, 16, 32)):
            numbers = by_name(comparison, basis, m)
            for column, k in enumerate((1, 10)):
                compared = numbers[f"recall_{k}"]
                assert compared.value == pytest.approx(
                    float(torch.stack(tuple(retrieval.recall)).mean(0)[place, column])
                )
                assert compared.difference == pytest.approx(float(retrieval.difference[place, column]))
                assert compared.difference_error == pytest.approx(
                    float(retrieval.difference_error[place, column])
                )
    assert comparison.n == comparison.fitted == 300


def test_recall_of_every_form_by_hand(plain) -> None:
    x, y, comparison = plain
    fitted, held = halves(600)
    a, b = unit(x.numpy()), unit(y.numpy())
    prefix = unit(a[held, :16]), unit(b[held, :16])
    assert by_name(comparison, "prefix", 16)["recall_1"].value == pytest.approx(
        (recall(*prefix, 1) + recall(prefix[1], prefix[0], 1)) / 2
    )
    for name, fit in {
        "int8": lambda rows: ByteQuantiser.fit(rows),
        "product": lambda rows: ProductQuantiser.fit(rows, 8),
    }.items():
        stored = []
        for rows in (a, b):
            quantiser = fit(torch.from_numpy(rows[fitted]))
            stored.append(unit(quantiser(torch.from_numpy(rows[held])).numpy()))
        for k in (1, 10):
            expected = (recall(a[held], stored[1], k) + recall(b[held], stored[0], k)) / 2
            assert by_name(comparison, name)[f"recall_{k}"].value == pytest.approx(expected)
    bits = a[held] > 0, b[held] > 0
    distance = (bits[0][:, None] != bits[1][None]).sum(-1)
    closer, ties = (
        (distance < np.diag(distance)[:, None]).sum(1),
        (distance == np.diag(distance)[:, None]).sum(1),
    )
    one_way = np.clip((10 - closer) / ties, 0, 1).mean()  # ties in random order
    closer, ties = ((distance < np.diag(distance)).sum(0), (distance == np.diag(distance)).sum(0))
    expected = (one_way + np.clip((10 - closer) / ties, 0, 1).mean()) / 2
    assert by_name(comparison, "binary")["recall_10"].value == pytest.approx(expected)


def test_a_prefix_is_good_where_coordinates_are_ordered_and_bad_where_they_are_turned(plain) -> None:
    ordered = compare_forms(*pairs(600, turned=False))
    assert ordered.full.numbers["recall_1"].value == pytest.approx(plain[2].full.numbers["recall_1"].value)
    turned, good = (by_name(each, "prefix", 8)["recall_1"] for each in (plain[2], ordered))
    for principal in (by_name(each, "principal", 8)["recall_1"] for each in (plain[2], ordered)):
        assert good.value == pytest.approx(principal.value, abs=0.03)
        assert turned.value < principal.value - 0.1
    assert not turned.within_error


def test_quantised_rows_lose_less_than_cut_ones_of_as_many_bytes(plain) -> None:
    comparison = plain[2]
    int8 = by_name(comparison, "int8")["recall_1"]
    assert abs(int8.difference) < 0.02
    assert int8.value > by_name(comparison, "random_coordinates", 8)["recall_1"].value + 0.1
    sizes = {form.name: form.bytes for form in comparison.forms}
    assert sizes["int8"] == 32
    assert sizes["binary"] == 4
    assert all(form.bytes == 4 * form.dims for form in comparison.forms if form.name == "prefix")


def test_neighbours_and_classes_of_one_modality_as_scikit_learn_has_them() -> None:
    x, _ = pairs(400, turned=True)
    labels = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    comparison = compare_forms(x, labels=labels)
    _, held = halves(400)
    rows, classes = unit(x.numpy())[held], labels.numpy()[held]
    full = NearestNeighbors(n_neighbors=11, metric="cosine").fit(rows).kneighbors(rows)[1][:, 1:]
    cut = unit(rows[:, :8])
    kept = NearestNeighbors(n_neighbors=11, metric="cosine").fit(cut).kneighbors(cut)[1][:, 1:]
    expected = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(full, kept, strict=True)])
    assert by_name(comparison, "prefix", 8)["overlap_10"].value == pytest.approx(expected)
    assert comparison.full.numbers["overlap_10"].value == 1
    right = []
    for row in range(len(rows)):
        others = np.delete(np.arange(len(rows)), row)
        votes = KNeighborsClassifier(20, metric="cosine").fit(rows[others], classes[others])
        share = votes.predict_proba(rows[[row]])[0]
        best = share >= share.max() - 1e-9
        right.append(best[list(votes.classes_).index(classes[row])] / best.sum())
    assert comparison.full.numbers["class_accuracy"].value == pytest.approx(np.mean(right))
    assert comparison.full.numbers["class_accuracy"].standard_error == pytest.approx(
        np.std(right, ddof=1) / np.sqrt(200)
    )


def test_pairs_of_unequal_widths_are_compared_along_canonical_directions() -> None:
    x, y = pairs(600, turned=True)
    y = (
        torch.cat([y, gaussian(600, 8, seed=7).double()], 1)
        @ torch.linalg.qr(gaussian(40, 40, seed=8).double()).Q
    )
    comparison = compare_forms(x, y, dims=(5,))
    assert (comparison.full.dims, comparison.full.bytes) == (32, 128)
    retrieval = retrieval_by_dimension(x, y, (5, 16, 32), "canonical", ks=(1, 10))
    curves = torch.stack(tuple(retrieval.recall)).mean(0)
    for column, k in enumerate((1, 10)):
        assert comparison.full.numbers[f"recall_{k}"].value == pytest.approx(float(curves[2, column]))
        for place, m in enumerate((5, 16, 32)):
            compared = by_name(comparison, "canonical", m)[f"recall_{k}"]
            assert compared.value == pytest.approx(float(curves[place, column]))
            assert compared.difference == pytest.approx(float(retrieval.difference[place, column]))
            assert compared.difference_error == pytest.approx(
                float(retrieval.difference_error[place, column])
            )
    fitted, held = halves(600)
    a, b = (torch.from_numpy(unit(side.numpy())) for side in (x, y))
    at = canonical_directions(a[fitted], b[fitted])
    fit, cut = (at.weighted(a[rows], b[rows], 16) for rows in (fitted, held))
    queries, stored = [unit(side.numpy()) for side in cut], []
    for mine, rows in zip(fit, queries, strict=True):
        quantiser = ByteQuantiser.fit(torch.from_numpy(unit(mine.numpy())))
        stored.append(unit(quantiser(torch.from_numpy(rows)).numpy()))
    int8 = by_name(comparison, "canonical_int8", 16)["recall_1"]
    assert int8.value == pytest.approx(
        (recall(queries[0], stored[1], 1) + recall(queries[1], stored[0], 1)) / 2
    )
    assert abs(int8.difference) < 0.02
    sizes = {(form.name, form.dims): form.bytes for form in comparison.forms}
    assert sizes == {("canonical", m): 4 * m for m in (32, 16, 8, 5, 4, 2, 1)} | {
        ("canonical_int8", m): m for m in (32, 20, 16, 8, 4)
    }


def test_prompts_of_classes_are_held_out_row_by_row() -> None:
    labels = torch.arange(300) % 6
    prompts = gaussian(6, WIDTH, seed=4).double()
    x = prompts[labels] + 1.5 * gaussian(300, WIDTH, seed=5).double()
    y = prompts[labels]
    pairing = Pairing.of_rows(x, y, classes=True)
    comparison = compare_forms(x, y, pairing=pairing, labels=labels)
    held = pairing.halves(0)[1].numpy()
    scores = unit(x.numpy())[held] @ unit(prompts.numpy()).T
    accuracy = comparison.full.numbers["class_accuracy"]
    assert accuracy.value == pytest.approx(np.mean(scores.argmax(1) == labels.numpy()[held]))
    few = (accuracy.value * 150 + 2) / 154  # one is missed
    assert accuracy.standard_error == pytest.approx(np.sqrt(few * (1 - few) / 154), rel=1e-3)


def test_recall_by_guessing_is_that_of_rows_drawn_at_random() -> None:
    """Every query has a right answer among k random ones as often as `chance` says, captions and images alike."""
    images = torch.arange(240) // 3
    x, y = gaussian(240, WIDTH, seed=1).double()[images], gaussian(240, WIDTH, seed=2).double()
    pairing = Pairing.of_rows(x, y)
    chance = compare_forms(x, y, pairing=pairing, ks=(1, 10)).chance
    held = pairing.halves(0)[1]
    distinct = len(images[held].unique())
    for k in (1, 10):
        to_y = 1 - math.comb(len(held) - 3, k) / math.comb(len(held), k)
        assert chance[f"recall_{k}"] == pytest.approx((to_y + k / distinct) / 2)


def votes_of_others(rows: np.ndarray, classes: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Return for each row whether most of its twenty nearest others have its class, the share of it in a tie."""
    cosines = unit(rows) @ unit(rows).T
    groups = np.arange(len(rows)) if groups is None else groups
    cosines[groups[:, None] == groups] = -np.inf
    right = []
    for row, nearest in enumerate(np.argsort(-cosines, 1)[:, :20]):
        votes = np.bincount(classes[nearest], minlength=classes.max() + 1)
        best = votes == votes.max()
        right.append(best[classes[row]] / best.sum())
    return np.array(right)


def test_copies_of_an_image_do_not_tell_its_class() -> None:
    """Classes that images know nothing of are guessed, also where each image is there five times."""
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    image = (torch.arange(1500) // 5)[order]
    x = gaussian(300, WIDTH, seed=1).double()[image]
    y = x + gaussian(1500, WIDTH, seed=2).double()
    labels = torch.randint(0, 30, (300,), generator=torch.Generator().manual_seed(1))[image]
    pairing = Pairing.of_rows(x, y)
    comparison = compare_forms(x, y, pairing=pairing, labels=labels)
    held = pairing.halves(0)[1].numpy()
    first = held[np.sort(np.unique(image.numpy()[held], return_index=True)[1])]
    right = votes_of_others(x.numpy()[first], labels.numpy()[first])
    accuracy = comparison.full.numbers["class_accuracy"]
    assert (comparison.n, comparison.n_x) == (len(held), len(first))
    assert accuracy.value == pytest.approx(right.mean())
    assert accuracy.value < 0.08
    assert 1 < accuracy.standard_error / (right.std(ddof=1) / np.sqrt(len(first))) < 1.2  # few are right
    share = np.bincount(labels.numpy()[first]).max() / len(first)
    assert comparison.chance["class_accuracy"] == pytest.approx(share)


def test_copies_of_a_row_are_no_neighbours_to_keep() -> None:
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(0))
    thing = (torch.arange(1500) // 5)[order]
    x = gaussian(300, WIDTH, seed=1).double()[thing]
    comparison = compare_forms(x)
    held = Pairing.of_rows(x, x).halves(0)[1].numpy()
    assert not set(thing.numpy()[held]) & set(np.delete(thing.numpy(), held))
    rows = unit(x.numpy()[held[np.sort(np.unique(thing.numpy()[held], return_index=True)[1])]])
    assert comparison.n == comparison.n_x == len(rows)
    full, cut = (
        NearestNeighbors(n_neighbors=11, metric="cosine").fit(each).kneighbors(each)[1][:, 1:]
        for each in (rows, unit(rows[:, :8]))
    )
    expected = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(full, cut, strict=True)])
    assert by_name(comparison, "prefix", 8)["overlap_10"].value == pytest.approx(expected)


def test_class_accuracy_has_the_error_of_groups() -> None:
    groups = torch.arange(600) // 6
    x = (gaussian(100, WIDTH, seed=1)[groups] + 0.5 * gaussian(600, WIDTH, seed=2)).double()
    y = x + 0.5 * gaussian(600, WIDTH, seed=3).double()
    labels = (gaussian(100, 1, seed=4)[:, 0] > 0).long()[groups]
    pairing = Pairing.of_rows(x, y, groups)
    accuracy = compare_forms(x, y, pairing=pairing, labels=labels).full.numbers["class_accuracy"]
    held = pairing.halves(0)[1].numpy()
    right = votes_of_others(x.numpy()[held], labels.numpy()[held], groups.numpy()[held])
    parts = np.bincount(groups.numpy()[held], right - right.mean())[np.unique(groups.numpy()[held])]
    count = len(parts)
    assert accuracy.value == pytest.approx(right.mean())
    assert accuracy.standard_error == pytest.approx(
        np.sqrt((parts**2).sum() * count / (count - 1)) / len(held)
    )


def test_captions_of_one_image_do_not_tell_its_class() -> None:
    """Classes that rows know nothing of are guessed, also where five rows, no copies, are of one image."""
    groups = torch.arange(1500) // 5
    x = (gaussian(300, WIDTH, seed=1)[groups] + 0.2 * gaussian(1500, WIDTH, seed=2)).double()
    labels = torch.randint(0, 10, (300,), generator=torch.Generator().manual_seed(1))[groups]
    pairing = Pairing.of_rows(x, x, groups)
    for y in (None, x + 0.1 * gaussian(1500, WIDTH, seed=3).double()):
        comparison = compare_forms(x, y, pairing=pairing, labels=labels)
        accuracy = comparison.full.numbers["class_accuracy"]
        assert abs(accuracy.value - 0.1) < 3 * accuracy.standard_error + 0.02
    coarse = compare_forms(
        x, pairing=Pairing.of_rows(x, x, labels), labels=labels
    )  # groups that are the classes
    held = Pairing.of_rows(x, x, labels).halves(0)[1].numpy()
    right = votes_of_others(x.numpy()[held], labels.numpy()[held])
    assert coarse.full.numbers["class_accuracy"].value == pytest.approx(right.mean())


def test_neighbours_to_keep_are_of_other_groups() -> None:
    groups = torch.arange(600) // 6
    x = (gaussian(100, WIDTH, seed=1)[groups] + 0.2 * gaussian(600, WIDTH, seed=2)).double()
    pairing = Pairing.of_rows(x, x, groups)
    held = pairing.halves(0)[1].numpy()
    kept = []
    for rows in (unit(x.numpy()[held]), unit(x.numpy()[held][:, :8])):
        cosines = rows @ rows.T
        cosines[groups.numpy()[held][:, None] == groups.numpy()[held]] = -np.inf
        kept.append(np.argsort(-cosines, 1)[:, :10])
    expected = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(*kept, strict=True)])
    numbers = by_name(compare_forms(x, pairing=pairing), "prefix", 8)
    assert numbers["overlap_10"].value == pytest.approx(expected)
