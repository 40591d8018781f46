"""Files of rules: read in their order, and refused in one line that names what is wrong."""

import math
import re
from pathlib import Path

import pytest

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.measurement.health.rule_names import known_names, numbers_of
from intrinsic_clip.measurement.health.rules import read_rules

EXAMPLE = Path(__file__).parents[3] / "docs" / "how-to" / "embedding_rules.yaml"


def rules_of(text: str):
    Path("rules.yaml").write_text(text)
    return read_rules(Path("rules.yaml"))


def test_limits_hold_their_ends_and_never_nan() -> None:
    rank, norm, gap = rules_of(
        "effective_rank: {min: 1e1}\nnorm/x: {near: -2, within: 0.5}\nmodality_gap: {min: 0, max: 1}"
    )
    assert (rank.low, rank.high, rank.limit) == (10, math.inf, "min 10")
    assert (norm.low, norm.high, norm.limit) == (-3, -1, "near -2 within 50 %")
    assert [gap.keeps(value) for value in (0, 1, -1e-9, 1 + 1e-9, math.nan)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert not rank.keeps(math.nan)


def test_the_example_of_the_guide_is_read() -> None:
    assert len(read_rules(EXAMPLE)) == 9


def test_the_rules_about_a_second_model_in_the_guide_are_read() -> None:
    (block,) = re.findall(
        r"```yaml\n(.*?)```", (EXAMPLE.parent / "compare_two_models.md").read_text(), re.DOTALL
    )
    assert len(rules_of(block)) == 5


def test_suggested_names_exist() -> None:
    for name in known_names():
        assert numbers_of(name), name


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("effective_rank", ["spectrum/effective_rank/x", "spectrum/effective_rank/y"]),
        ("effective_rank/y", ["spectrum/effective_rank/y"]),
        ("recall@1/y_to_x", ["retrieval/top_1/y_to_x"]),
        ("id/DANCo/x", ["id/DANCo/x"]),
        ("id_standard_error/mle/x", ["id_standard_error/mle/x"]),
        ("id/mel/x", []),
        ("effective_rank/x_to_y", []),
        ("against/recall", ["against/retrieval/top_1/x_to_y", "against/retrieval/top_1/y_to_x"]),
        ("against/linear_cka", ["against/linear_cka"]),
        ("against/against/recall", []),
    ],
)
def test_names_of_rules_are_those_of_numbers(name, numbers) -> None:
    assert numbers_of(name) == numbers


WRONG = {
    "": "holds no rule",
    "42": "must map names of numbers to limits",
    "hello": "choose from effective_rank, participation_ratio",
    "against: {linear_cka: {min: 0.8}}": "against: unknown rule, did you mean against/",
    "- a\n": "must map names of numbers to limits",
    "effective_rank: 32": "effective_rank: must have min and max, or one of them",
    "effective_rank: {}": "effective_rank: must have min and max, or one of them",
    "efective_rank: {min: 3}": "efective_rank: unknown rule, did you mean effective_rank",
    "spectrum/effective_rnk/x: {min: 3}": "unknown rule, did you mean spectrum/effective_rank/x",
    "5: {min: 3}": "5: is no name of a number",
    "norm: {minimum: 3}": "norm.minimum: unknown limit; choose from min, max, near, within",
    "norm: {min: three}": "norm.min=three: must be a finite number",
    "norm: {min: true}": "norm.min=True: must be a finite number",
    "norm: {min: .nan}": "norm.min=nan: must be a finite number",
    "norm: {max: .inf}": "norm.max=inf: must be a finite number",
    "norm: {max: }": "norm.max=None: must be a finite number",
    "norm: {min: 3, max: 2}": "norm: min 3 is above max 2",
    "norm: {near: 3}": "norm: near and within belong together",
    "norm: {near: 0, within: 0.1}": "norm: within is a share of near",
    "norm: {near: 3, within: 0.1, max: 5}": "norm: near and within belong together, without min and max",
    "duplicates: {max: 10}": "duplicates: is a share of the rows, between 0 and 1; duplicate_rows counts them",
    "norm: {min: 3": "is no YAML",
    "norm: {min: 3}\nnorm: {min: 4}": "is no YAML",
    "norm: {min: '${nothing}'}": "is no YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_other_files_are_refused_in_one_line(text) -> None:
    with pytest.raises(ConfigError) as error:
        rules_of(text)
    assert str(error.value).startswith("check=rules.yaml: ")
    assert "\n" not in str(error.value)
    assert WRONG[text] in str(error.value)


def test_what_is_no_text_file_is_refused(tmp_path) -> None:
    Path("rules.yaml").write_bytes(b"\xff\xfe\x00")
    for path, reason in {"rules.yaml": "is no ", "nowhere.yaml": "no such file", ".": "directory"}.items():
        with pytest.raises(ConfigError, match=reason):
            read_rules(Path(path))
