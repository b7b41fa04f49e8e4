"""What runs in a container, told by what it is a program of."""

import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from dockyard.scan import running
from dockyard.scan.running import Code, Mounted, codes_of, not_of_the_image, processes_of
from tests.engines.world import wait_for

ROOT, DISK, MEMORY = 1, 2, 3
MOUNTS = (
    Mounted(MEMORY, "/dev", "tmpfs", is_read_only=False),
    Mounted(DISK, "/data", "ext4", is_read_only=False),
    Mounted(DISK, "/data/tools", "ext4", is_read_only=True),
    Mounted(DISK, "/etc/hosts", "ext4", is_read_only=False),
    Mounted(DISK, "/usr/share/zoneinfo/UTC", "ext4", is_read_only=True),
)


def code(path: str, device: int) -> Code:
    """Return a program on a device."""
    status = os.stat_result((0o100755, 1, device, 1, 0, 0, 0, 0, 0, 0))
    return Code(path, status, status)


def told(path: str, device: int, mounts: Iterable[Mounted] = MOUNTS) -> list[str]:
    """Return why a program is not the image's."""
    return [change.detail[0] for change in not_of_the_image([code(path, device)], ROOT, mounts, ())]


def test_program_of_a_volume_whatever_else_is_mounted_from_its_file_system() -> None:
    """One read-only mount says nothing of a volume beside it, and each is told by its own point."""
    assert told("/data/payload", DISK) == ["in ext4 at /data"]


def test_program_of_a_read_only_mount_within_a_volume() -> None:
    """What the container cannot write to is the host's."""
    assert told("/data/tools/run", DISK) == []


def test_program_from_nowhere() -> None:
    """A file that no mount leads to is the host's only where all of its file system is read-only in there."""
    assert told("/usr/bin/x", DISK) == ["of a file that is mounted nowhere in it"]
    assert told("/usr/bin/x", DISK, MOUNTS[2:3]) == []


@pytest.mark.parametrize("path", ["/dev/init", "/sbin/docker-init"])
def test_init_of_the_engine(path: str) -> None:
    """It is known by its own mount: the same name in a directory that the container can write to is a payload."""
    assert told(path, MEMORY, [*MOUNTS, Mounted(MEMORY, path, "tmpfs", is_read_only=False)]) == []
    assert told(path, MEMORY, [*MOUNTS, Mounted(MEMORY, "/sbin", "tmpfs", is_read_only=False)]) != []


def test_many_mappings_of_one_file() -> None:
    """A file is told once for each process, however often it is mapped."""
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * mmap.PAGESIZE)
        file.flush()
        maps = [mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC) for _ in range(5)]
        ours = os.fstat(file.fileno()).st_ino
        found = [path for path, status in codes_of(os.getpid()) if status.st_ino == ours]
        assert len(found) == 1
        del maps


def test_mapped_files_where_only_root_may_follow_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found by their paths, as the same by inode and device; one that is gone counts as deleted."""
    by_links = {path: (status.st_dev, status.st_ino) for path, status in codes_of(os.getpid())}
    real = os.stat

    def stat(path: object, **how: bool) -> os.stat_result:
        if "/map_files/" in str(path):
            raise PermissionError
        return real(path, **how)  # type: ignore[call-overload,no-any-return]

    with tempfile.NamedTemporaryFile() as there, tempfile.NamedTemporaryFile() as gone:
        maps = []
        for file in (there, gone):
            file.write(b"x" * mmap.PAGESIZE)
            file.flush()
            maps.append(mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC))
        os.unlink(gone.name)  # noqa: PTH108
        os.close(os.open(gone.name, os.O_CREAT | os.O_WRONLY, 0o600))  # another one of that name
        monkeypatch.setattr(running.os, "stat", stat)
        found = dict(codes_of(os.getpid()))
        monkeypatch.undo()
        assert {path: (found[path].st_dev, found[path].st_ino) for path in by_links} == by_links
        assert found[there.name].st_nlink == 1
        assert found[f"{gone.name} (deleted)"].st_nlink == 0
        del maps


def test_processes_without_a_control_group() -> None:
    """Those of its PID namespace and what they have started, not ours; one in the host's has its children alone."""
    script = "sleep 60 & unshare --pid --fork sleep 61 & echo; wait"
    argv = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as outer:
        assert outer.stdout
        outer.stdout.readline()
        (first,) = map(int, Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text(encoding="ascii").split())

        def commands() -> set[str]:
            found = (Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2] for pid in processes_of(first))
            return {b" ".join(words).decode() for words in found}

        wait_for(lambda: "sleep 61" in commands(), "a namespace within the namespace")
        assert {"sh -c", "sleep 60", "sleep 61"} <= commands()
        assert os.getpid() not in processes_of(first)
        assert outer.pid in processes_of(outer.pid)
        assert os.getpid() not in processes_of(outer.pid)
        outer.kill()
