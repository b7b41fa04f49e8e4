"""Archives of images and containers, unpacked into a private directory; they are not trusted.

No name leads out of the directory: absolute ones are taken as relative, `..` is refused, and links are created but
never followed; what a layer has below a link of a lower layer replaces the link, as an overlay shows it. Owners,
attributes and devices are kept as far as we may create them. Formats: OCI image layout and `docker save`, whose layers
are recognised by their bytes, compressed or not (OCI image specification, layer.md: whiteouts).
"""

import gzip
import json
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from typing import IO, Any, Self

from dockyard import process
from dockyard.copying.opening import opened
from dockyard.errors import DockyardError
from dockyard.scan.confined import PIN_DIRECTORY, opened_beneath
from dockyard.scan.entries import Facts, give, make, names_in, status_of, take_away

NOT_KEPT = ("security.selinux", "trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.")
"""Attributes that the host gives, or that would mean something to an overlay."""
_WHITEOUT, _OPAQUE, _HIDDEN = ".wh.", ".wh..wh..opq", ".wh..wh."
_BROKEN = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    gzip.BadGzipFile,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What is raised for bytes that are not what they should be; gzip's is an OSError as well."""
_CHUNK = 1024 * 1024
_NANOSECONDS = 10**9
_FORMATS = {
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


class ArchiveError(DockyardError):
    """An archive is not what it should be."""


class Unpacked:
    """A directory that archives are unpacked into, one on top of the other."""

    def __init__(self, root: str) -> None:
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directories: dict[str, Facts] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def remove_hidden(self, tar: tarfile.TarFile) -> None:
        """Remove what a layer hides of those below it."""
        for member in tar:
            *above, name = parts_of(member.name) or [""]
            if name == _OPAQUE:
                self._empty(above)
            elif name.startswith(_WHITEOUT) and not name.startswith(_HIDDEN):
                self._remove([*above, name.removeprefix(_WHITEOUT)])

    def add(self, tar: tarfile.TarFile) -> None:
        """Add all members, in their order; whiteouts are left out."""
        for member in tar:
            parts = parts_of(member.name)
            if not parts[-1:] or not parts[-1].startswith(_WHITEOUT):
                self._add(tar, member, parts)
        for path in sorted(self._directories, reverse=True):  # times last: what is created inside changes them
            with opened(opened_beneath(self._root, path, PIN_DIRECTORY)) as pinned:
                give(pinned, self._directories[path])
        self._directories.clear()

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo, parts: list[str]) -> None:
        facts = facts_of(member)
        path = "/".join(parts)
        if facts and facts.format == stat.S_IFDIR:
            with self._directory(parts):
                self._directories[path] = facts
            return
        if not parts:
            raise ArchiveError("the archive has a root that is not a directory")
        with self._directory(parts[:-1]) as above:
            self._forget(path)
            take_away(above, parts[-1])
            if member.islnk():
                self._link(above, parts[-1], parts_of(member.linkname))
            elif facts and facts.device:
                with suppress(PermissionError):  # only the host's root may create devices
                    make(above, parts[-1], facts)
            elif facts:
                make(above, parts[-1], facts, _filler(tar, member) if facts.format == stat.S_IFREG else None)

    def _link(self, above: int, name: str, target: list[str]) -> None:
        try:
            with opened(opened_beneath(self._root, "/".join(target[:-1]), PIN_DIRECTORY)) as holder:
                os.link(target[-1], name, src_dir_fd=holder, dst_dir_fd=above, follow_symlinks=False)
        except (OSError, IndexError):
            raise ArchiveError(f"the archive links `{name}` to an entry that it does not contain") from None

    @contextmanager
    def _directory(self, parts: list[str]) -> Iterator[int]:
        """Pin a directory; where something else stands on the way, a directory replaces it."""
        path = "/".join(parts)
        try:
            pinned = opened_beneath(self._root, path, PIN_DIRECTORY)
        except OSError:
            self._make_way(parts)
            pinned = opened_beneath(self._root, path, PIN_DIRECTORY)
        with opened(pinned):
            yield pinned

    def _make_way(self, parts: list[str]) -> None:
        with ExitStack() as stack:
            above = self._root
            for number, part in enumerate(parts, 1):
                status = status_of(above, part)
                if status and not stat.S_ISDIR(status.st_mode):
                    self._forget("/".join(parts[:number]))
                    os.unlink(part, dir_fd=above)
                    status = None
                if not status:
                    os.mkdir(part, 0o755, dir_fd=above)
                above = stack.enter_context(opened(opened_beneath(above, part, PIN_DIRECTORY)))

    def _remove(self, parts: list[str]) -> None:
        if parts[-1] in {"", ".", ".."}:
            return
        with suppress(OSError), opened(opened_beneath(self._root, "/".join(parts[:-1]), PIN_DIRECTORY)) as above:
            take_away(above, parts[-1])

    def _empty(self, parts: list[str]) -> None:
        with suppress(OSError), opened(opened_beneath(self._root, "/".join(parts), PIN_DIRECTORY)) as pinned:
            for name in names_in(pinned):
                take_away(pinned, name)

    def _forget(self, path: str) -> None:
        """Forget directories that are about to be removed."""
        for known in [one for one in self._directories if one == path or one.startswith(f"{path}/")]:
            del self._directories[known]


