"""A source directory is a service; finding the services of a host, and one of them by the beginning of its name."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import NoSuchNameError, UsageError
from dockyard.text import did_you_mean, listed

# VOL_BASE/TMP holds the data of instances under test, so no service may own VOL_BASE/TMP as its own.
RESERVED = "TMP"


NO_SERVICES = "no services yet: create one with `d new NAME`, or set D_SRC_DIR (`d init`)"


class Service(NamedTuple):
    """A directory that holds what an image and its containers are made from."""

    directory: Path

    @property
    def name(self) -> str:
        """The base name of the directory: what image, container and data are called by default."""
        return self.directory.name

    def file(self, name: str) -> Path | None:
        """Return the path of a file of the service, or None if there is none."""
        path = self.directory / name
        return path if path.is_file() else None

    def program(self, name: str) -> Path | None:
        """Return the path of a script of the service, or None if there is none.

        Raises UsageError if it is there but not executable: to pass over a Test in silence would be worse.
        """
        path = self.file(name)
        if path and not os.access(path, os.X_OK):
            raise UsageError(f"{path}: not executable", hint=f"chmod +x {path}")
        return path

    @property
    def is_buildable(self) -> bool:
        """Whether d-build has something to build from."""
        return bool(self.file("Dockerfile") or self.file("Build"))

    @property
    def is_testable(self) -> bool:
        """Whether there is a Test to run."""
        return bool(self.file("Test") or self.file("Test-prod"))


def is_service(directory: Path) -> bool:
    """Return whether a directory is the source of a service."""
    return any((directory / name).is_file() for name in ("Dockerfile", "settings.yaml", "Build"))


def services_in(directories: Iterable[str | None]) -> list[Service]:
    """Return the services of D_SRC_DIR and its like, by name; of two with one name the first directory's.

    Raises UsageError for a directory that cannot be read.
    """
    found: dict[str, Service] = {}
    for directory in filter(None, directories):
        try:
            entries = sorted(Path(directory).iterdir())
        except OSError as error:
            raise UsageError(
                f"{directory}: {error.strerror}",
                hint="create it with `d init`, or set D_SRC_DIR to the directory with all services",
            ) from None
        for entry in entries:
            if not entry.name.startswith(".") and is_service(entry):
                found.setdefault(entry.name, Service(entry))
    return [found[name] for name in sorted(found)]


def service_at(place: str, directories: Sequence[str | None]) -> Service:
    """Return the service of a directory, or of that name in D_SRC_DIR or D_SRC_DIR2. An empty place is where we are.

    Raises NoSuchNameError, and UsageError for the one name that is taken.
    """
    if not place:
        # The shell's own idea of where it is keeps the name of a symlink, by which the service is known.
        here = Path(os.environ.get("PWD", "/"))
        candidates = [here if here.is_dir() and here.samefile(_cwd()) else _cwd()]
    else:
        candidates = [Path(place).absolute(), *(Path(directory) / place for directory in directories if directory)]
    for candidate in candidates:
        if is_service(candidate):
            return _allowed(Service(Path(os.path.normpath(candidate))))
    if not place:
        raise NoSuchNameError(
            f"{candidates[0]}: no Dockerfile and no settings.yaml here",
            hint="name a service with --cd, or change into its directory",
        )
    known = [service.name for service in services_in(directories)]
    raise NoSuchNameError(
        f"there is no service `{place}`",
        hint=_nearest(place, known, "service"),
    )


def _cwd() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory was deleted", hint="change into another directory") from None


def _allowed(service: Service) -> Service:
    if service.name == RESERVED:
        raise UsageError(
            f"{service.directory}: the name `{RESERVED}` is reserved for the data of test instances",
            hint="rename the directory",
        )
    return service


def _nearest(word: str, known: Sequence[str], kind: str) -> str:
    """Return a hint: the nearest name, else all of them, else how there come to be any."""
    if known:
        return did_you_mean(word, known) or f"there {'are' if len(known) > 1 else 'is'} {listed(known)}"
    return NO_SERVICES if kind == "service" else f"there is no {kind}"


def select(beginning: str, names: Iterable[str], kind: str = "service") -> str:
    """Return the one name that begins so; an exact name wins over longer ones.

    Raises NoSuchNameError: with the candidates where several begin so, with the nearest names where none does.
    """
    known = sorted(set(names))
    matches = [name for name in known if name.startswith(beginning)] if beginning else known
    if beginning in matches or len(matches) == 1:
        return beginning if beginning in matches else matches[0]
    if matches:
        raise NoSuchNameError(f"`{beginning}` is ambiguous: {listed(matches)}", hint="write more of the name")
    hint = _nearest(beginning, known, kind)
    raise NoSuchNameError(f"no {kind} begins with `{beginning}`", hint=hint)
