"""dpkg's list of packages: stanzas of fields, see deb822(5). Pure."""

from collections.abc import Iterator

from dockyard.packages.package import DamagedError, Package, checked_package

_NOT_INSTALLED = frozenset({"not-installed", "config-files"})
_FIELDS = frozenset({b"package", b"version", b"architecture", b"status"})


def parse_status(data: bytes) -> list[Package]:
    """Return the installed packages of a file `status`, or of a file in `status.d`, which distroless images have.

    Raises DamagedError.
    """
    found = [
        checked_package(fields["package"], fields["version"], fields.get("architecture", ""))
        for fields in _stanzas(data)
        if "package" in fields and "version" in fields and _is_installed(fields.get("status", ""))
    ]
    if not found and data.strip() and b"Package:" not in data:
        raise DamagedError("it lists no package")
    return found


def _is_installed(status: str) -> bool:
    """Return whether the state of a package, the third word, is one in which its files are there."""
    return not _NOT_INSTALLED & set(status.split())


def _stanzas(data: bytes) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in data.split(b"\n"):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line.startswith((b" ", b"\t")):  # a line that continues a field
            name, _, value = line.partition(b":")
            if name.lower() in _FIELDS:
                fields[name.lower().decode("ascii")] = value.strip().decode("utf-8", "replace")
    if fields:
        yield fields
