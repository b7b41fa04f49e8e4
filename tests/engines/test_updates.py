"""Newer base images: noticed in a real registry, tested, applied to those that pass, and left alone by the others."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.upstream import Upstream, serving
from tests.engines.world import World, write

SERVE = '#!/bin/sh\ntrap "exit 0" TERM INT\necho version {version}\nsleep 600 & wait\n'
TEST = '#!/bin/sh\n[ "${DOCKYARD_TESTER-}" = "process $PPID" ] || exec dockyard-python -m dockyard.testing "$0" "$@"\n'
PASSES = f'{TEST}"$CONTAINER_ENGINE" exec "$CONTAINER_NAME" sh -c "! grep bad /bin/serve"\n'
NOW = "updates: {cooldown: 0}\n"


def files(version: str) -> dict[str, str]:
    """Return the files of a version; the Test of a service fails with one that is called bad."""
    return {"bin/serve": SERVE.format(version=version)}


@pytest.fixture
def upstream(engine: World) -> Iterator[Upstream]:
    """Others, who publish."""
    with serving(engine) as found:
        yield found


def service(engine: World, image: str, settings: str = "", *, test: str = PASSES) -> Path:
    """Make a service that runs what its base image has, up and live."""
    scripts = {"Test": test} if test else {}
    text = f"network: none\nautostart: 1\ncmd: [/bin/serve]\n{settings}"
    made = engine.service(text, dockerfile=f"FROM {image}\nLABEL dytest=1\n", scripts=scripts)
    engine.d("upgrade", made.name)
    return made


def log(engine: World, name: str) -> str:
    """Return the last line that a service's container has written: one that is started again says it again."""
    return engine.call("logs", name).strip().rpartition("\n")[2]


def outdated(engine: World, name: str, *words: str, expect: int = 1) -> list[dict[str, Any]]:
    """Return the pending updates of a service."""
    found = json.loads(engine.d("outdated", "--json", *words, name, expect=expect).stdout)
    assert found["problems"] == []
    rows: list[dict[str, Any]] = found["pending"]
    return rows


@pytest.mark.matrix
def test_a_newer_base_image_waits_and_is_then_tested_and_applied(engine: World, upstream: Upstream) -> None:
    """It is in its cooldown first; --refresh takes it; then everything is up to date and nothing is built again."""
    upstream.publish("os", "12", files("one"))
    image = f"{upstream.name('os')}:12"
    web = service(engine, image)
    name = web.name
    assert log(engine, name) == "version one"
    assert outdated(engine, name, expect=0) == []
    digest = upstream.publish("os", "12", files("two"))
    pending = outdated(engine, name)
    assert [(row["kind"], row["new_digest"]) for row in pending] == [("digest", digest)]
    assert pending[0]["why"].startswith("in cooldown until ")
    before = engine.container_id(name)
    assert "is up to date" in engine.d("upgrade", name).text
    assert engine.container_id(name) == before
    done = engine.d("upgrade", "--refresh", name)
    assert f"{upstream.name('os')}:12" in done.stdout
    assert log(engine, name) == "version two"
    assert outdated(engine, name, expect=0) == []
    assert digest in engine.call("image", "inspect", "--format", "{{.RepoDigests}}", image), "the tag follows"
    before = engine.container_id(name), engine.tags(name)
    assert "is up to date" in engine.d("upgrade", name).text
    assert (engine.container_id(name), engine.tags(name)) == before


@pytest.mark.matrix
def test_a_base_image_that_fails_the_test_changes_nothing(engine: World, upstream: Upstream) -> None:
    """It is tried once; the next one is tried again, and goes live."""
    upstream.publish("sys", "12", files("one"))
    web = service(engine, f"{upstream.name('sys')}:12", NOW)
    name = web.name
    tags = engine.tags(name)
    upstream.publish("sys", "12", files("bad"))
    assert "exit code" in engine.d("upgrade", name, expect=1).stderr
    assert log(engine, name) == "version one"
    assert engine.tags(name) == tags
    assert "failed its Test on" in outdated(engine, name)[0]["why"]
    assert "is up to date" in engine.d("upgrade", name).text, "it is not tried again"
    upstream.publish("sys", "12", files("good"))
    engine.d("upgrade", name)
    assert log(engine, name) == "version good"


def test_services_with_one_base_image_need_not_agree(engine: World, upstream: Upstream) -> None:
    """The one with a Test takes the newer image, the one without stays; the tag moves once both have it."""
    first = upstream.publish("shared", "12", files("one"))
    image = f"{upstream.name('shared')}:12"
    tested, untested = service(engine, image, NOW), service(engine, image, NOW, test="")
    second = upstream.publish("shared", "12", files("two"))
    done = engine.d("upgrade-all", "--json")
    assert log(engine, tested.name) == "version two", done.text
    assert log(engine, untested.name) == "version one"
    assert outdated(engine, untested.name)[0]["why"] == "no Test"
    digests = ("image", "inspect", "--format", "{{.RepoDigests}}", image)
    assert first in engine.call(*digests)
    write(tested / "files/more", "more")
    write(tested / "Dockerfile", (tested / "Dockerfile").read_text() + "COPY files/more /more\n")
    assert f"FROM {image}@{second}" in engine.d("upgrade", "-n", tested.name).stdout
    engine.d("upgrade", tested.name)
    assert log(engine, tested.name) == "version two", "its own change is built on the newer image"
    write(untested / "Test", PASSES, mode=0o755)
    engine.d("upgrade-all")
    assert log(engine, untested.name) == "version two"
    assert second in engine.call(*digests)


