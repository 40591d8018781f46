"""The printout of a run shows its main numbers and only the files that exist."""

from intrinsic_clip.reports.run_printout import report


def number(mean: float | None, std: float | None = None) -> dict:
    return {"mean": mean, "std": std, "values": [mean]}


def results(**changes) -> dict:
    config = {"replicates": None, "encoder": {"output_dim": 6}}
    metrics = {
        "id/twonn/x": number(5.25), "id/mle/x": number(5.125, 0.5), "id/mle/y": number(None), "id/DANCo/y": number(5.0),
        "matching/top_1/x_to_y": number(0.5), "matching/median_rank/y_to_x": number(1.5),
        "retrieval/top_1/x_to_y": number(0.25), "in_sample/id/mle/x": number(9.0), "temperature": number(0.01),
        "id_standard_error/mle/x": number(0.3), "retrieval/candidates": number(200),
    }  # fmt: skip
    timings = {"pairs_per_second": 1234.5}
    plain = {"config": config, "shared_dim": 5, "n_test": 200, "timings": timings, "metrics": metrics}
    return plain | changes


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def test_a_lone_run_has_a_row_per_quantity_in_the_order_of_the_vocabulary(tmp_path) -> None:
    (tmp_path / "results.json").touch()
    assert cells(report(results(), tmp_path)) == [
        ["f(X)", "g(Y)", "truth"],
        ["Intrinsic dimension, MLE", "5.13 ± 0.50", "–", "k* = 5"],
        ["Intrinsic dimension, TwoNN", "5.25", "–", "k* = 5"],
        ["Intrinsic dimension, DANCo (scikit-dimension)", "–", "5", "k* = 5"],
        ["x → y", "y → x"],
        ["Matching accuracy, top 1", "0.5", "–", "chance 0.0050"],
        ["Median rank of the partner", "–", "1.5", "chance 100.5"],
        ["Recall by cosine, top 1", "0.25", "–", "chance 0.0050"],
        ["Temperature τ", "0.01", "→ 0"],
        [],
        ["training", "1,234 pairs a second"],
        ["results", str(tmp_path / "results.json")],
    ]


def test_several_output_dimensions_have_a_row_each(tmp_path) -> None:
    config = {"replicates": 2, "encoder": {"output_dim": [2, 6]}}
    metrics = {
        "id/mle/x": {"mean": [2.0, 5.0], "std": [0.1, None]},
        "matching/top_1/x_to_y": {"mean": [0.25, None], "std": [0.0, None]},
        "temperature": {"mean": [0.5, 0.05], "std": [None, None]},
    }
    text = report(results(config=config, metrics=metrics, shared_dim=None, timings={}), tmp_path)
    assert cells(text) == [
        ["d (k* = unknown)", "ID, MLE f(X)", "ID, MLE g(Y)", "Top 1 x → y", "τ"],
        ["2", "2.00 ± 0.10", "–", "0.25", "0.5"],
        ["6", "5", "–", "–", "0.05"],
    ]


def test_a_mean_says_how_many_replicates_it_is_of_where_others_have_no_number(tmp_path) -> None:
    some = {"mean": 5.0, "std": None, "values": [5.0, None, None]}
    config = {"replicates": 3, "encoder": {"output_dim": 6}}
    text = report(
        results(config=config, metrics={"id/mle/x": some, "temperature": some | {"values": [5.0] * 3}}),
        tmp_path,
    )
    assert "5 (1 of 3 replicates)" in text
    assert text.count("replicates") == 1
    several = {"mean": [2.0, 5.0], "std": [0.1, 0.2], "values": [[2.0, 2.0, None], [5.0, 5.1, 4.9]]}
    config = {"replicates": 3, "encoder": {"output_dim": [2, 6]}}
    text = report(results(config=config, metrics={"id/mle/x": several}), tmp_path)
    assert "2.00 ± 0.10 (2 of 3 replicates)" in text
    assert text.count("replicates") == 1


def test_objective_and_temperature_are_as_they_were_chosen(tmp_path) -> None:
    def of(name: str) -> dict[str, str]:
        return {"_target_": f"package.module.{name}"}

    objective = {**of("Sigmoid"), "temperature": of("FixedTemperature"), "similarity": of("CosineSimilarity")}
    config = results()["config"] | {"objective": objective}
    fixed = cells(report(results(config=config), tmp_path))
    assert ["Temperature τ", "0.01"] in fixed
    assert ["objective", "Sigmoid, FixedTemperature, CosineSimilarity"] in fixed
    objective = {**of("VICReg"), "temperature": None, "similarity": of("NoNormalisation")}
    metrics = {name: value for name, value in results()["metrics"].items() if name != "temperature"}
    config = results()["config"] | {"objective": objective}
    free = report(results(config=config, metrics=metrics), tmp_path)
    assert "Temperature" not in free
    assert "objective  VICReg, NoNormalisation\n" in free


def test_the_wandb_files_of_a_run_in_chunks_are_those_of_its_chunks(tmp_path) -> None:
    for chunk in ("0-1", "2-3"):
        (tmp_path / "chunks" / chunk / "wandb").mkdir(parents=True)
    assert cells(report(results(), tmp_path))[-1] == ["W&B files", f"{tmp_path}/chunks/*/wandb"]


def test_values_stand_to_the_second_digit_of_their_deviation(tmp_path) -> None:
    metrics = {
        "id/mle/x": number(4.7349, 0.1234),
        "matching/top_1/x_to_y": number(1 / 128, 0.0),
        "temperature": number(0.0123456, 0.00021),
    }
    text = report(results(metrics=metrics), tmp_path)
    for shown in ("4.73 ± 0.12", "0.007813 ", "0.01235 ± 0.00021"):
        assert shown in text
    assert "± 0 " not in text
