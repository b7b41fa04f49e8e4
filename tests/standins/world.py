"""A world whose engine is a stand-in: dockyard's programs see no other engine, and none of the host's state."""

import shutil
import sys
from pathlib import Path
from typing import Any

from tests.engines.world import FROM_BASE, REPOSITORY, Done, World, write

_OWN = "/var/lib/dockyard /run/dockyard"
_PRIVATE = f'for place in {_OWN}; do mount --bind "$1$place" "$place"; done; shift; exec "$@"'

SHIM = """#!/bin/sh
STANDIN_ROOT={root} PYTHONPATH={repository} exec {python} -m tests.standins.{module} "$@"
"""


class StandInWorld(World):
    """A stand-in, with its services."""

    def __init__(self, program: str, module: str, root: Path) -> None:
        self.bin = root / "bin"
        self.module = module
        shim = SHIM.format(root=root / "engine", repository=REPOSITORY, python=sys.executable, module=module)
        write(self.bin / program, shim, mode=0o755)
        if program == "docker":
            write(self.bin / "ctr", shim.replace(f"standins.{module}", "standins.ctr"), mode=0o755)
            (root / "engine").mkdir()
            (root / "engine/containerd.sock").touch()
        super().__init__(program, root)
        self.environment["PATH"] = f"{self.bin}:{self.environment['PATH']}"
        for place in _OWN.split():
            Path(place).mkdir(parents=True, exist_ok=True)
            (root / place.lstrip("/")).mkdir(parents=True)
        for directory in (root / "home", self.volumes, self.source):
            directory.mkdir()
        self.host_file.touch()

    def run(self, *argv: str | Path, **how: Any) -> Done:  # noqa: ANN401 - as World has them
        """Run a program with separate state."""
        private = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", _PRIVATE, "sh", str(self.root))
        return super().run(*private, *argv, **how)

    def make_base(self) -> None:
        """Build an image with a shell: busybox of the host."""
        directory = self.service("", name="dyt-base", dockerfile="FROM scratch\nCOPY bin /bin/\n")
        (directory / "bin").mkdir()
        shutil.copy2("/bin/busybox", directory / "bin/busybox")
        for name in ("sh", "sleep", "cat", "echo", "touch", "rm"):
            (directory / "bin" / name).symlink_to("busybox")
        self.d_build("dyt-base")

    def waiting(self, **settings: Any) -> Path:  # noqa: ANN401 - settings
        """Create a service that is built from the base, with one more file, and waits."""
        command = ["sh", "-c", "trap 'exit 0' TERM; while sleep 0.1; do :; done"]
        everything = {"cmd": command, "network": "none", **settings}
        return self.service(everything, dockerfile=FROM_BASE, files={"version": f"1 of {next(self.numbers)}"})

    def go_live(self, service: Path) -> None:
        """Build a service, make the image live, and launch it."""
        self.d_build(service)
        self.d_build(service, "--setlive")
        self.d("up", service.name)

    def end(self) -> None:
        """Stop all containers."""
        for name in self.call("ps", "-a", "-q", expect=None).split():
            self.call("rm", "-f", name, expect=None)
