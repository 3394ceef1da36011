PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo up dumps restore-auth test faults fuzz bench bench-guard check format requirements clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(VENV)/run: pyproject.toml requirements.txt requirements-embedded.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-embedded.txt -e .
	@touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(VENV)/run ## move FILE to a remote server of our own and verify it (64 MiB are made without FILE)
	@$(BIN)/python -m gridhaul.embedded demo $(if $(FILE),"$(FILE)")

up: $(VENV)/run ## run the whole system until Ctrl-C: DATA=dir PORT=8000 ROOTS=dir:dir
	@$(BIN)/python -m gridhaul.embedded up $(if $(DATA),--data "$(DATA)") $(if $(PORT),--port $(PORT)) $(if $(ROOTS),--roots "$(ROOTS)")

dumps: $(VENV)/run ## write dumps/ anew: the accounts as mongodump writes them, with the demo account
	@$(BIN)/python -m gridhaul.storage.accounts.dumps write

restore-auth: $(VENV)/run ## put the accounts of dumps/ into GRIDHAUL_MONGO_URL, or into the running `make up`: DATA=dir
	@$(if $(GRIDHAUL_MONGO_URL)$(GRIDHAUL_MONGO_URL_FILE),,GRIDHAUL_MONGO_URL_FILE="$(or $(DATA),var/up)/secrets/mongo_url") \
		$(BIN)/python -m gridhaul.storage.accounts.dumps restore

test: $(VENV)/dev ## run all tests against real servers
	@$(BIN)/python -m pytest $(ARGS)

faults: $(VENV)/dev ## do every fault to real processes and count what comes of it: RUNS=n ONLY=7,8,storm SEED=n
	@$(BIN)/python -m tests.faults $(if $(RUNS),--runs $(RUNS)) $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/dev ## made-up requests to both services and made-up text to the parsers, half an hour: FUZZ_EXAMPLES=n SEED=n
	@$(BIN)/python -m tests.fuzz --examples $(or $(FUZZ_EXAMPLES),100000) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/dev ## measure every case beside its peers: ONLY=ingest,egress RUNS=n LARGEST=GiB SIZE=MiB SET=NAME=VALUE
	@$(BIN)/python -m bench $(if $(ONLY),--only "$(ONLY)") $(if $(RUNS),--runs "$(RUNS)") $(if $(LARGEST),--largest "$(LARGEST)") \
		$(if $(SIZE),--size "$(SIZE)") $(foreach one,$(SET),--set "$(one)")

bench-guard: $(VENV)/dev ## measure the guarded ratios at small sizes, about a minute
	@$(BIN)/python -m bench guard

check: $(VENV)/dev ## ruff, mypy --strict, import contracts, known vulnerabilities of what is pinned
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.audit

format: $(VENV)/dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: ## write the pinned requirements anew from pyproject.toml (needs uv)
	uv pip compile -q pyproject.toml --universal --no-emit-index-url --no-header --no-annotate -o requirements.txt
	uv pip compile -q pyproject.toml --extra embedded -c requirements.txt --universal --no-emit-index-url --no-header --no-annotate -o requirements-embedded.txt
	uv pip compile -q pyproject.toml --extra dev -c requirements.txt --universal --no-emit-index-url --no-header --no-annotate -o requirements-dev.txt

clean: ## remove what `make demo` has left in var/demo
	rm -rf var/demo
