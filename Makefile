# Two commands on a fresh machine: `make demo` and `make test`; each does all the set-up it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2

.PHONY: setup demo test test-slow check bench constraints clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: setup
	$(BIN)/bentsao demo --out demo $(DEMO_FLAGS)

# One thread a worker: the tests' models are tiny, and threads of several workers would fight for the cores.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n $(WORKERS)

test-slow: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python benchmarks/tuning.py

# Versions that stand in the file stay as long as they fit; `make constraints UPGRADE=--upgrade` takes the newest.
# Every extra but vllm, which would hold others' versions back.
EXTRAS := gpu export prefer ray serve track dev
constraints: setup
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.10 $(EXTRAS:%=--extra %) \
		--strip-extras --no-annotate --custom-compile-command 'make constraints' $(UPGRADE) --output-file constraints.txt

clean:
	rm -rf demo dist runs .pytest_cache .ruff_cache .hypothesis
