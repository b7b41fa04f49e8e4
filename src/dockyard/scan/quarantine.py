"""The quarantine: what was taken out of a container, in one tar for each removal, which root alone can read.

The manifest is the first in it; what a tar cannot say (sockets, odd names of attributes) is there.
"""

import hashlib
import os
import re
import tarfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG
from typing import Any, NamedTuple

from dockyard.copying.opening import opened
from dockyard.errors import DockyardError
from dockyard.scan.manifest import NAME, UNKNOWN, Item, item_of
from dockyard.secrets import state_directory

KEPT = 20  # tars of a container
CHUNK = 1024 * 1024
_TYPES = {
    S_IFREG: tarfile.REGTYPE,
    S_IFDIR: tarfile.DIRTYPE,
    S_IFLNK: tarfile.SYMTYPE,
    S_IFIFO: tarfile.FIFOTYPE,
    S_IFCHR: tarfile.CHRTYPE,
    S_IFBLK: tarfile.BLKTYPE,
}
_CALLED = re.compile(r"(?P<container>.+)-(?P<when>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}Z)-(?P<id>\w+)\.tar")


class Source(NamedTuple):
    """Opens an item's bytes for reading, and tells afterwards why they are not those that were looked at, if so."""

    open: Callable[[Item], int]
    fault: Callable[[Item, int], str]


class Written(NamedTuple):
    """A tar on disk, and which paths are not in it as they were looked at, with the reason."""

    tar: Path
    faults: dict[str, str]


