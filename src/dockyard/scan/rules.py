"""What is expected to change: rules that a person wrote, each as narrow as it says."""

import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.errors import UsageError
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, REPLACED, TYPE, Change

WHAT = (NEW, REPLACED, EDITED, METADATA, DELETED, TYPE)
KINDS = ("file", "directory", "link", "pipe", "socket", "device")
SPECIAL = 0o7000  # setuid, setgid, sticky
EXECUTABLE = 0o111


class Rule(NamedTuple):
    """One expectation: a pattern as in .gitignore that begins with `/`, and what a change has to be besides.

    `executable` allows files that can be run; nothing allows setuid files and capabilities. `until` is the last day
    on which it counts.
    """

    path: str
    where: str
    matches: Callable[[str], bool]
    containers: tuple[str, ...] = ("*",)
    what: tuple[str, ...] = (NEW, EDITED, REPLACED)
    kinds: tuple[str, ...] = ("file", "directory")
    owner: int | None = None
    executable: bool = False
    max_size: int | None = None
    reason: str = ""
    by: str = ""
    until: dt.date | None = None

    def covers(self, container: str, change: Change, today: dt.date) -> bool:
        """Return whether the change is expected, by this name of it."""
        return (
            any(fnmatchcase(container, pattern) for pattern in self.containers)
            and change.what in self.what
            and change.kind in self.kinds
            and (self.until is None or today <= self.until)
            and (self.owner is None or change.owner[0] == self.owner)
            and (self.max_size is None or change.size <= self.max_size)
            and self._is_harmless(change)
            and self.matches(change.path)
        )

    def _is_harmless(self, change: Change) -> bool:
        if change.kind != "file" or change.what == DELETED:
            return True
        special = change.mode & SPECIAL or "security.capability" in change.attributes
        return not special and (self.executable or not change.mode & EXECUTABLE)


def load(path: Path) -> list[Rule]:
    """Read a file of rules. Raises UsageError, with the place of what is wrong."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except (YAMLError, ValueError) as error:
        raise UsageError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, list):
        raise UsageError(f"{path}: not a list of rules", hint="- path: /var/log/**\n  reason: logs")
    return [_rule(entry, f"{path}: rule {number}") for number, entry in enumerate(data, 1)]


def _rule(entry: object, where: str) -> Rule:
    if not isinstance(entry, Mapping):
        raise UsageError(f"{where}: not a rule", hint="a rule has `path:` and `reason:`")
    given = dict(entry)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _READERS:
            raise UsageError(f"{where}: unknown key `{name}`", hint=f"there are: {', '.join(_READERS)}")
        try:
            values[name] = _READERS[name](value)
        except (ValueError, TypeError) as error:
            raise UsageError(f"{where}: `{name}`: {error}") from None
    for name in ("path", "reason"):
        if not values.get(name):
            raise UsageError(f"{where}: no `{name}`", hint="a rule says what it covers, and why")
    return Rule(where=where, matches=_pattern(values["path"], where), **values)


def _pattern(path: str, where: str) -> Callable[[str], bool]:
    from pathspec import GitIgnoreSpec

    if not path.startswith("/"):
        raise UsageError(f"{where}: `{path}` does not begin with `/`", hint=f"/{path}, or /**/{path} for anywhere")
    if path.strip("/*") == "":
        raise UsageError(f"{where}: `{path}` covers everything", hint="name the directory that changes")
    matcher = GitIgnoreSpec.from_lines([path])
    return lambda found: matcher.match_file(found[1:])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("not a number")
    return value


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _day(value: object) -> dt.date:
    if not isinstance(value, dt.date):
        raise TypeError("not a day, such as 2027-01-31")
    return value


def _words(known: Iterable[str] = ()) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        words = (value,) if isinstance(value, str) else value
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words) or not words:
            raise TypeError("not a word, nor a list of words")
        wrong = [word for word in words if known and word not in known]
        if wrong:
            raise ValueError(f"`{wrong[0]}` is none of {', '.join(known)}")
        return tuple(words)

    return read


_READERS: dict[str, Callable[[object], Any]] = {
    "path": _text,
    "containers": _words(),
    "what": _words(WHAT),
    "kinds": _words(KINDS),
    "owner": _number,
    "executable": _yes_or_no,
    "max_size": _number,
    "reason": _text,
    "by": _text,
    "until": _day,
}


def default_file() -> Path:
    """Return the host's own rules, which need not exist."""
    return Path(os.environ.get("DOCKYARD_COWSCAN") or "/etc/dockyard/cowscan.yaml")


def unexpected(container: str, changes: Iterable[Change], rules: Iterable[Rule], today: dt.date) -> list[Change]:
    """Return the changes that no rule covers; one name of a file that is not covered takes all its names with it."""
    rules, changes = list(rules), list(changes)
    covered = [any(rule.covers(container, change, today) for rule in rules) for change in changes]
    open_names = {change.inode for change, is_covered in zip(changes, covered, strict=True) if not is_covered}
    names: dict[tuple[int, int], int] = {}
    for change in changes:
        names[change.inode] = names.get(change.inode, 0) + 1

    def is_told(change: Change, is_covered: bool) -> bool:
        if not is_covered:
            return True
        is_linked = change.kind == "file" and change.links > 1 and change.what != DELETED
        # A name that the walk did not show may be anywhere: in the engine's own work directory, or not judged.
        return is_linked and (change.inode in open_names or names[change.inode] < change.links)

    return [change for change, is_covered in zip(changes, covered, strict=True) if is_told(change, is_covered)]
