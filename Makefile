# make demo: a first result on screen. make test: lint, types and tests, all but the longest; make test-all: these too.
# make docs: the documentation, as a web site. Each sets up .venv first.
PYTHON ?= python3
# The exact versions everything was measured with; `make CONSTRAINTS= …` takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin

RUN_TESTS := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-all test-fast soak lint format docs benchmark gpu package lock clean

demo: .venv/installed
	$(BIN)/intrinsic-clip train experiment=demo

test: lint
	$(RUN_TESTS) -m 'not long'

# Before a release and in continuous integration: also the longest tests, and the probes under Lightning's other name.
test-all: lint
	$(RUN_TESTS)
	LIGHTNING_NAME=lightning.pytorch $(RUN_TESTS) tests/probes

# An answer in about a minute: no linting, and without the tests marked slow or long.
test-fast: .venv/installed
	$(RUN_TESTS) -m 'not slow and not long'

# Hours of kills, crash points and damaged files; it adds its figures up in outputs/soak.json, and continues from there.
soak: .venv/installed
	$(BIN)/python tests/soak

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# From nothing each time: warnings are errors, and the notebooks are executed. The first page is docs/_build/html/index.html.
docs: .venv/installed
	$(BIN)/python -m sphinx -W --keep-going -E -a -b html docs docs/_build/html

benchmark: .venv/installed
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/dimension_speed.py
	$(BIN)/python benchmarks/busy_machine.py
	$(BIN)/python benchmarks/pixels_speed.py

# On a machine with a GPU, within eight minutes: its tests, as much of figures 3 and 4 as fits, speed, a million rows; into outputs/gpu.
# Where PyTorch is installed already, and nothing can be: make gpu GPU_PYTHON=python3
gpu: $(if $(GPU_PYTHON),,.venv/installed)
	PYTHONPATH="$(CURDIR)/src$${PYTHONPATH:+:$$PYTHONPATH}" $(or $(GPU_PYTHON),$(BIN)/python) benchmarks/gpu.py $(GPU_ARGUMENTS)

# The wheel and the source distribution, in dist/.
package: .venv/installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

# torch and torchvision must be a pair, so pip resolves both at once and takes both from the registry.
.venv/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix -c ,$(CONSTRAINTS)) -e '.[dev,docs]'
	touch $@

lock: .venv/installed
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist docs/_build docs/generated
