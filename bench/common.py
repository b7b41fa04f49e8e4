"""Shared by the benches that compare with compose."""

import compileall
import os
import signal
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
DOCKER = "docker"
HIDDEN = "BENCH_HAS_OWN_STATE"


def with_own_state() -> None:
    """Restart with the state of this host's dockyard hidden, so that the bench is not in its history."""
    if os.environ.pop(HIDDEN, ""):
        return
    hide = 'mkdir -p "$0" && mount -t tmpfs none "$0" && exec "$@"'
    words = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", hide, "/var/lib/dockyard")
    os.execvpe(words[0], [*words, sys.executable, *sys.argv], {**os.environ, HIDDEN: "1"})  # noqa: S606


def environment(root: Path) -> dict[str, str]:
    """Return the environment of all commands: services below `root`, and none of the user's settings."""
    left_out = ("PYTHON", "D_", "DOCKER_VOL", "KTOOLS_", "DBUILD_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    own = {"D_SRC_DIR": str(root / "src"), "DOCKER_VOL_BASE": str(root / "vol"), "DOCKER_EXEC": DOCKER}
    return {**kept, **own}


def run(*argv: str, root: Path, check: bool = True) -> str:
    """Run a command and return its stdout; by default it must succeed."""
    done = subprocess.run(argv, env=environment(root), cwd=root, capture_output=True, text=True, check=False)
    if done.returncode and check:
        sys.exit(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def prepare(root: Path) -> None:
    """Compile our modules, as in an installation, and build the services' base image.

    From here on SIGTERM ends a bench like an interrupt: it removes what it has created.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    compileall.compile_dir(REPOSITORY / "src", quiet=2)
    run(str(PROGRAMS / "d-build"), "--cd", str(REPOSITORY / "examples" / "base"), root=root)


def report(what: str, ratio: float, other: str, bar: float | None = None) -> None:
    """Print a ratio of medians, with its limit."""
    print(f"{what}: {ratio:.2f} x {other} ({f'bar {bar}' if bar else 'no bar'})")
