# `make` or `make help` lists what there is to make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVE ?= 1
PATIENTS ?= 5000
PORT ?= 8000
EHR_PORT ?= 8001

.DEFAULT_GOAL := help
.PHONY: help demo docs conformance test test-all lint format bench lock clean

help: ## List what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/runtime: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/development: requirements-dev.lock $(VENV)/runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	touch $@

demo: $(VENV)/runtime ## The whole product on a simulated hospital, with a demo EHR (SERVE=0 ends after scoring)
	$(BIN)/readmit demo --folder demo --patients $(PATIENTS) --port $(PORT) --ehr-port $(EHR_PORT) $(if $(filter 0,$(SERVE)),--no-serve,--serve)

test: $(VENV)/development ## The tests, with coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered -m "not slow"

test-all: $(VENV)/development ## The tests, slow ones too
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/development ## Style, types, import contracts, lock files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	! grep -nE '://|--index-url|--find-links' requirements*.lock

format: $(VENV)/development ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/development ## Speed and quality against peers, as ratios in one run
	$(BIN)/python -m benchmarks

docs: $(VENV)/runtime ## Make the generated pages of docs/ and the schema of the model card
	$(BIN)/python -m fhir_mappings.features.reference > docs/reference/features.md
	$(BIN)/python -m service.identity.matrix > docs/reference/authorisation.md
	$(BIN)/python -m service.settings_reference > docs/reference/settings.md
	$(BIN)/python -c 'from training.model_card import card_schema; print(card_schema(), end="")' > training/model_card/model-card.schema.json

conformance: $(VENV)/development ## Run the conformance suites and write their results into docs/conformance
	$(BIN)/python tests/fixtures/conformance_pages.py

lock: ## Pin direct and indirect dependencies with hashes (needs uv on the path)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra build pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove what was made, the virtual environment too
	rm -rf $(VENV) demo store scores.csv build *.egg-info .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis
