"""systemd units: everything up at boot, upgrades and checks on a schedule, containers watched or scanned."""

import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard import process
from dockyard.errors import DockyardError, UsageError
from dockyard.installation.place import program
from dockyard.privilege import is_hosts_root
from dockyard.settings.keys import KEYS
from dockyard.share import UNITS

NAMES = (
    "dockyard.service",
    *("dockyard-upgrade.service", "dockyard-upgrade.timer"),
    *("dockyard-check.service", "dockyard-check.timer"),
    *("dockyard-clean.service", "dockyard-clean.timer"),
)
TIMERS = tuple(name for name in NAMES if name.endswith(".timer"))
PROGRAMS = ("d", "d-cowscan")
SCANNERS = {
    "watch": ("dockyard-cowscan.service",),
    "timer": ("dockyard-cowscan-scan.service", "dockyard-cowscan-scan.timer"),
}
"""Units of d-cowscan by the way in which it runs; the last of each is what is enabled."""

PERIODIC = (*TIMERS, *(names[-1] for names in SCANNERS.values()))
"""Units that do something all the time, if they are enabled."""

HARDENED = """\
StateDirectory=dockyard
StateDirectoryMode=0700
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
# Podman's client keeps its locks and its database there.
ReadWritePaths=-/run -/var/lib/containers
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
# It watches file systems, finds directories by handles, sees processes, reads and plants what is others'.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_READ_SEARCH CAP_SYS_PTRACE CAP_DAC_OVERRIDE CAP_FOWNER CAP_CHOWN"""
"""What keeps root's scanner from anything else. Containers are frozen through /sys, which has to stay writable.

A user's own podman cannot work under any of it.
"""

