"""What a container may have planted in its data, or does while that is copied: production stays as it is."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockyard import copying, host
from dockyard.copying import opening, replica
from dockyard.copying.walk import Trail
from dockyard.errors import DockyardError
from dockyard.overlay import place_of
from dockyard.plan.values import Copy, CopyExtent, CopyMethod
from tests.unit.copying.conftest import area_of, empty, filled, step_of, twin_of
from tests.unit.copying.pictures import everything, extent_of, picture

LEVELS = 3000
ODD = [b"a,b", b"a:b", b"a\\b", b"a\nb", b"\xff\xfe", b" ", b"-rf", b"*", b"\x1b[2J", b"'\"", b"#", b"\\040"]
walked = pytest.mark.parametrize("method", [CopyMethod.REFLINK, CopyMethod.COPY], ids=lambda method: method.value)


@pytest.fixture
def deep(here: Path) -> Path:
    """Return a base whose production data is deeper than any path is long, with a file at the end."""
    (here / "web/data").mkdir(parents=True)
    current = os.open(here / "web/data", os.O_DIRECTORY)
    for _ in range(LEVELS):
        os.mkdir("down", dir_fd=current)
        below = os.open("down", os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=current))
    os.link("file", "same", src_dir_fd=current, dst_dir_fd=current)
    os.close(current)
    return here


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """Leave this process only a few descriptors more than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("few_descriptors")
@pytest.mark.parametrize("extent", [CopyExtent.DIRECTORIES, CopyExtent.TREE])
def test_a_tree_deeper_than_any_path_is_copied(deep: Path, extent: CopyExtent):
    copying.copy(step_of(deep, CopyMethod.COPY, extent))
    current = os.open(twin_of(deep), os.O_DIRECTORY)
    for _ in range(LEVELS):
        below = os.open("down", os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    names = sorted(os.listdir(current))  # noqa: PTH208
    os.close(current)
    assert names == (["file", "same"] if extent is CopyExtent.TREE else [])
    empty(deep)
    assert list((deep / "TMP/web").iterdir()) == []


@pytest.mark.usefixtures("few_descriptors")
def test_a_tree_deeper_than_any_path_is_unmade(deep: Path, monkeypatch: pytest.MonkeyPatch):
    _fail_at(monkeypatch, os, "symlink", "link")
    current = os.open(deep / "web/data", os.O_DIRECTORY)
    for _ in range(LEVELS):
        below = os.open("down", os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    os.symlink("text", "another", dir_fd=current)
    os.close(current)
    _fail_at(monkeypatch, os, "symlink", "another")
    with pytest.raises(DockyardError, match="down/another: cannot be copied"):
        copying.copy(step_of(deep, CopyMethod.COPY))
    assert list((deep / "TMP/web").iterdir()) == []


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("method", list(CopyMethod), ids=lambda method: method.value)
def test_names_of_any_bytes_are_copied(here: Path, name: bytes, method: CopyMethod):
    """As the name of a file, of the directory that is copied, and of the base that all is in."""
    base = here / os.fsdecode(name)
    source = filled(base)
    (source / os.fsdecode(name)).write_text("odd")
    before = everything(source)
    assert copying.copy(step_of(base, method, or_copy=method is CopyMethod.REFLINK))
    assert extent_of(picture(twin_of(base)), CopyExtent.TREE) == extent_of(before[0], CopyExtent.TREE)
    empty(base)
    assert list((base / "TMP/web").iterdir()) == []
    assert everything(source) == before


def test_no_descriptor_is_left_open(here: Path):
    filled(here)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    for method in CopyMethod:
        copying.copy(step_of(here, method, or_copy=True))
        empty(here)
    copying.copy_facts([f"{here}/web/data", f"{here}/web/data/file"], str(here))
    with pytest.raises(DockyardError):
        copying.copy(step_of(here, CopyMethod.COPY, source="data/pipe"))
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


# ------------------------------------------------------------------------------------------------- special files
def test_pipes_are_made_anew(here: Path):
    source = filled(here)
    copying.copy(step_of(here, CopyMethod.COPY))
    reader = os.open(source / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="No such device or address"):  # nobody reads the copy
            os.open(twin_of(here) / "pipe", os.O_WRONLY | os.O_NONBLOCK)
    finally:
        os.close(reader)


@walked
def test_sockets_and_devices_are_left_out(here: Path, method: CopyMethod):
    filled(here)
    copying.copy(step_of(here, method, or_copy=True))
    assert not {"device", "socket"} & {path.name for path in (twin_of(here) / "sub").iterdir()}


@pytest.mark.parametrize("source", ["data/pipe", "data/sub/device", "data/sub/socket"])
@pytest.mark.parametrize("method", list(CopyMethod), ids=lambda method: method.value)
def test_what_is_neither_a_directory_nor_a_file_is_an_error(here: Path, source: str, method: CopyMethod):
    """And no reader waits for a pipe's writer."""
    filled(here)
    with pytest.raises(DockyardError, match="cannot be copied: it is not a directory or a file"):
        copying.copy(step_of(here, method, source=source))
    assert not (here / "TMP").exists()


def test_directories_of_a_file_are_an_error(here: Path):
    filled(here)
    with pytest.raises(DockyardError, match=r"file: cannot be copied: it is not a directory$"):
        copying.copy(step_of(here, CopyMethod.COPY, CopyExtent.DIRECTORIES, "data/file"))


def test_a_source_that_is_missing_is_an_error(here: Path):
    with pytest.raises(DockyardError, match=r"web/data: cannot be copied to .*: No such file"):
        copying.copy(step_of(here, CopyMethod.COPY))


def test_a_file_that_is_a_device_by_the_time_it_is_read_is_not_opened(here: Path, monkeypatch: pytest.MonkeyPatch):
    """What is opened to read is what was looked at, whatever has its name by then."""
    source = filled(here)
    (source / "alone").write_bytes(b"production")
    read = opening.readable

    def swap(pinned: int) -> int:
        if place_of(pinned).endswith("/alone"):
            (source / "alone").unlink()
            os.mknod(source / "alone", 0o20666, os.makedev(1, 5))  # /dev/zero
        return read(pinned)

    monkeypatch.setattr(opening, "readable", swap)
    copying.copy(step_of(here, CopyMethod.COPY))
    assert (twin_of(here) / "alone").read_bytes() == b"production"


LEASE = """
import fcntl, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(sys.argv[1], "r+")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def leased(here: Path) -> Iterator[Path]:
    """Have another process hold a lease on a file, as file servers do; it never gives it back."""
    source = filled(here)
    argv = (sys.executable, "-c", LEASE, source / "other")
    os.chown(source / "file", 0, 0)  # leases are the owner's; it has three names
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        yield here
        child.kill()


def test_a_file_that_somebody_has_a_lease_on_is_not_waited_for(leased: Path):
    with pytest.raises(DockyardError, match="cannot be copied: a program has a lease on it") as error:
        copying.copy(step_of(leased, CopyMethod.COPY))
    assert error.value.hint == "try again in a minute"


# -------------------------------------------------------------------------------------------- changes while copying
def _before_each_pin(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[], None]) -> None:
    """Change something between the listing of a directory and the look at one of the files in it."""
    take = opening.pin

    def pin(path: str, above: int | None = None, *, follow: bool = False) -> int:
        if path == name:
            monkeypatch.setattr(opening, "pin", take)
            change()
        return take(path, above, follow=follow)

    monkeypatch.setattr(opening, "pin", pin)


def test_a_file_that_has_become_a_link_is_a_link(here: Path, monkeypatch: pytest.MonkeyPatch):
    source = filled(here)
    (here / "secret").write_text("secret")

    def swap() -> None:
        (source / "other").unlink()
        (source / "other").symlink_to(here / "secret")

    _before_each_pin(monkeypatch, "other", swap)
    copying.copy(step_of(here, CopyMethod.COPY))
    assert (twin_of(here) / "other").readlink() == here / "secret"


@pytest.mark.parametrize("becomes", ["nothing", "directory"])
def test_a_file_that_is_gone_is_left_out(here: Path, monkeypatch: pytest.MonkeyPatch, becomes: str):
    source = filled(here)

    def remove() -> None:
        (source / "other").unlink()
        if becomes == "directory":
            (source / "other").mkdir()

    _before_each_pin(monkeypatch, "other", remove)
    copying.copy(step_of(here, CopyMethod.COPY))
    assert not (twin_of(here) / "other").exists()
    assert (twin_of(here) / "sub/same").read_bytes() == b"production"


@pytest.mark.parametrize("becomes", ["nothing", "file", "link"])
def test_a_directory_that_is_gone_is_left_out(here: Path, monkeypatch: pytest.MonkeyPatch, becomes: str):
    source = filled(here)
    (here / "elsewhere").mkdir()
    (here / "elsewhere/secret").touch()
    down = Trail.down

    def vanish(self: Trail, name: str) -> None:
        if name == "empty" and (source / "empty").is_dir() and not (source / "empty").is_symlink():
            (source / "empty").rmdir()
            if becomes == "file":
                (source / "empty").touch()
            if becomes == "link":
                (source / "empty").symlink_to(here / "elsewhere")
        down(self, name)

    monkeypatch.setattr(Trail, "down", vanish)
    copying.copy(step_of(here, CopyMethod.REFLINK, or_copy=True))  # nothing measures it first
    assert not os.path.lexists(twin_of(here) / "empty")
    assert (twin_of(here) / "sub/same").read_bytes() == b"production"


@walked
def test_a_directory_that_is_moved_away_while_we_are_in_it_is_an_error(
    here: Path, monkeypatch: pytest.MonkeyPatch, method: CopyMethod
):
    """Going back up would lead to wherever it was moved: out of the tree, perhaps."""
    source = filled(here)
    (here / "secrets").mkdir()
    (here / "secrets/secret").touch()
    leave = replica.Replica.leave

    def move(self: replica.Replica) -> None:
        leave(self)
        if self.place.endswith("/sub/deep"):
            (source / "sub/deep").rename(here / "secrets/deep")

    monkeypatch.setattr(replica.Replica, "leave", move)
    with pytest.raises(DockyardError, match="web/data/sub/deep: was moved while it was copied"):
        copying.copy(step_of(here, method, or_copy=True))
    assert list((here / "TMP/web").iterdir()) == []


@pytest.mark.parametrize(("size", "expected"), [(3, b"pro"), (20, b"production")])
def test_a_file_that_is_cut_off_or_grows_is_copied_as_far_as_it_goes(
    here: Path, monkeypatch: pytest.MonkeyPatch, size: int, expected: bytes
):
    source = filled(here)
    (source / "alone").write_bytes(b"production")
    read = opening.readable

    def change(pinned: int) -> int:
        if place_of(pinned).endswith("/alone"):
            os.truncate(source / "alone", size)
        return read(pinned)

    monkeypatch.setattr(opening, "readable", change)
    copying.copy(step_of(here, CopyMethod.COPY))
    assert (twin_of(here) / "alone").read_bytes() == expected


# ------------------------------------------------------------------------------------------- links in the test area
@pytest.mark.parametrize("link", ["TMP", "TMP/web", "TMP/web/data"])
@pytest.mark.parametrize("method", list(CopyMethod), ids=lambda method: method.value)
def test_a_link_in_the_test_area_leads_nowhere(here: Path, link: str, method: CopyMethod):
    filled(here)
    (here / "precious").mkdir()
    (here / link).parent.mkdir(parents=True, exist_ok=True)
    (here / link).symlink_to(here / "precious")
    with pytest.raises(DockyardError, match=r"cannot be (made|created)"):
        copying.copy(step_of(here, method))
    assert list((here / "precious").iterdir()) == []


@pytest.mark.parametrize("field", ["path", "layers"])
@pytest.mark.parametrize("place", ["/web/data", "/TMP/web/../../web/data", "/TMP/web2/data", "/TMP"])
def test_a_step_that_leads_out_of_its_test_area_is_a_bug(here: Path, field: str, place: str):
    before = everything(filled(here))
    with pytest.raises(ValueError, match="is not in the test area"):
        copying.copy(step_of(here, CopyMethod.OVERLAY)._replace(**{field: f"{here}{place}"}))
    assert everything(here / "web/data") == before


def test_a_source_that_contains_the_test_area_is_an_error(here: Path):
    filled(here)
    step = Copy(str(here), f"{here}/TMP/web/.root{here}", area_of(here), CopyExtent.TREE, CopyMethod.COPY)
    for extent in (CopyExtent.TREE, CopyExtent.DIRECTORIES):
        with pytest.raises(DockyardError, match="contains the test area"):
            copying.copy(step._replace(extent=extent))
    copying.copy(step._replace(extent=CopyExtent.FILES))
    assert list(Path(step.path).iterdir()) == []


def test_a_source_that_contains_its_own_copy_under_another_name_is_an_error(here: Path):
    source = filled(here)
    (here / "TMP").mkdir()
    (source / "back").mkdir()
    subprocess.run(("mount", "--bind", here / "TMP", source / "back"), check=True)  # noqa: S607
    with pytest.raises(DockyardError, match="contains its own copy"):
        copying.copy(step_of(here, CopyMethod.COPY))
    assert list((here / "TMP/web").iterdir()) == []


@walked
def test_what_is_mounted_in_a_source_is_copied_too(here: Path, method: CopyMethod):
    source = filled(here)
    (here / "disk").mkdir()
    (here / "disk/on-another").write_text("disk")
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", source / "empty"), check=True)  # noqa: S607
    (source / "empty/on-another").write_text("disk")
    before = picture(source)
    copying.copy(step_of(here, method, or_copy=True))
    assert picture(twin_of(here)) == extent_of(before, CopyExtent.TREE)


# --------------------------------------------------------------------------------------------------- being killed
KILL = """
import os, signal, sys
from dockyard import copying
from dockyard.plan.values import Copy, CopyExtent, CopyMethod, EmptyTestArea
base, method, number = sys.argv[1], CopyMethod[sys.argv[2]], int(sys.argv[3])
area = EmptyTestArea(base, "web")
twin, layers = f"{area.path}/data", f"{area.path}/.layers/0"
step = Copy(f"{base}/web/data", twin, area, CopyExtent.TREE, method, layers, or_copy=True)
calls = 0
def count(frame, event, argument):
    global calls
    calls += event == "c_call"
    if calls == number > 0:
        os.kill(os.getpid(), signal.SIGKILL)
copying.copy_facts([step.source], base)  # imports what is imported late
sys.setprofile(count)
copying.copy(step)
sys.setprofile(None)
print(calls)
"""


def _run(base: Path, method: CopyMethod, number: int) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-c", KILL, str(base), method.name, str(number))
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("method", list(CopyMethod), ids=lambda method: method.value)
def test_a_launcher_that_is_killed_at_any_point_leaves_what_the_next_one_removes(here: Path, method: CopyMethod):
    source = filled(here)
    before = everything(source)
    calls = int(_run(here, method, 0).stdout)
    empty(here)
    for number in range(1, calls * 9 // 10, calls // 15):  # a run makes a few calls more or less
        assert _run(here, method, number).returncode == -signal.SIGKILL
        assert everything(source) == before
        host.remove_test_area(area_of(here))
        assert not (here / "TMP").exists() or list((here / "TMP").iterdir()) == []
        assert copying.copy(step_of(here, method, or_copy=True))
        empty(here)
    assert everything(source) == before


# ------------------------------------------------------------------------------------------------ errors on the way
def _fail_at(monkeypatch: pytest.MonkeyPatch, module: object, function: str, place: object) -> None:
    """Have a function fail when it comes to a name."""
    real = getattr(module, function)

    def fail(*arguments: object, **more: object) -> object:
        if place in arguments:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*arguments, **more)

    monkeypatch.setattr(module, function, fail)


@walked
@pytest.mark.parametrize(("function", "name"), [("mkdir", "deep"), ("symlink", "link"), ("mkfifo", "pipe")])
def test_an_error_midway_names_the_file_and_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, method: CopyMethod, function: str, name: str
):
    before = everything(filled(here))
    if function == "symlink":
        _fail_at(monkeypatch, os, function, "file")  # what the link says
    else:
        _fail_at(monkeypatch, os, function, name)
    with pytest.raises(DockyardError, match=r"web/data.*: cannot be copied to .*: Input/output error"):
        copying.copy(step_of(here, method, or_copy=True))
    assert list((here / "TMP/web").iterdir()) == []
    assert everything(here / "web/data") == before


@pytest.mark.parametrize("method", list(CopyMethod), ids=lambda method: method.value)
def test_an_interrupt_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch, method: CopyMethod):
    filled(here)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "utime", interrupt)
    with pytest.raises(KeyboardInterrupt):
        copying.copy(step_of(here, method, or_copy=method is CopyMethod.REFLINK))
    assert [path.name for path in (here / "TMP/web").iterdir() if path.name != ".layers"] == []
    with suppress(FileNotFoundError):
        assert list((here / "TMP/web/.layers").iterdir()) == []


def test_the_group_that_may_not_be_given_is_an_error(here: Path, monkeypatch: pytest.MonkeyPatch):
    """Without root, a copy of what belongs to others would not be one."""
    filled(here)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(DockyardError, match="Operation not permitted") as error:
        copying.copy(step_of(here, CopyMethod.COPY))
    assert error.value.hint == "run it as root"


def test_a_user_copies_what_is_theirs(here: Path):
    """Rootless engines: directories without write permission too, and nothing is left of a copy that fails."""
    here.chmod(0o755)
    source = here / "web/data"
    (source / "closed").mkdir(parents=True)
    (source / "closed/file").write_text("mine")
    (here / "TMP/web").mkdir(parents=True)
    for path in (
        here,
        here / "TMP",
        here / "TMP/web",
        source,
        source / "closed",
        source / "closed/file",
        source.parent,
    ):
        os.chown(path, 65534, 65534)
    (source / "closed").chmod(0o500)
    before = picture(source)
    base = Path(f"/proc/self/fd/{os.open(here, os.O_PATH)}")  # others may not pass through where pytest's files are
    os.setegid(65534)
    os.seteuid(65534)
    try:
        assert copying.copy(step_of(base, CopyMethod.COPY)) is CopyMethod.COPY
        made = picture(twin_of(base))
        empty(base)
        left = list((base / "TMP/web").iterdir())
        refused = copying.copy_facts([f"{base}/web/data"], str(base))[f"{base}/web/data"].overlay_refused
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.close(int(base.name))
    assert (made, left) == (before, [])
    assert refused == "only the host's root can mount an overlay"


def test_fcntl_has_what_we_take_for_granted():
    """The numbers of ioctl(2) that Python 3.11 does not know."""
    from dockyard.copying import data

    assert getattr(fcntl, "FICLONE", data._CLONE) == data._CLONE == 0x40049409  # noqa: SLF001
