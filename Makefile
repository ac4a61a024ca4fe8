PYTHON ?= python3
BIN := .venv/bin

.PHONY: test check
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

test: .venv/installed  ## run the tests
	$(BIN)/python -m pytest

check: .venv/installed  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
