"""A report and a dashboard's specification replace nothing but an earlier one."""

import json
from pathlib import Path

import pytest

from intrinsic_clip.errors import ConfigError
from intrinsic_clip.reports.overwriting import check_report, check_specification
from intrinsic_clip.reports.page.document import document
from intrinsic_clip.reports.page.write import TITLE


@pytest.mark.parametrize("arguments", [("report", ".", "output"), ("dashboard", "--dry-run", "file")])
def test_another_file_is_kept(arguments, command_line, capsys, tmp_path) -> None:
    *verb, option = arguments
    files = {
        "precious.npy": "must end in",
        "results.json": "exists and is no" if option == "file" else "must end in .html",
        "measure.html": "exists and is no report" if option == "output" else "must end in .json",
    }
    for name, message in files.items():
        content = document("a measurement", "") if name == "measure.html" else json.dumps({"spec": 1})
        (tmp_path / name).write_text(content)
        assert command_line(*verb, f"{option}={name}") == 2
        error = capsys.readouterr().err
        assert f"{option}={name}: {message}" in error
        assert error.count("\n") == 1
        assert (tmp_path / name).read_text() == content


def test_the_page_that_a_folder_has_by_default_is_kept_too(command_line, capsys, tmp_path) -> None:
    (tmp_path / "report.html").write_text("<p>of my own")
    assert command_line("report", ".") == 2
    assert "report.html: exists and is no report, so it is not overwritten" in capsys.readouterr().err


def test_an_earlier_one_an_empty_file_and_a_device_are_replaced(command_line, tmp_path) -> None:
    page, empty = tmp_path / "page.html", tmp_path / "empty.html"
    page.write_text(document(f"demo – {TITLE}", ""))
    empty.touch()
    for path in (page, empty, Path("/dev/null"), tmp_path / "new.html"):
        check_report(path)
    for _ in range(2):
        assert command_line("dashboard", "--dry-run", "file=there.json") == 0
    check_specification(tmp_path / "there.json")
    with pytest.raises(ConfigError, match="must end in"):
        check_report(tmp_path / "page")