HOSTS_REMARK = "# Installed with dockyard, and removed with it; `d install-units` writes one for /etc, which wins."
ENGINES = ("docker", "podman")
HOSTS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PASSED_ON = ("DOCKYARD_HOST", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINERS_CONF")


class Unit(NamedTuple):
    """The wanted text of a unit file, and its current one; None if it does not exist."""

    path: Path
    text: str
    there: str | None

    @property
    def differs(self) -> bool:
        """Whether something else is there."""
        return self.there is not None and self.there != self.text


def directory() -> Path:
    """Return where units of this user go."""
    if is_hosts_root():
        return Path("/etc/systemd/system")
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"


def units(place: Path, time: str, scanners: Iterable[str] = ()) -> list[Unit]:
    """Return the units with what is there now; `scanners` are ways in which d-cowscan runs.

    Raises UsageError for a time that systemd would not take.
    """
    _check_time(time)
    words = _words(program, os.environ, root=is_hosts_root()) | {"@TIME@": time}
    names = (*NAMES, *(name for scanner in scanners for name in SCANNERS[scanner]))
    return [Unit(place / name, _filled(name, words), _text(place / name)) for name in names]


def hosts_units(programs: str) -> dict[str, str]:
    """Return the texts of all units for a host, by name, as they are installed with the programs of a directory."""
    words = _words(lambda name: Path(programs, name), {"PATH": HOSTS_PATH}, root=True) | {"@TIME@": "04:00"}
    names = (*NAMES, *(name for scanner in SCANNERS.values() for name in scanner))
    return {name: f"{HOSTS_REMARK}\n{_filled(name, words).partition(chr(10))[2]}" for name in names}


def _words(where: Callable[[str], Path], environ: Mapping[str, str], *, root: bool) -> dict[str, str]:
    """Return what is filled in, but for the time."""
    return {
        **{f"@{word.upper()}@": _escaped(str(where(word))) for word in PROGRAMS},
        "@TARGET@": "multi-user.target" if root else "default.target",
        "@ENVIRONMENT@": _environment(environ),
        "@HARDENED@": HARDENED if root else "",
    }


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = (UNITS / name).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def scanners(wanted: str) -> list[str]:
    """Return the ways in which d-cowscan is to run: the `usual` one of root watches, that of a user is a timer.

    Raises UsageError for a user who asks for what takes root.
    """
    if wanted == "usual":
        return ["watch" if is_hosts_root() else "timer"]
    if wanted == "watch" and not is_hosts_root():
        raise UsageError("only root on the host can watch", hint="use --cowscan timer to scan on a schedule")
    return [wanted] if wanted else []


def installed_scanners(place: Path) -> list[str]:
    """Return the ways in which d-cowscan runs of which units are there."""
    return [way for way, names in SCANNERS.items() if any(_text(place / name) is not None for name in names)]


def _check_time(time: str) -> None:
    if "\n" in time or not time.strip():
        raise UsageError(
            f"`{time!r}` is not a time", hint="write it as in systemd.time(7), such as `04:00` or `Sun 03:30`"
        )
    if not shutil.which("systemd-analyze"):
        return
    done = process.capture(("systemd-analyze", "calendar", time))
    if done.exit_code:
        raise UsageError(
            f"systemd does not accept the time `{time}`: {done.stderr.strip()}", hint="see systemd.time(7)"
        )


def _environment(environ: Mapping[str, str]) -> str:
    """Return what a unit needs to see the same services: variables that name places, never secrets."""
    known = {name for key in KEYS.values() for name in key.variables()} | set(PASSED_ON)
    words = {"PATH": _path(environ)}
    words |= {
        name: value for name, value in sorted(environ.items()) if name in known and value and not _is_secret(name)
    }
    return "\n".join(f'Environment="{name}={_escaped(value)}"' for name, value in words.items())


def _path(environ: Mapping[str, str]) -> str:
    """Return where units find programs: the system's directories and the engine's, none of a shell's own."""
    system = HOSTS_PATH.split(":")
    found = (shutil.which(name, path=environ.get("PATH", os.defpath)) for name in ENGINES)
    engines = [str(Path(program).parent) for program in found if program]
    return ":".join(dict.fromkeys([*system, *engines]))


def _is_secret(name: str) -> bool:
    return any(part in name.upper() for part in ("PUID", "NOTIFY", "HEARTBEAT", "SECRET", "ENV"))


def _escaped(text: str) -> str:
    """Return a text as it is within quotes of a unit."""
    if "\n" in text:
        raise DockyardError(f"{text!r} cannot be written into a unit", hint="it has a line break")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DockyardError(f"{path}: {error.strerror}") from None


def install(wanted: list[Unit], *, force: bool) -> None:
    """Write the units. Raises DockyardError, before any is written, if something else is there."""
    changed = [str(unit.path) for unit in wanted if unit.differs]
    if changed and not force:
        hint = "show the difference with --dry-run; overwrite it with --force"
        raise DockyardError(f"{', '.join(changed)}: exists already, with different content", hint)
    for unit in wanted:
        _write(unit)


def _write(unit: Unit) -> None:
    draft = unit.path.with_name(f".{unit.path.name}.new")
    try:
        unit.path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(unit.text)
        draft.replace(unit.path)
    except OSError as error:
        raise DockyardError(f"{unit.path}: {error.strerror}", hint="run as root to change the host's units") from None


def remove(wanted: list[Unit], *, force: bool) -> list[Path]:
    """Remove the units that are as they were written, and return which. Raises DockyardError for others."""
    changed = [str(unit.path) for unit in wanted if unit.differs]
    if changed and not force:
        hint = "they were changed since, or written in another environment; remove them with --force"
        raise DockyardError(f"{', '.join(changed)}: differs from what `d install-units` would write", hint)
    there = [unit.path for unit in wanted if unit.there is not None]
    for path in there:
        path.unlink()
    return there


def commands(*, removing: bool, scanners: Iterable[str] = ()) -> list[str]:
    """Return what the user has systemd do next."""
    systemctl = ("systemctl",) if is_hosts_root() else ("systemctl", "--user")
    scanning = [SCANNERS[scanner][-1] for scanner in scanners]
    enabled = ("dockyard.service", *TIMERS, *scanning)
    if removing:
        return [shlex.join((*systemctl, "disable", "--now", *enabled)), shlex.join((*systemctl, "daemon-reload"))]
    return [
        shlex.join((*systemctl, "daemon-reload")),
        shlex.join((*systemctl, "enable", "dockyard.service")),
        shlex.join((*systemctl, "enable", "--now", *TIMERS, *scanning)),
    ]
