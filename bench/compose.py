"""Compose v2 for the benches: Debian trixie's packages, unpacked below .state and used as plugins of the client.

Nothing is installed. The mirror is the one that apt takes Debian from on this machine.
"""

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from common import DOCKER, REPOSITORY

PLACE = REPOSITORY / ".state" / "compose"
CONFIG = PLACE / "config"  # a DOCKER_CONFIG of its own: the user's plugins and credentials stay out of it
PLUGINS = CONFIG / "cli-plugins"
PACKAGES = ("docker-compose",)
COMPOSE = (DOCKER, "--config", str(CONFIG), "compose")
TARGETS = "$(REPO_URI)|$(COMPONENT)|$(ORIGIN)"


class MissingError(Exception):
    """Compose cannot be had here; the message says why."""


def run(*argv: str, cwd: Path | None = None) -> str:
    """Run a command and return its stdout. Raises MissingError where it fails or is not there."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MissingError(f"{argv[0]}: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise MissingError(f"{' '.join(argv[:2])}: {said[-1]}")
    return done.stdout


def mirror() -> str:
    """Return the address of the mirror that apt is configured for."""
    for line in run("apt-get", "indextargets", "--format", TARGETS, "Created-By: Packages").splitlines():
        address, component, origin = line.split("|")
        if component == "main" and "security" not in address and origin in {"Debian", "$(ORIGIN)"}:
            return address
    raise MissingError("apt has no source of Debian's packages")


def fetch() -> None:
    """Download the packages with lists and caches of our own, and unpack them."""
    sources, apt = PLACE / "sources.list", PLACE / "apt"
    for directory in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial", PLUGINS):
        directory.mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    sources.write_text(f"deb {mirror()} trixie main\n", encoding="utf-8")
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "",
    }
    apt_get = ("apt-get", "--quiet", *(word for name, value in options.items() for word in ("-o", f"{name}={value}")))
    run(*apt_get, "update", "--error-on=any")
    run(*apt_get, "download", *PACKAGES, cwd=apt)
    for package in apt.glob("*.deb"):
        run("dpkg", "-x", str(package), str(PLACE / "root"))


def link() -> None:
    """Make plugins of what was unpacked."""
    for plugin in (PLACE / "root").glob("usr/libexec/docker/cli-plugins/*"):
        (PLUGINS / plugin.name).unlink(missing_ok=True)
        (PLUGINS / plugin.name).symlink_to(plugin)


def version() -> str:
    """Return compose's version, fetching it first where need be. Raises MissingError."""
    if not (PLUGINS / "docker-compose").exists():
        print("fetching compose (below .state)", file=sys.stderr)
        fetch()
        link()
    return run(*COMPOSE, "version", "--short").strip()


def ready() -> str:
    """Return compose's version; where it cannot be had, say so and end the bench: that is not a pass."""
    try:
        return version()
    except MissingError as error:
        _give_up(error)


def _give_up(error: MissingError) -> NoReturn:
    print(f"not measured: compose cannot be had here ({error})")
    sys.exit(0)


if __name__ == "__main__":
    print(ready())