def parts_of(name: str) -> list[str]:
    """Return the parts of a member's name. Raises ArchiveError for one that leads up."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ArchiveError(f"the archive has a name that leads out of it: {name}")
    return parts


def facts_of(member: tarfile.TarInfo) -> Facts | None:
    """Return what a member is; None for another name of a file, and for what no file system has."""
    form = stat.S_IFREG if member.isreg() else _FORMATS.get(member.type)
    if form is None:
        return None
    is_device = form in {stat.S_IFCHR, stat.S_IFBLK}
    nanoseconds = int(Decimal(member.pax_headers.get("mtime") or int(member.mtime)) * _NANOSECONDS)
    return Facts(
        form,
        stat.S_IMODE(member.mode),
        (member.uid, member.gid) if not os.geteuid() else (os.geteuid(), os.getegid()),
        (nanoseconds, nanoseconds),
        _attributes(member),
        member.size,
        member.linkname if form == stat.S_IFLNK else "",
        os.makedev(member.devmajor, member.devminor) if is_device else 0,
    )


def _attributes(member: tarfile.TarInfo) -> dict[str, bytes]:
    begin = "SCHILY.xattr."
    found = {name[len(begin) :]: value for name, value in member.pax_headers.items() if name.startswith(begin)}
    return {
        name: value.encode("utf-8", "surrogateescape")
        for name, value in found.items()
        if not name.startswith(NOT_KEPT) and not os.geteuid()
    }


def _filler(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[int], object]:
    source = tar.extractfile(member)

    def fill(target: int) -> None:
        with os.fdopen(target, "wb", closefd=False) as file:
            while source and (chunk := source.read(_CHUNK)):
                file.write(chunk)

    return fill


# ------------------------------------------------------------------------------------------------------------ archives
def unpack_tree(stream: IO[bytes], root: str) -> None:
    """Unpack one tree, as `export` writes it. Raises DockyardError."""
    with archive_errors(), Unpacked(root) as into, tarfile.open(fileobj=stream, mode="r|") as tar:
        into.add(tar)


def unpack_image(archive: str, root: str) -> None:
    """Unpack the layers of an image, as `save` writes them, merged into one tree. Raises DockyardError."""
    with archive_errors(), Unpacked(root) as into, tarfile.open(archive, "r:") as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
        for name in layer_names(lambda one: _json(tar, members, one)):
            for step in (into.remove_hidden, into.add):
                with _layer(tar, _found(members, name)) as layer:
                    step(layer)


@contextmanager
def archive_errors() -> Iterator[None]:
    """Raise what goes wrong with an archive or the disk as a DockyardError."""
    try:
        yield
    except _BROKEN as error:
        raise ArchiveError(f"the engine's archive cannot be read: {error}") from None
    except OSError as error:
        raise DockyardError(
            f"a copy of an image's files cannot be written: {error.strerror or error}",
            hint="set TMPDIR to a directory on a disk with more room",
        ) from None


def layer_names(read: Callable[[str], Any]) -> list[str]:
    """Return the members that are an image's layers, the lowest first; `read` returns the JSON of a member, or None.

    `manifest.json` is that of `docker save`; an OCI image layout has `index.json`, perhaps with indexes inside, whose
    manifests for no platform hold attestations.
    """
    if manifests := read("manifest.json"):
        return [str(name) for name in manifests[0]["Layers"]]
    manifest = _manifest(read("index.json"), read)
    if not manifest:
        raise ArchiveError("the engine's archive contains no image")
    return [_blob(one["digest"]) for one in manifest["layers"]]


def _manifest(index: Any, read: Callable[[str], Any], depth: int = 0) -> Any:  # noqa: ANN401 - JSON
    if not index or depth > 8:  # noqa: PLR2004 - deeper than any engine writes
        return None
    if "layers" in index:
        return index
    rows = [one for one in index.get("manifests") or () if (one.get("platform") or {}).get("os") != "unknown"]
    found = (_manifest(read(_blob(one["digest"])), read, depth + 1) for one in rows)
    return next((one for one in found if one), None)


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _found(members: dict[str, tarfile.TarInfo], name: str) -> tarfile.TarInfo:
    """Return a member, or the one that it links to: `docker save` of old engines links to equal layers."""
    member = members.get(name)
    for _ in range(2):
        if member and (member.issym() or member.islnk()):
            above = name.rpartition("/")[0] if member.issym() else ""
            name = os.path.normpath(f"{above}/{member.linkname}").lstrip("/")
            member = members.get(name)
    if not member or not member.isreg():
        raise ArchiveError(f"the engine's archive does not contain the layer {name}")
    return member


def _json(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> Any:  # noqa: ANN401 - JSON
    member = members.get(name)
    file = tar.extractfile(member) if member else None
    return json.load(file) if file else None


@contextmanager
def _layer(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[tarfile.TarFile]:
    """Open a layer of an archive, compressed or not, by how it begins."""
    file = tar.extractfile(member)
    if not file:
        raise ArchiveError("the engine's archive has an empty layer")
    with ExitStack() as stack:
        head = file.read(4)
        file.seek(0)
        stream: Any = file
        if head.startswith(b"\x1f\x8b"):
            stream = stack.enter_context(gzip.GzipFile(fileobj=file))
        elif head == b"\x28\xb5\x2f\xfd":
            stream = stack.enter_context(_zstandard(file))
        yield stack.enter_context(tarfile.open(fileobj=stream, mode="r|"))


@contextmanager
def _zstandard(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Decompress with the program `zstd`: Python has it from 3.14 on only."""
    try:
        with process.filtered(("zstd", "-dc"), file) as output:
            yield output
    except FileNotFoundError:
        raise DockyardError("a layer is compressed with zstd", hint="install the program zstd") from None
