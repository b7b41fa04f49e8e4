"""Production's data under test: a Test works on a copy, and production stays as it is, byte for byte."""

import json
import os
import shutil
import signal
import stat
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.engines.hostile import (
    NOT_PRODUCTION,
    Listeners,
    Report,
    attack_argv,
    fingerprint,
    looks,
    nothing_left,
    plant,
    production,
    python_mounts,
)
from tests.engines.world import BASE, FROM_BASE, IDLE, PROGRAMS, Record, World, mounted_below, wait_for, write
from tests.missing import missing

HEAD = (
    "#!/usr/bin/env dockyard-python\nimport json, os, pathlib, time\nfrom dockyard.testing import Container, main\n\n"
)

ON_FILES = {"write", "append", "punch", "write_mapped", "reopen", "truncate", "hard link"}
ON_DIRECTORIES = {
    "setuid",
    "nameless file",
    "mkdir",
    "mkfifo",
    "mknod",
    "listen",
    "symlink",
    "exchange",
    "rm -rf",
    "mark",
}
ON_ALL = {"chmod", "chown", "times", "xattr", "acl", "capability"}
TOUCHES_OTHERS = {"connect", "fifo", "device", "disk", "mount", "remount", "unmount"}

READ_ONLY = ("/ro", "/ro-file", "/ro-deep", "/ro-foreign", "/seen", "/seen-other")
NESTED = ("/rw-deep", "/rw-file", "/all-deep", "/all-file")
WITH_FILES = ("/all-deep", "/all-other", "/all-foreign", "/all", "/flat")
EMPTY = ("/rw-deep", "/rw-other", "/rw-foreign", "/rw", "/log", "/probe", "/frame")
FILES = ("/rw-file", "/all-file", "/one")


def python_test(body: str) -> str:
    """Return a Test in Python with the library."""
    return f"{HEAD}{textwrap.dedent(body)}\nmain()\n"


class Victim(NamedTuple):
    """A service with every kind of mount, and what else its data are: another service's, and a foreign directory."""

    service: Path
    other: Path
    foreign: Path
    own: Path

    @property
    def copied(self) -> list[Path]:
        """The trees of production that tests get copies of."""
        own = [self.own / name for name in ("all", "flat", "frame")]
        return [*own, self.other / "copied", self.foreign / "copied"]


def victim(engine: World, **settings: Any) -> Victim:  # noqa: ANN401 - settings
    """Make a service with every kind of mount over production that holds everything."""
    name = f"dyt-{next(engine.numbers):03}"
    other, foreign = engine.volumes / f"{name}-other", engine.root / f"{name}-foreign"
    own = engine.volumes / name
    treasure = other / "treasure"
    treasure.mkdir(parents=True)
    trees = [own / tree for tree in ("ro", "rw", "seen", "flat", "frame", "all", "log", "probe")]
    for tree in (*trees, other / "shared", other / "seen", other / "copied"):
        plant(tree, treasure)
    for tree in ("shared", "ro", "copied"):
        plant(foreign / tree, treasure)
    write(own / "one", "a file of its own")
    mounts = {
        "mount_ro": ["ro:/ro", "ro/plain:/ro-file", "ro/deep:/ro-deep", f"{foreign}/ro:/ro-foreign", *python_mounts()],
        "mount_rw": ["rw:/rw", "rw/deep:/rw-deep", "rw/plain:/rw-file", f"{other}/shared:/rw-other",
                     f"{foreign}/shared:/rw-foreign"],
        "mount_persistent_test_ro": ["seen:/seen", f"{other}/seen:/seen-other"],
        "mount_persistent_test_copy": "flat:/flat",
        "mount_persistent_test_copy_tree": "frame:/frame",
        "mount_persistent_test_copy_files": ["all:/all", "all/deep:/all-deep", "all/plain:/all-file", "one:/one",
                                             f"{other}/copied:/all-other", f"{foreign}/copied:/all-foreign"],
        "mount_logs": "log:/log",
        "mount_test_only": "probe:/probe",
    }  # fmt: skip
    service = engine.service({"cmd": IDLE, "cap_add": "MKNOD", **mounts, **settings}, name=name)
    return Victim(service, other, foreign, own)


