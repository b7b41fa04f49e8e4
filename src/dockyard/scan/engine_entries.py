"""What the engine created in a container's upper directory: known by content, mode and owner, never by name alone."""

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import suppress

from dockyard.engine.entries import DIRECTORY, FILE, LINES, LINK, WORKING, EngineEntry, entries_in, modes_of
from dockyard.engine.models import Container, kept_user
from dockyard.plan.places import above_in, is_within
from dockyard.scan.content import Content
from dockyard.scan.layer import EDITED, NEW, REPLACED, Change
from dockyard.scan.where import Place

ROOT = (0, 0)
NEW_LINES_MODE = 0o600  # of a file that podman creates for a user's line


class EngineEntries:
    """The engine's entries in one container; nothing outside of `paths` is one."""

    def __init__(self, container: Container, place: Place, known: tuple[EngineEntry, ...]) -> None:
        self._ids = place.ids
        self._modes = {kind: modes_of(container.runtime, kind) for kind in (FILE, DIRECTORY)}
        there = list(entries_in(known, container.features))
        # While it runs, the kernel tells all mount points; afterwards only the engine knows them.
        own = {one.path for one in there if one.kind in {FILE, DIRECTORY}} if not container.pid else set()
        self._points = place.mounted | own
        working = {container.working_directory} if any(one.kind == WORKING for one in there) else set()
        self._leading = frozenset(above for point in self._points | working for above in above_in(point, "/"))
        self._directories = self._points | self._leading | working
        self._links = {one.path: one.target for one in there if one.kind == LINK}
        self._lines = {one.path: _lines_of_users(one.path, container) for one in there if one.kind == LINES}
        self.paths = self._directories | self._links.keys() | self._lines.keys()

    def has(self, change: Change, content: Content) -> bool:
        """Return whether the engine created an entry, and it is as the engine left it."""
        path = change.path
        if path not in self.paths or change.attributes or self._ids.owner(*change.owner) != ROOT:
            return False
        if change.kind == FILE and path in self._lines:
            return self._has_line(change, content)
        if change.what != NEW:
            return False
        if change.kind == LINK:
            return change.detail == (f"→ {self._links.get(path)}",)
        if change.kind == DIRECTORY:
            return path in self._directories and not change.detail and change.mode in self._modes[DIRECTORY]
        is_empty = change.kind == FILE and not change.size and change.links == 1
        return is_empty and path in self._points and change.mode in self._modes[FILE]

    def _has_line(self, change: Change, content: Content) -> bool:
        """Return whether all that a file has after the image's content is the line of the container's user."""
        is_new = change.what == NEW and change.mode == NEW_LINES_MODE
        if not is_new and (change.what not in {EDITED, REPLACED} or change.detail):
            return False
        with suppress(OSError):
            return content.added(change) in self._lines[change.path]
        return False


def _lines_of_users(path: str, container: Container) -> frozenset[bytes]:
    """Return what podman may append to a file for a numeric user, and for its own: by their names on the host.

    See generatePasswdEntry and generateGroupEntry in libpod/container_internal_common.go of podman.
    """
    lines = _group_lines(container) if path.endswith("group") else _user_lines(container)
    return frozenset(os.fsencode(f"{line}\n") for line in lines)


def _user_lines(container: Container) -> Iterator[str]:
    rest = f"{container.working_directory or '/'}:/bin/sh"
    if numbers := _numbers(container):
        user, group = numbers
        yield f"{user}:*:{user}:{group}:container user:{rest}"
    for user, group in filter(None, (numbers, kept_user(container.ids))):
        with suppress(KeyError):
            known = pwd.getpwuid(user)
            yield f"{known.pw_name}:*:{user}:{group}:{known.pw_gecos.partition(',')[0]}:{rest}"


def _group_lines(container: Container) -> Iterator[str]:
    if numbers := _numbers(container):
        user, group = numbers
        yield f"{group}:x:{group}:{user}"
        if ":" not in container.user:  # podman to 5.4 takes the user's number for the group's then
            yield f"{user}:x:{user}:{user}"
    if kept := kept_user(container.ids):
        with suppress(KeyError):
            yield f"{grp.getgrgid(kept[1]).gr_name}:x:{kept[1]}:{pwd.getpwuid(kept[0]).pw_name}"


def _numbers(container: Container) -> tuple[int, int] | None:
    """Return the user and the group of a container that has numbers for both."""
    user, _, group = container.user.partition(":")
    group = group or "0"
    return (int(user), int(group)) if user.isdecimal() and group.isdecimal() else None


def may_be_created(path: str, container: Container, known: tuple[EngineEntry, ...]) -> bool:
    """Return whether the engine creates something at a path: for lists of changes that tell no more than names."""
    mounted = frozenset(container.mounts) | container.tmpfs
    entries = EngineEntries(container._replace(pid=0), Place("", (), mounted), known)
    return path in entries.paths or any(
        is_within(path, one.path) for one in entries_in(known, container.features) if one.is_tree
    )
