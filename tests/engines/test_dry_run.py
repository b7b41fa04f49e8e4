"""d-run -t: it prints what d-run does, and changes nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.world import BASE, IDLE, STATE, Record, World, disk, free_port, possible_limits, wait_for, write

# Differences between any two containers; ids within other values are replaced before comparing.
MAY_DIFFER = (
    r"Id",
    r"Created",
    r"Config\.Annotations\.io\.kubernetes\.cri-o\.Created",
    r"State\.(StartedAt|Pid|ConmonPid|CheckpointedAt|RestoredAt)",
    r"State\.(PidFile|ConmonPidFile|OCIConfigPath|CgroupPath|FinishedAt)",
    r"NetworkSettings\.(Networks\.[^.]*\.)?(SandboxID|SandboxKey|EndpointID|IPAddress|MacAddress|NetworkID)",
    r"GraphDriver\.Data\.\w+",  # layers have different ids
    r"Config\.Labels\.dockyard\.secret-digests",  # digests of values, which a dry run does not look up
)
IN_ORDER = ("Args", "Cmd", "Entrypoint", "CreateCommand", "Test")


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Yield path and value of every leaf."""
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from flat(value[key], f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        # Engines list entries of maps (environment, mounts, capabilities) in any order; the order of commands counts
        items = value if path.endswith(IN_ORDER) else sorted(value, key=json.dumps)
        for number, item in enumerate(items):
            yield from flat(item, f"{path}.{number}")
    else:
        yield path, value


def described(engine: World, name: str) -> dict[str, Any]:
    """Return all leaves of an inspect answer, with each occurrence of the container's id replaced."""
    answer = engine.inspect(name)
    command = answer["Config"].get("CreateCommand", [])
    if found := [number for number, word in enumerate(command) if word.startswith("dockyard.secret-digests=")]:
        del command[found[0] - 1 : found[0] + 1]  # --label, too
    identifier = answer["Id"]
    text = json.dumps(answer).replace(identifier, "<id>").replace(identifier[:12], "<id>")
    return dict(flat(json.loads(text)))


def everything(engine: World) -> tuple[object, ...]:
    """Return everything that a dry run could change: data, sources, dockyard's state, the engine."""
    return disk(engine.volumes, engine.source, STATE), engine.listing()


@pytest.fixture
def service(engine: World) -> Path:
    """A service with difficult settings: quotes, secrets, directories that do not exist yet."""
    settings = {
        "image": BASE,
        "cmd": [*IDLE[:2], "trap \"exit 0\" TERM; echo '$HOME'; sleep 600 & wait"],
        "env": [{"QUOTES": 'it\'s "two" $words'}, {"EMPTY": ""}, {"TOKEN": "*anchor"}],
        "ports": [f"{free_port()}:8080"],
        **possible_limits(memory="64m"),
        "tmpfs": "/run",
        "read_only": True,
        "cap_drop": "ALL",
        "labels": {"motto": "fluctuat nec mergitur"},
        "mount_ro": ["conf:/conf"],
        "mount_rw": ["data:/data", "a b/c d:/data2"],
        "mount_logs": "log:/log",
        "mount_test_only": "probe:/probe",
        "restart": "unless-stopped",
        "stop_timeout": 3,
        "user": "nobody",
    }
    directory = engine.service(settings, files={"etc/passwd": "nobody:x:65534:65534::/:/bin/false\n"})
    write(engine.root / "secrets/anchor", "deep")
    write(engine.host_file, f"secret_command: cat {engine.root}/secrets/{{name}}\n")
    return directory


@pytest.fixture(autouse=True)
def host_file(engine: World) -> Iterator[None]:
    """Empty the host file again."""
    yield
    engine.host_file.write_text("")


def launched(
    engine: World, service: Path, mode: tuple[str, ...], name: str, *, pasted: bool
) -> tuple[dict[str, Any], Any]:
    """Launch an instance, by d-run or by the output of -t; return its description and its files on disk."""
    if pasted:
        script = engine.d_run(service, *mode, "-t").stdout
        engine.run("sh", stdin=script)
    else:
        engine.d_run(service, *mode)
    found = described(engine, name), [row[:4] for row in disk(engine.volumes)]
    engine.run(engine.engine, "kill", name)
    engine.run(engine.engine, "rm", "-f", name, expect=None)  # --rm may already be removing it
    wait_for(lambda: not engine.container_id(name), "the end of the instance")
    return found


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("mode", "prefix"),
    [((), ""), (("-D", "--no-fg"), "dev-"), (("-DT", "--no-fg"), "test-")],
    ids=["prod", "dev", "test"],
)
def test_what_it_prints_launches_the_same(
    engine: World, service: Path, mode: tuple[str, ...], prefix: str, record_property: Record
) -> None:
    """Its output, pasted into a shell, launches the same container as d-run, according to inspect."""
    name = f"{prefix}{service.name}"
    write(engine.volumes / service.name / "data/old", "production")
    mine, on_disk = launched(engine, service, mode, name, pasted=False)
    pasted, pasted_on_disk = launched(engine, service, mode, name, pasted=True)
    allowed = {path for path in mine if any(re.fullmatch(pattern, path) for pattern in MAY_DIFFER)}
    different = {
        path: (mine.get(path), pasted.get(path)) for path in mine | pasted if mine.get(path) != pasted.get(path)
    }
    assert {path: both for path, both in different.items() if path not in allowed} == {}
    assert pasted_on_disk == on_disk
    equal = len(mine) - len(different)
    assert equal > 150
    others = ", ".join(sorted(different))
    mode_flags = " ".join(mode)
    told = f"{engine.engine} d-run -t {mode_flags}: {equal} of {len(mine)} fields of inspect equal; not: {others}"
    record_property("figure", told)


DRY = (
    ("-t",),
    ("-D", "-t"),
    ("-DT", "-t"),
    ("-P", "-t"),
    ("-D", "-S", "-t"),
    ("-v", "-t"),
    ("--explain",),
    ("-DT", "--explain", "-t", "--json"),
)


def test_it_changes_nothing(engine: World, service: Path) -> None:
    """After dry runs in every mode, disk and engine are unchanged."""
    write(engine.volumes / service.name / "data/old", "production")
    write(engine.volumes / "TMP" / service.name / "data/old", "an earlier test")
    before = everything(engine)
    for flags in DRY:
        engine.d_run(service, *flags)
    assert everything(engine) == before


def test_stopped_container_is_not_removed(engine: World) -> None:
    """A dry run shows that a stopped container would be removed, and does not remove it."""
    service = engine.idle()
    engine.d_run(service)
    engine.call("stop", service.name)
    before = everything(engine)
    shown = engine.d_run(service, "-t").stdout.splitlines()
    assert shown[0] == f"{engine.engine} rm {engine.container_id(service.name)}"
    assert everything(engine) == before


def test_it_fails_as_the_launch_would(engine: World) -> None:
    """If the launch would be refused, the dry run fails with the same message and exit code."""
    service = engine.idle()
    engine.d_run(service)
    dry, real = engine.d_run(service, "-t", expect=1), engine.d_run(service, expect=1)
    assert dry.stderr == real.stderr


def test_json_has_the_plan(engine: World) -> None:
    """--json prints the steps and the image's id."""
    service = engine.idle(mount_rw="data:/data")
    plan = json.loads(engine.d_run(service, "-DT", "-t", "--json").stdout)
    assert (plan["name"], plan["mode"]) == (f"test-{service.name}", "test")
    assert plan["image_id"] == engine.image_id(BASE)
    assert [step["step"] for step in plan["steps"]] == ["EmptyTestArea", "MakeDirectory", "Command"]