def assert_wrecked(report: Report) -> None:
    """Assert that the attack got all it could of what was the Test's own, and nothing of what was not."""
    for top in READ_ONLY:
        assert report.worked(top) <= NOT_PRODUCTION, top
    for top in (*WITH_FILES, *EMPTY, *FILES):
        assert not report.worked(top) & TOUCHES_OTHERS, top
    for top in WITH_FILES:
        assert report.worked(top) >= ON_FILES | ON_DIRECTORIES | ON_ALL, top
    for top in EMPTY:
        assert report.worked(top) >= ON_DIRECTORIES | {"chmod", "chown", "times", "acl"}, top
    for top in FILES:
        assert report.worked(top) >= {"write", "append", "truncate", "chmod", "chown", "mark"}, top


@pytest.mark.parametrize("method", ["auto", "overlay", "copy"])
def test_hostile_test_harms_nothing(engine: World, method: str, record_property: Record) -> None:
    """A Test that wrecks all its mounts in every way there is: the hash of production is the same before and after."""
    made = victim(engine, test_copy=method)
    told = engine.root / "report"
    told.unlink(missing_ok=True)
    targets = [*NESTED, *(top for top in (*WITH_FILES, *EMPTY, *FILES) if top not in NESTED), *READ_ONLY]
    whole = [top for top in (*WITH_FILES, *EMPTY) if top not in NESTED]
    test = python_test(f"""
        def test_wreck(container: Container) -> None:
            is_mounted = os.path.ismount(container.volume("/all"))
            assert is_mounted is {method == "overlay"} or {method == "auto"}  # auto: what the file system can do
            pathlib.Path({str(told)!r}).write_text(container.exec(*{attack_argv(targets)!r}))
            for top in {whole!r}:
                place = container.volume(top)
                assert [(found.name, found.read_text()) for found in place.iterdir()] == [("wrecked", "wrecked")]
            assert container.volume("/one").read_text() == "wrecked"
    """)
    write(made.service / "Test", test, mode=0o755)
    write(made.service / "Dockerfile", FROM_BASE)
    write(made.service / "files/version", "1")
    with ExitStack() as stack:
        listeners = Listeners(stack, made.copied)
        before = production(engine, made.foreign)
        if method == "auto":
            engine.d_build(made.service, "-t")
        else:
            engine.d_build(made.service)
            assert "passed" in engine.d("test", made.service.name).stdout
        assert production(engine, made.foreign) == before
        assert listeners.heard() == []
    report = Report.read(told.read_text())
    assert_wrecked(report)
    assert nothing_left(engine, made.service)
    record_property(
        "figure",
        f"{engine.engine} hostile Test, test_copy {method}: {report.tried} attacks on {len(targets)} mounts, "
        f"{report.done} got through to the Test's own data; {before.count} of production's files as before",
    )


@pytest.mark.parametrize(
    ("flags", "name", "capability"),
    [(("-D", "--no-fg"), "dev", "MKNOD"), (("-DT", "--no-fg"), "test", "SYS_ADMIN")],
    ids=["dev", "SYS_ADMIN"],
)
def test_hostile_instance_harms_nothing(engine: World, flags: tuple[str, ...], name: str, capability: str) -> None:
    """Neither a development instance nor one that may mount changes what overlays stand in front of."""
    made = victim(engine, image=BASE, extra_docker=f"--cap-add {capability}", test_copy="overlay")
    targets = ("/all-other", "/all-foreign", "/all", "/flat", "/rw", "/log", "/probe")
    with ExitStack() as stack:
        listeners = Listeners(stack, made.copied)
        before = production(engine, made.foreign)
        engine.d_run(made.service, *flags)
        container = f"{name}-{made.service.name}"
        report = Report.read(engine.call("exec", container, *attack_argv(targets)))
        engine.d("down", container)
        assert production(engine, made.foreign) == before
        assert listeners.heard() == []
    for top in targets[:4]:
        assert report.worked(top) >= ON_FILES | ON_DIRECTORIES | ON_ALL, top
        assert ("trusted xattr" in report.worked(top)) is (capability == "SYS_ADMIN")
    assert nothing_left(engine, made.service)


