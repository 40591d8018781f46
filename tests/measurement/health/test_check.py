"""`measure … --check rules.yaml` as a pipeline meets it: exit codes, lines and files."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from helpers.projections import write_small_projection
from helpers.shared_latent import QUICK
from helpers.tiny_runs import files_below

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[3] / "docs" / "how-to" / "embedding_rules.yaml"
COMMAND = ("measure", "x=x.npy", "y=y.npy", *QUICK)


def failed(shown: str) -> list[str]:
    """Return the names of the numbers in the lines that say so."""
    return [line.split()[1] for line in shown.splitlines() if line.startswith("FAILED")]


def test_a_healthy_index_keeps_the_rules_of_the_guide(command_line, capsys, pair) -> None:
    shutil.copy(EXAMPLE, "rules.yaml")
    assert command_line(*COMMAND, "--check", "rules.yaml", "--junit", "o.xml", "--json=o.json") == 0
    shown = capsys.readouterr().out
    assert "check rules.yaml: all 16 kept" in shown
    assert failed(shown) == []
    report = json.loads(Path("o.json").read_text())
    assert report["status"] == "ok"
    assert Path(report["measurement"]).exists()
    assert ElementTree.parse("o.xml").getroot().get("failures") == "0"
    assert (
        command_line(*COMMAND, "check=rules.yaml") == 0
    )  # the measurement is read, the rules are judged again
    assert "Measured already." in (again := capsys.readouterr().out)
    assert again.partition("check ")[2] == shown.partition("check ")[2]


@pytest.mark.parametrize("large", [False, True])
def test_planted_faults_fail_their_rules_alone(command_line, capsys, pair, large) -> None:
    x = pair[0].copy()
    x[5], x[6, 3], x[10:40], x[50], x[60:] = np.nan, np.inf, x[100], 0, x[60:] * 1.2
    np.save("x.npy", x)
    shutil.copy(EXAMPLE, "rules.yaml")
    command = (*COMMAND, "queries=200") if large else COMMAND
    assert command_line(*command, "--check", "rules.yaml", "--junit", "o.xml") == 1
    assert failed(capsys.readouterr().out) == ["duplicates/x", "nonfinite_rows/x", "zero_rows/x", "norm/x"]
    assert ElementTree.parse("o.xml").getroot().get("failures") == "4"


def test_rows_that_are_not_finite_fail_unless_they_are_permitted(command_line, capsys, pair) -> None:
    x = pair[0].copy()
    x[5] = np.nan
    np.save("x.npy", x)
    Path("rules.yaml").write_text("rows: {min: 599}")
    assert command_line(*COMMAND, "--check", "rules.yaml") == 1
    assert failed(capsys.readouterr().out) == ["nonfinite_rows/x"]
    assert command_line(*COMMAND, "--check", "rules.yaml", "nan=drop") == 0
    Path("rules.yaml").write_text("nonfinite_rows: {max: 1}")
    assert command_line(*COMMAND, "--check", "rules.yaml") == 0
    np.save("x.npy", x * np.nan)
    Path("rules.yaml").write_text("id/mle/x: {min: 3}")
    assert command_line(*COMMAND, "--check", "rules.yaml") == 1
    shown = capsys.readouterr().out
    assert "the other rows cannot be measured: 600 of 600 rows of x are missing" in shown
    assert failed(shown) == ["nonfinite_rows/x", "id/mle/x"]


@pytest.mark.parametrize("rule", ["nonfinite_rows/x: {max: 5}", "nonfinite_rows: {min: 0}"])
def test_a_rule_on_one_side_or_without_a_maximum_permits_no_rows_of_the_other(
    command_line, capsys, pair, rule
) -> None:
    y = pair[1].copy()
    y[:30] = np.nan
    np.save("y.npy", y)
    Path("rules.yaml").write_text(f"{rule}\nrows: {{min: 1}}")
    assert command_line(*COMMAND, "--check", "rules.yaml") == 1
    assert failed(capsys.readouterr().out) == ["nonfinite_rows/y"]
    Path("rules.yaml").write_text(f"{rule}\nnonfinite_rows/y: {{max: 30}}")
    assert command_line(*COMMAND, "--check", "rules.yaml") == 0


def test_collapse_fails(command_line, capsys, pair) -> None:
    np.save("x.npy", np.ones((600, 64), np.float32))
    shutil.copy(EXAMPLE, "rules.yaml")
    assert command_line(*COMMAND, "--check", "rules.yaml") == 1
    assert {"spectrum/effective_rank/x", "duplicates/x", "id/mle/x", "norm/x"} < set(
        failed(capsys.readouterr().out)
    )


def test_nothing_is_exported_unless_all_rules_are_kept(command_line, capsys, pair) -> None:
    arguments = (
        *COMMAND,
        "export=cut.safetensors",
        "export_dims=3",
        "--check",
        "rules.yaml",
        "--junit",
        "o.xml",
    )
    write_small_projection(Path("cut.safetensors"), *pair, 6, "canonical")
    earlier = Path("cut.safetensors").read_bytes()
    Path("rules.yaml").write_text("rows: {min: 601}")
    assert command_line(*arguments) == 1
    assert "not exported: the check failed" in capsys.readouterr().out
    assert Path("cut.safetensors").read_bytes() == earlier
    assert Path("o.xml").exists()
    Path("rules.yaml").write_text("rows: {min: 600}")
    assert command_line(*arguments) == 0
    assert "exported cut.safetensors" in capsys.readouterr().out
    assert Path("cut.safetensors").read_bytes() != earlier


@pytest.mark.parametrize(("least", "code"), [(601, 1), (600, 2)])
def test_rules_are_judged_where_nothing_can_be_exported(command_line, capsys, pair, least, code) -> None:
    np.save(
        "y.npy", np.random.default_rng(5).normal(size=pair[1].shape).astype(np.float32)
    )  # no partners of x
    Path("rules.yaml").write_text(f"rows: {{min: {least}}}")
    arguments = ("export=cut.safetensors", "--check", "rules.yaml", "--junit", "o.xml")
    assert command_line(*COMMAND, *arguments) == code
    shown = capsys.readouterr()
    assert ("export: " in shown.err) is (code == 2)
    assert ("not exported: the check failed" in shown.out) is (code == 1)
    assert Path("o.xml").exists()
    assert not Path("cut.safetensors").exists()


WRONG = {
    "--check": "--check: needs a file",
    "--check --junit o.xml": "--check: needs a file",
    "--check nowhere.yaml": "check=nowhere.yaml: no such file",
    "--check bad.yaml": "check=bad.yaml: effective_rnk: unknown rule, did you mean effective_rank",
    "--junit o.xml": "check_junit: needs check=FILE",
    "--check rules.yaml --json no/o.json": "check_json=no/o.json: there is no folder no",
    "--check rules.yaml --json x.npy": "check_json=x.npy: is x, which would be lost",
    "--check rules.yaml --json o --junit o": "check_junit and check_json: must be two files",
    "--check rules.yaml --json .": "check_json=.: is a folder",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_a_bad_request_is_one_line_exit_2_and_nothing_written(
    command_line, capsys, tmp_path, pair, arguments
) -> None:
    Path("rules.yaml").write_text("rows: {min: 1}")
    Path("bad.yaml").write_text("effective_rnk: {min: 1}")
    before = files_below(tmp_path)
    assert command_line(*COMMAND, *arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("intrinsic-clip: ")
    assert error.count("\n") == 1
    assert WRONG[arguments] in error
    assert files_below(tmp_path) == before
