"""Paths and names arrive as they were typed, sweeps still sweep, and maps replace."""

import os
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf

from intrinsic_clip.cli.overrides import Commas, for_each_run, for_hydra
from intrinsic_clip.config.paths import as_config, read_twice, with_home
from intrinsic_clip.errors import ConfigError

AS_TYPED = [
    "runs/epoch=9-step=1.npy", "~/emb.npy", "été.npy", "out é", "a (1).npy", "cc3m/{0..3}.tar", "cc3m/{a,b}.tar",
    "it's.npy", 'say "so".npy', "a$b.npy", "$HOME", "[1].npy", "(a.npy", "a)", "}{", "#a%@!;&.npy", " lead", "trail ",
    "true", "3", "1e5", "a:b", "日本.npy", "a\tb", "'open.npy", "back\\", "tag(a,b)", "-", "*", "a*b?.npy", "=",
    "null.npy", "\udce9.npy", "a\nb",
]  # fmt: skip


def _read(*overrides: str, commas: Commas = Commas.SWEEP) -> list:
    parsed = OverridesParser.create().parse_overrides(for_hydra(overrides, commas))
    return [
        [getattr(value, "text", value) for value in override.sweep_iterator()]
        if override.is_sweep_override()
        else override.value()
        for override in parsed
    ]


@pytest.mark.parametrize("text", AS_TYPED)
@pytest.mark.parametrize("key", ["data.x", "output_dir", "+data.labels.coarse", "encoder.pretrained"])
def test_text_arrives_as_it_was_typed(key, text) -> None:
    assert _read(f"{key}={text}") == [text]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("'a (1).npy'", "a (1).npy"),  # quoted for Hydra already, as its documentation says
        ('"epoch=9.npy"', "epoch=9.npy"),
        (r"a\=b\,c.npy", "a=b,c.npy"),
        ("null", None),
        ("${oc.env:HOME}/x.npy", "${oc.env:HOME}/x.npy"),  # OmegaConf fills it in
    ],
)
def test_what_hydra_understands_keeps_its_meaning(typed, text) -> None:
    assert _read(f"data.x={typed}") == [text]


@pytest.mark.parametrize("name", ["a${.npy", "b${}.npy", "${", "${a b}", "it's ${", "(1) ${,"])
def test_a_brace_that_begins_no_interpolation_is_text(name) -> None:
    for typed in (name, f"~/{name}"):
        arguments = for_hydra([f"x={typed}"], Commas.TEXT)
        config = OmegaConf.create({"x": OverridesParser.create().parse_overrides(arguments)[0].value()})
        found = OmegaConf.to_container(with_home(config), resolve=True)
        assert found == {"x": os.path.expanduser(typed)}


@pytest.mark.parametrize(
    "typed", ["{fine: 'a${b.csv', coarse: b.csv}", "{fine: a${b.csv}", '{fine: "a${b.csv"}']
)
@pytest.mark.parametrize("prefix", ["", "+"])
def test_a_brace_that_begins_no_interpolation_is_text_in_a_map(prefix, typed) -> None:
    arguments = for_hydra([f"{prefix}data.labels={typed}"], Commas.REFUSED)
    read = OverridesParser.create().parse_overrides([arguments[-1]])[0].value()
    config = OmegaConf.to_container(OmegaConf.create({"labels": read}), resolve=True)
    assert config["labels"]["fine"] == "a${b.csv"
    kept = for_hydra(["data.labels={fine: 'a${seed}.csv'}"], Commas.REFUSED)
    assert kept == ["~data.labels", "+data.labels={fine: 'a${seed}.csv'}"]  # OmegaConf fills it in


@pytest.mark.parametrize("name", ["a${.npy", "b${}.npy", "x\\${.npy", "${seed}"])
def test_texts_of_settings_that_were_resolved_stay_as_they_are(name) -> None:
    """Check a run's settings as they are read again, and arguments as Hydra hands them to a data source."""
    settings = {"x": name, "labels": {"coarse": name}, "columns": [name]}
    assert OmegaConf.to_container(as_config(settings), resolve=True) == settings
    assert instantiate(read_twice(as_config({"_target_": "builtins.dict", "x": name}))) == {"x": name}


def test_a_choice_of_a_group_is_text() -> None:
    assert for_hydra(["experiment=3", "data=synthetic_linear,coco", "logger=[csv,wandb]"], Commas.SWEEP) == [
        "experiment='3'",
        "data=synthetic_linear,coco",
        "logger=[csv,wandb]",
    ]


def test_values_that_need_no_quotes_get_none() -> None:
    plain = ["data.x=runs/x.npy", "name=demo", "seed=1,2", "optimizer={lr: 1}", "~data", "nonsense"]
    assert for_hydra(plain, Commas.SWEEP) == plain


