# ARGS go to pytest: make test ARGS="-k launch -x"
.DEFAULT_GOAL := help
.PHONY: help demo install uninstall test test-engines record-engines check format docs clean
bin := .venv/bin
export PREFIX DESTDIR OPT EXTRAS WITHOUT FORCE

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 16

demo: ## install what is missing, then build, test, promote and launch a web server (as root)
	@scripts/demo

install: ## put it on this host, or bring that up to date (as root); scripts/install tells PREFIX, DESTDIR and more
	@scripts/install install

uninstall: ## take away exactly that (as root)
	@scripts/install uninstall

test: ## install what is missing, then all tests on Docker and a test of each feature on podman (as root)
	@scripts/setup python docs engine podman filesystems registry shells tracing $(if $(findstring --row,$(ARGS)),worlds)
	PATH="$$PATH:$(CURDIR)/.state/registry/usr/bin" scripts/engine during $(bin)/python -m tests $(ARGS)

test-engines: ## a test of each feature on every engine of the matrix; ARGS=--all: all tests of engines (as root)
	@scripts/setup python engine podman filesystems registry tracing worlds
	PATH="$$PATH:$(CURDIR)/.state/registry/usr/bin" $(bin)/python -m tests.matrix $(ARGS)

record-engines: ## write what the last runs of test and test-engines came to into docs/reference/ and README.md
	$(bin)/python -m tests.matrix --record

check: ## lint, formatting, types, generated files, the site of docs/ with its links, changelog: what CI runs before tests
	@scripts/setup python docs
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/python -m dockyard.docs --check
	$(bin)/zensical build --strict --clean
	$(bin)/towncrier build --draft --version next >/dev/null

docs: ## look at docs/ as a site, on port 8000; it follows what you write
	@scripts/setup docs
	$(bin)/zensical serve

format: ## format the code
	@scripts/setup python
	$(bin)/ruff check --fix
	$(bin)/ruff format

clean: ## remove what was made here (.state stays: the engine's log, the demo's volumes)
	rm -rf .venv build dist site .cache .*_cache .hypothesis examples/*/rootfs
	find . -name __pycache__ -prune -exec rm -rf {} +
