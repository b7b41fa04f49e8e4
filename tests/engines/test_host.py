"""Cleaning, and looking into one container from the host."""

import json
from pathlib import Path

import pytest

from tests.engines.world import BASE, FROM_BASE, IDLE, LABEL, World, write


@pytest.mark.matrix
def test_clean_takes_what_nobody_needs(engine: World) -> None:
    """Stopped containers of services and images without a name go; what has a tag, runs or is nobody's stays."""
    service = engine.service({"cmd": IDLE, "stop_timeout": 2}, dockerfile=FROM_BASE, files={"version": "1"})
    for version in "123":
        write(service / "files/version", version)
        engine.d_build(service, "-a")
        if version == "2":
            engine.d("up", service.name)
    tags, dangling = engine.tags(service.name), engine.inspect(service.name)["Image"]
    write(service / "files/version", "4")
    engine.d("build", service.name)
    engine.call("create", "--name", "dyt-stranger", "--label", LABEL, BASE, "true")
    engine.call(
        "create", "--name", f"{service.name}.old", "--label", "dockyard.service=x", "--label", LABEL, BASE, "true"
    )
    stopped = engine.idle()
    engine.d("up", stopped.name)
    engine.inside(stopped.name, "echo by hand >/mended")
    engine.d("down", stopped.name)
    before = engine.listing()
    engine.d("clean", "-n")
    assert engine.listing() == before
    items = json.loads(engine.d("clean", "--json").stdout)["items"]
    gone = {item["name"] for item in items if item["what"] == "container" and item["result"] == "removed"}
    assert stopped.name in gone
    assert not gone & {service.name, "dyt-stranger", f"{service.name}.old"}
    assert engine.container_id("dyt-stranger")
    assert engine.is_up(service.name)
    after = engine.tags(service.name)
    assert (after["live"], after["prev"]) == (tags["live"], tags["prev"])
    assert engine.image_id(dangling.removeprefix("sha256:"))
    assert engine.container_id(f"{service.name}.old")
    engine.call("rm", "-f", f"{service.name}.old")
    engine.d("rollback", service.name)


@pytest.mark.matrix
def test_looking_from_the_host(engine: World) -> None:
    """The host's end of the network link, and the directory that holds what was changed."""
    service = engine.idle()
    engine.d("up", service.name)
    link = engine.d("veth", service.name).stdout.split()
    assert (Path("/sys/class/net") / link[0]).exists()
    assert link[1] == "eth0"
    engine.inside(service.name, "echo changed >/by-hand")
    layer = Path(engine.d("cow-dir", service.name).stdout.strip())
    assert (layer / "by-hand").read_text() == "changed\n"


def test_tools_from_the_host(engine: World) -> None:
    """`d debug` has the host's tools in the container while its shell lasts; `d add-su` leaves a su."""
    service = engine.idle()
    engine.d("up", service.name)
    tools = engine.root / "tools"
    tools.mkdir(exist_ok=True)
    busybox = engine.call("exec", service.name, "sh", "-c", "readlink -f /bin/sh").strip()
    engine.call("cp", f"{service.name}:{busybox}", str(tools / "busybox"))
    path = {"PATH": f"{tools}:{engine.environment['PATH']}"}
    engine.inside(service.name, "rm /bin/su")
    out = engine.d("debug", service.name, env=path, stdin="ls /.dockyard-debug | grep -c .\n").stdout
    assert int(out) > 100
    assert "dockyard" not in engine.inside(service.name, "ls -a /")
    engine.d("add-su", service.name, env=path)
    assert "-rwsr-xr-x" in engine.inside(service.name, "ls -l /bin/su")
    assert "already has a su" in engine.d("add-su", service.name, env=path, expect=1).stderr
