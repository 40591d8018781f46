# make demo: a first result on screen. make test: lint, types and tests. Both set up .venv by themselves.
PYTHON ?= python3
# The exact versions everything was measured with; `make CONSTRAINTS= …` takes the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin

.PHONY: demo test lint format benchmark lock clean

demo: .venv/installed
	$(BIN)/intrinsic-clip train experiment=demo

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: .venv/installed
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/dimension_speed.py
	$(BIN)/python benchmarks/pixels_speed.py

# torch and torchvision must be a pair, so pip resolves both at once and takes both from the registry.
.venv/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(addprefix -c ,$(CONSTRAINTS)) -e '.[dev]'
	touch $@

lock: .venv/installed
	$(BIN)/python -m pip freeze --exclude-editable > constraints.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
