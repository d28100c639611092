# Each target sets itself up from nothing and is quick the second time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501
WATCH ?= none
ADDRESS ?= 0.0.0.0
HOSTS ?= *
# Without MTL_UPLOADS=1 no byte of an upload is taken in.
UPLOADS := $(if $(filter 1 true yes on TRUE YES ON True Yes On,$(MTL_UPLOADS)),20,0)

.PHONY: help run serve test lint browser bench gpu precompute clean

help:
	@echo "make run         the app on http://localhost:$(PORT)"
	@echo "make serve       the app for others, such as a class: see docs/security.md"
	@echo "make test        lint, types and all tests"
	@echo "make bench       benchmarks, side by side with what a user would write or pick instead"
	@echo "make gpu         all that a GPU decides: its tests, its benchmarks, a table of verdicts"
	@echo "make precompute  train the artifacts in cache/ that are missing"

run: $(VENV)/.run
	@echo "The app opens on http://localhost:$(PORT)  (Ctrl-C ends it; runs go on to their end)"
	@$(BIN)/python -m streamlit run app.py --server.port $(PORT) --server.fileWatcherType $(WATCH)

# Visitors' rights are bounded; MTL_PASSWORD asks for a password, MTL_UPLOADS=1 lets them bring files.
serve: $(VENV)/.run
	@echo "The app is open to others on port $(PORT)$(if $(MTL_PASSWORD),, without a password)  (Ctrl-C ends it)"
	@MTL_SHARED=1 $(BIN)/python -m streamlit run app.py --server.port $(PORT) --server.headless true \
	  --server.address '$(ADDRESS)' --server.allowedHosts '$(HOSTS)' --server.maxUploadSize $(UPLOADS)

# All tests, those without a browser in a process per core and one more, as many wait for processes
# of their own; with ARGS, what these ask for.
test: $(VENV)/.dev browser lint
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest --ignore tests/browser --numprocesses $$($(BIN)/python -c \
	  'import os; print(min((os.cpu_count() or 1) + 1, 8))') --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest tests/browser
endif

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# Debian's Chromium, where this user may install it; elsewhere browser tests skip and say so.
browser:
	@if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null \
	    && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Chromium for the browser tests"; \
	  apt-get update -qq && apt-get install -y -qq chromium >/dev/null || true; fi

# With what the tests need, since torchjd is among what is compared.
bench: $(VENV)/.dev
	@for file in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/[a-z]*.py)); do PYTHONPATH=. $(BIN)/python $$file || exit 1; done

# A machine that has PyTorch need not have the rest: make gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python
gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),$(VENV)/.dev)
	@PYTHONPATH=.:$$PYTHONPATH $(GPU_PYTHON) benchmarks/gpu.py

precompute: $(VENV)/.run
	@$(BIN)/python -m mtl_core precompute plans/overview.toml

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	@echo "installing what the app needs (once, some minutes)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	@echo "installing what the tests need (once, some minutes)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.run
