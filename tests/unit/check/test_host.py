"""What `d check` says of the host and its engine, once for all services."""

import datetime as dt
import os
import time
from pathlib import Path

import pytest

from dockyard import history
from dockyard.check import host_facts
from dockyard.check.run import Report, run
from dockyard.check.subject import Room
from dockyard.cli.verbs.check import check_all
from dockyard.engine.about import About
from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.models import Image, Row
from tests.unit.check.conftest import EMPTY, IMAGES, Answering, Making

TODAY = dt.date(2026, 1, 1)
GOOD = "image: good:1\nread_only: true\ncap_drop: ALL\nno_new_privileges: true\nmemory: 32m\npids_limit: 20\n"


def service(top: Path, text: str, name: str = "one", dockerfile: str = "") -> str:
    """Write a service and return its name."""
    directory = top / "src" / name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "settings.yaml").write_text(text)
    if dockerfile:
        (directory / "Dockerfile").write_text(dockerfile)
        (directory / "Test").write_text("#!/bin/sh\ncurl web\n")
        (directory / "Test").chmod(0o755)
    return name


def of_host(report: Report) -> list[str]:
    """Return the ids of points about the host."""
    return [point.id for point in report.host if point.counts]


WITHOUT_BUILDX = About("28.5.2", "28.5.2", "/var/lib/docker", has_buildx=False)
BUILT = GOOD.partition("\n")[2]


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (WITHOUT_BUILDX, ["buildx-missing"]),
        (WITHOUT_BUILDX._replace(has_buildx=True), []),
        (WITHOUT_BUILDX._replace(client_version="20.10.24+dfsg1"), []),  # whose own builder is the usual one
        (WITHOUT_BUILDX._replace(has_buildx=None), []),
        (About(), []),
    ],
)
def test_missing_buildx_is_said_once(host: Making, tmp_path: Path, about: About, expected: list[str]) -> None:
    """Whatever number of services are built, it is one point, of the host."""
    yard = host(engine=Answering(about=about))
    for name in ("one", "two"):
        service(tmp_path, BUILT, name, "FROM good:1\n")
    report = run(yard, ["one", "two"], TODAY)
    assert of_host(report) == expected
    assert not {point.id for one in report.services for point in one.points} & set(expected)
    assert report.score == min(one.score for one in report.services)


def test_host_file_accepts_for_the_host(host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An accepted point of the host is not shown; one that is gone is named, as that of a service."""
    file = tmp_path / "check.yaml"
    file.write_text("- {id: buildx-missing, reason: the old builder will do}\n")
    file.chmod(0o644)
    monkeypatch.setenv("DOCKYARD_CHECK", str(file))
    service(tmp_path, BUILT, dockerfile="FROM good:1\n")
    report = run(host(engine=Answering(about=WITHOUT_BUILDX)), ["one"], TODAY)
    assert (of_host(report), len(report.host), report.stale) == ([], 1, ())
    service(tmp_path, GOOD)
    (tmp_path / "src/one/Dockerfile").unlink()
    has_it = Answering(about=WITHOUT_BUILDX._replace(has_buildx=True))
    assert [point.where for point in run(host(engine=has_it), ["one"], TODAY).stale] == [f"{file}:1:3"]


def test_nothing_is_built_without_a_dockerfile(host: Making, tmp_path: Path) -> None:
    service(tmp_path, GOOD)
    assert of_host(run(host(engine=Answering(about=WITHOUT_BUILDX)), ["one"], TODAY)) == []


def test_points_of_the_host_are_among_the_others(host: Making, tmp_path: Path) -> None:
    service(tmp_path, BUILT + "healthcheck: {cmd: 'true'}\n", dockerfile="FROM good:1\n")
    result = check_all(host(engine=Answering(about=WITHOUT_BUILDX)), fail_on="note", sarif=False)
    assert "note: docker has no buildx and uses its legacy builder [buildx-missing]: host" in result.lines
    assert result.exit_code == 1
    assert check_all(host(engine=Answering(about=WITHOUT_BUILDX)), fail_on="note", sarif=True).lines


@pytest.mark.parametrize(
    ("free", "total", "is_little"),
    [(10**9, 10**12, True), (10**9, 10**10, False), (10**11, 10**12, False), (10**8, 10**10, True)],
)
def test_room_is_that_of_the_file_system_with_the_images(  # noqa: PLR0913, PLR0917 - three numbers
    host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, total: int, is_little: bool
) -> None:
    """Docker 29 keeps images in containerd's directory: its data-root may be another file system, with room."""
    asked: list[str] = []

    def room(directory: str) -> Room:
        asked.append(directory)
        return Room(free, total)

    monkeypatch.setattr(host_facts, "_room", room)
    service(tmp_path, GOOD)
    about = NEW._replace(containerd="/run/containerd/containerd.sock")
    monkeypatch.setattr(host_facts, "_CONTAINERD_CONFIGURATION", tmp_path / "config.toml")
    report = run(host(engine=Answering(about=about)), ["one"], TODAY)
    assert asked == ["/var/lib/containerd"]
    assert of_host(report) == (["image-space"] if is_little else [])
    assert not is_little or "outside of docker's data-root" in report.host[0].message


NEW = About("29.7.2", "29.7.2", "/var/lib/docker", has_buildx=True, uses_containerd_store=True)


@pytest.mark.parametrize(
    ("text", "socket", "expected"),
    [
        ("", "/run/containerd/containerd.sock", "/var/lib/containerd"),
        ('version = 2\nroot = "/srv/containerd"\n', "/run/containerd/containerd.sock", "/srv/containerd"),
        ("#root = '/srv/other'\n", "/run/containerd/containerd.sock", "/var/lib/containerd"),
        ("", "/var/run/docker/containerd/containerd.sock", "/var/lib/docker/containerd/daemon"),
    ],
)
def test_images_of_the_containerd_store_are_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, socket: str, expected: str
) -> None:
    """Not below docker's data-root, unless docker has started containerd itself."""
    monkeypatch.setattr(host_facts, "_CONTAINERD_CONFIGURATION", tmp_path / "config.toml")
    (tmp_path / "config.toml").write_text(text)
    assert host_facts.image_directory(NEW._replace(containerd=socket)) == expected
    assert host_facts.image_directory(NEW._replace(uses_containerd_store=False)) == "/var/lib/docker"


