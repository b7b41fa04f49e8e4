"""`d new` and `d init` on real engines: a new service is in production after one command."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard import template
from tests.engines.world import BASE, LABEL, OURS, World

PYTHON = f"{OURS}python-base"
BRING_PYTHON = """#!/bin/sh
set -eu
rm -rf rootfs
mkdir rootfs
library=$(/usr/bin/python3 -Ic 'import os; print(os.path.dirname(os.__file__))')
files() {
    echo /usr/bin/python3
    echo "$library"
    ldd /usr/bin/python3 "$library"/lib-dynload/*.so | grep -o '/[^ ]*lib[^ :]*[.]so[^ :]*' | grep -v lib-dynload
}
files | sort -u | tar -C / -ch --exclude=__pycache__ --exclude=test --files-from=- | tar -C rootfs -x
echo CONTINUE=1
"""


@pytest.fixture
def base(engine: World, request: pytest.FixtureRequest) -> str:
    """Return an image for a template to build on: the base, with this host's Python where that is needed."""
    if request.getfixturevalue("name") != "python":
        return BASE
    if not Path("/usr/bin/python3").exists():
        pytest.skip("the distribution's Python is not installed")
    dockerfile = f"FROM {BASE}\nLABEL {LABEL}\nCOPY rootfs /\n"
    engine.service("", name=PYTHON, dockerfile=dockerfile, scripts={"Build": BRING_PYTHON})
    engine.d_build(PYTHON)
    return f"dytest/{PYTHON}:latest"


@pytest.mark.matrix
@pytest.mark.long("podman")
@pytest.mark.parametrize("name", template.names())
def test_a_new_service_builds_and_passes_its_test_at_once(engine: World, name: str, base: str):
    """`d new` and `d upgrade`, and nothing between them: it was tested, it is live, and it is up."""
    service = f"{OURS}new-{name}"
    engine.d("new", service, "--from", name, "--base", base)
    done = engine.d("upgrade", service, timeout=300)
    assert "was not tested" not in done.text
    assert engine.tags(service)["live"] == engine.tags(service)["latest"]
    assert engine.is_up(service)
    found = json.loads(engine.d("check", service, "--json").stdout)
    against = [point["id"] for point in found["points"] if point["service"] == service and not point["accepted"]]
    assert against == []  # what the host lacks, such as buildx, is said of the host


@pytest.fixture
def network(engine: World) -> Iterator[str]:
    name = f"{OURS}net"
    yield name
    engine.call("network", "rm", name, expect=None)


def test_init_makes_a_network_with_the_addresses_that_were_asked_for(engine: World, network: str):
    """The network is made once with its subnet; with other addresses it is refused, and nothing changes."""
    subnet, other = (f"{engine.octets}.{number}.0/24" for number in (77, 78))
    host_file = engine.root / "init/host.yaml"
    words = ("init", "--file", str(host_file), "--network")
    assert f"{network}: would be created with {subnet}" in engine.d(*words, f"{network}={subnet}", "-n").stdout
    assert network not in engine.call("network", "ls", "--format", "{{.Name}}").split()
    assert f"{network}: created with {subnet}" in engine.d(*words, f"{network}={subnet}").stdout
    assert subnet in engine.call("network", "inspect", network)
    assert f"{network}: exists already" in engine.d(*words, f"{network}={subnet}").stdout
    assert f"not {other}" in engine.d(*words, f"{network}={other}", expect=2).stderr
    assert host_file.read_text().endswith(f"\nnetwork: {network}\n")


def test_a_new_service_builds_on_the_fleets_own_base(engine: World):
    """Where there is `repo1/base`, that is what new services build on."""
    engine.call("tag", BASE, "dytest/base:latest")
    try:
        engine.d("new", f"{OURS}on-base")
    finally:
        engine.call("rmi", "dytest/base:latest")
    assert "FROM dytest/base:latest\n" in (engine.source / f"{OURS}on-base/Dockerfile").read_text()
