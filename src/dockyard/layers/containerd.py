"""Docker's containerd image store: containerd says where the layers of a container or an image are.

A container's snapshot has the container's id as its key, an image's has its chain id. `ctr`, which comes with
containerd, prints what would be mounted for a snapshot, and mounts nothing. That works for a container's snapshot; an
image's is committed, and needs a view for the moment of the question. The view has a name that follows from the image,
so that one that a killed program has left is used again and then removed; containerd's garbage collection, which runs
after images are removed, removes it as well, as nothing refers to it.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.errors import DockyardError, EngineSilentError
from dockyard.layers.directories import Overlay, overlay_of

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine

TIMEOUT_SECONDS = 20
_TARGET = "/dockyard"  # a word in the answer: nothing is mounted
_EXISTS, _MISSING = "already exists", "not found"


def chain_id(diffs: Sequence[str]) -> str:
    """Return the chain id of an image's layers, given by the digests of their tars, the lowest first.

    See the OCI image specification, config.md, "Layer ChainID".
    """
    chain = diffs[0] if diffs else ""
    for diff in diffs[1:]:
        chain = f"sha256:{hashlib.sha256(f'{chain} {diff}'.encode()).hexdigest()}"
    return chain


def overlay_in(text: str) -> Overlay | None:
    """Return what a line of `ctr snapshots mounts` says; None for a mount that is not of layers.

    An image of one layer is mounted as it is (`bind`).
    """
    found = re.fullmatch(rf"mount -t (\S+) (.+) {_TARGET} -o (.*)", text.strip())
    if not found:
        return None
    kind, source, options = found.groups()
    if kind == "bind":
        return Overlay("", (source,)) if "ro" in options.split(",") else None
    return overlay_of(os.fsencode(options)) if "overlay" in kind else None


class Snapshots:
    """The snapshots of one snapshotter, such as `overlayfs`. Questions are asked when they are needed."""

    def __init__(self, engine: "Engine", driver: str) -> None:
        self._engine, self._driver = engine, driver
        self.reason = ""
        """Why there was no answer."""

    def of_container(self, identifier: str) -> Overlay | None:
        """Return the layers of a container, running or not; None where containerd does not say.

        The first one below its own is docker's own `-init` layer: what docker creates in every container.
        """
        for socket in self._sockets():
            done = self._ask(socket, "mounts", _TARGET, identifier)
            if done and not done.exit_code:
                return self._read(done.stdout)
        return None

    def of_image(self, diffs: Sequence[str]) -> tuple[str, ...]:
        """Return the layers of an image, the uppermost first; nothing where containerd does not say."""
        chain = chain_id(diffs)
        if not chain:
            return ()
        view = f"dockyard-view-{chain.removeprefix('sha256:')}"
        for socket in self._sockets():
            done = self._ask(socket, "view", "--target", _TARGET, view, chain)
            if done and done.exit_code and _EXISTS in done.stderr:
                done = self._ask(socket, "mounts", _TARGET, view)
            if done and not done.exit_code:
                self._ask(socket, "rm", view)
                found = self._read(done.stdout)
                return found.lowers if found else ()
        return ()

    def _read(self, text: str) -> Overlay | None:
        found = overlay_in(text)
        if found and found.is_absolute and all(map(os.path.isdir, filter(None, (found.upper, *found.lowers)))):
            return found
        self.reason = "containerd reports directories that are not on this host"
        return None

    def _ask(self, socket: str, *words: str) -> process.Done | None:
        """Ask containerd; None where it cannot be asked."""
        program, *options = self._engine.dialect.snapshots
        path = process.find(program)
        if not path:
            self.reason = f"`{program}` is not installed"
            return None
        argv = (path, *(word.format(socket=socket, driver=self._driver) for word in options), *words)
        try:
            done = process.capture(argv, timeout=TIMEOUT_SECONDS)
        except OSError as error:
            self.reason = f"`{program}`: {error.strerror}"
            return None
        if done.exit_code and _EXISTS not in done.stderr:
            self.reason = done.stderr.strip().rpartition("\n")[2] or f"`{program}` failed"
        return done

    def _sockets(self) -> Iterator[str]:
        """Yield where a containerd listens that may be this engine's: a key tells whether it is."""
        dialect, done = self._engine.dialect, set[str]()
        if not dialect.snapshots or self._driver not in dialect.snapshotters:
            return
        for socket in self._candidates(dialect.snapshot_sockets):
            real = os.path.realpath(socket) if socket else ""
            if real not in done and os.access(real, os.R_OK | os.W_OK):
                done.add(real)
                yield real
        if not done:
            self.reason = "no accessible socket of containerd was found"

    def _candidates(self, usual: Iterable[str]) -> Iterator[str]:
        """Yield the usual sockets, then those that the engine and the kernel know, who are asked only if need be."""
        yield from usual
        yield from self._further

    @cached_property
    def _further(self) -> tuple[str, ...]:
        """Where it may listen as well, if dockerd was started with another `--exec-root`.

        Raises EngineSilentError: an engine that keeps its clients waiting is not asked the next question.
        """
        told = ""
        try:
            told = self._engine.about.containerd
        except EngineSilentError:
            raise
        except (DockyardError, ValueError):
            pass
        return (told, *listening("/containerd.sock"))


def listening(end: str, table: Path = Path("/proc/net/unix")) -> list[str]:
    """Return the paths of the sockets of this host that end so and that a program listens at (proc_net(5))."""
    try:
        rows = [line.split(maxsplit=7) for line in table.read_text("utf-8", "surrogateescape").splitlines()[1:]]
    except OSError:
        return []
    accepting = "00010000"
    return [row[7] for row in rows if len(row) == 8 and row[3] == accepting and row[7].endswith(end)]  # noqa: PLR2004
