"""What runs in a container, told by what it is a program of."""

import mmap
import os
import tempfile
from collections.abc import Iterable

import pytest

from dockyard.scan.running import Code, Mounted, codes_of, not_of_the_image

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
