# Each target installs what it needs, says what it is doing and can be run again: see "make help".
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
# More words for pytest: make test ARGS="-k fleet -x"
ARGS ?=
# Tests that share the real fleet are one xdist group and so run in one worker.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadgroup

# Certificates that this machine trusts count, as they do for pip and Maven (old and new name).
export UV_NATIVE_TLS ?= true
export UV_SYSTEM_CERTS ?= true

.PHONY: help
help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1|\2/' \
	  | while IFS='|' read -r target text; do printf '%-12s %s\n' "$$target" "$$text"; done

.PHONY: venv
venv: .venv/.complete ## Make the Python environment (.venv) from requirements-dev.lock

# Made again from nothing when the lock changes, so that nothing stale is left in it.
.venv/.complete: requirements-dev.lock pyproject.toml
	@echo "venv: making .venv from requirements-dev.lock" >&2
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "venv: $(PYTHON) is older than 3.11; say which to use: make PYTHON=python3.12" >&2; exit 1; }
	if uv --version >/dev/null 2>&1; then
	  uv venv --quiet --clear --python "$(PYTHON)" .venv
	  export VIRTUAL_ENV="$(CURDIR)/.venv"
	  uv pip install --quiet --require-hashes --requirement requirements-dev.lock
	  uv pip install --quiet --no-deps --editable .
	else
	  $(PYTHON) healthd/demo/provision.py --need venv
	  $(PYTHON) -m venv --clear .venv
	  $(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	  $(BIN)/python -m pip install --quiet --no-deps --editable .
	fi
	touch $@

.PHONY: parts
parts: ## Install Java, Maven, sshd, runit, Prometheus and the Kafka jars, where missing
	@$(PYTHON) healthd/demo/provision.py --need kafka,sshd,runit,prometheus

# What only tests need is kept out of what the demo waits for.
.PHONY: test-parts
test-parts: parts
	@$(PYTHON) healthd/demo/provision.py --need zookeeper,connect,alertmanager,kafka-4.0,sudo

.PHONY: setup
setup: ## Install everything: venv and parts
	@$(MAKE) -j2 --output-sync=target venv parts

.PHONY: demo
demo: setup ## See healthd at work on two real clusters (KEEP=1 leaves them running)
	@$(BIN)/healthd demo $(if $(KEEP),--keep)

.PHONY: lint lint-ruff lint-format lint-mypy lint-imports
lint: venv ## Check style, format, types and the direction of imports
	@$(MAKE) -j2 --output-sync=target lint-mypy lint-ruff lint-format lint-imports

lint-ruff:
	@echo "lint: ruff check"; $(BIN)/ruff check --quiet .

lint-format:
	@echo "lint: ruff format --check"; $(BIN)/ruff format --quiet --check .

lint-mypy:
	@echo "lint: mypy"; $(BIN)/mypy --no-error-summary

lint-imports:
	@echo "lint: lint-imports"; $(BIN)/lint-imports >.venv/lint-imports.log 2>&1 \
	  || { cat .venv/lint-imports.log; exit 1; }

.PHONY: schemas
schemas: venv ## Write the JSON Schemas of configuration files (docs/schemas)
	@$(BIN)/python -m healthd.schemas docs/schemas

.PHONY: test
test: setup test-parts lint ## Run lint and every test but the long proofs and the benchmarks
	@$(PYTEST) -m "not prove and not bench" $(ARGS)

.PHONY: prove
prove: setup test-parts ## Run the long proofs, or one part of them: make prove PART=1/4
	@HEALTHD_PROVE_PART="$(PART)" $(PYTEST) -m prove $(ARGS)

.PHONY: bench
bench: setup ## Print the figures
	@$(BIN)/python -m pytest -n 0 -s -m bench $(ARGS)

# How many schedules, from which seed on, and which part of them: make adversary N=10000 PART=1/4
N ?= 1000
SEED ?= 0
.PHONY: adversary
adversary: venv ## Try to break waves with N seeded schedules of faults; what breaks one is kept
	@$(BIN)/python tests/adversary/hunt.py $(N) --seed $(SEED) $(if $(PART),--part $(PART)) $(ARGS)

# An environment of its own: mutmut is needed for nothing else.
.venv-mutants/.complete: requirements-mutation.lock pyproject.toml
	@echo "mutants: making .venv-mutants from requirements-mutation.lock" >&2
	if uv --version >/dev/null 2>&1; then
	  uv venv --quiet --clear --python "$(PYTHON)" .venv-mutants
	  export VIRTUAL_ENV="$(CURDIR)/.venv-mutants"
	  uv pip install --quiet --require-hashes --requirement requirements-mutation.lock
	  uv pip install --quiet --no-deps --editable .
	else
	  $(PYTHON) healthd/demo/provision.py --need venv
	  $(PYTHON) -m venv --clear .venv-mutants
	  .venv-mutants/bin/python -m pip install --quiet --require-hashes --requirement requirements-mutation.lock
	  .venv-mutants/bin/python -m pip install --quiet --no-deps --editable .
	fi
	touch $@

.PHONY: mutants
mutants: .venv-mutants/.complete ## Change the safety code in every small way, and see which changes no test notices
	@rm -rf mutants
	HEALTHD_HYPOTHESIS_PROFILE=mutants nice -n 19 .venv-mutants/bin/mutmut run --max-children 1 $(ARGS)
	.venv-mutants/bin/mutmut results

.PHONY: clean
clean: ## Remove what was made here; downloads stay in .cache
	@rm -rf .venv .venv-mutants mutants dist htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.cache/*' -prune -exec rm -rf {} +
