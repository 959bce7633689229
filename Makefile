PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check clean bench-collect bench-solvers bench-weightings help

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(STAMP) ## Install if needed, then run the built-in demonstration to its final table.
	$(BIN)/mtlrun

test: $(STAMP) ## Install if needed, then run all tests.
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(STAMP) ## Install if needed, then check format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench-collect: $(STAMP) ## Time the affinity collectors against a plain joint step.
	$(BIN)/python scripts/bench_collect.py

bench-solvers: $(STAMP) ## Time the grouping solvers, with proven or gap for every size: three quarters of an hour.
	$(BIN)/python scripts/bench_solvers.py

bench-weightings: $(STAMP) ## Time every weighting against equal weights, torchjd and LibMTL.
	$(BIN)/python -m pip install -qq --editable '.[bench]'
	$(BIN)/python scripts/bench_weightings.py

clean: ## Remove the environment and build products; results under outputs/ stay.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMP): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install -qq --editable '.[dev,tensorboard]'
	touch $(STAMP)
