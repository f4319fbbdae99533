# Every target does its own set-up: `make demo` and `make test` need only Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types contracts unit docs format bench evidence clean

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## the virtual environment in .venv, with everything the tests need

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev --group docs
	@touch $(STAMP)

demo: $(STAMP)  ## the main job on real data: a classifier and a language model, their updates, and what those changed
	@$(BIN)/python examples/model_update.py
	@$(BIN)/python examples/language_model_update.py

test: lint types contracts unit docs  ## all that CI runs

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

docs: $(STAMP)  ## the manual, in docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

format: $(STAMP)  ## put the code in its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/concordant validate --schema > docs/check.schema.json

bench: $(STAMP)  ## the figures of docs/benchmarks.md (installs the peers first)
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --constraint constraints.txt torch --group bench
	$(BIN)/python -m bench --peer-python .venv-bench/bin/python

evidence: $(STAMP)  ## docs/evidence.md: every study at pocket scale (an hour on two cores; goes on where it was stopped)
	HF_HUB_OFFLINE=1 $(BIN)/concordant study --all --scale pocket --evidence docs/evidence.md || test $$? -ne 2

clean:
	rm -rf $(VENV) docs/_build