def test_room_is_asked_of_the_kernel(tmp_path: Path) -> None:
    """A directory that is not there, or may not be seen, is no point."""
    found = host_facts._room(str(tmp_path))  # noqa: SLF001
    assert found
    assert 0 < found.free <= found.total
    assert host_facts._room(str(tmp_path / "missing")) is None  # noqa: SLF001


def test_insecure_daemon_is_said(host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service(tmp_path, GOOD)
    for value, expected in (("1", ["ports-of-loopback-open"]), ("0", [])):
        environment = {"DOCKER_INSECURE_NO_IPTABLES_RAW": value}
        monkeypatch.setattr(host_facts, "_daemon_environment", lambda _, found=environment: found)
        assert of_host(run(host(engine=Answering()), ["one"], TODAY)) == expected


def test_network_that_protects_nothing_is_said(host: Making, tmp_path: Path) -> None:
    service(tmp_path, f"{GOOD}network: open\n")
    (judged,) = run(host(engine=Answering()), ["one"], TODAY).services
    assert [point.where for point in judged.open if point.id == "network-unprotected"] == ["src/one/settings.yaml:7"]
    service(tmp_path, f"{GOOD}network: fleet\n")
    (judged,) = run(host(engine=Answering()), ["one"], TODAY).services
    assert "network-unprotected" not in {point.id for point in judged.open}


@pytest.mark.parametrize(
    ("version", "dialect", "expected"),
    [
        ("5.8.0", PODMAN, ["podman-half-migrated"]),
        ("5.8.0-rc1", PODMAN, ["podman-half-migrated"]),
        ("5.8.1", PODMAN, []),
        ("4.3.1", PODMAN, []),
        ("5.8.0", DOCKER, []),
    ],
)
def test_podman_that_migrates_half_way_is_said(
    host: Making, tmp_path: Path, version: str, dialect: Dialect, expected: list[str]
) -> None:
    service(tmp_path, GOOD)
    assert of_host(run(host(engine=Answering(dialect, about=About(version))), ["one"], TODAY)) == expected


@pytest.mark.parametrize(
    ("settings", "limit", "is_said"),
    [
        ("image: quay.io/elasticsearch:9", 1024, True),
        ("image: quay.io/elasticsearch:9", 1048576, False),
        ("image: quay.io/elasticsearch:9", None, False),
        ("image: quay.io/elasticsearch:9\nulimits: nofile=65535", 1024, False),
        ("image: quay.io/elasticsearch:9\nextra_docker: --ulimit nofile=65535", 1024, False),
        ("image: quay.io/elasticsearch:9\nulimits: nproc=10", 1024, True),
        ("image: quay.io/web:9", 1024, False),
    ],
)
def test_programs_that_want_more_open_files_are_known(  # noqa: PLR0913, PLR0917
    host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, limit: int | None, is_said: bool
) -> None:
    """1024 is what containers get since containerd 2.1.5: a database fails there under load, and not in a Test."""
    monkeypatch.setattr(host_facts, "default_open_files", lambda _: limit)
    service(tmp_path, f"{settings}\n")
    (judged,) = run(host(engine=Answering()), ["one"], TODAY).services
    (said,) = [point for point in judged.open if point.id == "open-files"] or [None]
    assert bool(said) == is_said
    assert not said or said.write == "ulimits: nofile=65535"


def test_users_are_those_of_the_latest_image_before_one_is_live(
    host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that was built and never promoted: its user is known, whichever tag its image has."""
    (tmp_path / "layer/etc").mkdir(parents=True)
    (tmp_path / "layer/etc/passwd").write_text("app:x:1234:1234::/:/bin/sh\n")
    built = Image("9" * 64, user="app", layers=(str(tmp_path / "layer"),))
    directory = tmp_path / "src/one"
    directory.mkdir(parents=True)
    (directory / "settings.yaml").write_text("mount_rw: data:/data\n")
    (directory / "Dockerfile").write_text("FROM good:1\nUSER app\n")

    def notes() -> list[str]:
        (judged,) = run(host(), ["one"], dt.date(2026, 1, 1)).services
        return [point.message for point in judged.open if point.id == "launch-note"]

    note = "user `app` is not in files/etc/passwd, and there is no image yet: what is created for it belongs to root"
    assert notes() == [note]
    monkeypatch.setitem(IMAGES, "ktools/one:latest", built)
    assert notes() == []
    monkeypatch.setitem(IMAGES, "ktools/one:latest", built._replace(layers=EMPTY))
    assert [text.split(":")[0] for text in notes()] == ["user `app` is neither in files/etc/passwd nor in the image"]


# ------------------------------------------------------------------------------------------------------------ operation
def test_little_room_for_data_is_said_once_for_a_file_system(
    host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all services that keep data there, and not if there is room."""
    names = ["one", "two"]
    for name in names:
        (tmp_path / "vol" / name / "data").mkdir(parents=True)
        service(tmp_path, f"{GOOD}mount_rw: data:/data\n", name)
    for free, expected in ((10**8, ["data-space"]), (10**11, [])):
        monkeypatch.setattr(host_facts, "_room", lambda _, free=free: Room(free, 10**12))
        report = run(host(), names, TODAY)
        assert [id_ for id_ in of_host(report) if id_ == "data-space"] == expected
        for point in (one for one in report.host if one.id == "data-space"):
            assert f"`{tmp_path}/vol/one/data`" in point.message


@pytest.mark.parametrize(
    ("text", "days", "expected"),
    [
        ("", None, "no backup of the services' data is configured"),
        ("backup: {}\n", None, "`{}`, which each backup changes, does not exist"),
        ("backup: {}\n", 1.5, ""),
        ("backup: {}\n", 3.2, "the last backup was 3 days ago, according to `{}`"),
        ("backup: {}\nbackup_max_age: 8\n", 3.2, ""),
    ],
)
def test_a_backup_is_known_by_what_it_changes(  # noqa: PLR0913, PLR0917 - a host and its backups
    host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, days: float | None, expected: str
) -> None:
    """A file or a directory of the host file's: its time, or that of the newest in it."""
    (tmp_path / "vol/one/data").mkdir(parents=True)
    service(tmp_path, f"{GOOD}mount_rw: data:/data\n")
    snapshots = tmp_path / "snapshots"
    monkeypatch.setenv("DOCKYARD_HOST", str(tmp_path / "host.yaml"))
    (tmp_path / "host.yaml").write_text(text.format(snapshots))
    if days is not None:
        snapshots.mkdir()
        (snapshots / "newest").touch()
        for path, age in ((snapshots, days + 1), (snapshots / "newest", days)):
            os.utime(path, (time.time() - age * 86400,) * 2)
    said = [point.message for point in run(host(), ["one"], TODAY).host if point.id == "no-backup"]
    assert said == [expected.format(snapshots)] * bool(expected)


def test_a_host_without_data_needs_no_backup(host: Making, tmp_path: Path) -> None:
    service(tmp_path, GOOD)
    assert of_host(run(host(), ["one"], TODAY)) == []


@pytest.mark.parametrize(
    ("settings", "stops", "is_said"),
    [
        ("", [10250, 10400], True),
        ("", [10250], False),  # one may have been slow by chance
        ("", [10250, 300, 10400], False),
        ("", [300, 10250, 10400, 10300], False),
        ("", [10250, 10400, 10300, 300], True),  # it ended well before, long ago
        ("stop_timeout: 30\n", [10250, 10400], False),
        ("stop_timeout: 30\n", [30100, 30400], True),
        ("stop_timeout: 0\n", [200, 300], False),  # it is killed at once, on purpose
    ],
)
def test_a_container_that_never_ends_by_itself_is_known_from_the_history(
    host: Making, tmp_path: Path, settings: str, stops: list[int], is_said: bool
) -> None:
    """`stops` are milliseconds, the newest first."""
    yard = host()
    service(tmp_path, GOOD + settings)
    for milliseconds in reversed(stops):
        history.record("one", "upgrade", "ok", stop_ms=milliseconds)
    history.record("one", "build", "ok")
    (judged,) = run(yard, ["one"], TODAY).services
    assert ("killed-at-stop" in {point.id for point in judged.open}) == is_said


def test_a_stop_that_is_known_to_be_a_kill_counts_whatever_it_took(host: Making, tmp_path: Path) -> None:
    yard = host()
    service(tmp_path, GOOD)
    history.record("one", "upgrade", "ok", stop_ms=900, killed=True)
    history.record("one", "stop", "ok", killed=True)
    (judged,) = run(yard, ["one"], TODAY).services
    assert "killed-at-stop" in {point.id for point in judged.open}
    history.record("one", "stop", "ok")
    (judged,) = run(yard, ["one"], TODAY).services
    assert "killed-at-stop" not in {point.id for point in judged.open}


@pytest.mark.parametrize(
    ("base", "has_test", "is_offline", "hints"),
    [
        ("good:1", True, False, []),
        ("good:1", False, False, ["write ./Test"]),
        ("good:1@sha256:" + "1" * 64, False, False, ["write ./Test"]),
        ("good:1", True, True, ["remove it from the host file"]),
        ("ktools/below:live", False, False, []),
    ],
)
def test_a_base_is_updated_if_a_test_can_pass(  # noqa: PLR0913, PLR0917 - fixtures and a row
    host: Making,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    has_test: bool,
    is_offline: bool,
    hints: list[str],
) -> None:
    service(tmp_path, BUILT, dockerfile=f"FROM {base}\n")
    if not has_test:
        (tmp_path / "src/one/Test").unlink()
    monkeypatch.setenv("DOCKYARD_OFFLINE", str(is_offline).lower())
    (judged,) = run(host(), ["one"], TODAY).services
    assert [point.hint for point in judged.open if point.id == "base-never-updated"] == hints


@pytest.mark.parametrize(
    ("base", "is_said"),
    [
        ("good", True),
        ("good:latest", True),
        ("good:1", False),
        ("good@sha256:" + "1" * 64, False),
        ("good:latest@sha256:" + "1" * 64, False),
        ("localhost/ktools/below", False),
    ],
)
def test_a_base_is_pinned_by_a_tag_or_a_digest(host: Making, tmp_path: Path, base: str, is_said: bool) -> None:
    service(tmp_path, BUILT, dockerfile=f"FROM {base}\n")
    (judged,) = run(host(), ["one"], TODAY).services
    assert ("dockerfile-unpinned-base" in {point.id for point in judged.open}) is is_said


def test_a_container_whose_service_is_gone_is_said(host: Making, tmp_path: Path) -> None:
    """Not one under test, nor one that belongs to no service, nor one that is down."""
    engine = Answering()
    engine.containers_there = [
        Row("gone", "gone", "running", "gone", "prod"),
        Row("one", "one", "running", "one", "prod"),
        Row("test-gone", "test-gone", "running", "gone", "test"),
        Row("foreign", "foreign", "running"),
        Row("down", "down", "exited", "down", "prod"),
    ]
    report = run(host(engine=engine), [service(tmp_path, GOOD)], TODAY)
    (point,) = [point for point in report.host if point.id == "orphan"]
    assert point.message == "container `gone` is up, but the directory of its service is gone"
    assert point.hint.startswith("move it to the service that replaces it with `d adopt gone NEW`")
