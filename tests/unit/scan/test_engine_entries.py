"""What an engine creates in a container's layer: known by all that it is, and by nothing less."""

import grp
import os
import pwd

import pytest

from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.engine.entries import INIT, KEPT_USER, NUMERIC_USER, READ_ONLY, SECRETS, modes_of
from dockyard.engine.models import Container, IdMap, IdRange, kept_user
from dockyard.scan.content import Content
from dockyard.scan.engine_entries import EngineEntries, may_be_created
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, Change
from dockyard.scan.where import Place

STOPPED = Container("0" * 64, "web", "exited", "1" * 64, runtime="crun")
PLACE = Place("/upper", ("/image",), frozenset({"/srv/data", "/etc/app/conf"}))
USER = STOPPED._replace(user="1234:55", working_directory="/", features=frozenset({NUMERIC_USER}))
LINE = b"1234:*:1234:55:container user:/:/bin/sh\n"


def entry(path: str, kind: str = "file", mode: int = 0o700, **facts: object) -> Change:
    """Return a new, empty entry."""
    return Change(path, NEW, kind, mode=mode)._replace(**facts)


def content(added: bytes | None) -> Content:
    """Return what tells that this was added to a file."""
    return Content(lambda _: b"", lambda _: True, lambda _: added)


def is_podmans(
    change: Change, container: Container = STOPPED, place: Place = PLACE, added: bytes | None = None
) -> bool:
    """Return whether podman creates such an entry."""
    return EngineEntries(container, place, PODMAN.entries).has(change, content(added))


@pytest.mark.parametrize(
    "change",
    [
        *[entry(path) for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv")],
        *[entry(path, "directory", 0o755) for path in ("/dev", "/run", "/etc", "/srv", "/srv/data", "/etc/app")],
        entry("/srv/data", "directory", 0o1755),
        entry("/etc/app/conf"),
        entry("/etc/mtab", "link", 0o777, detail=("→ /proc/mounts",), size=12),
    ],
    ids=lambda change: f"{change.path} {change.mode:o}",
)
def test_created_by_podman(change: Change) -> None:
    """Empty mount points, what leads to them, and a link, with the modes of crun."""
    assert is_podmans(change)


@pytest.mark.parametrize(
    "facts",
    [
        {"size": 1},
        {"mode": 0o4700},
        {"mode": 0o755},
        {"owner": (33, 0)},
        {"owner": (0, 33)},
        {"links": 2},
        {"attributes": ("user.payload",)},
        {"what": METADATA},
        {"what": DELETED},
        {"what": EDITED},
        {"kind": "pipe"},
        {"kind": "device"},
        {"kind": "link", "detail": ("→ /etc/shadow",)},
    ],
    ids=str,
)
def test_changed_file(facts: dict[str, object]) -> None:
    """Any difference from what the engine leaves makes a change of a file that it mounts."""
    assert not is_podmans(entry("/etc/hosts")._replace(**facts))


@pytest.mark.parametrize(
    "facts",
    [{"mode": 0o1777}, {"mode": 0o2755}, {"owner": (33, 0)}, {"attributes": ("user.x",)}, {"detail": ("from /app",)}],
    ids=str,
)
def test_changed_directory(facts: dict[str, object]) -> None:
    """A directory that leads to a mount is a change as soon as others may write to it, or it came from elsewhere."""
    assert not is_podmans(entry("/srv", "directory", **{"mode": 0o1755, **facts}))


def test_link_elsewhere() -> None:
    """The table of mounts leads to the kernel's alone."""
    assert not is_podmans(entry("/etc/mtab", "link", 0o777, detail=("→ /app/x",)))
    assert not is_podmans(entry("/etc/mtab", "file", 0o700))


def test_modes_are_those_of_the_runtime() -> None:
    """A mode of another runtime is a change; a runtime that is not known may have any of them."""
    assert not is_podmans(entry("/etc/hosts", mode=0o644))
    assert is_podmans(entry("/etc/hosts", mode=0o644), STOPPED._replace(runtime="runc"))
    assert not is_podmans(entry("/srv", "directory", 0o1755), STOPPED._replace(runtime="/usr/sbin/runc"))
    assert modes_of("runsc", "file") == {0o700, 0o755, 0o644}


def test_engine_matters() -> None:
    """Docker creates none of podman's files; its working directories are no podman's."""
    dockers = EngineEntries(STOPPED._replace(working_directory="/cwd/deep"), PLACE, DOCKER.entries)
    assert not dockers.has(entry("/run/.containerenv"), content(None))
    for path in ("/cwd", "/cwd/deep"):
        assert dockers.has(entry(path, "directory", 0o755), content(None))
        assert not is_podmans(entry(path, "directory", 0o755), STOPPED._replace(working_directory="/cwd/deep"))


@pytest.mark.parametrize(
    ("feature", "path", "kind", "mode"),
    [
        (INIT, "/run/podman-init", "file", 0o700),
        *[(READ_ONLY, p, "directory", 0o1755) for p in ("/var/tmp", "/tmp")],  # noqa: S108
        (SECRETS, "/run/secrets", "directory", 0o1755),
    ],
)
def test_features(feature: str, path: str, kind: str, mode: int) -> None:
    """What the engine creates for an option is a change in a container without that option."""
    assert is_podmans(entry(path, kind, mode), STOPPED._replace(features=frozenset({feature})))
    assert not is_podmans(entry(path, kind, mode))


def test_kernel_tells_while_it_runs() -> None:
    """In a container that runs, only what is mounted covers what the engine has created for it."""
    running = STOPPED._replace(pid=1)
    assert not is_podmans(entry("/etc/hosts"), running)
    assert is_podmans(entry("/etc/hosts"), running, PLACE._replace(mounted=frozenset({"/etc/hosts"})))


def test_owner_is_root_of_the_container() -> None:
    """With mapped users the entries belong to the container's root, and not to the host's."""
    mapped = PLACE._replace(ids=IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 100000, 65536),)))
    assert is_podmans(entry("/etc/hosts", owner=(100000, 100000)), place=mapped)
    assert not is_podmans(entry("/etc/hosts"), place=mapped)


