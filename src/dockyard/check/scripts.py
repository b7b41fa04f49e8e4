"""Checks of a service's scripts: Test, Test-prod and Build."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from dockyard.check.emptiness import tests_nothing
from dockyard.check.point import Found, Severity
from dockyard.check.posture import has_health_check
from dockyard.check.registry import check
from dockyard.check.subject import Subject
from dockyard.process import find
from dockyard.settings.keys import PORTS
from dockyard.settings.load import shown

SCRIPTS = ("Test", "Test-prod", "Build")


@check("test-missing", Severity.WARNING, "No Test")
def test_missing(subject: Subject) -> Iterator[Found]:
    """Without a Test every version that can be built is deployed: an automatic update is then a blind one."""
    if subject.service.is_buildable and not subject.service.is_testable:
        yield Found("the service has no Test", hint="see docs/how-to/write-a-test.md")


@check("test-empty", Severity.WARNING, "A Test that tests nothing")
def test_empty(subject: Subject) -> Iterator[Found]:
    """It passes whatever the service does, so every version is deployed: no better than no Test at all."""
    path = subject.service.file("Test")
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path else ""
    except OSError:
        return  # reported by script-no-interpreter
    is_observable = has_health_check(subject) or bool(subject.settings and subject.settings[PORTS])
    if path and tests_nothing(text, is_observable=is_observable):
        hint = "make it request something that only a working service answers: see docs/how-to/write-a-test.md"
        yield Found("the Test passes whatever the service does", shown(path), hint=hint)


@check("script-not-executable", Severity.ERROR, "A script that cannot be run")
def script_not_executable(subject: Subject) -> Iterator[Found]:
    """A Test or Build that cannot be run fails each time."""
    for path in _scripts(subject):
        if not os.access(path, os.X_OK):
            yield Found(f"`{path.name}` is not executable", shown(path), hint=f"chmod +x {path}")


@check("script-no-interpreter", Severity.ERROR, "A script whose interpreter is missing")
def script_no_interpreter(subject: Subject) -> Iterator[Found]:
    """The kernel reads from a script's first line which program runs it."""
    for path in _scripts(subject):
        try:
            with path.open("rb") as file:
                first = file.readline(512)
        except OSError as error:
            yield Found(f"`{path.name}` cannot be read: {error.strerror}", shown(path))
            continue
        if reason := _fault(first):
            yield Found(f"`{path.name}`: {reason}", f"{shown(path)}:1", write="#!/bin/sh, or the program that runs it")


def _scripts(subject: Subject) -> Iterator[Path]:
    yield from filter(None, map(subject.service.file, SCRIPTS))


def _fault(first: bytes) -> str:
    """Return what is wrong with a script's first line; empty if nothing is."""
    if first.startswith(b"\x7fELF"):
        return ""
    if not first.startswith(b"#!"):
        return "its first line does not name the program that runs it"
    line = first[2:].decode("utf-8", "replace").rstrip("\n")
    if line.endswith("\r"):
        return "its lines end as on Windows, so its interpreter is not found"
    words = line.split()
    if words and words[0].rpartition("/")[2] == "env":
        rest = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        words = [words[0], *rest[:1]]
    missing = [word for word in words if not _is_there(word)]
    return (
        f"its interpreter `{missing[0]}` does not exist"
        if missing
        else ""
        if words
        else "its first line names no program"
    )


def _is_there(program: str) -> bool:
    """Return whether a script of a service would find a program: dockyard's programs are on its PATH."""
    own = Path(sys.executable).parent / program
    return bool(find(program)) or ("/" not in program and os.access(own, os.X_OK))