def test_paths_can_be_swept_over() -> None:
    assert _read("data.x=a.npy,b=1.npy, c d.npy") == [["a.npy", "b=1.npy", "c d.npy"]]
    assert _read("data.shards=cc3m/{a,b}.tar,cc12m/{0..4}.tar") == [["cc3m/{a,b}.tar", "cc12m/{0..4}.tar"]]
    assert _read("data.x=choice(a.npy,b.npy)") == [["a.npy", "b.npy"]]


def test_commas_are_text_where_a_file_has_them_or_nothing_is_swept_over(tmp_path) -> None:
    assert _read("x=a,b.npy", commas=Commas.TEXT) == ["a,b.npy"]
    (tmp_path / "a,b.npy").touch()
    assert _read("data.x=a,b.npy") == ["a,b.npy"]


def test_a_map_replaces_the_one_that_is_set() -> None:
    assert for_hydra(["data.labels={}"], Commas.SWEEP) == ["~data.labels", "+data.labels={}"]
    assert for_hydra(["+data.labels={a: b.csv}"], Commas.SWEEP) == [
        "+data.labels={a: b.csv}"
    ]  # as Hydra says: merged


def test_the_map_is_replaced_in_the_config(compose) -> None:
    mine = "data.labels={coarse: mine}"
    merged = compose("data=citeseq", mine).data.labels
    replaced = compose("data=citeseq", *for_hydra([mine], Commas.SWEEP)).data.labels
    emptied = compose("data=citeseq", *for_hydra(["data.labels={}"], Commas.SWEEP)).data.labels
    assert merged == {"coarse": "mine", "fine": "celltype.l2"}
    assert (replaced, emptied) == ({"coarse": "mine"}, {})


@pytest.mark.parametrize("text", ["a,b.npy", "a b (c) {x},é=1", "it's,b", 'say "a,b"', "{0..3},a$"])
def test_text_with_commas_is_refused_with_the_quoting_that_works(text) -> None:
    with pytest.raises(ConfigError) as error:
        for_hydra([f"output_dir={text}"], Commas.REFUSED)
    advice = str(error.value).partition(f"output_dir=[{text}] is a list, ")[2].removesuffix(" one text")
    assert _read(*shlex.split(advice), commas=Commas.REFUSED) == [text]


def test_two_files_for_one_setting_are_refused_and_other_settings_may_be_given_again() -> None:
    with pytest.raises(ConfigError, match=r"x=a\.npy and x=b\.npy: give one of the two; against=…"):
        for_hydra(["x=a.npy", "y=c.npy", "x=b.npy"], Commas.TEXT, "measure")
    for verb in ("apply", "shared"):  # which have no second model
        with pytest.raises(ConfigError, match=r"x=a\.npy and x=b\.npy: give one of the two$"):
            for_hydra(["x=a.npy", "x=b.npy"], Commas.TEXT, verb)
    with pytest.raises(ConfigError, match=r"labels=a\.npy and labels=b\.npy: give one of the two$"):
        for_hydra(["labels=a.npy", "labels=b.npy"], Commas.TEXT)
    with pytest.raises(
        ConfigError, match=r"drop=a and drop=\[b,c\]: give one of the two; drop=\[a,b,c\] has both"
    ):
        for_hydra(["drop=a", "drop=[b,c]"], Commas.TEXT)
    with pytest.raises(ConfigError, match=r"check=a\.yaml and check=b\.yaml: give one of the two$"):
        for_hydra(["check=a.yaml", "check=b.yaml"], Commas.TEXT)
    for suffix in ("tar", "tar.gz"):  # as a shell expands braces that are not in quotes
        shards = [f"y=shards/{number:03}.{suffix}" for number in range(3)]
        with pytest.raises(ConfigError, match=r"in quotes, as in 'y=shards/\{000\.\.031\}\.tar'$"):
            for_hydra(shards, Commas.TEXT)
    assert for_hydra(["x=a.npy", "x=a.npy", "seed=1", "seed=2"], Commas.TEXT)[2:] == ["seed=1", "seed=2"]


@pytest.mark.parametrize("value", ["3", "[1,2]", "{a: 1}", "'a, b'", "1e-3", "a/b:c", "${seed}"])
def test_a_value_beside_a_sweep_over_groups_is_set_in_each_run_alone(value) -> None:
    parse = OverridesParser.create().parse_override
    beside = for_each_run(["data=a,b", f"data.key={value}"])
    assert beside[0] == "data=a,b"
    assert [parse(f"data.key={text}").value() for text in parse(beside[1]).sweep_string_iterator()] == [
        parse(f"data.key={value}").value()
    ]


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=0,1", "data.key=3"],  # no group is swept over: Hydra judges the key at once
        [
            "data=a,b",
            "encoder=linear",
            "+data.key=3",
            "~data.key",
            "hydra.launcher.n_jobs=2",
            "seed=1,2",
            "name=",
        ],
        ["data=a,b", "data.key=str(3)", "data.other=null"],  # which no sweep can be over
    ],
)
def test_other_overrides_stay_as_they_are(overrides) -> None:
    assert for_each_run(overrides) == overrides