def test_links_planted_between_launches_lead_nowhere(engine: World) -> None:
    """Directories swapped for links into production, by a Test or by hand: the next instance has its own data."""
    service = engine.idle(
        mount_rw=["data:/data", "data/sub:/sub"],
        mount_persistent_test_copy_files=["all:/all", "all/sub:/all-sub"],
        test_copy="overlay",
    )
    own, area = engine.volumes / service.name, engine.volumes / "TMP" / service.name
    for name in ("data/sub/gold", "all/sub/gold", "gold"):
        write(own / name, "gold")
    before, name = production(engine), f"test-{service.name}"
    engine.d_run(service, "-DT", "--no-fg")
    swap = f"mv sub away; ln -s {own} sub; ln -s {own} link"
    engine.inside(name, f"cd /data; {swap}; cd /all; {swap}")
    engine.call("kill", name)
    engine.d_run(service, "-DT", "--no-fg")
    assert engine.inside(name, "ls -A /data /sub /all /all-sub").split() == [
        "/all:", "sub", "/all-sub:", "gold", "/data:", "sub", "/sub:"]  # fmt: skip
    engine.inside(name, "echo mine >/sub/gold; echo mine >/all-sub/gold; echo mine >/data/gold; rm -rf /all/*")
    engine.call("kill", name)
    wait_for(lambda: not engine.container_id(name), "the end of the instance")
    (area / "data").rename(area / "away")
    (area / "data").symlink_to(own / "data")
    (area / "link").symlink_to(own)
    engine.d_run(service, "-DT", "--no-fg")
    engine.inside(name, "rm -rf /data/* /all/sub/*; echo mine >/data/gold")
    engine.d("down", name)
    assert production(engine) == before
    assert nothing_left(engine, service)


@pytest.mark.matrix
@pytest.mark.parametrize("method", ["overlay", "copy"])
def test_copies_are_like_production(engine: World, method: str) -> None:
    """Each kind of copy holds what it says, with owners, modes, times, attributes and access lists; the rest is not."""
    made = victim(engine, image=BASE, test_copy=method)
    engine.d_run(made.service, "-DT", "--no-fg")
    area = engine.volumes / "TMP" / made.service.name
    left_out = {stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK} if method == "copy" else set()

    def expected(tree: str, *, files: bool = True, directories: bool = True) -> dict[bytes, tuple[Any, ...]]:
        found = {name: facts for name, facts in looks(made.own / tree).items() if facts[0][0] not in left_out}
        kinds = {name: facts[0][0] == stat.S_IFDIR for name, facts in found.items()}
        return {
            name: facts
            for name, facts in found.items()
            if name == b"."
            or (kinds[name] and directories)
            or (not kinds[name] and files and (directories or b"/" not in name))
        }

    assert looks(area / "all") == expected("all")
    assert looks(area / "flat") == expected("flat", directories=False)
    assert looks(area / "frame") == expected("frame", files=False)
    assert looks(area / "one") == expected("one")
    assert len(expected("all")) > len(expected("frame", files=False)) + len(expected("flat", directories=False))
    second = {(area / "all" / name).stat().st_ino for name in ("plain", "deep/second name")}
    assert len(second) == 1
    assert (area / "all/sparse").stat().st_blocks * 512 < 1 << 19
    assert bool(mounted_below(area)) is (method == "overlay")


SEES = python_test("""
    def test_data(container: Container) -> None:
        place = container.volume("/data")
        assert container.exec("cat", "/data/a") == "production"
        assert sorted(found.name for found in place.iterdir()) == ["a", "b"]
        container.exec("sh", "-c", "echo changed >/data/a; rm /data/b; mkdir /data/new; echo new >/data/new/c")
        assert (place / "a").read_text() == "changed\\n"
        assert not (place / "b").exists()
        container.expect_host_file(place / "new/c", contains="new")
""")


@pytest.mark.matrix
@pytest.mark.parametrize("method", ["overlay", "copy"])
def test_test_works_on_its_copy(engine: World, method: str) -> None:
    """A Test sees production's data, changes it, sees that on the host; the next Test starts afresh."""
    service = engine.idle(mount_persistent_test_copy_files="data:/data", test_copy=method)
    write(service / "Test", SEES, mode=0o755)
    for name in ("a", "b"):
        write(engine.volumes / service.name / "data" / name, "production")
    before = production(engine)
    for _ in range(2):
        assert "1 passed" in engine.run("./Test", "-r", cwd=service).text
        assert production(engine) == before
        assert nothing_left(engine, service)


def copying(engine: World, **settings: Any) -> Path:  # noqa: ANN401 - settings
    """Make a service whose instances under test get an overlay of a directory with one file."""
    everything = {"mount_persistent_test_copy_files": "data:/data", "test_copy": "overlay", **settings}
    service = engine.idle(**everything)
    write(engine.volumes / service.name / "data/a", "production")
    return service


def test_foreground_instance_takes_its_data_with_it(engine: World) -> None:
    """A development instance that ends by itself sees production's data, and leaves nothing mounted."""
    service = copying(engine, cmd=["sh", "-c", "cat /data/a; echo x >/data/a; exit 3"])
    before = production(engine)
    assert engine.d_run(service, "-D", expect=3).stdout == "production"
    assert production(engine) == before
    assert nothing_left(engine, service)


