"""The documentation's commands work as written; only names and ports are replaced."""

import json
import re
import textwrap

import pytest

from tests.engines.pages import matches, outputs, script, steps
from tests.engines.world import BASE, IDLE, LABEL, OURS, REPOSITORY, World, await_page, free_port


def code_blocks(text: str) -> str:
    """Return the indented code blocks of a page, joined."""
    blocks = re.findall(r"(?:^ {4,}\S.*\n|^ *\n)+", text, re.MULTILINE)
    return "\n".join(textwrap.dedent(block).strip("\n") for block in blocks if block.strip()) + "\n"


def section(page: str, heading: str) -> str:
    """Return the section of a page with this heading."""
    text = (REPOSITORY / page).read_text()
    begin = text.index(f"## {heading}")
    end = text.find("\n## ", begin + 1)
    return text[begin : end if end >= 0 else None]


@pytest.fixture
def port() -> int:
    return free_port()


def names_of_ours(name: str, port: int) -> dict[str, str]:
    """Return replacements for a page's names, so that tests can run concurrently."""
    return {
        "8081": str(port),
        "hello": name,
        "ktools/base:live": f"{BASE}\nLABEL {LABEL}",
        "ktools/": "dytest/",
    }


def follow(engine: World, page: str, name: str, port: int) -> None:
    """Follow a page, with another name for its service, and compare the output with the page."""
    wanted = steps((REPOSITORY / page).read_text(), names_of_ours(name, port))
    pasted = engine.root / "page.sh"
    pasted.write_text(script(wanted))
    done = engine.run("sh", "-eu", pasted, expect=None, timeout=300)
    found = outputs(done.stdout)
    failed = wanted[len(found)].command if len(found) < len(wanted) else ""
    assert not failed, f"{failed}\n{done.stdout[-3000:]}"
    for step, written in zip(wanted, found, strict=True):
        assert step.shown is None or matches(step.shown, written), f"$ {step.command}\n{written}\nnot\n{step.shown}"


@pytest.mark.long("podman")
def test_the_steps_of_the_readme_end_with_a_page(engine: World, port: int):
    """The steps of the README, pasted into a shell, leave a tested and upgraded service in production."""
    name = f"{OURS}readme"
    follow(engine, "README.md", name, port)
    await_page(port, "Hello again")
    tags = engine.tags(name)
    assert tags["live"] == tags["latest"] != tags["prev"]


def test_the_shell_test_of_the_guide_passes_and_fails(engine: World, port: int):
    """The guide's Test in shell passes on a correct page, and fails on a wrong one."""
    script = code_blocks(section("docs/how-to/write-a-test.md", "In any other language"))
    assert script.startswith("#!/bin/sh")
    web = engine.web("It works", ports=[f"{port}:8080"])
    (web / "Test").write_text(script)
    engine.d_build(web, "-t")
    (web / "files/srv/www/index.html").write_text("nothing\n")
    assert "the page is wrong" in engine.d_build(web, "-t", expect=1).text


def test_the_python_test_of_the_guide_passes(engine: World, port: int):
    """The guide's Test in Python passes on a correct page."""
    script = code_blocks(section("docs/how-to/write-a-test.md", "In Python"))
    assert script.startswith("#!/usr/bin/env dockyard-python")
    web = engine.web("It works", ports=[f"{port}:8080"])
    (web / "Test").write_text(script)
    engine.d_build(web, "-t")


@pytest.mark.matrix
@pytest.mark.long("podman")
def test_the_first_service_goes_as_it_is_told(engine: World, port: int):
    """The tutorial, pasted into a shell, works and prints the output that it shows."""
    name = f"{OURS}tutorial"
    follow(engine, "docs/tutorial/first-service.md", name, port)
    assert not engine.is_up(name)


@pytest.mark.matrix
def test_addresses_are_fixed_as_it_is_told(engine: World):
    """On the guide's networks, production has its address, and a test instance has another."""
    page = "docs/how-to/give-services-fixed-addresses.md"
    create = f"{engine.engine} network create --label {LABEL}"
    text = (REPOSITORY / page).read_text()
    if engine.engine == "podman":  # its tests run concurrently with those of docker
        text = text.replace("10.77.", "10.75.").replace("10.78.", "10.76.")
    made = steps(text, {"docker network create": create, "harbour": f"{OURS}harbour"})
    engine.run("sh", "-eu", stdin=script(made))
    host, _, own, *_ = yaml_blocks(text.replace("harbour", f"{OURS}harbour"))
    service = engine.service(f"{own}image: {BASE}\ncmd: {json.dumps(IDLE)}\n")
    engine.host_file.write_text(host)
    try:
        engine.d_run(service)
        engine.d_run(service, "-DT", "--no-fg")
    finally:
        engine.host_file.write_text("")
    addresses = [engine.d("ip", name).stdout.strip() for name in (service.name, f"test-{service.name}")]
    assert addresses[0] in {"10.77.1.10", "10.75.1.10"}
    assert addresses[1].startswith(("10.78.", "10.76."))


def yaml_blocks(text: str) -> list[str]:
    """Return the settings blocks of a page."""
    return re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
