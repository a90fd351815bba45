# Two commands matter: `make up` brings everything up, `make test` proves it.
# ARGS="..." is handed on: make up ARGS="--port 9000", make test ARGS="-k wallet".

ARGS ?=
.DEFAULT_GOAL := help
.PHONY: help up test check fmt bench soak lock clean venv venv-test

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

up: venv ## Install what is needed, then run everything: database, API, worker, simulators
	@exec .venv/bin/tillgate up $(ARGS)

test: ## Install what is needed, then every lint and every test
	@bin/test $(ARGS)

check: venv-test ## The lints alone
	@bin/check

fmt: venv-test ## Format the code
	@bin/fmt

bench: venv-test ## Measure, as ratios to pgbench on the same database
	@.venv/bin/python -m bench $(ARGS)

soak: venv-test ## The long crash test
	@.venv/bin/python -m tests.crash.soak $(ARGS)

lock: ## Lock the dependencies again (needs uv)
	@command -v uv > /dev/null || { echo "tillgate: uv is needed: pip install uv" >&2; exit 3; }
	@for source in requirements/*.in; do \
		uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
			--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
			$$source -o $${source%.in}.lock || exit 1; \
	done

clean: ## Throw away what can be made again; data/ stays
	@rm -rf .venv .data .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@bin/install runtime

venv-test:
	@bin/install test
