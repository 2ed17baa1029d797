# make run | make test | make check …: see README.md. Needs Python 3.11 or later, and nothing else;
# tests on Kafka need Java 17 and Maven, and are skipped without.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
UV ?= uv
WORKERS ?= 3
ARGS ?=
RESULTS ?= bench.json

BIN := $(VENV)/bin
RUN := $(VENV)/installed
DEV := $(VENV)/installed-dev
# A lock is complete: what it names is installed, and nothing is looked for beyond it. Left to resolve
# them, an older pip takes the newest release of what another package asks for with an extra.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
COVERED := tests/unit tests/golden
FAST := $(COVERED) tests/docs/test_reference.py
PYTEST := $(BIN)/python -m pytest
SPREAD := -n $(WORKERS) --durations=10 --durations-min=10

.PHONY: run setup test check static fix schemas bench bench-report demo soak lock clean

run: $(RUN)  ## everything in one terminal; make run ARGS="--port 9000"
	@exec $(BIN)/tally up $(ARGS)

setup: $(RUN)  ## the virtual environment alone

# Money's rules and the folds have every branch tested without a server; what is traced is slower.
test: static  ## all that CI runs
	@$(PYTEST) $(COVERED) $(SPREAD) --dist worksteal --cov
	@$(PYTEST) tests $(foreach each,$(COVERED) tests/benchmarks,--ignore=$(each)) $(SPREAD) \
	  --dist loadfile

check: static  ## format, lint, types, imports and fast tests: under a minute
	@$(PYTEST) -m "not slow" $(FAST) $(SPREAD) --dist worksteal

static: $(DEV)
	@$(BIN)/ruff format --check --quiet || { echo "run: make fix" >&2; exit 1; }
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@imports=$$($(BIN)/lint-imports) || { echo "$$imports" >&2; exit 1; }

fix: $(DEV)  ## formats, and mends what ruff can
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

schemas: $(RUN)  ## writes docs/schemas, docs/asyncapi.json and the states in docs/money.md from the code
	@$(BIN)/python -m infrastructure.kafka.schemas docs
	@$(BIN)/python -m infrastructure.state_diagram docs/money.md

soak: $(DEV)  ## every acceptance check at its full count, with a table of what it measured
	@TALLY_TEST_SCALE=1 $(PYTEST) --timeout=3600 $(ARGS)

bench: $(DEV)  ## measures the product, then its parts; make bench ARGS="--rounds 1"
	@$(BIN)/tally bench --out $(firstword $(RESULTS)) $(ARGS)
	@TALLY_TEST_SCALE=1 $(PYTEST) tests/benchmarks

bench-report: $(RUN)  ## what was measured goes into docs/performance.md, with charts
	@$(BIN)/python -m api.bench.report docs $(RESULTS)

demo: $(RUN)  ## a day in a small town, on a ledger that is gone afterwards
	@$(BIN)/tally demo --scratch $(ARGS)

lock:  ## renews the locks; needs uv
	@compile="$(UV) pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header"; \
	$$compile --extra dev -o requirements-dev.lock; \
	$$compile --extra build --extra sonic -c requirements-dev.lock -o requirements.lock

clean:  ## all that was made here, but for the data in .tally
	@rm -rf $(VENV) .coverage* .hypothesis .import_linter_cache .kafka .mypy_cache .pytest_cache \
	  .ruff_cache .schemathesis dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is no Python 3.11 or later: make PYTHON=/path/to/python3.11 …" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

# First the locked packages, each held to its hash; then ourselves, with nothing fetched for it.
$(RUN): requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing what requirements.lock names into $(VENV) …" >&2
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.lock $(RUN)
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@
