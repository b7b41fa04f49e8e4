"""Processes of a stand-in: a command in new namespaces, with an overlay as its root."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_NAMESPACES = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--propagation", "private")
_ENTER = """
cd "$1"; mount -t overlay overlay -o "$2" "$3"
mount -t proc proc "$3/proc"; mount -t tmpfs -o mode=755 tmpfs "$3/dev"; mknod -m 666 "$3/dev/null" c 1 3
mount -t tmpfs tmpfs "$3/sys"
target=$3; number=$4; shift 4
while [ "$number" -gt 0 ]; do mount --rbind "$1" "$target$2"; shift 2; number=$((number - 1)); done
exec chroot "$target" "$@"
"""
_LONGEST = 4096 - 512  # bytes of options before containerd names lower directories from their parent on

_SUPERVISOR = """
import os, pathlib, subprocess, sys
child = subprocess.Popen(sys.argv[2:], stdout=2)
print(child.pid, flush=True)
os.close(1)
code = child.wait()
place = pathlib.Path(sys.argv[1])
place.with_suffix(".new").write_text(str(code if code >= 0 else 128 - code))
place.with_suffix(".new").rename(place)
"""
STARTING = 10.0  # seconds until a process has its root


def _options(lower: Sequence[Path], upper: Path, work: Path) -> tuple[Path, str]:
    """Return the directory to mount from, and the overlay's options: relative if they would not fit in a page."""
    own = f"upperdir={upper},workdir={work}"
    whole = f"lowerdir={':'.join(map(str, lower))},{own}"
    if len(whole) <= _LONGEST:
        return Path("/"), whole
    parent = upper.parents[1]
    return parent, f"lowerdir={':'.join(str(one.relative_to(parent)) for one in lower)},{own}"


def _argv(
    lower: Sequence[Path], upper: Path, work: Path, command: Sequence[str], mounts: Mapping[str, str]
) -> tuple[str, ...]:
    root = upper.parent / "rootfs"
    root.mkdir(exist_ok=True)
    for target, source in mounts.items():
        _make_mount_point(lower, upper, target, Path(source).is_dir())
    place, options = _options(lower, upper, work)
    pairs = [word for target, source in mounts.items() for word in (source, target)]
    words = (str(place), options, str(root), str(len(mounts)), *pairs, *command)
    return (*_NAMESPACES, "sh", "-ec", _ENTER, "sh", *words)


def _make_mount_point(lower: Sequence[Path], upper: Path, target: str, is_directory: bool) -> None:
    """Create a mount point that the image lacks, with runc's modes."""
    below = target.lstrip("/")
    if any((layer / below).exists() for layer in (upper, *lower)):
        return
    place = upper / below
    place.parent.mkdir(parents=True, exist_ok=True)
    if is_directory:
        place.mkdir(mode=0o755)
    else:
        place.touch(mode=0o644)


def run_once(
    lower: Sequence[Path], upper: Path, work: Path, command: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, like a build step; files that only its start needs are not left in the layer."""
    init = upper.parent / "init"
    for name in ("proc", "dev", "sys"):
        (init / name).mkdir(parents=True, exist_ok=True)
    argv = _argv([*lower, init], upper, work, command, {})
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def start(  # noqa: PLR0913, PLR0917 - a container
    lower: Sequence[Path],
    upper: Path,
    command: Sequence[str],
    mounts: Mapping[str, str],
    environment: Mapping[str, str],
    log: Path,
) -> int:
    """Start a container's process, and return its pid once its root is in place; 0 if it ended before."""
    argv = _argv(lower, upper, upper.parent / "work", command, mounts)
    ended = upper.parent / "ended"
    ended.unlink(missing_ok=True)
    with log.open("ab") as file:
        child = subprocess.Popen(
            (sys.executable, "-c", _SUPERVISOR, str(ended), *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            env={"PATH": os.environ["PATH"], **environment},
            start_new_session=True,
        )
    assert child.stdout
    outer = int(child.stdout.readline())
    return _inner(outer, ended)


def _inner(outer: int, ended: Path) -> int:
    deadline = time.monotonic() + STARTING
    while time.monotonic() < deadline and not ended.exists():
        try:
            inner = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])
            table = Path(f"/proc/{inner}/mountinfo").read_text()
        except (OSError, IndexError):
            time.sleep(0.01)
            continue
        is_mounted = any(line.split()[4] == "/" and " - overlay " in line for line in table.splitlines())
        if is_mounted and Path(f"/proc/{inner}/root").readlink() != Path("/"):
            return inner
        time.sleep(0.01)
    return 0


def is_alive(pid: int) -> bool:
    """Return whether a container's process runs."""
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def stop(pid: int, seconds: float) -> None:
    """Stop a process, with SIGKILL if SIGTERM does not end it within some seconds."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, STARTING)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)


def execute(pid: int, command: Sequence[str]) -> int:
    """Run a command in a container, on our terminal."""
    enter = ("nsenter", "--target", str(pid), "--mount", "--pid", "--ipc", "--uts", "--root", "--wd=/", "--")
    return subprocess.run((*enter, *command), check=False).returncode
