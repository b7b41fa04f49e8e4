"""An instance under test that would share anything with production, of whichever service, is not launched."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.engines.hostile import production
from tests.engines.world import LABEL, World, free_port, write


def pair(engine: World, ours: dict[str, Any], theirs: dict[str, Any], *, name: str = "") -> tuple[Path, Path]:
    """Make two services; `{own}` and `{other}` in their settings are their directories in production."""
    victim = engine.idle(mount_rw="data:/data")
    service = engine.idle()
    if name:
        victim = victim.rename(victim.with_name(name.format(service=service.name)))
    other = engine.volumes / victim.name
    places = {"{own}": str(engine.volumes / service.name), "{other}": str(other), "{name}": victim.name}
    write(other / "data/gold", "gold")
    for directory, settings in ((victim, theirs), (service, ours)):
        text = json.dumps({**json.loads((directory / "settings.yaml").read_text()), **settings}, indent=1)
        for placeholder, value in places.items():
            text = text.replace(placeholder, value)
        write(directory / "settings.yaml", text)
    return service, victim


def refused(engine: World, service: Path, victim: Path, *words: str) -> None:
    """Assert that no test or development instance is launched, that both places are named, and nothing changed."""
    before, there = production(engine), sorted(os.walk(engine.volumes))
    for flags in (("-DT", "--no-fg"), ("-D", "-t")):
        done = engine.d_run(service, *flags, expect=2)
        assert f"{service.name}/settings.yaml:" in done.stderr
        assert f"production of `{victim.name}`, " in done.stderr
        assert "hint:" in done.stderr
        for word in ("would share", *words):
            assert word in done.stderr
        assert "Traceback" not in done.text
    assert engine.containers(service.name) == []
    assert (production(engine), sorted(os.walk(engine.volumes))) == (before, there)
    assert "would share" in engine.d("check", service.name, expect=1).stdout


def test_service_of_the_instances_name(engine: World) -> None:
    """A service called test-NAME is production: no test instance of NAME takes its name."""
    service, victim = pair(engine, {}, {}, name="test-{service}")
    done = engine.d_run(service, "-DT", "--no-fg", expect=2)
    assert f"would share container name `{victim.name}`" in done.stderr
    assert f"production of `{victim.name}`, " in done.stderr
    assert engine.containers(service.name) == []


def test_shifted_port(engine: World) -> None:
    """A port that is another's production when it is shifted: both ports and lines are named."""
    port = free_port()
    service, victim = pair(engine, {"ports": f"{port}:8080"}, {"ports": f"{port + 10000}:80"})
    refused(engine, service, victim, "host port", f"127.0.0.1:{port + 10000}:8080", f"{victim.name}/settings.yaml:")
    write(service / "settings.yaml", (service / "settings.yaml").read_text().replace("{", '{"port_offset": "auto",', 1))
    engine.d_run(service, "-DT", "--no-fg")


BY = {
    "path": "srv/data",
    "file within": "srv/data/gold",
    "directory above": "srv",
    "link": "to data",
    "link above": "up/data",
}


@pytest.mark.matrix
@pytest.mark.parametrize("way", BY)
def test_path_into_others_data(engine: World, way: str) -> None:
    """A test-only mount that is another's data by whatever path is refused."""
    data, ours = engine.root / "srv/data", engine.root / BY[way]
    write(data / "gold", "gold")
    for link, target in (("to data", data), ("up", Path("srv"))):
        (engine.root / link).unlink(missing_ok=True)
        (engine.root / link).symlink_to(target)
    service, victim = pair(engine, {"mount_test_only": f"{ours}:/x"}, {"mount_rw": f"{data}:/data"})
    theirs = "" if ours == data else f"(there `{data}`)"
    refused(engine, service, victim, f"path `{ours}`", theirs, f"{victim.name}/settings.yaml:")
    assert (data / "gold").read_text() == "gold"


def test_bind_mount_of_others_data(engine: World) -> None:
    """A bind mount hides nothing: neither one that shows production elsewhere, nor one below the directory."""
    for inside in ("", "deep"):
        place = engine.root / f"lab{inside}"
        service, victim = pair(engine, {"mount_test_only": f"{place}:/lab"}, {})
        (place / inside).mkdir(parents=True)
        engine.run("mount", "--bind", str(engine.volumes / victim.name / "data"), str(place / inside))
        refused(engine, service, victim, f"path `{place}`")
        engine.run("umount", str(place / inside))
        engine.d_run(service, "-DT", "--no-fg")


@pytest.mark.parametrize(
    "flags",
    ["-v {other}/data:/x", "--volume={other}:/x:rw", "--mount type=bind,source={other}/data/gold,target=/x"],
)
def test_raw_flag_into_others_data(engine: World, flags: str) -> None:
    """Raw flags of the engine count like everything else; read-only ones may."""
    service, victim = pair(engine, {"extra_docker": flags}, {})
    refused(engine, service, victim, "path", f"{victim.name}/settings.yaml:", "mount_persistent")


