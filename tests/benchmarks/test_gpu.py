"""Every part of `make gpu` in miniature, and what becomes of one that fails or takes too long."""

import json
from pathlib import Path

import pytest

import gpu
from gpu_parts import tests as gpu_tests
from gpu_parts.agreement import DisagreementError, check_agreement
from gpu_parts.record import Record, read_numbers
from gpu_parts.settings import Settings
from gpu_parts.steps import Steps
from gpu_parts.training import quickest


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_part_runs_in_miniature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, runs = tmp_path / "gpu", tmp_path / "runs"
    arguments = ["--device", "cpu", "--smoke", "--output", str(output), "--runs", str(runs)]
    assert gpu.main([*arguments, "--limit", "500"]) == 0
    content = json.loads((output / "gpu.json").read_bytes())
    assert {name: part["status"] for name, part in content["parts"].items()} == dict.fromkeys(
        gpu.SECONDS, "done"
    )
    assert all(part["numbers"] for part in content["parts"].values())
    assert content["parts"]["tests"]["numbers"] == [{"name": "pytest", "passed": 1}]
    files = sorted(path.name for path in output.iterdir())
    assert files == ["figure_3.json", "figure_4.json", "gpu.json", "gpu.md"]
    figure = json.loads((output / "figure_3.json").read_bytes())
    assert [len(values) for values in figure["finals"]["id/mle/x"]] == [
        2,
        2,
    ]  # replicates of each output dimension
    names = {row["metric"] for row in figure["along_the_way"]}
    assert {"id/mle/x", "matching/top_1/x_to_y", "temperature"} <= names
    monkeypatch.setattr(gpu, "_run_apart", lambda *_: pytest.fail("is done already"))
    assert gpu.main(arguments) == 0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings("cpu", True, tmp_path / "gpu", tmp_path / "runs")


def test_a_part_that_fails_is_recorded_with_its_last_lines(settings: Settings, monkeypatch) -> None:
    settings.output.mkdir()
    monkeypatch.setattr(gpu.sys, "executable", "/bin/false")
    outcome = gpu._run_apart("losses", settings, 60)
    assert (outcome.status, outcome.numbers) == ("failed", [])
    assert gpu._run_apart("losses", settings, 2).status == "out of time"


def test_a_part_that_takes_too_long_keeps_what_it_has_measured(
    settings: Settings, tmp_path: Path, monkeypatch
) -> None:
    program = tmp_path / "program"
    line = json.dumps({"name": "half", "milliseconds": 3.5})
    program.write_text(f"#!/bin/sh\necho '{line}' > {settings.numbers_of('losses')}\necho began\nsleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(gpu.sys, "executable", str(program))
    monkeypatch.setattr(gpu, "LEAST_SECONDS", 0)
    outcome = gpu._run_apart("losses", settings, 1)
    assert outcome.status == "out of time"
    assert outcome.numbers == [{"name": "half", "milliseconds": 3.5}]
    assert outcome.last_lines == ["began"]


def test_the_trainings_share_what_the_other_parts_leave() -> None:
    fixed = sum(seconds or 0 for seconds in gpu.SECONDS.values())
    parts = list(gpu.SECONDS)
    assert gpu._seconds(parts[1:], fixed - gpu.SECONDS["tests"] + 200) == 100
    assert gpu._seconds(["speed"], 20) == 20


def test_without_a_gpu_it_says_how_to_try_it(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu.main(["--output", str(tmp_path)]) == 2
    assert "--device cpu --smoke" in capsys.readouterr().err


def test_numbers_are_kept_as_they_come(tmp_path: Path) -> None:
    record = Record(tmp_path / "numbers.jsonl")
    record.add("first", milliseconds=1.23456789, missing=float("nan"))
    assert record.attempt("second", lambda: 1 / 0) is None
    with record.path.open("a") as file:
        file.write('{"name": "cut o')
    first, second = read_numbers(record.path)
    assert first == {"name": "first", "milliseconds": 1.23457, "missing": None}
    assert second == {"name": "second", "reason": "ZeroDivisionError: division by zero"}


def test_a_way_to_take_steps_must_give_the_gradients_of_the_plain_one() -> None:
    small = ["data.n_train=64", "data.n_append=16", "data.n_test=10", "data.batch_size=32", "threads=1"]
    steps = Steps(small, "cpu")
    assert check_agreement(steps.module, *steps.next_rows()) == 0
    plain = steps.module._step
    steps.module._step = lambda *rows: (1.01 * plain(*rows)[0], plain(*rows)[1])
    with pytest.raises(DisagreementError, match=r"differ by 0\.01"):
        check_agreement(steps.module, *steps.next_rows())
    fused = Steps(small, "cpu")
    fused.choose("triton")
    for take in (fused.take, lambda: check_agreement(fused.module, *fused.next_rows())):
        fused.choose("triton")
        with pytest.raises(UserWarning, match=r"not on a GPU|not installed"):
            take()


def test_few_replicates_take_as_long_as_the_processor_needs_to_ask() -> None:
    timed = {"plain": (10e-3, 2e-3), "triton, graph": (5e-3, 1e-3), "graph": (6e-3, 0.5e-3)}
    assert quickest(timed, 50) == ("triton, graph", pytest.approx(5e-3))
    assert quickest(timed, 5) == ("graph", pytest.approx(0.5e-3))
    assert quickest({"plain": timed["plain"]}, 20) == ("plain", pytest.approx(2e-3 + 8e-3 / 3))


def test_tests_are_counted_as_they_end() -> None:
    lines = ["[gw0] [ 5%] PASSED tests/gpu/a.py::one ", "tests/gpu/a.py::two FAILED   [ 10%]"]
    assert gpu_tests.counts("\n".join(lines)) == {"passed": 1, "failed": 1}
    summary = ["=== short test summary info ===", "FAILED tests/gpu/a.py::two - assert 1 == 2"]
    assert gpu_tests.counts("\n".join([*lines, *summary])) == {"passed": 1, "failed": 1}


def test_a_part_without_all_of_its_numbers_is_done_in_part(settings: Settings, tmp_path, monkeypatch) -> None:
    settings.output.mkdir()
    program = tmp_path / "program"
    line = json.dumps({"name": "half", "reason": "too little time was left"})
    program.write_text(f"#!/bin/sh\necho '{line}' > {settings.numbers_of('losses')}\n")
    program.chmod(0o755)
    monkeypatch.setattr(gpu.sys, "executable", str(program))
    assert gpu._run_apart("losses", settings, 60).status == "done in part"
