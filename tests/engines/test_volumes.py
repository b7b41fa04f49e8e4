"""`vols`: made as they are asked for, never changed when they are there; and what is refused before that."""

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.engines.hostile import Fingerprint, production
from tests.engines.world import FROM_BASE, IDLE, World, write

ACCOUNTS = {"etc/passwd": "web:x:1234:1235::/:/bin/false\n", "etc/group": "web:x:1236:\n"}
VOLUMES = {
    "vol_defaults": {"owner": "user/web", "group": "group/web", "perm": "0750"},
    "vols": [
        "data",
        {"path": "conf/web.yaml", "perm": "0640", "contents": "file:defaults/web.yaml"},
        {"path": "conf/made by", "perm": "0600", "contents": "command:printf %s%s%s %owner%:%group% %target% $(pwd)"},
        {"path": "conf/text", "owner": 77, "group": 78, "contents": "plain: text\n"},
        {"path": "conf/empty", "type": "file"},
        {"path": "deep/er/est", "perm": "2770"},
    ],
    "mount_ro": "conf:/conf",
    "mount_rw": ["data:/data", "more:/more"],
}


def stands(path: Path) -> tuple[str, int, int, int]:
    """Return kind, owner, group and mode."""
    status = path.lstat()
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
    return kind, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def made_in(place: Path, service: Path) -> None:
    """Assert that all that VOLUMES ask for stands below a directory."""
    assert stands(place / "data") == ("directory", 1234, 1236, 0o750)
    assert stands(place / "more") == ("directory", 1234, 1236, 0o750)
    assert stands(place / "deep/er/est") == ("directory", 1234, 1236, 0o2770)
    assert stands(place / "conf/web.yaml") == ("file", 1234, 1236, 0o640)
    assert stands(place / "conf/made by") == ("file", 1234, 1236, 0o600)
    assert stands(place / "conf/text") == ("file", 77, 78, 0o750)
    assert stands(place / "conf/empty") == ("file", 1234, 1236, 0o750)
    assert (place / "conf/web.yaml").read_text() == "colour: blue\n"
    assert (place / "conf/text").read_text() == "plain: text\n"
    assert (place / "conf/made by").read_text() == f"1234:1236{place}/conf/made by{service}"
    assert (place / "conf/empty").read_text() == ""


def with_volumes(engine: World) -> Path:
    """Make a service with VOLUMES."""
    service = engine.service({"image": "dytest/dyt-base:latest", "cmd": IDLE, **VOLUMES}, files=ACCOUNTS)
    write(service / "defaults/web.yaml", "colour: blue\n")
    return service


@pytest.mark.matrix
def test_made_as_said(engine: World) -> None:
    """Directories and files are made with owner, mode and contents, parents first; the instance reads them."""
    service = with_volumes(engine)
    engine.d("up", service.name)
    made_in(engine.volumes / service.name, service)
    assert engine.inside(service.name, "cat /conf/web.yaml /conf/text") == "colour: blue\nplain: text\n"


def test_never_changed_when_there(engine: World) -> None:
    """What is there stays as it is, whatever vols say of it, at each launch."""
    service = with_volumes(engine)
    engine.d("up", service.name)
    own = engine.volumes / service.name
    for path in ("conf/web.yaml", "conf/made by", "data"):
        (own / path).chmod(0o777)
    write(own / "conf/text", "changed by hand")
    before = production(engine)
    engine.d("restart", service.name)
    assert production(engine) == before
    assert engine.inside(service.name, "cat /conf/text") == "changed by hand"


@pytest.mark.matrix
def test_under_test_all_is_made_in_the_test_area(engine: World) -> None:
    """A test instance has its own: production's files are neither made nor changed, mount_ro shows the test's."""
    service = with_volumes(engine)
    own = engine.volumes / service.name
    write(own / "conf/text", "production's")
    before = production(engine)
    engine.d_run(service, "-DT", "--no-fg")
    made_in(engine.volumes / "TMP" / service.name, service)
    assert production(engine) == before
    assert engine.inside(f"test-{service.name}", "cat /conf/text") == "plain: text\n"


