# The words people and CI use. `make serve` and `make test` need only Python >= 3.11, make and a
# package index that pip reaches; nothing is installed again until pyproject.toml or
# constraints.txt change.

PYTHON ?= python3
VENV   ?= .venv
CONFIG ?= config.toml
BROWSER ?= 1
PYTEST_WORKERS ?= 3
NGINX ?= 1
NODE ?= 1
PYTEST_ARGS ?=
BENCH_ARGS ?=

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CODE := llm_stream tests benchmarks
LEFT_OUT := $(if $(filter 0,$(BROWSER)), and not browser)$(if $(filter 0,$(NGINX)), and not nginx)$(if $(filter 0,$(NODE)), and not node)

.PHONY: help serve test soak conformance check docs bench bench-quick bench-parts dist pin clean weights chromium nginx node
.DELETE_ON_ERROR:

help: ## these lines
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' Makefile | column -t -s '|'

serve: $(VENV)/.serve-installed weights ## install what is needed, fetch the model, serve on 127.0.0.1:8080
	@exec $(BIN)/llm-stream serve --config $(CONFIG)

test: $(VENV)/.test-installed docs weights chromium nginx node ## all tests; BROWSER=0, NGINX=0, NODE=0 leave out what needs one
	$(BIN)/python -m pytest --numprocesses $(PYTEST_WORKERS) --dist worksteal $(if $(LEFT_OUT),-m "not soak$(LEFT_OUT)") $(PYTEST_ARGS)

soak: $(VENV)/.test-installed ## tests that take long; the last breaks things for SOAK_SECONDS (1800)
	$(BIN)/python -m pytest -m soak -s $(PYTEST_ARGS)

conformance: $(VENV)/.test-installed ## the WebSocket against the cases of the Autobahn test suite
	$(BIN)/python -m pytest tests/web/test_ws_conformance.py tests/contract/test_hostile_frames.py

check: $(VENV)/.check-installed node ## style, types, spelling, security, architecture, what is deployed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(filter 0,$(NODE)),true,artifacts/node/node_modules/.bin/tsc --project jsconfig.json)
	$(BIN)/interrogate --quiet tests
	$(BIN)/codespell
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive llm_stream benchmarks scripts
	$(BIN)/yamllint --strict .github compose.yaml deploy
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(BIN)/kubernetes-validate --quiet --strict deploy/kubernetes/*.yaml
	$(BIN)/python -m pytest -q tests/test_architecture.py

docs: site/built-from ## the documents as a site, in site/; a warning is an error

site/built-from: docs/conf.py pyproject.toml static/favicon.svg llm_stream/web/site.py $(wildcard docs/. docs/*.md docs/_static/* docs/charts/*) | $(VENV)/.test-installed
	rm -rf site
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --doctree-dir artifacts/doctrees docs site

bench: $(VENV)/.test-installed ## the service beside others, ten minutes; BENCH_ARGS="--json F --charts FOLDER"
	$(BIN)/python -m benchmarks.speed $(BENCH_ARGS)

bench-quick: $(VENV)/.test-installed ## a minute of it
	$(BIN)/python -m benchmarks.speed --quick --repeat 1 $(BENCH_ARGS)

bench-parts: $(VENV)/.test-installed ## what an event, a start, a hit and other parts cost
	for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

dist: $(VENV)/.test-installed docs ## wheel and source archive in dist/
	$(BIN)/python -m build --no-isolation

pin: ## resolve constraints.txt anew, for every supported Python
	PYTHON=$(PYTHON) scripts/pin

clean: ## everything made here except the environment
	rm -rf artifacts build dist site .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +

weights: $(VENV)/.serve-installed
	@$(BIN)/llm-stream pull

chromium:
	@$(if $(filter 0,$(BROWSER)),true,scripts/ensure-chromium)

nginx:
	@$(if $(filter 0,$(NGINX)),true,scripts/ensure-nginx)

node:
	@$(if $(filter 0,$(NODE)),true,scripts/ensure-node)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "llm-stream needs Python 3.11, 3.12 or 3.13; try: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve-installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[local]'
	@touch $@

$(VENV)/.test-installed: pyproject.toml constraints.txt | $(VENV)/.serve-installed
	$(PIP_INSTALL) -e '.[local,docs,test]'
	@touch $@ $(VENV)/.serve-installed

$(VENV)/.check-installed: pyproject.toml constraints.txt | $(VENV)/.test-installed
	$(PIP_INSTALL) -e '.[local,docs,test,dev]'
	@touch $@ $(VENV)/.serve-installed $(VENV)/.test-installed
