"""A copy of this machine: an overlay over all of it, in a mount namespace that ends with the test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CHECKOUT = "/root/checkout"

MOUNTS = """
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
for place in proc dev sys run; do mount --rbind "/$place" "$1/root/$place"; done
for place in tmp root; do mount -t tmpfs tmpfs "$1/root/$place"; done
echo ready
exec sleep infinity
"""

COPY = f"""
mkdir {CHECKOUT}
cd {CHECKOUT}
tar -x
"""

LISTING = r"""
find /etc /opt /srv /usr -name __pycache__ -prune -o \
    \( -type d -printf '%M %u:%g %p\n' -o -printf '%M %u:%g %s %T@ %p %l\n' \) | sort
"""


@contextmanager
def machine(place: Path) -> Iterator["Machine"]:
    """Create one; its changes are removed with it. Raises OSError if it cannot be created."""
    argv = ("unshare", "--mount", "--propagation=private", "sh", "-euc", MOUNTS, "sh", str(place))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout
            assert child.stderr
            if child.stdout.readline() != "ready\n":
                raise OSError(child.stderr.read())
            found = Machine(child.pid, place / "root")
            found.copy_checkout()
            yield found
        finally:
            child.kill()


class Machine:
    """A copy of this machine: its root, as seen by a process in its mount namespace."""

    def __init__(self, pid: int, root: Path) -> None:
        self._pid = pid
        self._root = root

    def copy_checkout(self) -> None:
        """Copy the files of this checkout that git tracks, as they are now."""
        known = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = subprocess.run(known, cwd=REPOSITORY, capture_output=True, check=True).stdout
        pack = ("tar", "--create", "--null", "--ignore-failed-read", "--files-from=-")
        archive = subprocess.run(pack, cwd=REPOSITORY, input=names, capture_output=True, check=True).stdout
        subprocess.run(self._argv(COPY), input=archive, check=True)

    def _argv(self, script: str) -> tuple[str, ...]:
        return ("nsenter", f"--target={self._pid}", "--mount", "chroot", str(self._root), "bash", "-euc", script)

    def run(self, script: str, *, expect: int | None = 0) -> str:
        """Run a script in the checkout, as root, and return its output."""
        passed_on = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http"))}
        environment = {**passed_on, "HOME": "/root", "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(
            self._argv(f"cd {CHECKOUT}\n{script}"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert expect is None or done.returncode == expect, f"exit code {done.returncode}\n{script}\n{done.stdout}"
        return done.stdout

    def listing(self) -> list[str]:
        """List all installation files: mode, owner, size, time, target; for directories only mode and owner."""
        return self.run(LISTING).splitlines()
