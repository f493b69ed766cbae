# Every habit of this project is a target with a line of help. `make setup` first; the rest uses the environment it makes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test unit chaos hostile mutants compat lint crds docs bench simulate scale images images-test clean lock upgrade cluster-up cluster-down cluster-status

unexport PYTHONDONTWRITEBYTECODE  # an image has its byte code already; here each process would compile what it imports

PYTHON := .venv/bin/python
SOURCES := $(wildcard operator/bramble workloads/bramble_workloads tools tests examples benchmarks docs/generate.py)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Python environment, system packages, cluster binaries; quick the second time
	@.ci/setup

$(PYTHON):
	@echo "no environment yet: run 'make setup' first" >&2; exit 1

demo: $(PYTHON)  ## the whole way on a local cluster, live: pictures, training, conversion, fleet, canary, undo (KEEP=1 leaves the cluster, PROVIDER=containerd or kind)
	@$(PYTHON) -m examples.digits

test: lint  ## lint, unit tests, and everything on the local cluster that fits in 20 minutes
	@$(PYTHON) -m pytest tests/alone
	@$(PYTHON) -m pytest -m "not chaos and not hostile and not images and not compat" --numprocesses 3 --no-loadscope-reorder --ignore tests/alone tests

unit: $(PYTHON)  ## the tests that need no cluster
	@$(PYTHON) -m pytest -m "not cluster and not chaos and not hostile and not images and not compat" tests

chaos: $(PYTHON)  ## kill the operator before and after every write it makes; other examples of every property
	@$(PYTHON) -m pytest -m chaos tests
	@$(PYTHON) -m pytest -m hypothesis --hypothesis-profile other tests/unit

hostile: $(PYTHON)  ## a tenant, a device, a store and a client do their worst beside a rollout, each by itself and all at once (MINUTES=10 each)
	@$(if $(MINUTES),BRAMBLE_HOSTILE_MINUTES=$(MINUTES)) $(PYTHON) -m pytest -m hostile -s tests/hostile

mutants: $(PYTHON)  ## which small faults in kinds, engine and guardrails no unit test notices (WHAT="bramble.kinds.rollout.*" SAMPLE=300)
	@$(PYTHON) -m tools.mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(WHAT)

compat: $(PYTHON)  ## the store's tests against MinIO; the jobs on a slow and on a failing store; a key that is rotated in the middle of a run
	@BRAMBLE_TEST_STORE=minio $(PYTHON) -m pytest tests/unit/workloads/test_store.py tests/unit/workloads/test_snapshot.py
	@$(PYTHON) -m pytest -m compat tests/compat

lint: $(PYTHON)  ## ruff, mypy, import contracts, generated files up to date
	@echo "lint: ruff";            $(PYTHON) -m ruff check --quiet .
	@echo "lint: mypy";            $(PYTHON) -m mypy --no-error-summary $(SOURCES)
	@echo "lint: import-linter";   .venv/bin/lint-imports --no-cache | sed -n '/^Contracts$$/,$$p'
	@echo "lint: generated files"; $(PYTHON) -m bramble.api.crd --check && $(PYTHON) -m docs.generate --check

crds: $(PYTHON)  ## generate the CRDs from the kinds: crds/ and the chart
	@$(PYTHON) -m bramble.api.crd

docs: $(PYTHON)  ## generate the reference pages under docs/
	@$(PYTHON) -m docs.generate

bench: $(PYTHON)  ## benchmarks with ratios; writes build/bench/ and docs/performance.md names the figures
	@$(PYTHON) -m benchmarks

simulate: $(PYTHON)  ## how often rollouts decide wrongly: 2,000 simulated rollouts a row; writes build/simulate/ (ROLLOUTS=200 for a first look)
	@$(PYTHON) -m benchmarks.rollouts $(if $(ROLLOUTS),--rollouts $(ROLLOUTS))

scale: $(PYTHON)  ## operator and gateway with 1,000 simulated devices: undo, memory, a lost gateway, mass reconnect; writes build/scale/ (BOARDS=200)
	@$(PYTHON) -m benchmarks.scale $(if $(BOARDS),--boards $(BOARDS))

images: $(PYTHON)  ## build the container images with Docker, which is installed and started where none runs (NAMES="operator edge")
	@$(PYTHON) -m tools.cluster.docker $(NAMES)

images-test: $(PYTHON)  ## build operator and edge, start each under its security context and import all that it runs
	@$(PYTHON) -m pytest -m images tests/docker

lock:  ## resolve images/locks/*.txt from pyproject.toml, keeping versions where possible
	@UV=$$(.ci/setup --print-uv) images/lock.sh

upgrade:  ## the same with the newest versions allowed
	@UV=$$(.ci/setup --print-uv) images/lock.sh --upgrade

cluster-up: $(PYTHON)  ## start the local cluster and leave it running (NAME=dev)
	@$(PYTHON) -m tools.cluster up $(if $(NAME),--name $(NAME))

cluster-down: $(PYTHON)  ## stop it, however it was left, and remove every trace (NAME=demo for the demo's)
	@$(PYTHON) -m tools.cluster down $(if $(NAME),--name $(NAME))

cluster-status: $(PYTHON)  ## what runs, and how to reach it with kubectl
	@$(PYTHON) -m tools.cluster status

clean:  ## remove what was built here (not the environment, not the cached cluster binaries)
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
