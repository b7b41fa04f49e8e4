"""What a build leaves in an image that says when it ran, and that no service reads. Pure.

Two images that differ in nothing else have the same content. A file counts as soon as it can change what a service
does; one that can be executed always counts.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

RESIDUE: Mapping[str, str] = {
    "/var/lib/apt/lists/": "what apt-get update downloaded: it changes several times a day, and only apt reads it",
    "/var/cache/apt/*.bin": "apt's cache of these lists",
    "/var/log/apt/": "when apt ran, and with which arguments",
    "/var/log/dpkg.log": "when dpkg ran",
    "/var/log/alternatives.log": "when update-alternatives ran",
    "/var/log/bootstrap.log": "when debootstrap created the base image",
    "/var/log/fontconfig.log": "when fc-cache ran",
    "/var/lib/dpkg/*-old": "dpkg's backups of its lists",
    "/var/cache/debconf/*-old": "debconf's backups of its answers",
    "/var/cache/ldconfig/aux-cache": "inodes and times of libraries: only ldconfig reads it, to be faster",
    "/var/cache/fontconfig/": "fonts by directory, with times: fontconfig creates it again if it does not fit",
    "/var/cache/man/": "an index of manual pages: only man reads it",
    "/var/cache/apk/": "apk's downloads",
    "/var/log/apk.log": "when apk ran",
    "/var/cache/dnf/": "dnf's downloads",
    "/var/cache/libdnf5/": "dnf's downloads",
    "/var/cache/yum/": "yum's downloads",
    "/var/cache/zypp/": "zypper's downloads",
    "/var/lib/dnf/": "dnf's history: when it ran, and what it did",
    "/usr/lib/sysimage/libdnf5/": "dnf's history: when it ran, and what it did",
    "/var/lib/yum/": "yum's history: when it ran, and what it did",
    "/var/log/dnf*": "when dnf ran",
    "/var/log/hawkey.log": "when dnf ran",
    "/var/log/yum.log": "when yum ran",
    "/var/log/zypper.log": "when zypper ran",
    "/var/log/zypp/": "when zypper ran",
    "/root/.cache/pip/": "pip's downloads",
    "/root/.npm/": "npm's downloads and logs",
}
"""Paths that do not count, each with the reason; one that ends in `/` is a directory with all that is in it."""

_RESIDUE = re.compile(
    "|".join(
        f"{re.escape(path[:-1])}(/.*)?" if path.endswith("/") else re.escape(path).replace(r"\*", "[^/]*")
        for path in RESIDUE
    ),
    re.DOTALL,
)
_BYTECODE = re.compile(r"(.*)/__pycache__/([^/]+)\.[\w-]+\.pyc")
_NO_DEADLINE = frozenset({b"", b"99999"})
_PASSWORD_FIELDS = 9
_MACHINE_ID = re.compile(rb"[0-9a-f]{32}\n?")
MAX_NORMALISED_BYTES = 16 * 1024 * 1024


class Original(NamedTuple):
    """A file of an image: what is in it; `source_second` is when the source of Python's bytecode was last changed."""

    data: bytes
    source_second: int | None = None


def is_residue(path: str) -> bool:
    """Return whether a path is one of those that do not count."""
    return _RESIDUE.fullmatch(path) is not None


def source_of(path: str) -> str:
    """Return the path of the source of Python's bytecode; empty for any other file."""
    match = _BYTECODE.fullmatch(path)
    return f"{match[1]}/{match[2]}.py" if match else ""


def normaliser_of(path: str) -> Callable[[Original], bytes] | None:
    """Return what leaves out of a file's content what does not count; None if all of it counts."""
    if source_of(path):
        return _without_source_time
    return _NORMALISERS.get(path)


def _without_source_time(original: Original) -> bytes:
    """Leave out the time of the source from bytecode that is valid for it: see PEP 552.

    Python does not use bytecode with another time than its source has: that is another content.
    """
    data = original.data
    if data[4:8] != bytes(4) or original.source_second is None:  # valid by a hash of the source, or without one
        return data
    is_valid = data[8:12] == (original.source_second & 0xFFFFFFFF).to_bytes(4, "little")
    return data[:8] + data[12:] if is_valid else data


def _without_password_days(original: Original) -> bytes:
    """Leave out on which day passwords were set, if nothing follows from it: see shadow(5)."""
    return b"\n".join(map(_without_day, original.data.split(b"\n")))


def _without_day(line: bytes) -> bytes:
    fields = line.split(b":")
    has_day = len(fields) == _PASSWORD_FIELDS and fields[2].isdigit() and fields[2].strip(b"0") != b""
    if not has_day or fields[4] not in _NO_DEADLINE or fields[3] not in {b"", b"0"}:
        return line
    return b":".join((*fields[:2], b"day", *fields[3:]))


def _without_machine_id(original: Original) -> bytes:
    """Leave out an id that is random: all that a program can see is that it is another one."""
    return b"an id" if _MACHINE_ID.fullmatch(original.data) else original.data


_NORMALISERS: Mapping[str, Callable[[Original], bytes]] = {
    "/etc/shadow": _without_password_days,
    "/etc/shadow-": _without_password_days,
    "/etc/machine-id": _without_machine_id,
    "/var/lib/dbus/machine-id": _without_machine_id,
}