class Quarantined(NamedTuple):
    """A tar: whose, of when, of how many entries, its size in bytes; `fault` is why it is useless."""

    tar: Path
    container: str
    id: str
    when: str
    entries: int = 0
    size: int = 0
    fault: str = ""

    def row(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {**self._asdict(), "tar": str(self.tar)}


def default_directory() -> Path:
    """Return where tars are kept unless told otherwise."""
    return state_directory() / "quarantine"


def write(directory: Path, about: dict[str, str], items: Sequence[Item], source: Source) -> Written:
    """Write a tar that appears whole or not at all, and is on disk then. Raises DockyardError.

    `about` tells of the whole: `container`, `id`, `image`, `when`, `by`.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with opened(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)) as place:
            _check_private(directory, os.fstat(place), 0o022)
            with _draft(place) as (draft, descriptor):
                faults = _filled(descriptor, about, items, source)
                name = _name(about)
                os.link(draft, name, src_dir_fd=place, dst_dir_fd=place)
            os.fsync(place)
    except OSError as error:
        raise DockyardError(
            f"{directory}: the quarantine cannot be written: {error.strerror}", hint="nothing was removed"
        ) from None
    return Written(directory / name, faults)


def _name(about: dict[str, str]) -> str:
    now = time.time_ns()
    stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(now // 10**9))
    container = re.sub(r"[^\w.-]", "_", about["container"])
    return f"{container}-{stamp}.{now % 10**9 // 1000:06}Z-{about['id'][:12]}.tar"


@contextmanager
def _draft(place: int) -> Iterator[tuple[str, int]]:
    name = f".{os.urandom(8).hex()}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=place)
    try:
        with opened(descriptor):
            yield name, descriptor
    finally:
        os.unlink(name, dir_fd=place)


def _filled(descriptor: int, about: dict[str, str], items: Sequence[Item], source: Source) -> dict[str, str]:
    """Fill a tar; the manifest is written twice, as its hashes are known at the end alone."""
    faults: dict[str, str] = {}
    unknown = [item._replace(sha256=UNKNOWN if _has_bytes(item) else "") for item in items]
    manifest = _manifest(about, unknown)
    with os.fdopen(descriptor, "r+b", closefd=False) as file:
        with _tar(file, "w") as tar:
            _add_manifest(tar, manifest)
            hashes = [_add(tar, item, source, faults) for item in items]
        known = _manifest(about, [item._replace(sha256=sha) for item, sha in zip(items, hashes, strict=True)])
        assert len(known) == len(manifest)  # noqa: S101 - hashes have one length
        file.seek(tarfile.BLOCKSIZE)
        file.write(known)
        file.flush()
        os.fsync(descriptor)
    return faults


def _tar(file: Any, mode: Any) -> tarfile.TarFile:  # noqa: ANN401 - as tarfile has it
    more: dict[str, Any] = {"copybufsize": CHUNK, "errors": "surrogateescape", "encoding": "utf-8"}
    return tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT, **more)


def _manifest(about: dict[str, str], items: Sequence[Item]) -> bytes:
    import json

    return json.dumps({"version": 1, **about, "entries": [item.row() for item in items]}, indent=1).encode()


def _add_manifest(tar: tarfile.TarFile, data: bytes) -> None:
    import io

    member = tarfile.TarInfo(NAME)
    member.size, member.mtime, member.mode = len(data), int(time.time()), 0o600
    tar.addfile(member, io.BytesIO(data))


def _has_bytes(item: Item) -> bool:
    return item.facts is not None and item.facts.format == S_IFREG and not item.name_of


class _Bytes:
    """A file's bytes, as many as are wanted: what is missing is zeros, and told."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self._left = descriptor, size
        self.hash = hashlib.sha256()
        self.fault = ""

    def read(self, size: int) -> bytes:
        wanted = min(size, self._left)
        found = b""
        try:
            while not self.fault and len(found) < wanted:
                chunk = os.read(self._descriptor, wanted - len(found))
                self.fault = "" if chunk else "it shrank while it was saved"
                found += chunk
        except OSError as error:
            self.fault = f"it cannot be read: {error.strerror}"
        found = found.ljust(wanted, b"\0")
        self._left -= wanted
        self.hash.update(found)
        return found


def _add(tar: tarfile.TarFile, item: Item, source: Source, faults: dict[str, str]) -> str:
    """Add an item, and return the hash of its bytes, if it has any."""
    if item.facts is None:
        return ""
    member = _member(item)
    if not _has_bytes(item):
        if item.name_of or item.facts.format in _TYPES:
            tar.addfile(member)
        return ""
    try:
        descriptor = source.open(item)
    except OSError as error:
        faults[item.path] = f"it cannot be read: {error.strerror}"
        return UNKNOWN
    with opened(descriptor):
        data = _Bytes(descriptor, item.facts.size)
        tar.addfile(member, data)  # type: ignore[arg-type]
        fault = data.fault or source.fault(item, descriptor)
    if fault:
        faults[item.path] = fault
    return data.hash.hexdigest()


def _member(item: Item) -> tarfile.TarInfo:
    facts = item.facts
    assert facts is not None  # noqa: S101 - of what stood there
    member = tarfile.TarInfo(item.member)
    member.mode, (member.uid, member.gid) = facts.mode, facts.owner
    member.pax_headers = {"mtime": _decimal(facts.times[1]), "atime": _decimal(facts.times[0]), **_attributes(facts)}
    if item.name_of:
        member.type, member.linkname = tarfile.LNKTYPE, f"files{item.name_of}"
        return member
    member.type = _TYPES.get(facts.format, tarfile.REGTYPE)
    member.size, member.linkname = facts.size, facts.target
    member.devmajor, member.devminor = os.major(facts.device), os.minor(facts.device)
    return member


def _decimal(nanoseconds: int) -> str:
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    return f"{'-' if nanoseconds < 0 else ''}{seconds}.{rest:09}"


def _attributes(facts: Any) -> dict[str, str]:  # noqa: ANN401 - an entry's facts
    """Return extended attributes as GNU tar and bsdtar write them; odd names are in the manifest alone."""
    return {
        f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape")
        for name, value in facts.attributes.items()
        if name.isprintable() and "=" not in name
    }


# ------------------------------------------------------------------------------------------------------------- reading
@contextmanager
def reading(tar: Path) -> Iterator[tuple[tarfile.TarFile, dict[str, Any], list[Item]]]:
    """Open a tar of the quarantine: itself, what its manifest tells of the whole, its items. Raises DockyardError."""
    with ExitStack() as stack:
        try:
            found = _opened(tar, stack)
        except OSError as error:
            raise DockyardError(f"{tar}: {error.strerror or error}") from None
        except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
            raise DockyardError(f"{tar}: this is not a tar of the quarantine: {error}") from None
        yield found


def _opened(tar: Path, stack: ExitStack) -> tuple[tarfile.TarFile, dict[str, Any], list[Item]]:
    import json

    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = stack.enter_context(opened(os.open(tar, flags)))
    _check_private(tar, os.fstat(descriptor), 0o077)
    archive = stack.enter_context(_tar(stack.enter_context(os.fdopen(descriptor, "rb", closefd=False)), "r:"))
    first = archive.next()
    data = archive.extractfile(first) if first and first.name == NAME else None
    about = json.loads(data.read()) if data else {}
    items = [item_of(row) for row in about.pop("entries")]
    return archive, about, items


def _check_private(path: Path, status: os.stat_result, forbidden: int) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & forbidden:
        hint = f"chown it to uid {os.geteuid()}, and remove the permissions of others"
        raise DockyardError(f"{path}: other users can read it or write to it", hint)


def quarantined(directory: Path | None = None) -> list[Quarantined]:
    """Return what is in the quarantine, the newest first."""
    place = directory or default_directory()
    found = []
    for tar in place.glob("*.tar"):
        called = _CALLED.fullmatch(tar.name)
        if called:
            found.append(_told(tar, called))
    return sorted(found, key=lambda one: one.when, reverse=True)


def _told(tar: Path, called: re.Match[str]) -> Quarantined:
    row = Quarantined(tar, called["container"], called["id"], called["when"])
    try:
        with reading(tar) as (_, about, items):
            return row._replace(
                container=about["container"],
                id=about["id"],
                when=about["when"],
                entries=len(items),
                size=tar.stat().st_size,
            )
    except (DockyardError, OSError, KeyError) as error:
        return row._replace(fault=str(error))


def prune(directory: Path, about: dict[str, str]) -> list[Path]:
    """Drop the oldest tars of a container past those that are kept, and return them."""
    own = re.sub(r"[^\w.-]", "_", about["container"])
    called = [one for one in (_CALLED.fullmatch(tar.name) for tar in directory.glob("*.tar")) if one]
    names = sorted((one["when"], one.string) for one in called if one["container"] == own)
    dropped = [directory / name for _, name in names[:-KEPT]]
    for tar in dropped:
        with suppress(FileNotFoundError):
            tar.unlink()
    return dropped
