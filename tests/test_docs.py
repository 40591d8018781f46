"""Check the README and the pages of docs/: size, commands, links, and the Python that they show.

`make docs` builds the site and executes the notebooks; it is not repeated here.
"""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest

from intrinsic_clip.cli.overrides import Commas, for_hydra
from intrinsic_clip.cli.verbs import VERBS
from intrinsic_clip.config.folders import conf_folder
from intrinsic_clip.dimension import registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [
    README,
    *sorted(ROOT.glob("C*.md")),
    *sorted(page for page in DOCS.rglob("*.md") if not {"_build", "generated"} & set(page.parts)),
]
COMMAND = re.compile(r"^(?: {4}|\$ |!)(intrinsic-clip (?:.*\\\n)*.*)$", re.MULTILINE)
MAKE = re.compile(r"^(?: {4}|\$ )make ([a-z -]+)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PYTHON = re.compile(r"(<!-- not run: .+ -->\n)?```python\n(.*?)```", re.DOTALL)
PLACEHOLDERS = ("…", "<", "my_package")
SHOWN = {  # by page: how it shows a number that its Python gives
    "docs/how-to/any_loop.md": "id/mle/x                      {estimate.value:.3f} ± {estimate.standard_error:.3f}",
    "docs/how-to/scikit_learn.md": "# {dimension.dimension_:.2f} ± {dimension.standard_error_:.2f}",
    "docs/how-to/torchmetrics.md": "tensor({numbers[val/id_image]:.1f}…)",
}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command that a page shows, with the page; a command once."""
    seen = set()
    for page in PAGES:
        for command in COMMAND.findall(page.read_text()):
            if command not in seen:
                seen.add(command)
                yield name(page), command


def arguments(command: str) -> tuple[str, list[str]]:
    """Return verb and arguments of a command, without its comment."""
    _, verb, *rest = shlex.split(command.replace("\\\n", " "), comments=True)
    return verb, rest


def first_value(argument: str) -> str:
    """Return an override with the first of the values that a sweep lists or counts."""
    key, _, value = argument.partition("=")
    if value.startswith("range("):
        return f"{key}=0"
    is_list = "," in value and value[0] not in "[{\"'"
    return f"{key}={value.split(',')[0]}" if is_list else argument


COMMANDS = list(commands())
TRAININGS = [
    (page, command)
    for page, command in COMMANDS
    if arguments(command)[0] == "train" and not any(mark in command for mark in PLACEHOLDERS)
]


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 7168


def test_pages_show_commands() -> None:
    assert len(COMMANDS) > 30
    assert len(TRAININGS) > 20


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_verbs_exist(page: str, command: str) -> None:
    verb, _ = arguments(command)
    assert verb in VERBS or verb.startswith("--"), page


def test_every_verb_is_in_the_readme() -> None:
    table = README.read_text()
    for verb in VERBS:
        assert f"| `{verb}` |" in table


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), TRAININGS)
def test_trainings_compose(page: str, command: str) -> None:
    """Groups, choices and keys of a command exist; Hydra refuses any other."""
    overrides = [first_value(part) for part in arguments(command)[1] if "=" in part and "glob(" not in part]
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        hydra.compose("train", overrides=for_hydra(overrides, Commas.TEXT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_targets_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in MAKE.findall(page.read_text()):
        assert set(line.split()) <= set(targets), line


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    generated = {DOCS / "generated" / path for path in generated_pages()}
    for target in LINK.findall(page.read_text()):
        path, _, _ = target.partition("#")
        if path and "://" not in path:
            place = (page.parent / path).resolve()
            assert place.exists() or place in generated, target


def generated_pages() -> set[str]:
    """Return the paths of the pages that conf.py writes below docs/generated/."""
    return {"metrics.md", "configuration.md"}


def test_generated_pages_cover_the_settings_and_the_public_names(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("generated_pages", DOCS / "generated_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tmp_path)
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.md")}
    assert generated_pages() <= written
    contents = (DOCS / "index.md").read_text()
    for path in written:
        assert f"generated/{path.removesuffix('.md')}\n" in contents
    settings = (tmp_path / "configuration.md").read_text()
    for file in conf_folder().glob("*/**/*.yaml"):
        assert f"`{file.parent.relative_to(conf_folder())}={file.stem}`" in settings
    assert "`id/" in (tmp_path / "metrics.md").read_text()
    assert "twonn" in (tmp_path / "api" / "dimension.md").read_text()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", [page for page in PAGES if "```python" in page.read_text()], ids=name)
def test_python_in_pages_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other, except those that say why they cannot, and give what it shows."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))  # a page may register an estimator
    namespace: dict[str, object] = {}
    for reason, code in PYTHON.findall(page.read_text()):
        compile(code, name(page), "exec")
        if not reason:
            exec(compile(code, name(page), "exec"), namespace)
    assert SHOWN.get(name(page), "").format_map(namespace) in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_installs_the_package_from_a_registry(page: Path) -> None:
    assert not re.search(r"pip install .?intrinsic-clip", page.read_text())


def test_settings_of_verbs_that_read_alike_name_the_same_formats() -> None:
    pattern = re.compile(r"^x: .*a row each: (.*)$", re.MULTILINE)
    texts = {verb: (ROOT / "conf" / f"{verb}.yaml").read_text() for verb in ("measure", "shared", "apply")}
    assert len({tuple(pattern.findall(text)) for text in texts.values()}) == 1
    assert pattern.search(texts["shared"])
