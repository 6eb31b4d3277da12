# Everything a developer or an operator does, as one word each.  Needs Python 3.11+, git, make and pip.
#
#   make run     set up, then start the bot: web chat with the default model
#   make test    set up, then check everything
#   make quick   the part of the tests that takes under three minutes
#   make setup   set up alone: runtime and tests into .venv, default model into the data folder
#
# BOTKIT_DATA moves the data folder (models, database, config); PYTHON chooses the interpreter.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MODEL  ?= smollm2-135m-instruct

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help run test quick check format setup model clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "botkit needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=python3.12 ...)")'
	@echo "==> creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# A stamp remembers what was installed, so that a second call costs nothing.
$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "==> installing botkit (a few minutes the first time)"
	@$(BIN)/python -m pip install -c constraints.txt -e .
	@touch $@

$(VENV)/.tests: pyproject.toml constraints.txt | $(BIN)/python
	@echo "==> installing botkit and what its tests need (a few minutes the first time)"
	@$(BIN)/python -m pip install -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.runtime

model:
	@$(BIN)/botkit models pull $(MODEL)

setup: $(VENV)/.tests
	@$(MAKE) --no-print-directory model

run: $(VENV)/.runtime
	@$(MAKE) --no-print-directory model
	@$(BIN)/botkit run

check: $(VENV)/.tests
	@echo "==> ruff, mypy, import-linter"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: setup
	@$(MAKE) --no-print-directory check
	@echo "==> pytest, everything"
	@$(BIN)/python -m pytest

quick: $(VENV)/.tests
	@$(MAKE) --no-print-directory check
	@echo "==> pytest, the quick part"
	@$(BIN)/python -m pytest -m "not slow and not soak"

format: $(VENV)/.tests
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .hypothesis
