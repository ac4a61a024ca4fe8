PYTHON ?= python3
BIN := .venv/bin
SEEDS ?= 0:20000
CASES ?= 1000000
KILLS ?= 50
STOPS ?= 30

.PHONY: help demo test check servers pythons docs bench simulate cron-oracle schedulers
help:  ## list what can be made
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 14

demo: .venv/core  ## the main job on real input: two workers, one killed half way
	$(BIN)/python -m windlass demo

test: .venv/installed servers pythons  ## every test; installs what is missing
	$(BIN)/python -m pytest

check: .venv/installed  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed  ## write docs/reference anew from the code
	$(BIN)/python docs/build.py

simulate: .venv/installed  ## the long simulation; SEEDS=from:to WORLD=RunWorld (or another; else all)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(WORLD),--world $(WORLD))

cron-oracle: .venv/installed  ## cron against a slow, plain reading of clocks; CASES=n
	$(BIN)/python -m tests.oracle --cases $(CASES)

schedulers: .venv/installed servers  ## leaders killed and paused, on PostgreSQL and through a pooler; KILLS= STOPS=
	$(BIN)/python -m tests.e2e.campaign --store postgres --kills $(KILLS) --stops $(STOPS)
	$(BIN)/python -m tests.e2e.campaign --store pooled --kills $(KILLS) --stops $(STOPS)

bench: .venv/installed servers  ## this machine's figures, without peers (benchmarks/README.md)
	$(BIN)/python benchmarks/figures.py

# A server that cannot be installed here is named; its tests then skip, or fail where CI is set.
servers:
	@sh tests/install_servers.sh

# One that this machine has not got is named; the tests then run under the others.
pythons: .venv/installed
	@sh tests/install_pythons.sh

.venv/python:
	$(PYTHON) -m venv .venv
	touch $@

.venv/core: .venv/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/installed: .venv/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@ .venv/core
