"""Permissions of mounts: users that cannot read or write them, and the command that fixes it."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.directives import FIRST_LINE
from tests.engines.hostile import production
from tests.engines.world import World, write

NOBODY = 65534
WRITES = ["sh", "-c", "echo x >/data/written || exit 7; trap 'exit 0' TERM; sleep 600 & wait"]


def unfit(engine: World, **settings: Any) -> tuple[Path, Path]:  # noqa: ANN401 - settings
    """Create a service that runs as nobody, and cannot access its mount; return it and its data."""
    service = engine.idle(user="nobody", mount_rw="data:/data", mount_ro="conf/key:/key", **settings)
    own = engine.volumes / service.name
    write(own / "data/a file", "production")
    write(own / "conf/key", "secret", mode=0o600)
    return service, own


def commands(text: str) -> list[str]:
    """Return the fixing commands in the output of `d check`."""
    hints = [line.removeprefix("  hint: ") for line in text.splitlines() if line.startswith("  hint: ")]
    return [line for line in hints if line.startswith(("chown", "setfacl", "chmod"))]


def errors(text: str) -> list[dict[str, Any]]:
    """Return the errors in the output of `d check --json`."""
    return [row for row in json.loads(text)["points"] if row["severity"] == "error"]


@pytest.mark.matrix
def test_check_names_the_command_that_mends_it(engine: World) -> None:
    """`d check` names path, owner, its user and a command, after which all is ok and the service writes."""
    service, own = unfit(engine)
    before = production(engine)
    told = engine.d("check", service.name, expect=1).stdout
    assert f"`{own}/data` belongs to 0:0, mode 0755: user `nobody` ({NOBODY}) cannot write to it" in told
    assert f"`{own}/conf/key` belongs to 0:0, mode 0600: user `nobody` ({NOBODY}) cannot read it" in told
    assert f"{service.name}/settings.yaml:" in told
    assert "all ok" not in told
    assert production(engine) == before
    fix = commands(told)
    assert fix == [f"setfacl -R -m u:{NOBODY}:rX {own}/conf/key", f"chown -R {NOBODY}:{NOBODY} {own}/data"]
    for command in fix:
        engine.run("sh", "-c", command)
    assert "cannot" not in engine.d("check", service.name).stdout
    engine.d("up", service.name)
    assert engine.inside(service.name, "cat /key; echo written >>'/data/a file'; cat '/data/a file'") == (
        "secretproductionwritten\n"
    )


def test_mode_and_json(engine: World) -> None:
    """If the user owns the directory, the command changes its mode; --json contains everything."""
    service = engine.idle(user="nobody", mount_rw="data:/data")
    data = engine.volumes / service.name / "data"
    data.mkdir(parents=True)
    data.chmod(0o555)
    engine.run("chown", str(NOBODY), str(data))
    (row,) = errors(engine.d("check", service.name, "--json", expect=1).stdout)
    assert (row["service"], row["id"]) == (service.name, "mount-unusable")
    assert row["hint"] == f"chmod -R u+rwX {data}"
    assert f"{service.name}/settings.yaml:" in row["where"]
    engine.run("sh", "-c", row["hint"])
    assert errors(engine.d("check", service.name, "--json").stdout) == []


@pytest.mark.matrix
def test_launch_warns(engine: World) -> None:
    """d-run reports at a launch, in production and test, which mounts the instance cannot access."""
    service, own = unfit(engine)
    for flags in (("-t",), ("-DT", "-t"), ()):
        told = engine.d_run(service, *flags).stderr
        assert f"`{own}/data` belongs to 0:0" in told
        assert f"chown -R {NOBODY}:{NOBODY} {own}/data" in told


def test_failure_holds_the_advice(engine: World) -> None:
    """A service that dies because it cannot write: the message contains the fix, after which it is up."""
    service, own = unfit(engine, cmd=WRITES)
    told = engine.d("up", service.name, expect=1).stderr
    assert "did not stay up" in told
    assert f"`{own}/data` belongs to 0:0, mode 0755: user `nobody` ({NOBODY}) cannot write to it" in told
    fix = f"chown -R {NOBODY}:{NOBODY} {own}/data"
    assert f"fix it with: {fix}" in told
    engine.call("rm", "-f", service.name)
    engine.run("sh", "-c", fix)
    engine.d("up", service.name)
    assert engine.inside(service.name, "cat /data/written") == "x\n"


def test_failing_test_holds_the_advice(engine: World) -> None:
    """A test instance that dies because it cannot write: the Test reports the reason."""
    service, own = unfit(engine, cmd=WRITES)
    script = f"#!/bin/sh\n{FIRST_LINE}\n"
    write(service / "Test", script, mode=0o755)
    before = production(engine)
    told = engine.run("./Test", "-r", cwd=service, expect=1).text
    assert "ended as soon as it was launched" in told
    assert f"chown -R {NOBODY}:{NOBODY} {own}/data" in told
    assert production(engine) == before


def test_root_needs_no_help(engine: World) -> None:
    """Root can access files of others, unless the capability for that is dropped."""
    for settings, exit_code in (({}, 0), ({"cap_drop": "ALL"}, 1), ({"cap_drop": "ALL", "cap_add": "DAC_OVERRIDE"}, 0)):
        service = engine.idle(mount_rw="data:/data", **settings)
        data = engine.volumes / service.name / "data"
        data.mkdir(parents=True)
        engine.run("chown", "1234", str(data))
        engine.d("check", service.name, expect=exit_code)
        engine.d_run(service)
        wrote = engine.run(engine.engine, "exec", service.name, "sh", "-c", "echo x >/data/a", expect=None)
        assert bool(wrote.exit_code) is bool(exit_code)


PREPARES = ["sh", "-c", "chown 100:102 /data/db && chmod 0600 /data/db || exit 8; trap 'exit 0' TERM; sleep 600 & wait"]
"""The steps of a database's entrypoint as root, before it changes to another user."""