@pytest.mark.parametrize(
    ("path", "added", "expected"),
    [
        ("/etc/passwd", LINE, True),
        ("/etc/group", b"55:x:55:1234\n", True),
        ("/etc/passwd", LINE + b"evil::0:0::/:/bin/sh\n", False),
        ("/etc/passwd", LINE.replace(b"1234:55", b"0:0"), False),
        ("/etc/passwd", LINE.replace(b"*", b""), False),
        ("/etc/group", b"55:x:0:1234\n", False),
        ("/etc/passwd", b"", False),
        ("/etc/passwd", None, False),
    ],
)
def test_line_of_the_user(path: str, added: bytes | None, expected: bool) -> None:
    """Podman appends a numeric user to the image's files: exactly that line, and to nothing else about them."""
    edited = Change(path, EDITED, "file", size=99, mode=0o644)
    assert is_podmans(edited, USER, added=added) is expected

    assert is_podmans(entry(path, mode=0o600, size=40), USER, added=added) is expected
    assert not is_podmans(edited._replace(detail=("mode 0644 → 0666",)), USER, added=added)
    assert not is_podmans(entry(path, mode=0o644, size=40), USER, added=added)
    assert not is_podmans(edited, USER._replace(user="app", features=frozenset()), added=added)
    assert not EngineEntries(USER, PLACE, DOCKER.entries).has(edited, content(added))


@pytest.mark.parametrize(("user", "is_known"), [("1234", True), ("1234:55", False), ("0", False)])
def test_group_of_a_user_without_one(user: str, *, is_known: bool) -> None:
    """Podman 5.4 adds a group of the user's number if the user has no group; newer ones take group 0."""
    edited = Change("/etc/group", EDITED, "file", size=99, mode=0o644)
    container = USER._replace(user=user)
    assert is_podmans(edited, container, added=b"1234:x:1234:1234\n") is is_known


def test_line_of_a_user_whom_the_host_knows() -> None:
    """Newer ones take the name that the host has for him."""
    ours = pwd.getpwuid(os.getuid())
    user = USER._replace(user=f"{ours.pw_uid}")
    line = f"{ours.pw_name}:*:{ours.pw_uid}:0:{ours.pw_gecos.partition(',')[0]}:/:/bin/sh\n".encode()
    edited = Change("/etc/passwd", EDITED, "file", size=99, mode=0o644)
    assert is_podmans(edited, user, added=line)
    assert not is_podmans(edited, USER, added=line)


def test_line_of_the_user_of_the_engine() -> None:
    """A container that keeps the id of a rootless engine's user gets his line, and his group's."""
    ours = pwd.getpwuid(33)
    ids = IdMap(*2 * ((IdRange(0, 1, 33), IdRange(33, 0, 1), IdRange(34, 34, 99)),))
    kept = STOPPED._replace(ids=ids, working_directory="/", features=frozenset({KEPT_USER}))
    for path, line in (
        ("/etc/passwd", f"{ours.pw_name}:*:33:33:{ours.pw_gecos.partition(',')[0]}:/:/bin/sh\n"),
        ("/etc/group", f"{grp.getgrgid(33).gr_name}:x:33:{ours.pw_name}\n"),
    ):
        edited = Change(path, EDITED, "file", size=99, mode=0o644)
        assert is_podmans(edited, kept, added=line.encode())
        assert not is_podmans(edited, kept, added=line.replace("33", "0").encode())
        assert not is_podmans(edited, added=line.encode())
    assert kept_user(ids) == (33, 33)
    assert kept_user(IdMap(*2 * ((IdRange(0, 0, 1), IdRange(1, 1, 99)),))) is None


def test_file_that_cannot_be_read() -> None:
    """It is a change: nothing says that it is the engine's."""

    def fail(_: Change) -> bytes:
        raise FileNotFoundError

    edited = Change("/etc/passwd", EDITED, "file", size=99, mode=0o644)
    unread = Content(lambda _: b"", lambda _: True, fail)
    assert not EngineEntries(USER, PLACE, PODMAN.entries).has(edited, unread)


@pytest.mark.parametrize(
    ("path", "expected"),
    [(path, True) for path in ("/srv", "/srv/data", "/passing", "/etc/hosts", "/proc", "/proc/x")]
    + [(path, False) for path in ("/srv/www", "/etc/passwd", "/procs", "/run/secrets")],
)
def test_names_alone(path: str, expected: bool) -> None:
    """Where an engine lists no more than names, those of its entries say nothing."""
    container = STOPPED._replace(mounts={"/srv/data": "/d"}, tmpfs=frozenset({"/passing"}))
    assert may_be_created(path, container, PODMAN.entries) is expected
