# Every target sets up what it needs: Python >= 3.11 and make are enough.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SHELL  := /bin/bash
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo run test quick lint types contracts unit campaign year kills bench exact compare notebooks constraints clean

help:            ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sunmode needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python $(PYTHON) $(VENV) && \
	  VIRTUAL_ENV=$(abspath $(VENV)) uv pip install --quiet --require-hashes -r constraints.txt && \
	  VIRTUAL_ENV=$(abspath $(VENV)) uv pip install --quiet --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -m venv --clear $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $@

demo: $(STAMP)   ## a real measured day, charged by the real service, in about two minutes
	@$(BIN)/sunmode demo

run: $(STAMP)    ## the service with ./config.toml (the virtual home, as shipped)
	@$(BIN)/sunmode run

test: lint types contracts unit  ## lint, types, import contracts and every test

quick: lint types contracts $(STAMP) ## the same without the whole lives in virtual time
	@$(BIN)/pytest -n 2 --dist worksteal -m "not campaign"

lint: $(STAMP)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

contracts: $(STAMP)
	@$(BIN)/lint-imports

unit: $(STAMP)
	@$(BIN)/pytest -n 2 --dist worksteal

kills: $(STAMP)  ## five minutes of two processes, restarts and kill -9 against a server that counts
	@$(BIN)/python tests/kills.py 300

SEEDS ?= 2000
DAYS  ?= 3
campaign: $(STAMP) ## whole lives with faults, kills and clock steps in virtual time: SEEDS=2000 DAYS=3
	@$(BIN)/python tests/campaign.py --seeds $(SEEDS) --days $(DAYS)

year: $(STAMP)   ## a whole ordinary year in virtual time, in one go
	@$(BIN)/python tests/campaign.py --year

bench: $(STAMP)  ## speed, memory and log size, measured on this machine
	@$(BIN)/python benchmarks/run.py

SECONDS_EACH ?= 45
exact: $(STAMP)  ## planned days beside what HiGHS proves to be the best: SECONDS_EACH=45
	@$(BIN)/python benchmarks/exact.py --limit $(SECONDS_EACH)

compare: $(STAMP) ## the usual strategies on all houses and cars at hand, into docs/compared.md
	@$(BIN)/python benchmarks/compare.py

notebooks: $(STAMP) ## run the notebooks on the samples and keep what they show
	@$(BIN)/python notebooks/execute.py

constraints:     ## resolve the exact versions anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --all-extras --group dev -o constraints.txt pyproject.toml

clean:           ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
