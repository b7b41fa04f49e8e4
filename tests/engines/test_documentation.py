"""The documentation's commands run as written; only names and ports are the tests' own."""

import re
import textwrap

import pytest

from tests.engines.world import BASE, LABEL, OURS, REPOSITORY, World, await_page, free_port


def code_blocks(text: str) -> str:
    """Return the indented code of a page, one block after the other."""
    blocks = re.findall(r"(?:^ {4,}\S.*\n|^ *\n)+", text, re.MULTILINE)
    return "\n".join(textwrap.dedent(block).strip("\n") for block in blocks if block.strip()) + "\n"


def section(page: str, heading: str) -> str:
    """Return a page's section of that heading."""
    text = (REPOSITORY / page).read_text()
    begin = text.index(f"## {heading}")
    end = text.find("\n## ", begin + 1)
    return text[begin : end if end >= 0 else None]


@pytest.fixture
def port() -> int:
    return free_port()


def test_the_five_steps_of_the_readme_end_with_a_page(engine: World, port: int):
    """A service from nothing: the steps, pasted into a shell, leave a tested service in production."""
    steps = code_blocks(section("README.md", "A service from nothing, in five steps"))
    name = f"{OURS}hello"
    for theirs, ours in (("8081", str(port)), ("hello", name), ("ktools/base:live", f"{BASE}\nLABEL {LABEL}")):
        assert theirs in steps
        steps = steps.replace(theirs, ours)
    done = engine.run("sh", "-eu", stdin=steps, timeout=300)
    assert f"{name} is up" in done.stdout
    await_page(port, "Hello from a container")
    assert engine.tags(name)["live"] == engine.tags(name)["latest"]


def test_the_shell_test_of_the_guide_passes_and_fails(engine: World, port: int):
    """The guide's Test in shell passes on a page that is right, and fails on one that is wrong."""
    script = code_blocks(section("docs/how-to/write-a-test.md", "In any other language"))
    assert script.startswith("#!/bin/sh")
    web = engine.web("It works", ports=[f"{port}:8080"])
    (web / "Test").write_text(script)
    engine.d_build(web, "-t")
    (web / "files/srv/www/index.html").write_text("nothing\n")
    assert "the page is wrong" in engine.d_build(web, "-t", expect=1).text


def test_the_python_test_of_the_guide_passes(engine: World, port: int):
    """The guide's Test in Python passes on a page that is right."""
    script = code_blocks(section("docs/how-to/write-a-test.md", "In Python"))
    assert script.startswith("#!/usr/bin/env dockyard-python")
    web = engine.web("It works", ports=[f"{port}:8080"])
    (web / "Test").write_text(script)
    engine.d_build(web, "-t")
