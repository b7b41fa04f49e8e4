"""A service's image without what its Test does not use, and only if the Test passes on it."""

import os
import re
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.directives import UNTIL_HEALTHY
from dockyard.engine.engine import SHORT_ID
from dockyard.engine.models import plain_id
from dockyard.errors import DockyardError, EngineError, TestFailedError, UsageError
from dockyard.layers.store import store_of
from dockyard.plan.build import LATEST, UNTRIMMED
from dockyard.settings.keys import KEEP
from dockyard.surface.archive import Archive, write_archive
from dockyard.surface.elf import Needs, needs_of
from dockyard.surface.measure import Measured, measure
from dockyard.surface.needed import Opened, Wanted, Why, needed
from dockyard.surface.processes import SERVICE
from dockyard.surface.recorder import Use, recording
from dockyard.surface.surface import Surface
from dockyard.surface.tree import Files, Tree, files_of
from dockyard.telling import say
from dockyard.text import escaped, listed

if TYPE_CHECKING:
    from dockyard.build import Builder
    from dockyard.engine.models import Image

_HEALTHY = {UNTIL_HEALTHY: "1"}  # what a health check uses is used, however short the Test is
TOLD = 12  # files that are named where more may be missing


class Trimmed(NamedTuple):
    """What trimming led to: the image's id, what there was and is, and how many files stay for their own sake."""

    image: str
    whole: str
    before: Surface
    now: Surface


def trim(builder: "Builder", dependants: Collection[str], *, timeout: float | None = None) -> Trimmed:
    """Build the whole image, see what its Test uses, build one of that, and make it the latest if it passes the Test.

    `dependants` are services that are built from this one; each Test has `timeout` seconds. Raises UsageError
    where there are any, or there is no Test; DockyardError, also where the trimmed image does not pass: then the latest
    is the whole one, or what it was.
    """
    _refuse(builder, dependants)
    whole = _whole(builder)
    if not builder.is_current(LATEST):
        builder.engine.call("tag", whole.id, builder.name.tagged(LATEST))
    measured = measure(builder.engine, whole)
    uses = used_by_test(builder, whole.id, timeout=timeout)
    keep = _needed(builder, whole, measured.tree, uses)
    trimmed = _load(builder, whole, measured.tree, keep)
    try:
        _test(builder, trimmed, measured.tree.keys() - keep.keys(), timeout=timeout)
    except BaseException:
        with suppress(EngineError):
            builder.engine.call("rmi", trimmed)
        raise
    builder.engine.call("tag", trimmed, builder.name.tagged(LATEST))
    builder.publish_latest()
    return Trimmed(trimmed, whole.id, measured.surface, _measured(builder, trimmed).surface)


def _whole(builder: "Builder") -> "Image":
    """Return the image of the source as it is now, with nothing left out; it is built where there is none."""
    latest = builder.is_current(LATEST)
    if not latest or latest.trimmed:
        return builder.build(UNTRIMMED)
    builder.engine.call("tag", latest.id, builder.name.tagged(UNTRIMMED))
    return latest


def _refuse(builder: "Builder", dependants: Collection[str]) -> None:
    name = builder.service.name
    if dependants:
        raise UsageError(
            f"{name} is not trimmed: {listed(sorted(dependants))} would lose files of this image",
            hint="trim the images built from it: that also removes unused files of this image",
        )
    if not builder.has_test:
        raise UsageError(f"{name} has no Test, so what it uses is not known", hint="write ./Test")


def used_by_test(builder: "Builder", image: str, *, timeout: float | None = None) -> frozenset[Use]:
    """Run the service's Test on an image, and return what of the image was opened. Raises DockyardError."""
    say(f"{builder.service.name}: testing {image[:SHORT_ID]}, and recording what it opens")
    with recording(builder.engine, image) as (recorder, environment):
        builder.test(image, timeout=timeout, environment={**environment, **_HEALTHY})
        return recorder.uses()


def _needed(builder: "Builder", whole: "Image", tree: Tree, uses: Collection[Use]) -> Why:
    opened = [Opened(use.path, use.asked) for use in uses if use.by == SERVICE]
    keep: tuple[str, ...] = builder.settings[KEEP]
    with store_of(builder.engine).image(whole) as layers, files_of(layers) as files:
        wanted = Wanted(opened, keep, whole.volumes)
        return needed(tree, wanted, lambda path: needs_in(files, path))


def needs_in(files: Files, path: str) -> Needs:
    """Return what a file of an image needs to start."""
    try:
        with files.opened(path) as descriptor:
            return needs_of(lambda size, place: os.pread(descriptor, size, place))
    except OSError:
        return Needs()


def _load(builder: "Builder", whole: "Image", tree: Tree, keep: Collection[str]) -> str:
    """Have the engine make an image of what is kept, and return its id."""
    engine = builder.engine
    answer = engine.inspect("image", whole.id)[0]
    with tempfile.TemporaryDirectory(prefix="dockyard-trim-") as place:
        try:
            with store_of(engine).image(whole) as layers, files_of(layers) as files:
                archive: Archive = write_archive(Path(place), tree, keep, files, answer, builder.decides_on_trimming)
        except OSError as error:
            raise DockyardError(
                f"{place}: {error.strerror}", hint="set TMPDIR to a directory with more space"
            ) from None
        said = engine.call("load", "--quiet", "--input", str(archive.path))
    names = dict.fromkeys([*re.findall(r"\b[0-9a-f]{64}\b", said), archive.id])
    loaded = (plain_id(one["Id"]) for name in names for one in engine.inspect("image", name) if archive.is_of(one))
    identifier = next(loaded, "")
    if not identifier:
        raise DockyardError(f"{engine.dialect.name} did not load the image that was written: {said.strip()}")
    return identifier


def _measured(builder: "Builder", image: str) -> Measured:
    return measure(builder.engine, builder.engine.images([image])[image])


def _test(builder: "Builder", trimmed: str, dropped: Collection[str], *, timeout: float | None) -> None:
    say(f"{builder.service.name}: testing the trimmed image {trimmed[:SHORT_ID]}")
    try:
        builder.test(trimmed, timeout=timeout, environment=_HEALTHY)
    except TestFailedError as error:
        named = named_in(f"{error.transcript}\n{error.hint}", dropped)
        more = f"of the removed files, these are named above: {listed(map(escaped, named))}\n" if named else ""
        failed = TestFailedError(
            f"{builder.service.name}: the Test fails on the trimmed image, which is discarded; the whole one passes",
            hint=f"{more}files that are only looked up, and never opened, are not recorded: name them in `keep`",
        )
        failed.transcript, failed.evidence = error.transcript, error.evidence
        raise failed from None


def named_in(text: str, paths: Collection[str]) -> list[str]:
    """Return those of some paths that a text names: whole, or the last part as a word (`exec: "grep": not found`)."""
    words = set(re.findall(r"[\w./+-]+", text))
    found = [path for path in sorted(paths) if words & {path, path.rpartition("/")[2]}]
    return found[:TOLD]


def parted(uses: Collection[Use], tree: Tree) -> Mapping[str, tuple[str, ...]]:
    """Return the files of an image that the service opened, and those that nobody but its Test did."""
    own = {use.path for use in uses if use.by == SERVICE} & tree.keys()
    others = ({use.path for use in uses} - own) & tree.keys()
    return {"service": tuple(sorted(own)), "test": tuple(sorted(others))}
