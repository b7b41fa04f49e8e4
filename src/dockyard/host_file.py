"""The host file, with further values in it: whatever else is written there stays as it is, comments too."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import DockyardError, UsageError
from dockyard.privilege import is_hosts_root
from dockyard.settings.key import Scope
from dockyard.settings.load import HostLayers, environment_layer, read_file
from dockyard.settings.resolve import Layer

HEADER = "# Settings for all services of this host; `man dockyard-settings` lists every key.\n"


class Edit(NamedTuple):
    """The new text of a file; keys that were `added`, `replaced`, or `kept` as they already have another value."""

    text: str
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def path_to_write(environ: Mapping[str, str]) -> Path:
    """Return the host file that is read, or where one would be: the user's own, root's for all."""
    home = environ.get("HOME", "/root")
    own, everybodys = Path(home, ".config/dockyard/host.yaml"), Path("/etc/dockyard/host.yaml")
    if environ.get("DOCKYARD_HOST"):
        return Path(environ["DOCKYARD_HOST"])
    return everybodys if is_hosts_root() and not own.exists() else own


def read(path: Path) -> str:
    """Return a file's text; an empty one where there is none. Raises DockyardError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise DockyardError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None


def layers(text: str, path: Path, environ: Mapping[str, str]) -> HostLayers:
    """Return what the host says, with such a file. Raises SettingsError with all that is wrong."""
    return HostLayers(environment_layer(environ), read_file(text, str(path), Scope.HOST))


def edited(text: str, wanted: Mapping[str, str], *, force: bool) -> Edit:
    """Return the text with values by key; one that is there with another value is kept, or with `force` replaced.

    Raises SettingsError for a value that its key does not take.
    """
    before, meant = _read(text), _read("".join(_line(key, value) for key, value in wanted.items()))
    other = [key for key in wanted if key in before and before[key].value != meant[key].value]
    missing = [key for key in wanted if key not in before]
    lines = text.splitlines(keepends=True)
    for key in other if force else ():
        _replace(lines, key, wanted[key], int(before[key].source.rpartition(":")[2]))
    if missing and lines and not lines[-1].endswith("\n"):
        lines.append("\n")
    after = "".join([*(lines or ([HEADER] if missing else [])), *(_line(key, wanted[key]) for key in missing)])
    _check(_read(after), before, meant, {*missing, *(other if force else ())})
    return Edit(after, tuple(missing), tuple(other) if force else (), () if force else tuple(other))


def _read(text: str) -> Layer:
    return read_file(text, "host file", Scope.HOST)


def _line(key: str, value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_/.][A-Za-z0-9_/.-]*", value):
        return f"{key}: {value}\n"
    quoted = value.replace("'", "''")
    return f"{key}: '{quoted}'\n"


def _replace(lines: list[str], key: str, value: str, number: int) -> None:
    """Put a value into its line, whose comment stays."""
    comment = re.search(r"\s#[^'\"]*$", lines[number - 1].rstrip("\n"))
    lines[number - 1] = _line(key, value).rstrip("\n") + (comment[0] if comment else "") + "\n"


def _check(after: Layer, before: Layer, meant: Layer, changed: set[str]) -> None:
    """Raise UsageError if a file is written in a way that its lines cannot be changed one by one."""
    expected = {key: value.value for key, value in before.items()} | {key: meant[key].value for key in changed}
    if {key: value.value for key, value in after.items()} != expected:
        raise UsageError("the host file cannot be edited line by line", hint="set the values by hand")


def write(path: Path, text: str) -> None:
    """Write the file at one stroke; who may read it stays as it is. Raises DockyardError."""
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(descriptor, mode)
        draft.replace(path.resolve())
    except OSError as error:
        raise DockyardError(f"{path}: {error.strerror}", hint="run as root to change the host's file") from None
