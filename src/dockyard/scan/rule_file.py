"""Sources of rules: files of the host, and the settings of services. They decide what is reported to root."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.errors import Problem, SettingsError
from dockyard.settings.nodes import Scalar, document
from dockyard.settings.rule_type import Rule, read_rules

if TYPE_CHECKING:
    from dockyard.service import Service
    from dockyard.settings.load import HostLayers

DEFAULT = "/etc/dockyard/cowscan.yaml"
_SAFE_PLACE = "move it where only root can write to its directory and all parent directories"


def default_file() -> Path:
    """Return the path of the host's rules, which need not exist."""
    return Path(os.environ.get("DOCKYARD_COWSCAN") or DEFAULT)


def load_all(files: Iterable[Path]) -> list[Rule]:
    """Return the rules of several files. Raises SettingsError with everything that is wrong in any of them."""
    rules: list[Rule] = []
    problems: list[Problem] = []
    for path in files:
        try:
            rules += load(path)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return rules


def load(path: Path) -> list[Rule]:
    """Return the rules of a file. Raises SettingsError with everything that is wrong, also with its permissions."""
    node = document(trusted_text(path), str(path))
    return [] if isinstance(node, Scalar) and node.empty else read_rules(node)


def known_rules(host: "HostLayers") -> tuple[Rule, ...]:
    """Return the rules for files that well-known programs write, unless the host file turns them off."""
    from dockyard.scan.known import RULES
    from dockyard.settings.keys import KNOWN_CHANGES

    return RULES if host.settings()[KNOWN_CHANGES] else ()


def service_rules(service: "Service", host: "HostLayers") -> list[Rule]:
    """Return the rules of a service's settings, each with the names of its containers.

    Raises SettingsError with everything that is wrong with the settings or their permissions.
    """
    from dockyard.plan.launch import container_name
    from dockyard.settings.keys import COWSCAN
    from dockyard.settings.load import load as load_settings
    from dockyard.settings.load import settings_path
    from dockyard.settings.values import Mode

    names: dict[Rule, set[str]] = {}
    for mode in (Mode.PROD, Mode.DEV, Mode.TEST):
        settings = load_settings(service, mode, host)
        for rule in settings[COWSCAN]:
            names.setdefault(rule, set()).add(container_name(settings))
    path = settings_path(service)
    if names and path:
        with path.open("rb") as file:
            _refuse_writable(path, file.fileno())
    return [rule._replace(only=frozenset(only)) for rule, only in names.items()]


def trusted_text(path: Path) -> str:
    """Return the text of a file that only root can write to; raises SettingsError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SettingsError([Problem(str(path), error.strerror or "cannot be read")]) from None
    with os.fdopen(descriptor, "rb") as file:
        _refuse_writable(path, descriptor)
        try:
            return file.read().decode()
        except UnicodeDecodeError as error:
            raise SettingsError([Problem(str(path), f"not UTF-8 at byte {error.start}", "save it as UTF-8")]) from None


def _refuse_writable(path: Path, descriptor: int) -> None:
    """Raise SettingsError for an open file that anyone but root can modify or replace.

    A user other than root sees only their own containers: then the file may be theirs, or their group's.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError([Problem(str(path), "not a file")])
    places = {str(path): status}
    for absolute in (Path(os.path.abspath(path)), path.resolve()):  # noqa: PTH100 - with its links, and without
        places |= {str(place): place.stat() for place in absolute.parents}
    problems = [
        Problem(str(path), f"{place} {reason}, but rules decide what is reported to root", hint)
        for place, found in places.items()
        for reason, hint in _faults(found)
    ]
    if problems:
        raise SettingsError(problems)


def _faults(status: os.stat_result) -> list[tuple[str, str]]:
    """Return why others than root can modify a path, each with a hint. In a sticky directory only owners can."""
    is_root = _is_root()
    writable = stat.S_IWGRP | stat.S_IWOTH if is_root else stat.S_IWOTH
    is_sticky = stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)
    found = []
    if is_root and status.st_uid:
        found.append((f"belongs to uid {status.st_uid}", _SAFE_PLACE))
    if status.st_mode & writable and not is_sticky:
        found.append(("is writable by others", _SAFE_PLACE))
    return found


def _is_root() -> bool:
    """Return whether this is the host's root, not a user who is uid 0 in a namespace; see user_namespaces(7)."""
    if os.geteuid():
        return False
    first = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return first[:2] == ["0", "0"]
