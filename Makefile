# What a person types: quickstart, lab, test. What CI runs: test.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

# pip asks nothing, and says only what matters.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

# Lab refuses to run as root unless told so (containers, CI).
ALLOW_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root,)

.DEFAULT_GOAL := help
.PHONY: help setup quickstart lab notebooks browser check format test bench proof mutants docs pictures clean

help: ## Show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.everything ## Create .venv with all that tests and development need

quickstart: $(VENV)/.tutorials ## Run notebooks/01_quickstart.ipynb on real data, in the terminal
	@$(PY) notebooks/run_notebook.py notebooks/01_quickstart.ipynb
	@echo
	@echo "Open it yourself:  make lab   (then 01_quickstart.ipynb)"

lab: $(VENV)/.tutorials ## Open JupyterLab in notebooks/
	@$(PY) -m jupyterlab $(ALLOW_ROOT) --ServerApp.root_dir=notebooks

notebooks: $(VENV)/.everything browser ## Execute all tutorials and save them with their outputs
	@$(PY) -m notebooks.save_notebooks

browser: ## Find a Chromium for the end-to-end tests, or install Debian's
	@$(PYTHON) tests/e2e/browser.py --install

check: $(VENV)/.everything ## Lint, formatting and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	@$(PYTHON) tests/link_typecheck.py
	$(PY) -m mypy
	@$(PYTHON) tests/check_js.py

format: $(VENV)/.everything ## Apply the formatting and the safe fixes that `check` asks for
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

test: $(VENV)/.everything browser check ## Everything CI runs: checks and all tests
	$(PY) -m pytest

bench: $(VENV)/.everything ## Measure speed; `make bench ARGS='W1 W2 --rounds 3'` for a part
	@$(PY) -m tests.benchmarks $(ARGS)

proof: $(VENV)/.everything ## The long forms of the tests behind the promises; report: tests/reports
	@$(PY) -m tests.proof $(ARGS)

mutants: $(VENV)/.everything ## Change the core in one place at a time: do tests notice? `ARGS='--sample 40'` for a part
	@$(PY) -m tests.mutants $(ARGS)

docs: $(VENV)/.everything ## Build the documentation into build/docs; a broken link or reference is an error
	@$(PY) -m sphinx -E -W --keep-going -q -b html docs build/docs
	@echo "Open build/docs/index.html"

pictures: $(VENV)/.everything browser ## Take the documentation's pictures of all views into docs/images
	@$(PY) -m tests.pictures

clean: ## Remove the environment and everything built, cached or recorded by tests
	rm -rf $(VENV) build dist docs/tutorials ipydurable.egg-info tests/artifacts
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made environment would look like a finished one to the next run: remove it.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit("ipydurable needs Python 3.11 or newer; this is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# A stamp is newer than pyproject.toml when its packages are in; the second run is immediate.
$(VENV)/.tutorials: pyproject.toml | $(PY)
	@echo "Installing ipydurable with what the tutorials need (once, a minute or two)"
	@$(PY) -m pip install --quiet --editable '.[tutorials]'
	@touch $@

$(VENV)/.everything: pyproject.toml | $(PY)
	@echo "Installing ipydurable with what tests and development need (once, a minute or two)"
	@$(PY) -m pip install --quiet --editable '.[dev,docs,test,tutorials]'
	@touch $(VENV)/.tutorials $@
