"""Programs of Debian trixie for benches and tests, from packages that are unpacked below .state.

Nothing is installed. The mirror is the one in this machine's apt configuration.
"""

import subprocess
import sys
from pathlib import Path

STATE = Path(__file__).parents[1] / ".state"
TARGETS = "$(REPO_URI)|$(COMPONENT)|$(ORIGIN)"


class MissingError(Exception):
    """A package is not available here; the message says why."""


def run(*argv: str, cwd: Path | None = None) -> str:
    """Run a command and return its stdout. Raises MissingError if it fails or does not exist."""
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


def unpacked(package: str) -> Path:
    """Return the directory of an unpacked package; downloads it first if necessary. Raises MissingError."""
    place = STATE / "trixie" / package
    root = place / "root"
    if not root.exists():
        print(f"fetching {package} (below .state)", file=sys.stderr)
        _fetch(package, place)
        run("dpkg", "-x", *(str(found) for found in place.glob("apt/*.deb")), str(place / "draft"))
        (place / "draft").rename(root)  # with or without it
    return root


def _fetch(package: str, place: Path) -> None:
    """Download a package with separate lists and caches."""
    sources, apt = place / "sources.list", place / "apt"
    for directory in (apt / "lists" / "partial", apt / "cache" / "archives" / "partial"):
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
    run(*apt_get, "download", package, cwd=apt)


def compose(docker: str = "docker") -> tuple[str, ...]:
    """Return the beginning of a compose command, as a plugin of the client. Raises MissingError."""
    root = unpacked("docker-compose")
    config = root.parent / "config"  # a separate DOCKER_CONFIG, without the user's plugins and credentials
    plugins = config / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    for plugin in root.glob("usr/libexec/docker/cli-plugins/*"):
        (plugins / plugin.name).unlink(missing_ok=True)
        (plugins / plugin.name).symlink_to(plugin)
    return (docker, "--config", str(config), "compose")


def quadlet() -> str:
    """Return podman's generator of units. Raises MissingError."""
    return str(unpacked("podman") / "usr/libexec/podman/quadlet")
