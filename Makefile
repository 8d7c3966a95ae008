# Everything that is done here by hand or by CI. A target sets up what it needs on a fresh machine
# with Python 3.11; once that stands, setting up again costs nothing and touches nothing.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PEERS  := redis-server postgresql prometheus prometheus-alertmanager victoria-metrics

# Handed on by hand:  make demo ARGS="--once --yes"   make test ARGS=tests/unit   make soak DURATION_S=3600
#                     make bench SUITE=ingest   make quality SUITE=nab DATA=/path/to/nab
ARGS       ?=
SUITE      ?=
DATA       ?=
DURATION_S ?= 600
# Two more than there are cores, since tests wait for the disk.
WORKERS    ?= $(shell expr $$(nproc) + 2)

# Where it is set, hundreds of modules are compiled anew in each of many short processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo run test check lint types bench quality soak docs golden clean peers site

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY)  ## a real shop is broken, and it tells what it sees (ARGS="--once --yes" ends)
	$(BIN)/watchkeeper demo $(ARGS)

run: $(READY)  ## start it with its defaults (ARGS="--config watchkeeper.yaml")
	$(BIN)/watchkeeper run $(ARGS)

test: $(READY) peers  ## all tests but the soak (ARGS=tests/unit for some of them)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

check: lint types test site  ## exactly what CI runs

lint: $(READY)  ## ruff, import-linter, codespell
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

bench: $(READY) peers  ## speed beside its peers (SUITE=ingest|kernel|detect|logs|scale|lake|latency|doors|durability|middleware|evaluate|processes)
	$(BIN)/python -m bench $(SUITE) $(if $(DATA),--data $(DATA)) $(ARGS)

quality: $(READY)  ## scores on labelled data (SUITE=name DATA=folder)
	$(BIN)/python -m quality $(SUITE) $(if $(DATA),--data $(DATA)) $(ARGS)

soak: $(READY) peers  ## long fuzz and load, and properties with new examples (DURATION_S=600)
	$(BIN)/pytest tests/soak tests --soak-s $(DURATION_S) $(ARGS)

docs: $(READY)  ## rewrite the generated reference, then build the site into site/
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --strict

golden: $(READY)  ## rewrite testdata/*.want from what the code says now; read the diff
	$(BIN)/pytest --golden $(ARGS)

clean:  ## remove build outputs and caches; .venv stays (rm -rf .venv for a fresh one)
	rm -rf site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests bench quality docs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# Below: what the targets stand on.

# The site as it is committed: `check` must not rewrite what it compares.
site: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --strict

$(READY): pyproject.toml
	@.ci/python $(VENV) "$(PYTHON)"
	@$(BIN)/watchkeeper compile
	@touch $@

# Servers that tests and benches talk to. A test whose server is missing says so and is skipped.
peers: $(READY)
	@.ci/peers $(VENV)/.peers $(PEERS)
