"""`measure x=old.npy y=text.npy against=new.npy` as a user meets it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.shared_latent import QUICK, measurement_below
from helpers.tiny_runs import files_below

pytestmark = pytest.mark.slow
FEW = ["progress=false", "threads=1", "estimators=[mle]", "max_points=300"]


@pytest.fixture
def second(pair) -> None:
    """Write a second model: new.npy and its newy.npy are those of the first turned, with row 77 of x astray."""
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(64, 64)))
    new, new_y = (np.asarray(3 * side @ turn, np.float32) for side in pair)
    new[77] = -new[77]
    np.save("new.npy", new)
    np.save("newy.npy", new_y)


@pytest.mark.pictures
def test_both_are_laid_side_by_side(command_line, capsys, tmp_path, second) -> None:
    command = ("measure", "x=x.npy", "y=y.npy", "against=new.npy", "against_y=newy.npy", *QUICK)
    assert command_line(*command) == 0
    shown = capsys.readouterr().out
    assert "600 pairs: x 64-d (x.npy), y 64-d (y.npy), against 64-d (new.npy)" in shown
    for words in (
        "two models, one data set:",
        "verdict: against retrieves exactly as x does: recall@1 by cosine",
        "rows of x that moved most, of 600",
    ):
        assert words in shown
    measurement = measurement_below(tmp_path)
    against = measurement["against"]
    compared = against["compared"]
    assert (compared["n"], compared["of"]) == (400, 600)
    assert compared["moved"][0]["row"] == 77
    assert compared["moved"][0]["distance"] > 10 * compared["moved"][1]["distance"]
    assert compared["metrics"]["overlap/top_10"] > 0.98
    assert compared["metrics"]["linear_cka"] > 0.98
    page = next(tmp_path.glob("outputs/measure/*/measure.html"))
    assert "two models, one data set" in page.read_text()
    assert (page.parent / "two_models.png").read_bytes().startswith(b"\x89PNG")
    assert (
        command_line("measure", "x=x.npy", "y=y.npy", *QUICK) == 0
    )  # the numbers of each model are those alone
    assert command_line("measure", "x=new.npy", "y=newy.npy", *QUICK) == 0
    alone = [
        pd.read_json(path, typ="series")["metrics"]
        for path in sorted(
            tmp_path.glob("outputs/measure/*/measure.json"), key=lambda path: path.stat().st_mtime
        )
    ][1:]
    assert [measurement["metrics"], against["metrics"]] == [
        pytest.approx(each, nan_ok=True) for each in alone
    ]
    capsys.readouterr()
    assert command_line(*command) == 0
    assert capsys.readouterr().out == f"Measured already.\n\n{shown}"


@pytest.mark.parametrize("queries", ["auto", "200"])
def test_rows_that_are_not_finite_are_left_out_of_the_comparison(
    command_line, capsys, tmp_path, second, queries
) -> None:
    rows = {name: np.load(f"{name}.npy") for name in ("x", "new")}
    rows["x"][3], rows["new"][[5, 6]] = np.nan, np.inf
    for name, array in rows.items():
        np.save(f"{name}.npy", array)
    command = ("measure", "x=x.npy", "against=new.npy", f"queries={queries}", *FEW)
    np.save("finite.npy", np.nan_to_num(rows["x"]))
    before = files_below(tmp_path)
    assert command_line(command[0], "x=finite.npy", *command[2:]) == 2
    assert (
        "against: 2 of 600 rows of x hold NaN or infinity; nan=drop leaves them out"
        in capsys.readouterr().err
    )
    assert files_below(tmp_path) == before
    assert command_line(*command, "nan=drop") == 0
    measurement = measurement_below(tmp_path)
    assert (measurement["n"], measurement["against"]["n"]) == (599, 598)
    compared = measurement["against"]["compared"]
    assert compared["of"] == 597
    assert compared["moved"][0]["row"] == 77
    assert compared["metrics"]["overlap/top_10"] > 0.98


def test_ids_of_both_files_are_compared(command_line, capsys, tmp_path, second) -> None:
    names = np.array([f"item {i}" for i in range(600)])
    for name in ("x", "new"):
        frame = pd.DataFrame({"id": names, "e": list(np.load(f"{name}.npy"))})
        frame.to_parquet(f"{name}.parquet")
        frame.iloc[::-1].to_parquet(f"{name}_turned.parquet", index=False)
        frame.assign(id=np.where(np.arange(600) == 9, "other", names)).to_parquet(f"{name}_other.parquet")
    command = ("measure", "x=x.parquet", *FEW)
    assert command_line(*command, "against=new_turned.parquet") == 2
    error = capsys.readouterr().err
    assert "'id' of x and against differ in 600 of 600 rows, first in row 0: 'item 0' and 'item 599'" in error
    assert "the same ids in another order; sort both alike" in error
    assert command_line(*command, "against=new_other.parquet") == 2
    assert "first in row 9: 'item 9' and 'other'; drop=id does not compare it" in capsys.readouterr().err
    assert not list(tmp_path.glob("outputs"))
    assert command_line(*command, "against=new.parquet") == 0
    assert "rows are the same by 'id' of x and against" in capsys.readouterr().out
    assert measurement_below(tmp_path)["against"]["compared"]["moved"][0]["id"] == "item 77"
    assert command_line(*command, "against=new_turned.parquet", "drop=id") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        "'item 0' and 'item 599', the same ids in another order; row i of x and row i of against are" in shown
    )


def test_a_model_whose_y_is_of_another_space_is_judged_by_a_linear_map(command_line, capsys, second) -> None:
    assert command_line("measure", "x=x.npy", "y=y.npy", "against=new.npy", *FEW) == 0
    shown = capsys.readouterr().out
    (verdict,) = (line for line in shown.splitlines() if "verdict: " in line)
    assert "recall@1 along canonical directions" in verdict
    assert "against_y=… gives the second model's own y" in shown


def test_shuffled_rows_are_doubted(command_line, capsys, second) -> None:
    np.save("new.npy", np.load("new.npy")[np.random.default_rng(0).permutation(600)])
    assert command_line("measure", "x=x.npy", "against=new.npy", *FEW) == 0
    assert "is row i of x the same thing as row i of against?" in capsys.readouterr().out


def test_rules_may_be_about_the_second_model(command_line, capsys, second) -> None:
    Path("rules.yaml").write_text(
        "against/overlap/top_10: {min: 0.9}\nagainst/norm/x: {min: 5}\nagainst/recall@1: {min: 2}\n"
        "against/retrieval_difference/top_1: {min: -0.02}\n"
    )
    command = ("measure", "x=x.npy", "y=y.npy", "against=new.npy", "against_y=newy.npy", *FEW)
    assert command_line(*command) == 0
    capsys.readouterr()
    assert command_line(*command, "--check", "rules.yaml") == 1
    lines = capsys.readouterr().out.partition("check rules.yaml: ")[2].splitlines()
    assert lines[0] == "2 of 9 failed"
    assert [line.split()[1] for line in lines if line.startswith("FAILED")] == [
        "against/retrieval/top_1/x_to_y",
        "against/retrieval/top_1/y_to_x",
    ]


def test_a_model_beside_itself_is_doubted(command_line, capsys, pair) -> None:
    assert command_line("measure", "x=x.npy", "against=x.npy", *FEW) == 0
    shown = capsys.readouterr().out
    assert "x and against hold the same numbers: is one model given twice?" in shown
    assert "no row moved" in shown


WRONG = {
    "against=short.npy": "x has 600 rows, against has 599 rows; row i of each must be of the same thing",
    "y=y.npy against=short.npy": "against has 599 rows, y has 600 rows",
    "x=new.npy": "x=x.npy and x=new.npy: give one of the two; against=… names a second model",
    "y=y.npy against=new.npy against_y=short.npy": "against has 600 rows, against_y has 599 rows",
    "against=nowhere.npy": "against=nowhere.npy: no such file or directory",
    "y=y.npy against=new.npy against_y=nowhere.npy": "against_y=nowhere.npy: no such file",
    "against=new.npy against_y=newy.npy": "against_y: needs y=FILE, which is missing",
    "against_y=newy.npy": "against_y: needs against=FILE, which is missing",
    "against=two.npz": "against=two.npz: holds 2 arrays: a, b; against_key=… says which",
    "against=two.npz against_key=c": "against=two.npz: holds no 'c' (against_key); arrays: a, b",
    "against=two.npz x_key=a": "x=x.npy: x_key=a: .npy holds one array",
}


def test_bad_input_is_one_line_exit_2_and_nothing_written(command_line, capsys, tmp_path, second) -> None:
    np.save("short.npy", np.load("new.npy")[1:])
    np.savez("two.npz", a=np.load("new.npy"), b=np.load("new.npy"))
    before = files_below(tmp_path)
    for arguments, reason in WRONG.items():
        assert command_line("measure", "x=x.npy", *arguments.split(), *FEW) == 2, arguments
        error = capsys.readouterr().err
        assert error.startswith("intrinsic-clip: ")
        assert error.count("\n") == 1
        assert reason in error, arguments
    assert files_below(tmp_path) == before


def test_a_subsample_of_two_models_is_of_the_same_rows_where_others_are_left_out(
    command_line, tmp_path, second
) -> None:
    """Each drew from its own finite rows, so that rows of one were those of the other by chance alone."""
    new = np.load("new.npy")
    new[[5, 6]] = np.nan
    np.save("new.npy", new)
    assert command_line("measure", "x=x.npy", "against=new.npy", "nan=drop", "subsample=200", *FEW) == 0
    measurement = measurement_below(tmp_path)
    assert (measurement["n"], measurement["against"]["n"]) == (200, 200)
    assert measurement["against"]["compared"]["of"] >= 198


@pytest.mark.parametrize("queries", ["auto", "200"])
def test_recall_on_held_out_pairs_is_one_number_where_rows_are_left_out(
    command_line, tmp_path, second, queries
) -> None:
    y = np.load("y.npy")
    y[[3, 50]] = np.nan
    np.save("y.npy", y)
    command = ("measure", "x=x.npy", "y=y.npy", "against=new.npy", f"queries={queries}", "nan=drop", *FEW)
    assert command_line(*command) == 0
    measurement = measurement_below(tmp_path)
    curve = measurement["curves"]["retrieval/canonical"]
    (each,) = (
        each
        for each in measurement["against"]["compared"]["recalls"]
        if (each["by"], each["k"]) == ("canonical", 1)
    )
    assert (each["n"], each["first"]) == (curve["n"], pytest.approx(curve["value"][-1]))