def git(directory: Path, *words: str) -> str:
    """Run git as a user."""
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    done = subprocess.run(
        ["/usr/bin/git", "-C", str(directory), *who, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.matrix
def test_a_pin_is_bumped_by_one_commit(engine: World, upstream: Upstream) -> None:
    """A followed version that passes is committed with its digest; one that fails leaves the branch as it is."""
    first = upstream.publish("pg", "16.1", files("16.1"))
    settings = "updates: {cooldown: 0, track: ^16}\n"
    db = service(engine, f"{upstream.name('pg')}:16.1@{first}", settings)
    git(engine.source, "init", "-q", "-b", "main", str(db))
    git(db, "add", ".")
    git(db, "commit", "-qm", "first")
    second = upstream.publish("pg", "16.2 16.2-alpine 17.0", files("16.2"))
    kinds = {row["new_tag"]: (row["kind"], row["why"]) for row in outdated(engine, db.name)}
    assert kinds == {
        "16.2": ("minor", "the next `d upgrade-all` applies it"),
        "17.0": ("major", "beyond `track: ^16`"),
    }
    assert f"16.2@{second}" in engine.d("bump", "-n", db.name).stdout
    engine.d("upgrade", db.name)
    assert log(engine, db.name) == "version 16.2"
    assert (db / "Dockerfile").read_text().startswith(f"FROM {upstream.name('pg')}:16.2@{second}\n")
    assert git(db, "log", "--format=%s") == f"{db.name}: {upstream.name('pg')} 16.1 → 16.2\nfirst"
    assert f"to   {second}" in git(db, "log", "-1", "--format=%b")
    upstream.publish("pg", "16.3", files("16.3 bad"))
    engine.d("bump", db.name, expect=1)
    assert git(db, "log", "--format=%s").count("\n") == 1
    assert git(db, "status", "--porcelain") == ""
    assert "failed its Test" in outdated(engine, db.name)[0]["why"]
    assert engine.tags(db.name)["latest"] == engine.tags(db.name)["live"]


def test_a_base_image_that_was_removed_is_pulled_again_in_its_version(engine: World, upstream: Upstream) -> None:
    """That it is gone is no reason to build; a build takes the version that it had, not what the tag names now.

    That the engine has the same image from another repository changes nothing.
    """
    first = upstream.publish("gone", "12", files("one"))
    image = f"{upstream.name('gone')}:12"
    engine.call("pull", upstream.mirror("gone", "a-mirror", "12"))
    web = service(engine, image)
    upstream.publish("gone", "12", files("two"))
    engine.call("rmi", "--force", image)
    assert "is up to date" in engine.d("upgrade", web.name).text
    assert engine.image_id(image) == ""
    write(web / "files/more", "more")
    write(web / "Dockerfile", (web / "Dockerfile").read_text() + "COPY files/more /more\n")
    engine.d("upgrade", web.name)
    assert log(engine, web.name) == "version one"
    assert first in engine.call("image", "inspect", "--format", "{{.RepoDigests}}", image)


@pytest.mark.matrix
def test_a_registry_that_does_not_answer_stops_nothing(engine: World) -> None:
    """It is one warning; what the owner has changed goes live all the same."""
    with serving(engine) as upstream:
        upstream.publish("down", "12", files("one"))
        web = service(engine, f"{upstream.name('down')}:12", NOW)
        environment = {"DOCKYARD_OFFLINE": "false"}
    done = engine.d("outdated", web.name, env=environment)
    assert done.stdout == "up to date: 1 image of 1 service; 1 could not be checked\n"
    assert done.stderr.startswith("warning: ")
    assert done.stderr.count("\n") <= 2
    write(web / "Dockerfile", (web / "Dockerfile").read_text() + "ENV MORE=1\n")
    done = engine.d("upgrade", web.name, env=environment)
    assert "is up, from" in done.stdout
    assert "warning: " in done.stderr


def test_updates_are_taken_back_together(own_fleet: World, upstream: Upstream) -> None:
    """With --all-or-nothing a service that passed builds on what it did before, and may take the update later."""
    first = upstream.publish("both", "12", files("one"))
    image = f"{upstream.name('both')}:12"
    good = service(own_fleet, f"{image}@{first}", NOW)
    git(own_fleet.source, "init", "-q", "-b", "main", str(good))
    git(good, "add", ".")
    git(good, "commit", "-qm", "first")
    breaks = service(own_fleet, image, f"{NOW}mount_rw: data:/data\n")
    write(own_fleet.volumes / breaks.name / "data/populated", "")
    serve = SERVE.format(version="two").replace("sleep 600", "[ ! -e /data/populated ] || exit 4\nsleep 600")
    upstream.publish("both", "12", {"bin/serve": serve})
    own_fleet.d("upgrade-all", "--all-or-nothing", expect=1)
    assert [log(own_fleet, one.name) for one in (good, breaks)] == ["version one", "version one"]
    assert git(good, "log", "--format=%s").splitlines()[0].startswith(f"{good.name}: revert ")
    assert "failed" not in outdated(own_fleet, good.name)[0]["why"]
    assert "failed its upgrade" in outdated(own_fleet, breaks.name)[0]["why"]
    own_fleet.d("upgrade-all")
    assert [log(own_fleet, one.name) for one in (good, breaks)] == ["version two", "version one"]
