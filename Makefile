# Debian's own interpreter: the wheel is compiled with its headers, and another python3 may come first on PATH.
PYTHON ?= /usr/bin/python3
VENV := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test soak torture fuzz bench lint lock clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install what is missing: Debian packages, virtual environment, locked packages, pjsua2
	@$(PYTHON) -m native.bootstrap

demo: setup ## Place one recorded call between two phones and show it
	@$(VENV)/dialbridge demo

serve: setup ## Run the lab in the foreground: Redis, engine, api, notifier, SIPp phones
	@$(VENV)/dialbridge lab

test: setup ## Run all tests; ARGS="-k busy" passes options to pytest
	@$(VENV)/pytest $(ARGS)

soak: setup ## Random calls for 10 minutes, then proof that nothing is left; ARGS="--minutes 2 --rate 8"
	@$(VENV)/python -m bench.soak $(ARGS)

torture: setup ## Hostile SIP and RTP while parties talk; ARGS="--messages 200000 --calls 5 --seed 2"
	@$(VENV)/python -m bench.torture $(ARGS)

fuzz: setup ## Schemathesis against a running lab; ARGS="--cases 20000 --seed 2"
	@$(VENV)/python -m bench.fuzz $(ARGS)

bench: setup ## Measure, beside the limit of this machine: one table, and JSON in var/bench; ARGS="delivery --seed 2"
	@$(VENV)/python -m bench $(ARGS)

lint: setup ## Check style, types and the import directions between the packages
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports

# The hashes are those of all files of a version, so the same lock serves x86_64 and aarch64.
LOCKING := pip compile --quiet --python-version 3.11 --python-platform linux --generate-hashes \
	--no-emit-index-url --no-header

lock: ## Renew the lock files with the newest versions that pyproject.toml allows
	@tool=$$(mktemp -d) && trap 'rm -rf "$$tool"' EXIT && $(PYTHON) -m venv "$$tool" && \
	"$$tool/bin/pip" install --quiet uv && \
	"$$tool/bin/uv" $(LOCKING) --upgrade --output-file requirements.lock pyproject.toml && \
	"$$tool/bin/uv" $(LOCKING) --upgrade --extra dev --constraints requirements.lock \
		--output-file requirements-dev.lock pyproject.toml

clean: ## Remove what setup and the tools made here; keeps var/ and the wheel cache
	rm -rf .venv build ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
