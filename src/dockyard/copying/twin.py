"""Creates one test copy: completely, or not at all."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dockyard import host, overlay
from dockyard.copying import opening
from dockyard.copying.attributes import copy_attributes, drop_inherited
from dockyard.copying.budget import Budget, Size, measure, space_of
from dockyard.copying.facts import overlay_refused
from dockyard.copying.opening import opened
from dockyard.copying.replica import Filler, Replica
from dockyard.errors import DockyardError
from dockyard.overlay import place_of
from dockyard.plan.values import Copy, CopyExtent, CopyMethod, MakeDirectory
from dockyard.removal import DIRECTORY, remove_directory

_FULL = {errno.ENOSPC, errno.EDQUOT}
_WHITEOUT = os.makedev(0, 0)


class RefusedError(DockyardError):
    """An overlay is not possible."""

    def __init__(self, step: Copy, reason: str) -> None:
        super().__init__(
            f"{step.source}: no overlay: {reason}", hint="use `test_copy: auto`, which takes the best method available"
        )


def copy(step: Copy) -> CopyMethod | None:
    """Make the copy, and return how it came about; None where its place was taken, as by the copy of an outer mount.

    Raises DockyardError, and leaves nothing behind then.
    """
    for path in (step.path, step.layers or step.path):
        if not f"{path}/".startswith(f"{step.area.path}/") or ".." in path.split("/"):
            raise ValueError(f"{path} is not in the test area {step.area.path}")
    if step.extent is CopyExtent.DIRECTORIES:
        step = step._replace(method=CopyMethod.COPY)
    try:
        with opened(opening.pin(step.source, follow=True)) as source:
            return _copy_pinned(step, source)
    except OSError as error:
        raise failed(step, step.source, error) from None


def _copy_pinned(step: Copy, source: int) -> CopyMethod | None:
    status = os.fstat(source)
    is_directory = stat.S_ISDIR(status.st_mode)
    if not is_directory and (step.extent is CopyExtent.DIRECTORIES or not stat.S_ISREG(status.st_mode)):
        wanted = "a directory" if step.extent is CopyExtent.DIRECTORIES else "a directory or a file"
        raise DockyardError(f"{step.source}: cannot be copied: it is not {wanted}")
    above, _, name = step.path.rpartition("/")
    with opened(host.open_made(MakeDirectory(above, strict=step.area.base))) as parent:
        if _is_taken(step, status, parent, name):
            return None
        return _copy_directory(step, source, parent, name) if is_directory else _copy_file(step, source, parent, name)


def _is_taken(step: Copy, like: os.stat_result, above: int, name: str) -> bool:
    """Return whether such a thing is there; the area itself is free as long as it is empty.

    Raises DockyardError where another kind of thing is there, such as a link.
    """
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if stat.S_IFMT(status.st_mode) != stat.S_IFMT(like.st_mode):
        message = f"{step.path} cannot be created: something else exists there"
        raise DockyardError(message, hint="check who may write to its directory")
    if step.path != step.area.path:
        return True
    with opened(opening.directory(name, above)) as area:
        return any(opening.listing(area))


# --------------------------------------------------------------------------------------------------------- files
def _copy_file(step: Copy, source: int, above: int, name: str) -> CopyMethod:
    if step.method is CopyMethod.OVERLAY and not step.or_copy:
        raise RefusedError(step, "it is a file")
    status, budget = os.fstat(source), Budget(step, above)
    filler = Filler(step, budget)
    if filler.method is CopyMethod.COPY:
        budget.require(Size(space_of(status, budget.block), 1))
    try:
        filler.new_file(source, status, name, above)
        with opened(opening.pin(name, above)) as made:
            drop_inherited(made)
            copy_attributes(source, made, status)
    except BaseException:
        with suppress(OSError):
            os.unlink(name, dir_fd=above)
        raise
    return filler.method


# --------------------------------------------------------------------------------------------------- directories
def _copy_directory(step: Copy, source: int, above: int, name: str) -> CopyMethod:
    if step.method is CopyMethod.OVERLAY:
        try:
            with _new_directory(above, name) as twin:
                return _overlaid(step, source, twin)
        except RefusedError:
            if not step.or_copy:
                raise
    with _new_directory(above, name) as twin:
        return _replicated(step, source, twin)


@contextmanager
def _new_directory(above: int, name: str) -> Iterator[int]:
    """Make a directory that only root can look into; on an error it goes, and all that is in it or mounted there."""
    with suppress(FileExistsError):  # the area itself
        os.mkdir(name, 0o700, dir_fd=above)
    try:
        with opened(os.open(name, DIRECTORY, dir_fd=above)) as made:
            drop_inherited(made)
            yield made
    except BaseException:
        with suppress(OSError):
            overlay.unmount(above, name)
        with suppress(OSError):
            remove_directory(name, above)
        raise


def _replicated(step: Copy, source: int, twin: int) -> CopyMethod:
    if step.extent is not CopyExtent.FILES and f"{place_of(twin)}/".startswith(f"{place_of(source).rstrip('/')}/"):
        raise DockyardError(f"{step.source} contains the test area", hint="mount directories below it instead")
    budget = Budget(step, twin)
    if step.method is not CopyMethod.REFLINK:
        budget.require(measure(source, step, budget.block))
    replica = Replica(source, twin, step, budget)
    try:
        return replica.make()
    except OSError as error:
        raise failed(step, replica.place, error) from None
    finally:
        replica.close()


# ------------------------------------------------------------------------------------------------------ overlays
def _overlaid(step: Copy, source: int, twin: int) -> CopyMethod:
    if step.path == step.area.path:
        raise RefusedError(step, "it would hide what it needs in the test area")
    with opened(host.open_made(MakeDirectory(step.area.path, strict=step.area.base))) as area:
        reason = overlay_refused(source, area)
    if reason:
        raise RefusedError(step, reason)
    above, _, name = step.layers.rpartition("/")
    with (
        opened(host.open_made(MakeDirectory(above, mode=0o700, strict=step.area.base))) as parent,
        _new_directory(parent, name) as layers,
        opened(_made(layers, "upper")) as upper,
        opened(_made(layers, "work")) as work,
    ):
        if step.extent is CopyExtent.FILES:
            _hide_directories(source, upper)
        copy_attributes(source, upper, os.fstat(source))
        try:
            overlay.mount(source, layers, upper, work, twin)
        except OSError as error:
            raise RefusedError(step, f"the kernel says: {error.strerror}") from None
    return CopyMethod.OVERLAY


def _made(above: int, name: str) -> int:
    os.mkdir(name, 0o700, dir_fd=above)
    return os.open(name, DIRECTORY, dir_fd=above)


def _hide_directories(source: int, upper: int) -> None:
    """Put whiteouts where the lower side has directories."""
    with opened(opening.readable(source)) as listed:
        for name in opening.listing(listed)[0]:
            os.mknod(name, stat.S_IFCHR, _WHITEOUT, dir_fd=upper)


# -------------------------------------------------------------------------------------------------------- errors
def failed(step: Copy, place: str, error: OSError) -> DockyardError:
    """Return the error for a copy that failed."""
    if error.errno in _FULL:
        message = f"{step.path}: {error.strerror}: what was copied of `{step.source}` was removed again"
        return DockyardError(message, hint="free some space, or raise the quota")
    if isinstance(error, BlockingIOError):
        return DockyardError(f"{place}: cannot be copied: a program has a lease on it", hint="try again in a minute")
    hint = "run it as root" if isinstance(error, PermissionError) and os.geteuid() else ""
    return DockyardError(f"{place}: cannot be copied to {step.path}: {error.strerror}", hint=hint)