def test_down_takes_the_data_along(engine: World) -> None:
    """`d down` of a test instance unmounts its data and removes them."""
    service = copying(engine)
    before = production(engine)
    engine.d_run(service, "-DT", "--no-fg")
    engine.inside(f"test-{service.name}", "echo x >/data/a")
    assert mounted_below(engine.volumes) == [f"{engine.volumes}/TMP/{service.name}/data"]
    engine.d("down", f"test-{service.name}")
    assert production(engine) == before
    assert nothing_left(engine, service)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("argv", [("./Test", "-r"), (str(PROGRAMS / "d-run"), "-DT")], ids=["Test", "d-run"])
def test_killed_while_the_copy_is_there(engine: World, argv: tuple[str, ...], number: signal.Signals) -> None:
    """SIGTERM cleans up at once; after SIGKILL the next Test passes and cleans up."""
    service = copying(engine)
    mark = engine.root / "mark"
    mark.unlink(missing_ok=True)
    waits = f'pathlib.Path("{mark}").touch()\n        while pathlib.Path("{mark}").exists(): time.sleep(0.1)'
    body = f"""
    def test_wait(container: Container) -> None:
        container.exec("sh", "-c", 'test "$(cat /data/a)" = production && echo x >/data/a')
        {waits}
    """
    write(service / "Test", python_test(body), mode=0o755)
    before = production(engine)
    with engine.start(*argv, cwd=service) as process:
        try:
            wait_for(
                lambda: mark.exists() or (argv[0] != "./Test" and engine.is_up(f"test-{service.name}")), "it is up"
            )
            assert mounted_below(engine.volumes)
            process.send_signal(number)
            assert process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if number is signal.SIGTERM:
        wait_for(lambda: nothing_left(engine, service), "the end of all")
    write(service / "Test", python_test(body.replace(waits, "")), mode=0o755)
    assert "1 passed" in engine.run("./Test", "-r", cwd=service).text
    assert nothing_left(engine, service)
    assert production(engine) == before


def test_dry_run_mounts_nothing(engine: World) -> None:
    """A dry run, with or without --explain, makes and mounts nothing."""
    made = victim(engine, image=BASE)
    before, there = production(engine, made.foreign), sorted(engine.volumes.iterdir())
    for flags in (("-DT", "-t"), ("-D", "-t"), ("-DT", "--explain"), ("-DT", "-t", "--explain", "--json")):
        engine.d_run(made.service, *flags)
    engine.d("check", made.service.name)
    assert production(engine, made.foreign) == before
    assert sorted(engine.volumes.iterdir()) == there
    assert not mounted_below(engine.root)


@pytest.mark.parametrize("method", ["overlay", "copy"])
def test_pasted_dry_run_makes_the_same(engine: World, method: str) -> None:
    """What `d-run -DT -t` prints, pasted into a shell, makes the same mounts of the same content."""
    made = victim(engine, image=BASE, test_copy=method)
    area, name = engine.volumes / "TMP" / made.service.name, f"test-{made.service.name}"
    before = production(engine, made.foreign)

    def found() -> tuple[Any, ...]:
        # What is made new has the time at which it is made, and what leaves out a socket has it too.
        content = {path: (*facts[:2], *facts[3:]) for path, facts in looks(area).items()}
        shown = {path: facts for path, facts in content.items() if not path.startswith(b".layers")}
        mounts = [(mount["Source"], mount["Destination"], mount["RW"]) for mount in engine.inspect(name)["Mounts"]]
        times = [facts[2] for path, facts in looks(area / "all").items() if path != b"."]
        return shown, sorted(mounts), sorted(mounted_below(area)), times

    engine.d_run(made.service, "-DT", "--no-fg")
    mine = found()
    engine.d("down", name)
    engine.run("sh", "-e", stdin=engine.d_run(made.service, "-DT", "--no-fg", "-t").stdout)
    assert found() == mine
    engine.d("down", name)
    assert production(engine, made.foreign) == before
    assert nothing_left(engine, made.service)


def test_explain_names_the_method(engine: World) -> None:
    """--explain says of each copied directory how it is copied and why; a dry run's too."""
    for method, reason in (("overlay", "set by test_copy"), ("copy", "set by test_copy")):
        service = copying(engine, test_copy=method)
        source = engine.volumes / service.name / "data"
        told = engine.d_run(service, "-DT", "--explain").stdout
        assert f"copy of {source}  {method}  ({reason})" in told
        rows = json.loads(engine.d_run(service, "-DT", "-t", "--explain", "--json").stdout)["settings"]
        assert {"key": f"copy of {source}", "value": method, "source": reason} in rows


