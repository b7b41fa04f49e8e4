"""All services at once: waves, build order, one that fails, all or nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.world import BASE, IDLE, LABEL, World, write

CRASH = ["sh", "-c", "echo cannot go on; exit 3"]


def fleet_service(  # noqa: PLR0913
    engine: World, name: str, base: str, *, wave: int | None = None, version: str = "1", cmd: list[str] | None = None
) -> Path:
    """Make a service that is built from another image; without a wave it only is built."""
    settings = {"cmd": cmd or IDLE, "stop_timeout": 2, **({"autostart": wave} if wave else {})}
    dockerfile = f"FROM {base}\nLABEL {LABEL}\nCOPY files /\n"
    return engine.service(
        settings, name=name, dockerfile=dockerfile, files={f"version-{name}": version}, scripts={"Test": "#!/bin/sh\n"}
    )


@pytest.fixture
def twelve(engine: World) -> Iterator[list[str]]:
    """Twelve services in four waves, with FROM edges: a base, three built from it, eight from those."""
    kept = engine.source.rename(engine.source.with_name("src-kept"))
    engine.source.mkdir()
    base = fleet_service(engine, "dyt-f00", BASE)
    names = [base.name]
    for number in range(1, 13):
        below = "dyt-f00" if number <= 3 else f"dyt-f0{(number - 1) % 3 + 1}"
        fleet_service(engine, f"dyt-f{number:02}", f"dytest/{below}:latest", wave=(number - 1) // 3 + 1)
        names.append(f"dyt-f{number:02}")
    yield names
    for directory in engine.source.iterdir():
        engine.call("rm", "-f", directory.name, expect=None)
    engine.run("rm", "-rf", engine.source)
    kept.rename(engine.source)


def events(text: str, word: str) -> list[str]:
    """Return the services of which a log says a word, in order."""
    rows = (line.split(" ", 2) for line in text.splitlines() if line[:2].isdigit())
    return [row[1].rstrip(":") for row in rows if row[2].startswith(word)]


def waves_of(names: list[str]) -> list[int]:
    """Return the waves of services, in order."""
    return [(int(name[-2:]) - 1) // 3 + 1 for name in names]


@pytest.mark.long("podman")
def test_twelve_in_four_waves_with_one_that_fails(engine: World, twelve: list[str]) -> None:
    """Built in the order of FROM, started wave by wave; what waits for one that crashes is not started.

    It is once that one is up; a base that changed rebuilds and switches all that is built from it.
    """
    write(engine.source / "dyt-f05/settings.yaml", json.dumps({"cmd": CRASH, "autostart": 2}))
    first = engine.d("upgrade-all", expect=1)
    built = events(first.stderr, "building")
    assert built[0] == "dyt-f00"
    assert max(built.index(name) for name in twelve[1:4]) < min(built.index(name) for name in twelve[4:])
    started = events(first.stderr, "starting")
    assert waves_of(started) == sorted(waves_of(started))
    assert sorted(started) == twelve[1:7]
    row = next(line for line in first.stdout.splitlines() if line.startswith("dyt-f05"))
    assert "failed" in row
    assert "did not stay up (exited, exit code 3)" in row
    assert "6 ok, 1 failed, 6 skipped" in first.stdout
    assert first.stdout.count("not tried: dyt-f05, which it waits for, failed") == 6
    assert "cannot go on" in first.stderr
    up = [name for name in twelve if engine.is_up(name)]
    assert up == [name for name in twelve[1:7] if name != "dyt-f05"]

    again = engine.d("upgrade-all", "--json", expect=1)
    services = {row["service"]: row for row in json.loads(again.stdout)["services"]}
    assert "nothing has changed since" in services["dyt-f05"]["what"]
    assert {services[name]["upgrade"] for name in twelve[:7] if name != "dyt-f05"} == {"current"}
    assert {services[name]["result"] for name in twelve[7:]} == {"skipped"}
    assert "did not stay up" in engine.d("why", "dyt-f05").stdout

    write(engine.source / "dyt-f05/settings.yaml", json.dumps({"cmd": IDLE, "autostart": 2, "stop_timeout": 2}))
    write(engine.source / "dyt-f00/files/version-dyt-f00", "2")
    before = {name: engine.container_id(name) for name in twelve[1:]}
    third = engine.d("upgrade-all")
    assert waves_of(events(third.stderr, "starting")) == sorted(waves_of(events(third.stderr, "starting")))
    assert all(engine.container_id(name) not in {"", before[name]} for name in twelve[1:])
    assert engine.d("check-all-up").stdout == "all ok\n"


@pytest.mark.long("podman")
def test_one_that_fails_takes_all_back(engine: World, twelve: list[str]) -> None:
    """With --all-or-nothing a switch that fails leaves everything as it was: containers and tags."""
    engine.d("upgrade-all")
    before = {name: (engine.container_id(name), engine.tags(name)) for name in twelve}
    write(engine.source / "dyt-f00/files/version-dyt-f00", "2")
    write(engine.source / "dyt-f08/settings.yaml", json.dumps({"cmd": CRASH, "autostart": 3}))
    done = engine.d("upgrade-all", "--all-or-nothing", expect=1)
    assert "rolled back, as the switch of another service failed" in done.stdout
    for name in twelve:
        container, tags = before[name]
        assert engine.container_id(name) == container, name
        assert not container or engine.is_up(name)
        now = engine.tags(name)
        assert (now["live"], now["prev"]) == (tags["live"], tags["prev"]), name
    assert not [name for name in engine.containers("dyt-f") if name.endswith((".next", ".old", ".replaced"))]


@pytest.mark.matrix
@pytest.mark.long("podman")
def test_down_and_up_in_waves(engine: World, twelve: list[str]) -> None:
    """`00` stops the last wave first, `11` starts the first one first, and what is nobody's stays."""
    engine.d("upgrade-all")
    engine.call("run", "-d", "--name", "dyt-stranger", "--label", LABEL, BASE, *IDLE)
    before = engine.listing()
    stopping = engine.d("00", "-n").stdout
    assert stopping.splitlines()[-1].startswith(f"{engine.engine} stop dyt-f0")
    assert all(name in stopping for name in twelve[1:])
    assert "dyt-stranger" not in stopping
    assert "# dyt-f01:" in engine.d("restart-all", "-n").stdout
    assert engine.listing() == before
    down = engine.d("00")
    assert "not touched, as they belong to no service: " in down.stderr
    assert "dyt-stranger" in down.stderr
    assert waves_of(events(down.stderr, "stopping")) == sorted(waves_of(events(down.stderr, "stopping")), reverse=True)
    assert not any(engine.is_up(name) for name in twelve)
    assert engine.is_up("dyt-stranger")
    engine.d("check-all-up", expect=1)
    up = engine.d("11")
    assert waves_of(events(up.stderr, "starting")) == sorted(waves_of(events(up.stderr, "starting")))
    assert all(engine.is_up(name) for name in twelve[1:])
    inside = engine.d("run-in-all", "sh", "-c", "echo here is $HOSTNAME; test $HOSTNAME != dyt-f03", expect=1)
    assert "dyt-f07 | here is dyt-f07" in inside.stdout
    assert "11 ok, 1 failed" in inside.stdout
    before = engine.container_id("dyt-f01")
    engine.d("restart-all")
    assert engine.container_id("dyt-f01") not in {"", before}


@pytest.mark.long("podman")
def test_ring_of_bases_is_shown(engine: World, twelve: list[str]) -> None:
    """Services that are built from each other are an error that shows the way round."""
    assert twelve
    write(engine.source / "dyt-f00/Dockerfile", "FROM dytest/dyt-f04:latest\n")
    done = engine.d("build-all", expect=1)
    assert "dyt-f00 → dyt-f04 → dyt-f01 → dyt-f00" in done.stderr or "dyt-f04 → dyt-f01 → dyt-f00" in done.stderr
