"""Save what a container changed on top of its image before it is removed: it may have been fixed by hand."""

import os
import stat
import tarfile
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.copying.opening import directory, opened, pin, readable
from dockyard.errors import DockyardError
from dockyard.layers.store import store_of
from dockyard.scan import capture
from dockyard.scan.engine_entries import may_be_created
from dockyard.scan.expected import is_passing
from dockyard.scan.layer import DELETED, NEW, REPLACED, Budget, Change
from dockyard.scan.where import placed
from dockyard.text import escaped

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container

KEPT = 5  # tars of a service
LARGEST = 256 * 1024**2  # bytes of files in one tar
SHARE = 10  # at most this part of what is free
TOLD = 3  # changes that are named where all are counted
BUDGET = Budget(entries=200_000, seconds=20)
PROGRAM = 0o6111  # it is executable, or runs with another user's privileges


class Kept(NamedTuple):
    """What had changed, where it is, and why not all of it is there."""

    changes: tuple[Change, ...] = ()
    tar: Path | None = None
    incomplete: str = ""

    def lines(self, name: str) -> list[str]:
        """Return what a person should know; nothing if nothing had changed."""
        if not self.changes and not self.incomplete:
            return []
        named = ", ".join(escaped(change.path) for change in self.changes[:TOLD])
        more = f" and {len(self.changes) - TOLD} more" if len(self.changes) > TOLD else ""
        kept = f"; saved in {self.tar}" if self.tar else ""
        told = f"{name}: the old container had changed {named}{more}{kept}" if self.changes else name
        return [f"{told}{f' ({self.incomplete})' if self.incomplete else ''}"]


def keep_changes(
    engine: "Engine", container: "Container", place: Path, budget: Budget = BUDGET, largest: int = LARGEST
) -> Kept:
    """Write what a container changed unexpectedly into a tar in a directory, and return what that was.

    What d-cowscan tells of it is an alert besides; `largest` is in bytes of files. Raises DockyardError if it cannot
    be kept.
    """
    scanned = capture.look(engine, container, budget)
    if not capture.is_readable(scanned):
        return _told_by_engine(engine, container)
    capture.remember(scanned, going=True)
    found = tuple(finding.change for finding in scanned.findings if _is_worth_it(finding.change))
    missing = ", ".join(f"{escaped(reason)} ({count})" for reason, count in scanned.unjudged.items())
    try:
        with placed(container, store_of(engine)) if found else nullcontext() as layers:
            kept = _packed(container, found, layers.upper, place, largest) if layers else Kept()
    except OSError as error:
        raise DockyardError(f"the changes of {container.name} cannot be saved: {error.strerror}") from None
    return kept._replace(incomplete=kept.incomplete or f"some files could not be read: {missing}") if missing else kept


def _is_worth_it(change: Change) -> bool:
    """Return whether a user may miss it, or want to know what was run; an empty file is not a program."""
    is_file = change.kind == "file" and change.what != DELETED and bool(change.size)
    return (is_file and bool(change.mode & PROGRAM)) or not is_passing(change.path)


def _told_by_engine(engine: "Engine", container: "Container") -> Kept:
    """Return the engine's list of changes, if this user cannot read the layer."""
    rows = [line.partition(" ")[::2] for line in engine.call("diff", container.id).splitlines()]
    found = tuple(
        Change(path, {"A": NEW, "D": DELETED}.get(what, REPLACED), "?")
        for what, path in rows
        if what != "C" and not is_passing(path) and not may_be_created(path, container, engine.dialect.entries)
    )
    return Kept(found, incomplete="not saved: the engine does not report where they are" if found else "")


def _packed(container: "Container", found: tuple[Change, ...], upper: str, place: Path, largest: int) -> Kept:
    free = os.statvfs(place)
    limit = min(largest, free.f_bavail * free.f_frsize // SHARE)
    size = sum(change.size for change in found if change.kind == "file" and change.what != DELETED)
    stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    target = place / f"changes-{stamp}-{container.id[:12]}.tar"
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add_manifest(tar, container, found)
        if size <= limit:
            with opened(os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as top:
                for change in found:
                    _add(tar, top, change)
    prune(place)
    return Kept(found, target, "" if size <= limit else f"only the list was saved: {size} bytes are too many")


def prune(place: Path) -> None:
    """Remove all tars of a directory but the newest."""
    for old in sorted(place.glob("changes-*.tar"), reverse=True)[KEPT:]:
        old.unlink()


def _add_manifest(tar: tarfile.TarFile, container: "Container", found: tuple[Change, ...]) -> None:
    import io
    import json

    told = {"container": container.name, "id": container.id, "image": container.image_id}
    data = json.dumps({**told, "changes": [change._asdict() for change in found]}, indent=1).encode()
    member = tarfile.TarInfo("CHANGES.json")
    member.size, member.mtime = len(data), int(time.time())
    tar.addfile(member, io.BytesIO(data))


def _add(tar: tarfile.TarFile, top: int, change: Change) -> None:
    """Add what changed, with its owner, mode, time and attributes; what was deleted is in the manifest alone."""
    if change.what == DELETED:
        return
    *above, name = change.path.strip("/").split("/")
    with ExitStack() as stack:
        for part in above:
            top = stack.enter_context(opened(directory(part, top)))
        pinned = stack.enter_context(opened(pin(name, top)))
        status = os.fstat(pinned)
        member = tarfile.TarInfo(f"files{change.path}")
        member.mode, member.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        member.uid, member.gid = status.st_uid, status.st_gid
        if stat.S_ISREG(status.st_mode):
            source = stack.enter_context(os.fdopen(readable(pinned), "rb"))
            member.size = status.st_size
            member.pax_headers = _attributes(source.fileno())
            tar.addfile(member, source)
            return
        member.type = _TYPES.get(stat.S_IFMT(status.st_mode), b"")
        if stat.S_ISLNK(status.st_mode):
            member.linkname = os.readlink(name, dir_fd=top)
        if member.type:  # a socket or a device is in the manifest alone
            tar.addfile(member)


_TYPES = {stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE, stat.S_IFIFO: tarfile.FIFOTYPE}


def _attributes(descriptor: int) -> dict[str, str]:
    """Return extended attributes as GNU tar and bsdtar write them."""
    names = [name for name in os.listxattr(descriptor) if not name.startswith("trusted.overlay.")]
    return {f"SCHILY.xattr.{name}": os.getxattr(descriptor, name).decode("utf-8", "surrogateescape") for name in names}
