"""Services whose directory is gone or renamed: reported, not launched a second time, taken over or forgotten."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.world import FROM_BASE, IDLE, STATE, World


@pytest.fixture
def worker(engine: World) -> Iterator[Path]:
    """The only service of a host, up, with data of its own."""
    kept = engine.source.rename(engine.source.with_name("src-kept"))
    engine.source.mkdir()
    settings = {"cmd": IDLE, "mount_rw": "data:/data", "autostart": 1}
    service = engine.service(settings, dockerfile=FROM_BASE, files={"version": f"of {next(engine.numbers)}"})
    engine.d("upgrade-all")
    engine.inside(service.name, "echo mine >/data/jobs")
    yield service
    engine.begin_removal()
    engine.settle()
    engine.run("rm", "-rf", engine.source)
    kept.rename(engine.source)


def renamed(engine: World, service: Path) -> Path:
    """Return a service under a new name, as `mv` gives it one."""
    return service.rename(engine.source / f"{service.name}-new")


@pytest.mark.matrix
def test_a_renamed_service_is_reported_and_not_launched_twice_until_it_is_adopted(engine: World, worker: Path) -> None:
    """Every list says so; `adopt` moves container, data, tags and history, and nothing is left of the old name."""
    old, new = worker.name, renamed(engine, worker).name
    gone = f"container `{old}` is up, but the directory of its service is gone, {worker}"
    assert gone in engine.d("check-all-up", expect=1).stdout
    assert gone in engine.d("ls").stderr
    assert [row["orphan"] for row in json.loads(engine.d("ls", "--json").stdout) if row["name"] == old] == [True]
    assert gone in engine.d("check-all", expect=None).stdout
    for verb in ("upgrade-all", "up-all"):
        done = engine.d(verb, expect=1)
        assert f"{new} seems to be `{old}` under a new name" in done.stdout
        assert f"`d adopt {old} {new}`" in done.stderr + done.stdout
        assert not engine.inspect(new)

    image = engine.inspect(old)["Image"]
    shown = engine.d("adopt", old, new, "-n").stdout.splitlines()
    assert shown[:2] == [f"{engine.engine} stop {old}", f"mv {engine.volumes / old} {engine.volumes / new}"]
    assert engine.is_up(old)
    engine.d("adopt", old, new)
    assert engine.inside(new, "cat /data/jobs") == "mine\n"
    assert engine.inspect(new)["Image"] == image
    assert not engine.inspect(old)
    assert not any(engine.tags(old).values())
    assert engine.d("history", new).stdout.count("upgrade") + engine.d("history", new).stdout.count("promote") >= 1
    assert engine.d("check-all-up").stdout == "all ok\n"
    assert "is up to date" in engine.d("upgrade-all").stdout


@pytest.mark.long("podman")
def test_an_adoption_that_fails_leaves_everything_as_it_was(engine: World, worker: Path) -> None:
    """If the new container does not stay up, the old one runs again on its data, under its name."""
    old, new = worker.name, renamed(engine, worker)
    (new / "settings.yaml").write_text(json.dumps({"cmd": ["sh", "-c", "exit 3"], "mount_rw": "data:/data"}))
    assert "did not stay up" in engine.d("adopt", old, new.name, expect=1).stderr
    assert engine.inside(old, "cat /data/jobs") == "mine\n"
    assert (engine.volumes / old / "data/jobs").exists()
    assert not (engine.volumes / new.name).exists()
    assert not engine.inspect(new.name)
    assert not any(engine.tags(new.name).values())


@pytest.mark.long("podman")
def test_a_service_that_is_gone_is_stopped_and_forgotten(engine: World, worker: Path) -> None:
    """Without its source; its data stay."""
    old = worker.name
    worker.rename(engine.root / f"{old}-deleted")
    assert f"container `{old}` of {old} is up" in engine.d("forget", old, expect=1).stderr
    engine.d("down", old)
    steps = json.loads(engine.d("forget", old, "-n", "--json").stdout)["steps"]
    assert f"{engine.engine} rm {old}" in steps
    assert any("events of the history" in step for step in steps)
    data = engine.volumes / old
    assert f"its data stays in {data}" in engine.d("forget", old).stdout
    assert not engine.inspect(old)
    assert not any(engine.tags(old).values())
    assert not (STATE / "services" / old).exists()
    assert (data / "data/jobs").read_text() == "mine\n"
    assert "no removed service begins with" in engine.d("forget", old, expect=1).stderr
    engine.run("rm", "-rf", engine.root / f"{old}-deleted")
