# Every target sets up what it needs in .venv, with nothing but Python and pip.
# `make PYTHON=python3.13 test` picks the interpreter, `make test ARGS="-k vector"` adds arguments.

PYTHON ?= python3
WORKERS ?= 2
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
# Version and home of an interpreter: a .venv whose own answer differs from PYTHON's is made again.
IDENTITY := import sys; print(sys.version_info[:3], sys.base_prefix)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test check docs format setup clean FORCE

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-plot ## run the demonstration, python -m mtkparams
	@$(BIN)/python -m mtkparams $(ARGS)

test: $(VENV)/.installed-test ## run every test: tests/, docstrings, README and docs
	@$(PYTEST) $(ARGS)

check: setup ## quick: format, lint, types, import contracts, tests that are not slow
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(PYTEST) -q -m "not slow" $(ARGS)

docs: $(VENV)/.installed-docs ## build the documentation into site/
	@$(BIN)/zensical build --strict $(ARGS)

format: setup ## format the code and sort its imports
	@$(BIN)/ruff check --fix --select I001 .
	@$(BIN)/ruff format .

setup: $(VENV)/.installed-dev ## set up .venv with all that developers need

clean: ## remove .venv, caches and everything built
	@rm -rf $(VENV) .benchmarks .cache .hypothesis .import_linter_cache .pytest_cache .ruff_cache build dist site
	@find mtkparams tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# Runs each time, but touches its file only when the environment is made anew.
$(VENV)/.made: FORCE
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "mtkparams needs Python 3.11 or newer, and '$(PYTHON)' is `"$(PYTHON)" -V 2>&1 | tail -n 1`: try make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; \
	    exit 1; }
	@if [ ! -f $@ ] || [ "`$(BIN)/python -c '$(IDENTITY)' 2>/dev/null`" != "`"$(PYTHON)" -c '$(IDENTITY)'`" ]; then \
	    echo "Making $(VENV) with `"$(PYTHON)" -V`"; \
	    rm -rf $(VENV); \
	    "$(PYTHON)" -m venv $(VENV) && touch $@ || { rm -rf $(VENV); exit 1; }; \
	fi

$(VENV)/.installed-%: $(VENV)/.made pyproject.toml
	@echo "Installing mtkparams[$*] in $(VENV); the first time takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
	@case $* in dev) touch $(VENV)/.installed-plot $(VENV)/.installed-test $(VENV)/.installed-docs ;; \
	    test) touch $(VENV)/.installed-plot ;; esac