def test_second_instance_does_not_empty_the_first_ones_data(engine: World) -> None:
    """An instance of another name is refused while the first uses the test area; its data stay."""
    service = copying(engine)
    engine.d_run(service, "-DT", "--no-fg")
    first = f"test-{service.name}"
    engine.inside(first, "echo mine >/data/mine")
    for arguments in (("-DT", "--no-fg", "-n", f"{service.name}-x"), ("-DT", "-n", f"{service.name}-x")):
        done = engine.d_run(service, *arguments, expect=1)
        assert f"`{first}` is up and uses" in done.stderr
    write(service / "Test", SEES, mode=0o755)
    assert "is up and uses" in engine.run("./Test", "-r", "-n", f"{service.name}-x", cwd=service, expect=1).stderr
    assert engine.inside(first, "cat /data/mine") == "mine\n"
    assert engine.containers(service.name) == [first]


@contextmanager
def mounted(engine: World, place: Path, *argv: str) -> Iterator[Path]:
    """Have something mounted for a while."""
    place.mkdir()
    try:
        engine.run("mount", *argv, str(place))
        yield place
    finally:
        engine.begin_removal()
        engine.settle()
        for point in [*reversed(mounted_below(place)), str(place)]:
            engine.run("umount", "-l", point, expect=None)
        place.rmdir()


def test_full_disk_is_refused_before_anything_is_written(engine: World) -> None:
    """A real copy that would fill the disk is refused, says how much it takes, and writes nothing."""
    service = engine.idle(mount_persistent_test_copy_files="data:/data", test_copy="copy")
    with mounted(engine, engine.root / "small", "-t", "tmpfs", "-o", "size=4m", "none") as small:
        data = small / service.name / "data"
        for number in range(3):
            write(data / f"deep/{number}", "x" * (1 << 20))
        before, free = fingerprint(small / service.name), os.statvfs(small).f_bavail
        where = {"DOCKER_VOL_BASE": str(small)}
        done = engine.d_run(service, "-DT", "--no-fg", env=where, expect=1)
        assert f"a copy of `{data}` takes 3.0 MiB" in done.stderr
        assert "test_copy: overlay" in done.stderr
        assert not list(small.glob("TMP/*"))
        assert os.statvfs(small).f_bavail >= free - 1  # TMP itself
        assert engine.containers(f"test-{service.name}") == []
        assert fingerprint(small / service.name) == before


def test_reflinks_take_no_room(engine: World, record_property: Record) -> None:
    """Where files can share blocks, they do: the copy takes no room, and what a test changes is not production's."""
    if not shutil.which("mkfs.xfs", path="/usr/sbin:/sbin:/usr/bin"):
        missing("mkfs.xfs is not installed: `make test` installs it")
    service = engine.idle(mount_persistent_test_copy_files="data:/data")
    disk, size = engine.root / "disk", 16 << 20
    with disk.open("wb") as file:
        file.truncate(512 << 20)
    engine.run("mkfs.xfs", "-q", "-f", "-m", "reflink=1", str(disk))
    with mounted(engine, engine.root / "xfs", "-o", "loop", str(disk)) as base:
        data = base / service.name / "data"
        data.mkdir(parents=True)
        (data / "large").write_bytes(os.urandom(1 << 20) * (size >> 20))
        os.sync()
        before, free = fingerprint(base / service.name), os.statvfs(base)
        where = {"DOCKER_VOL_BASE": str(base)}
        told = engine.d_run(service, "-DT", "--explain", env=where).stdout
        assert f"copy of {data}  reflink  (the file system shares blocks)" in told
        engine.d_run(service, "-DT", "--no-fg", env=where)
        os.sync()
        taken = (free.f_bfree - os.statvfs(base).f_bfree) * free.f_frsize
        assert taken < size // 8
        assert not mounted_below(base)
        engine.inside(f"test-{service.name}", "cd /data && printf changed | dd of=large conv=notrunc && rm -f other")
        twin = base / "TMP" / service.name / "data/large"
        assert twin.read_bytes()[:7] == b"changed"
        assert fingerprint(base / service.name) == before
        engine.d("down", f"test-{service.name}", env=where)
        assert not list(base.glob("TMP/*"))
    disk.unlink()
    record_property("figure", f"{engine.engine} reflink: a copy of {size >> 20} MiB takes {taken >> 10} KiB")
