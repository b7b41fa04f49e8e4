# Builds, tests and promotes the service of this directory. Its Makefile consists of
#
#   include $(shell d-build --makefile)
#
# `make test` runs ./Test-prod -r if KTOOLS_DRUN_TEST_PROD=1, otherwise ./Test -r.

.DEFAULT_GOAL := build
.PHONY: build test install promote push clean

build:
	d-build

test:
	d-build --only-test

install promote:
	d-build --setlive

push:
	d-build --push

clean:
	d-build --clean