@pytest.mark.matrix
def test_missing_capability_is_named_and_the_data_stay(engine: World) -> None:
    """`cap_drop: ALL` on a running database: the setting that helps is reported, and no command for its data."""
    service = engine.idle(mount_rw="data:/data", cmd=PREPARES)
    data = engine.volumes / service.name / "data"
    write(data / "db", "production")
    engine.run("chown", "-R", "100:102", str(data))
    data.chmod(0o700)
    engine.d("up", service.name)
    settings = json.loads((service / "settings.yaml").read_text())
    write(service / "settings.yaml", json.dumps({**settings, "cap_drop": "ALL"}))
    reports = [engine.d("check", service.name, expect=1).stdout, engine.d("restart", service.name, expect=1).text]
    for text in reports:
        assert "root in the container lacks the capabilities CHOWN, DAC_OVERRIDE, FOWNER, SETGID and SETUID" in text
        assert "fix it with" not in text
        assert not commands(text)
    assert "chown" not in reports[0]  # in the other case, it is in the log of the entrypoint
    (cap_add,) = {line.partition("`")[2].partition("`")[0] for line in reports[0].splitlines() if "`cap_add:" in line}
    written = "".join(f"{key}: {json.dumps(value)}\n" for key, value in {**settings, "cap_drop": "ALL"}.items())
    write(service / "settings.yaml", f"{written}{cap_add}\n")
    engine.d("restart", service.name)
    assert (data / "db").read_text() == "production"
    assert (data / "db").stat().st_uid == 100


def test_data_of_a_running_container_are_not_changed(engine: World) -> None:
    """A new user that cannot read production's data: while production is up, the advice is a setting."""
    service = engine.idle(mount_rw="data:/data")
    data = engine.volumes / service.name / "data"
    write(data / "db", "production")
    data.chmod(0o700)
    engine.d("up", service.name)
    settings = json.loads((service / "settings.yaml").read_text())
    write(service / "settings.yaml", json.dumps({**settings, "user": "nobody"}))
    for text in (engine.d("check", service.name, expect=1).stdout, engine.d_run(service, "-DT", "-t").stderr):
        assert f"`{service.name}` is running with it: run as the user that it belongs to" in text
        assert not commands(text)
    engine.d("down", service.name)
    assert commands(engine.d("check", service.name, expect=1).stdout) == [f"chown -R {NOBODY}:{NOBODY} {data}"]
