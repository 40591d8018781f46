"""A run's address is its settings and the contents of its files, and does not depend on where code lives."""

import inspect
import pkgutil
from collections import Counter
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

import intrinsic_clip
from intrinsic_clip.config import conf_folder, nodes, resolve
from intrinsic_clip.runs import addresses
from intrinsic_clip.runs.addresses import FLOATS, fingerprint, target_name
from intrinsic_clip.training.train import train
from intrinsic_clip.typed_values import _adapter_config


def _targets(prefix: str = "intrinsic_clip.") -> list[str]:
    """Return the `_target_`s in conf/ that begin so."""
    nodes = [OmegaConf.to_container(OmegaConf.load(path)) for path in conf_folder().rglob("*.yaml")]
    targets = []
    while nodes:
        node = nodes.pop()
        nodes += [part for part in node.values() if isinstance(part, dict)]
        targets.append(node.get("_target_", ""))
    return sorted({target for target in targets if target.startswith(prefix)})


def test_moving_a_class_keeps_the_address(compose) -> None:
    settings = resolve(compose("data=synthetic_rotated"))
    moved = resolve(compose("data=synthetic_rotated"))
    moved["data"]["_target_"] = "intrinsic_clip.somewhere.else.SyntheticRotated"
    moved["probes"]["matching"]["_target_"] = "intrinsic_clip.elsewhere.MatchingProbe"
    assert fingerprint(moved) == fingerprint(settings)
    moved["data"]["_target_"] = "intrinsic_clip.data.SyntheticLinear"
    assert fingerprint(moved) != fingerprint(settings)
    moved["data"]["_target_"] = "mine.SyntheticRotated"
    assert fingerprint(moved) != fingerprint(settings)


@pytest.mark.parametrize(
    ("whole", "float_"),
    [
        ("data.noise=1", "data.noise=1.0"),
        ("objective.label_smoothing=0", "objective.label_smoothing=0.0"),
        ("objective.temperature.scale=2", "objective.temperature.scale=2.0"),
        ("optimizer.lr=1", "optimizer.lr=1e0"),
        ("+optimizer.betas=[0,0]", "+optimizer.betas=[0.0,0]"),
        ("schedule=one_cycle schedule.max_lr=1", "schedule=one_cycle schedule.max_lr=1.0"),
    ],
)
def test_a_whole_number_and_the_same_float_are_one_run(compose, whole, float_) -> None:
    one, other = (
        fingerprint(resolve(compose("data=synthetic_linear", *text.split()))) for text in (whole, float_)
    )
    assert one == other


def test_numbers_of_other_classes_stay_as_they_are() -> None:
    """scikit-learn reads 1 as a number of components and 1.0 as all of them."""

    def address(target: str, key: str, value: float) -> str:
        settings = {"output_dir": "outputs", "trainer": {}, "objective": {}}
        return fingerprint({**settings, "encoder": {"_target_": target, key: value}})

    for target, key in (("sklearn.decomposition.PCA", "n_components"), ("mine.Model", "noise")):
        assert address(target, key, 1) != address(target, key, 1.0)
    options = {"output_dir": "outputs", "trainer": {}, "objective": {}}
    one, other = (
        {**options, "encoder": {"_target_": "mine.Model", "options": {"noise": n}}} for n in (1, 1.0)
    )
    assert fingerprint(one) != fingerprint(other)


