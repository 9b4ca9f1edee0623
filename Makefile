# make test PYTHON=python3.12   (remove .venv first) chooses another interpreter.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -qq
# Small networks lose time when every small matrix product wakes all cores.
export OMP_NUM_THREADS ?= 2
export PIP_NO_INPUT := 1

.PHONY: help demo test lint bench docs clean

help:
	@echo "make demo    train, run, quantise, emulate and profile a network on handwritten digits"
	@echo "make test    ruff, mypy and pytest, as CI runs them"
	@echo "make lint    ruff and mypy only"
	@echo "make bench   the quick benchmarks, without other simulators"
	@echo "make docs    the manual, into site/"
	@echo "make clean   remove .venv and what tools have left"

demo: $(VENV)/.demo
	$(BIN)/spikesim demo --out demo

test: lint $(VENV)/.test
	$(BIN)/python -m pytest -q

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python benchmarks/bench.py --quick

docs: $(VENV)/.docs
	$(BIN)/python docs/make_models.py
	$(BIN)/python docs/make_cli.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) build dist site demo .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# Lava comes by hand because no requirement can express it. Where it cannot be had, its rows and tests say why;
# in CI that is a failure.
define install
$(BIN)/spikesim install $(1) || { test -z "$$CI" && echo "make: going on without $(1); its rows and tests will say so"; }
endef

# One stamp for each set of packages: a second call is quick, and a changed requirement is installed.
$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: pyproject.toml spikesim/installer.py | $(VENV)/.made
	$(PIP) install -e '.[torch,interop]'
	$(call install,lava)
	@touch $@

$(VENV)/.test: pyproject.toml spikesim/installer.py | $(VENV)/.made
	$(PIP) install -e '.[torch,interop,analysis,dev]'
	$(call install,lava-dl)
	$(BIN)/spikesim install norse
	@touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/.made
	$(PIP) install -e '.[docs]'
	@touch $@