@pytest.mark.matrix
def test_owner_from_the_image(engine: World) -> None:
    """`user/NAME` that files/ does not know is looked up in the image; without owner it is who the image runs as."""
    dockerfile = (
        f"{FROM_BASE}RUN echo sailor:x:777:778::/:/bin/sh >>/etc/passwd && echo crew:x:779: >>/etc/group\n"
        "RUN echo captain:x:780:781::/:/bin/sh >>/etc/passwd\nUSER sailor\n"
    )
    settings = {
        "cmd": IDLE,
        "vols": [{"path": "bridge", "owner": "user/captain"}, {"path": "deck", "group": "group/crew"}],
        "mount_rw": ["deck:/deck", "hold:/hold"],
    }
    service = engine.service(settings, dockerfile=dockerfile, files={"version": "1"})
    engine.d_build(service)
    engine.d_run(service, "-l")
    own = engine.volumes / service.name
    assert stands(own / "bridge")[1:3] == (780, 781)
    assert stands(own / "deck")[1:3] == (777, 779)
    assert stands(own / "hold")[1:3] == (777, 778)
    assert engine.inside(service.name, "id -u; echo x >/deck/a && echo x >/hold/a && cat /hold/a") == "777\nx\n"
    engine.d("check", service.name, env={"KTOOLS_DRUN_TAG": "latest"})  # who it runs as can use what is mounted


# ------------------------------------------------------------------------------------------------------- bad input
def refused(engine: World, service: Path, *flags: str, exit_code: int, words: str, before: Fingerprint) -> None:
    """Assert that a launch is refused in words, that nothing was launched, and that production is as it was."""
    done = engine.d_run(service, *flags, expect=exit_code)
    assert words in done.stderr
    assert "Traceback" not in done.text
    assert production(engine) == before
    assert engine.containers(service.name) == []