def test_floats_are_all_settings_that_take_floats_and_no_others() -> None:
    def kinds(annotation: object) -> set[type]:
        """Return the types that 1 and [1, 1] are read as."""
        found = set()
        for text in ("1", "[1, 1]"):
            with suppress(ValidationError, PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
                value = TypeAdapter(annotation, config=_adapter_config(annotation)).validate_json(
                    text, strict=True
                )
                found.add(type(value[0] if isinstance(value, list | tuple) else value))
        return found

    floats, others = set(), set()
    for target in {*_targets("intrinsic_clip."), *_targets("torch.optim.")}:
        for name, annotation in nodes._parameters(nodes._locate("", target)).items():
            if read := kinds(annotation):
                (floats if float in read else others).add(name)
    assert floats - others == FLOATS - others
    assert not (FLOATS & others) - {"tau", "epsilon"}


@pytest.mark.parametrize(
    ("node", "key"),
    [
        ("objective", "chunk"),
        ("objective", "local_block"),
        ("features", "batch_size"),
        ("features", "device"),
        ("data", "features_folder"),
    ],
)
def test_storage_and_blocks_are_no_content_of_our_classes_alone(node, key) -> None:
    def address(target: str | None, value: object) -> str:
        settings = {"output_dir": "outputs", "trainer": {}, "objective": {}}
        target_node = {} if target is None else {"_target_": target}
        return fingerprint({**settings, node: {**target_node, key: value}})

    for ours in ("intrinsic_clip.mine.Own", None):  # version 0 named no objective
        assert address(ours, 1) == address(ours, 2)
    assert address("mine.Own", 1) != address("mine.Own", 2)


@pytest.mark.slow
def test_names_of_choices_are_unique_in_the_package() -> None:
    names = {target_name(target) for target in _targets()}
    assert len(names) == len(_targets())
    homes = Counter()
    for module in pkgutil.walk_packages(intrinsic_clip.__path__, "intrinsic_clip."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(import_module(module.name)).items():
            if name in names and getattr(value, "__module__", None) == module.name:
                assert inspect.isclass(value) or inspect.isfunction(value)
                homes[name] += 1
    assert homes == dict.fromkeys(names, 1)


def _embeddings(folder: Path, seed: int) -> list[str]:
    rows = np.random.default_rng(seed).normal(size=(2, 300, 8)).astype(np.float32)
    np.save(folder / "x.npy", rows[0])
    np.save(folder / "y.npy", rows[1])
    return ["data=embeddings", f"data.x={folder}/x.npy", f"data.y={folder}/y.npy", "data.n_train=200"]


@pytest.mark.slow
def test_files_rewritten_under_their_names_are_another_run(tmp_path, compose, capsys) -> None:
    overrides = [
        *_embeddings(tmp_path, 0),
        "data.n_append=20",
        "data.n_test=50",
        "trainer.max_epochs=1",
    ]
    first = train(compose(*overrides))
    assert train(compose(*overrides)) == first
    assert "Done already" in capsys.readouterr().out
    _embeddings(tmp_path, 1)
    second = train(compose(*overrides))
    assert "Done already" not in capsys.readouterr().out
    assert second["metrics"]["id/mle/x"] != first["metrics"]["id/mle/x"]
    _embeddings(tmp_path, 0)
    assert train(compose(*overrides)) == first


def test_files_moved_are_the_same_run(tmp_path, compose) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    here, there = (fingerprint(resolve(compose(*_embeddings(tmp_path / name, 0)))) for name in "ab")
    assert here == there


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["labels.csv", "captions.csv", "0.png"])
def test_labels_captions_and_images_count(tmp_path, compose, changed) -> None:
    overrides = _embeddings(tmp_path, 0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("captions.csv", "0.png"):
        (folder / name).write_text("before")
    (tmp_path / "labels.csv").write_text("before")
    arguments = {
        "labels.csv": [*overrides, f"+data.labels.class={tmp_path}/labels.csv"],
        "captions.csv": ["data=captions_folder", f"data.folder={folder}"],
        "0.png": ["data=captions_folder", f"data.folder={folder}"],
    }[changed]
    before = fingerprint(resolve(compose(*arguments)))
    (tmp_path / changed if changed == "labels.csv" else folder / changed).write_text("after")
    assert fingerprint(resolve(compose(*arguments))) != before


def test_a_setting_that_names_no_file_is_itself(tmp_path) -> None:
    assert addresses.with_contents({"language": "en", "prompt": "a {}"}, "data") == {
        "language": "en",
        "prompt": "a {}",
    }


def _addresses(compose, *overrides: str, names: list[str]) -> set[str]:
    """Return the addresses of a run whose last setting takes each of the names."""
    return {fingerprint(resolve(compose(*overrides[:-1], f"{overrides[-1]}={name}"))) for name in names}


EMBEDDINGS = ["data=embeddings", "data.x=two.npz", "data.y=two.npz"]
LABELS = "+data.labels.a=two.npz"
NAMING = [
    [*EMBEDDINGS, "data.x_key"],
    [*EMBEDDINGS, "data.columns"],
    [*EMBEDDINGS, "data.drop"],
    [*EMBEDDINGS, LABELS, "+data.label_keys.a"],
    [*EMBEDDINGS, LABELS, "+data.label_keys.x"],  # the label set has the name of a path
    ["data=citeseq", "data.labels.coarse"],
    ["data=citeseq", "data.layer"],
    ["data=verses", "data.x"],
    ["data=digits", "data.y"],
    ["data=emoji", "data.language"],
    ["data=yfcc", "data.image"],
    ["data=imagenetv2", "data.folder=photos", "data.prompt"],
    ["data=openclipart", "data.images=true", "encoder=open_clip", "encoder.model"],
    [*EMBEDDINGS, "+data.mine_key"],
]


@pytest.mark.parametrize("held", [[], ["a.txt"]], ids=["empty", "same"])
@pytest.mark.parametrize("overrides", NAMING, ids=lambda overrides: overrides[-1])
def test_a_name_is_itself_whatever_in_the_working_directory_is_called_so(
    tmp_path, monkeypatch, compose, overrides, held
) -> None:
    monkeypatch.chdir(tmp_path)
    if held and overrides[-1] == "encoder.model":
        pytest.skip("a folder with files is a model")
    before = _addresses(compose, *overrides, names=["image", "noise"])
    for name in ("image", "noise"):
        (tmp_path / name).mkdir()
        for file in held:
            (tmp_path / name / file).write_text("alike")
    assert _addresses(compose, *overrides, names=["image", "noise"]) == before
    assert len(before) == 2


READ = [
    *([*EMBEDDINGS, setting] for setting in ("data.x", "data.y", "+data.labels.a")),
    *(["data=citeseq", f"data.{setting}"] for setting in ("rna", "protein", "cells")),
    ["data=flickr30k", "data.captions"],
    ["data=coco", "data.annotations"],
    ["data=yfcc", "data.table"],
    *(
        [f"data={name}", "data.folder"]
        for name in (
            "captions_folder",
            "cities",
            "emoji",
            "halves",
            "icons",
            "published",
            "tuxpaint",
            "verses",
        )
    ),
    ["data=openclipart", "data.images=true", "encoder=open_clip", "encoder.pretrained"],
    ["data=openclipart", "data.images=true", "features=cached", "features.model"],
]


@pytest.mark.parametrize("overrides", READ, ids=" ".join)
def test_a_file_that_is_read_counts_by_its_contents_wherever_it_lies(tmp_path, compose, overrides) -> None:
    for name, text in {"one": "alike", "another": "alike", "third": "unlike"}.items():
        (tmp_path / name).write_text(text)
    one, another, third = (f"{tmp_path}/{name}" for name in ("one", "another", "third"))
    assert len(_addresses(compose, *overrides, names=[one, another])) == 1
    assert len(_addresses(compose, *overrides, names=[one, third])) == 2


def test_of_a_class_of_ones_own_files_count_and_keys_do_not(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("image", "noise"):
        (tmp_path / name).write_text("alike")
    node = {
        "_target_": "mine.Spectra",
        "file": "image",
        "x_key": "image",
        "drop": ["image"],
        "parts": ["image"],
    }
    hashed = addresses.with_contents(node, "data")
    assert {key for key in node if hashed[key] == node[key]} == {"_target_", "x_key", "drop"}
    other = addresses.with_contents({**node, "file": "noise"}, "data")
    assert other == hashed != addresses.with_contents({**node, "x_key": "noise"}, "data")


def test_a_model_of_the_package_within_a_node_of_ones_own_is_its_files(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("weights")
    inner = {"_target_": "intrinsic_clip.encoders.open_clip.OpenClip", "pretrained": "a", "features": "a"}
    hashed = addresses.with_contents({"_target_": "mine.Two", "left": inner}, "encoder")["left"]
    assert hashed["features"] == "a"
    assert set(hashed["pretrained"]) == {"contents"}
