# ARGS are passed to pytest: make test ARGS="-k launch -x"
.DEFAULT_GOAL := help
.PHONY: help demo install uninstall test test-engines record-engines check format docs clean
bin := .venv/bin
export PREFIX DESTDIR OPT EXTRAS WITHOUT FORCE

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 16

demo: ## install what is missing, then build, test and deploy a web server (as root)
	@scripts/demo

install: ## install on this host, or upgrade (as root); scripts/install describes PREFIX, DESTDIR and more
	@scripts/install install

uninstall: ## remove exactly what was installed (as root)
	@scripts/install uninstall

test: ## install what is missing, then run all tests on Docker and a test of each feature on podman (as root)
	@scripts/setup python docs engine podman filesystems registry shells tracing $(if $(findstring --row,$(ARGS)),worlds)
	PATH="$$PATH:$(CURDIR)/.state/registry/usr/bin" scripts/engine during $(bin)/python -m tests $(ARGS)

test-engines: ## run a test of each feature on every engine of the matrix; ARGS=--all: all engine tests (as root)
	@scripts/setup python engine podman filesystems registry tracing worlds
	PATH="$$PATH:$(CURDIR)/.state/registry/usr/bin" $(bin)/python -m tests.matrix $(ARGS)

record-engines: ## write the results of the last test and test-engines runs into docs/reference/ and README.md
	$(bin)/python -m tests.matrix --record

check: ## check lint, formatting, types, generated files, the site of docs/ with its links, and the changelog
	@scripts/setup python docs
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/python -m dockyard.docs --check
	$(bin)/zensical build --strict --clean
	$(bin)/towncrier build --draft --version next >/dev/null

docs: ## serve docs/ as a site on port 8000; it follows your changes
	@scripts/setup docs
	$(bin)/zensical serve

format: ## fix lint and formatting where possible
	@scripts/setup python
	$(bin)/ruff check --fix
	$(bin)/ruff format

clean: ## remove build files (.state stays: the engine's log, the demo's volumes)
	rm -rf .venv build dist site .cache .*_cache .hypothesis examples/*/rootfs
	find . -name __pycache__ -prune -exec rm -rf {} +
