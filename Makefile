# Each target does the set-up that it needs. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCUMENTED := $(VENV)/.documented

# One thread a process: the molecules are small, and tests run side by side.
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest

.PHONY: help install demo test check format bench notebooks notebook-outputs notebook-model docs clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Create .venv with all packages in the versions of constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	@python=""; \
	for candidate in $(PYTHON) python3.11 python3 python3.12 python3.13; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: neuralmd needs Python 3.11 or newer, but there is none: install it, or name it with make PYTHON=..." >&2; exit 1; \
	fi; \
	"$$python" -m venv $(VENV)
	@echo "installing into $(VENV), this takes a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[simulate,dev]'
	@touch $@

demo: $(INSTALLED)  ## Simulate benzene, learn its dynamics, and rebuild 19 of every 20 frames (about ten minutes)
	@$(BIN)/neuralmd demo

test: $(INSTALLED)  ## Run the tests
	@$(TEST) -n 2 --dist worksteal -m "not gpu" --ignore=tests/benchmarks

check: $(INSTALLED)  ## Check format, style, types, and the direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

format: $(INSTALLED)  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(INSTALLED)  ## Time the parts that matter, as ratios; the numbers go to benchmark.json
	@OMP_NUM_THREADS=1 JAXTYPING_DISABLE=1 $(BIN)/pytest tests/benchmarks --benchmark-only --benchmark-json=benchmark.json -s

notebooks: $(INSTALLED)  ## Execute the notebooks (about two minutes), and keep none of their outputs
	@$(TEST) -n 2 --nbmake --nbmake-timeout=900 notebooks

notebook-outputs: $(INSTALLED)  ## Make the notebooks anew from their .py files, and execute them for their outputs
	@$(BIN)/jupytext --quiet --to ipynb notebooks/0*.py
	@$(TEST) --nbmake --nbmake-timeout=900 --overwrite notebooks

# Takes hours to make: `neuralmd sweep sweeps/node-against-lstm.yaml --workers 2`. What the notebooks have stays without it.
SWEEP := $(patsubst %/report/ranking.json,%,$(wildcard runs/node-against-lstm/report/ranking.json))

notebook-model: $(INSTALLED)  ## Make the trajectory and the models of the notebooks anew (about an hour)
	@test -f data/benzene.h5 || $(BIN)/neuralmd simulate benzene data/benzene.h5 --steps 20000
	@$(BIN)/neuralmd compare configs/benzene.yaml:2 configs/lstm.yaml:2 configs/rnn.yaml training.clock=cpu --minutes 10 --output runs/notebook-comparison
	@$(BIN)/python notebooks/make_examples.py --data data/benzene.h5 --neural-ode runs/benzene-10min-seed0 \
	  --lstm runs/lstm-10min-seed0 --comparison runs/notebook-comparison $(patsubst %,--sweep %,$(SWEEP))

docs: $(DOCUMENTED)  ## Build the documentation into site/, with warnings as errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open site/index.html; for the search box: $(BIN)/python -m http.server --directory site"

$(DOCUMENTED): $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[docs]'
	@touch $@

clean:  ## Remove caches and build output, but neither data, runs nor .venv
	@rm -rf build dist site .pytest_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	@find neuralmd tests -name __pycache__ -type d -prune -exec rm -rf {} +