def test_raw_flag_that_only_reads(engine: World) -> None:
    """What a test instance can but read is not refused."""
    service, _ = pair(engine, {"extra_docker": "-v {other}/data:/x:ro"}, {})
    engine.d_run(service, "-DT", "--no-fg")
    assert engine.inside(f"test-{service.name}", "cat /x/gold") == "gold"


def test_device_and_volume(engine: World) -> None:
    """A device and a volume of the engine that production has are production's."""
    service, victim = pair(engine, {"mount_devices": "/dev/loop7"}, {"mount_devices": "/dev/loop7"})
    refused(engine, service, victim, "device `/dev/loop7`", "test_mount_devices")
    for both in ({"extra_docker": "-v dyt-volume:/x"}, {"extra_docker": "--mount type=volume,src=dyt-volume,dst=/x"}):
        service, victim = pair(engine, both, {"extra_docker": "-v dyt-volume:/y"})
        refused(engine, service, victim, "volume `dyt-volume`")
    assert "dyt-volume" not in engine.call("volume", "ls", "-q")


@pytest.mark.matrix
def test_address_on_a_network(engine: World) -> None:
    """An address that production has is not given to a test on the same network; another is."""
    network = "dyt-net"
    octets = engine.octets
    engine.call("network", "create", "--label", LABEL, "--subnet", f"{octets}.0.0/16", network)
    try:
        pinned = {"network": network, "test_network": network, "ip": f"{octets}.3.7"}
        service, victim = pair(engine, {**pinned, "ip": f"{octets}.9.7"}, pinned)
        refused(engine, service, victim, f"address `{octets}.3.7`", "test_subnet")
        engine.d_run(service, "-DT", "--no-fg", env={"DOCKYARD_TEST_SUBNET": "4"})
        told = engine.inspect(f"test-{service.name}")["NetworkSettings"]["Networks"][network]
        assert told["IPAddress"] == f"{octets}.4.7"
        engine.d("down", f"test-{service.name}")
    finally:
        engine.begin_removal()
        engine.settle()
        engine.call("network", "rm", network)


def test_own_production_counts(engine: World) -> None:
    """A service's own production is kept from its tests as well."""
    service = engine.idle(mount_rw="data:/data", test_extra_docker=f"-v {engine.volumes}:/all")
    write(engine.volumes / service.name / "data/gold", "gold")
    refused(engine, service, service, "path", f"`{engine.volumes}`")


def test_sharing_on_purpose_is_told(engine: World) -> None:
    """mount_persistent shares on purpose: it is launched, and the directory named each time."""
    service, victim = pair(engine, {"mount_persistent": "{other}/data:/x"}, {})
    data = engine.volumes / victim.name / "data"
    for flags in (("-DT", "-t"), ("-DT", "--no-fg"), ("-D", "--no-fg")):
        done = engine.d_run(service, *flags)
        assert f"`{data}` is production's directory" in done.stderr
        assert f"{service.name}/settings.yaml:" in done.stderr
    engine.inside(f"test-{service.name}", "echo shared >/x/gold")
    assert (data / "gold").read_text() == "shared\n"
    assert f"`{data}` is production's directory" in engine.d("check", service.name).stdout


def test_what_reaches_everything_is_told(engine: World) -> None:
    """What is privileged, or may mount what it likes, cannot be kept from anything: that is told."""
    for flags, words in (
        ("--privileged", "it is privileged"),
        ("--network host", "it shares the host's network"),
        ("--cap-add SYS_ADMIN", "it has the capability SYS_ADMIN"),
    ):
        done = engine.d_run(engine.idle(extra_docker=flags), "-DT", "-t")
        assert "is not isolated from production" in done.stderr
        assert words in done.stderr


def test_broken_neighbour_does_not_keep_a_test_from_running(engine: World) -> None:
    """A service whose settings cannot be read is told of, and not compared."""
    service, victim = pair(engine, {}, {})
    write(victim / "settings.yaml", "mount_r: [")
    done = engine.d_run(service, "-DT", "--no-fg")
    assert f"{victim.name}: not compared with its production" in done.stderr


def test_an_instance_under_test_starts_once(engine: World) -> None:
    """A link that it leaves where a nested source was is not followed at a second start: there is none."""
    service = engine.idle(mount_rw=["data:/data", "data/sub:/sub"], test_rm=False)
    gold = write(engine.volumes / service.name / "data/sub/gold", "gold")
    engine.d_run(service, "-DT", "--no-fg")
    name = f"test-{service.name}"
    engine.inside(name, f"rmdir /data/sub && ln -s {gold.parent} /data/sub")
    started = engine.inspect(name)["State"]["StartedAt"]
    assert "cannot be restarted" in engine.d("restart", name, expect=1).stderr
    assert engine.inspect(name)["State"]["StartedAt"] == started
    assert gold.read_text() == "gold"