FAILS = "command:echo too bad >&2; exit 3"
BAD = {
    "user of nowhere": ({"vols": [{"path": "new", "owner": "user/nobdy"}]}, 2, "no user `nobdy` in files/etc/passwd"),
    "user of no host": ({"vols": [{"path": "new", "owner": "nobdy"}]}, 2, "no user `nobdy` "),
    "group of nowhere": ({"vols": [{"path": "new", "group": "group/nowhere"}]}, 2, "no group `nowhere`"),
    "vols outside": ({"vols": ["../new"]}, 2, "`..`"),
    "mount outside": ({"mount_rw": "data/../../new:/new"}, 2, "`..`"),
    "file, not directory": ({"vols": ["file"]}, 2, "is a file, but a directory is expected"),
    "directory, not file": (
        {"vols": [{"path": "data", "contents": "x"}]},
        2,
        "is a directory, but a file is expected",
    ),
    "command fails": ({"vols": [{"path": "new", "contents": FAILS}]}, 1, "failed with exit code 3: too bad"),
    "no such file": ({"vols": [{"path": "new", "contents": "file:not/there"}]}, 1, "not/there: No such file"),
    "file outside": ({"vols": [{"path": "new", "contents": "file:../secret"}]}, 2, "below the service's directory"),
    "link outside": ({"vols": [{"path": "new", "contents": "file:link"}]}, 1, "is not in"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(engine: World, what: str) -> None:
    """Each mistake is told in words; nothing is launched or made, and production stays as it is."""
    settings, exit_code, words = BAD[what]
    service = engine.idle(**settings)
    own = engine.volumes / service.name
    write(own / "file", "production")
    write(own / "data/a", "production")
    write(service.parent / "secret", "not the service's")
    (service / "link").symlink_to("../secret")
    before = production(engine)
    for flags in ((), ("-DT", "--no-fg")):
        refused(engine, service, *flags, exit_code=exit_code, words=words, before=before)
    if exit_code == 2:
        assert words in engine.d("check", service.name, expect=None).text


def test_no_tree_of_a_file(engine: World) -> None:
    """A copy of directories alone cannot be had of a file."""
    service = engine.idle(mount_persistent_test_copy_tree="file:/file")
    write(engine.volumes / service.name / "file", "production")
    words = "is a file, but a directory is expected"
    refused(engine, service, "-DT", "--no-fg", exit_code=2, words=words, before=production(engine))


def linked(engine: World, **settings: Any) -> tuple[Path, Path, Path]:  # noqa: ANN401 - settings
    """Make a service with data in production, and a test area; return it and both."""
    service = engine.idle(mount_rw="data:/data", **settings)
    own, area = engine.volumes / service.name, engine.volumes / "TMP" / service.name
    write(own / "data/a", "production")
    area.parent.mkdir(exist_ok=True)
    return service, own, area


@pytest.mark.parametrize(("link", "exit_code"), [("production", 2), ("elsewhere", 1)])
def test_test_area_that_is_a_link_is_refused(engine: World, link: str, exit_code: int) -> None:
    """A test area that somebody made a link, to production or elsewhere, is neither emptied nor used."""
    service, own, area = linked(engine)
    elsewhere = write(engine.root / "elsewhere/data/a", "somebody's").parents[1]
    area.symlink_to(own if link == "production" else elsewhere)
    before = production(engine, elsewhere)
    done = engine.d_run(service, "-DT", "--no-fg", expect=exit_code)
    area.unlink()
    assert ("would share path" if exit_code == 2 else "never a link") in done.stderr
    assert str(area) in done.stderr
    assert engine.containers(service.name) == []
    assert production(engine, elsewhere) == before


def test_what_is_mounted_over_the_test_area_is_refused(engine: World) -> None:
    """Production that somebody mounted in a test area is not emptied, whether over all of it or within."""
    for inside in ("", "data"):
        service, own, area = linked(engine)
        (area / inside).mkdir(parents=True)
        engine.run("mount", "--bind", str(own), str(area / inside))
        before = production(engine)
        done = engine.d_run(service, "-DT", "--no-fg", expect=None)
        engine.run("umount", str(area / inside))
        assert done.exit_code in {1, 2}
        assert str(area) in done.stderr
        assert production(engine) == before
        assert (own / "data/a").read_text() == "production"
        assert engine.containers(service.name) == []


def test_link_within_the_test_area_is_removed(engine: World) -> None:
    """A link to production in place of a directory of the test area goes; what it leads to stays."""
    service, own, area = linked(engine, mount_logs="log/deep:/log")
    write(own / "log/deep/a", "production")
    before = production(engine)
    area.mkdir()
    for name in ("data", "log", ".layers"):
        (area / name).symlink_to(own / name)
    engine.d_run(service, "-DT", "--no-fg")
    engine.inside(f"test-{service.name}", "ls -A /data /log; rm -rf /data/* /log/*; echo x >/data/a; echo x >/log/a")
    engine.d("down", f"test-{service.name}")
    assert production(engine) == before
    assert not area.exists()


@pytest.mark.parametrize("link", ["outside", "other service"])
def test_link_that_a_container_planted_is_refused(engine: World, link: str) -> None:
    """A source that leads through a link in a directory that containers write to is mounted by nobody."""
    service, own, _ = linked(engine, mount_ro="data/sub/conf:/conf")
    target = engine.root / "outside" if link == "outside" else engine.volumes / "dyt-treasure"
    write(target / "conf/gold", "gold")
    (own / "data/sub").symlink_to(target)
    before, there = production(engine), production(engine, target)
    words = "containers can plant links there"
    for flags in ((), ("-DT", "--no-fg"), ("-P",)):
        refused(engine, service, *flags, exit_code=2, words=words, before=before)
    assert words in engine.d("up", service.name, expect=2).stderr
    assert words in engine.d("check", service.name, expect=1).text
    assert production(engine, target) == there
    assert engine.containers(service.name) == []


def test_nothing_is_made_through_a_planted_link(engine: World) -> None:
    """Volumes and missing sources are not made where a link in production's data leads."""
    service, own, _ = linked(engine, vols=[{"path": "data/sub/new", "contents": "x"}])
    target = engine.root / "elsewhere"
    write(target / "kept", "gold")
    (own / "data/sub").symlink_to(target)
    before = production(engine, target)
    refused(engine, service, exit_code=1, words="cannot be created", before=production(engine))
    assert engine.d("up", service.name, expect=1)
    assert production(engine, target) == before
