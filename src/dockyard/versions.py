"""The versions of a service that can be live again: images that were live once, and that have a tag of ours."""

from typing import TYPE_CHECKING, NamedTuple

from dockyard import history
from dockyard.errors import DockyardError, NoSuchNameError
from dockyard.holds import hold_of
from dockyard.plan.build import LIVE, PREVIOUS, VERSION, version_tag
from dockyard.settings.keys import KEEP_IMAGES
from dockyard.telling import warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dockyard.build import Builder
    from dockyard.engine.models import Image


class Version(NamedTuple):
    """An image that is or was live: since when and until when the last time, in UTC; empty if that is not known."""

    version: str
    state: str
    live_from: str = ""
    live_until: str = ""
    note: str = ""


def versions(builder: "Builder") -> list[Version]:
    """Return what is live and what can be live again, the newest first. Raises DockyardError."""
    name, tags = builder.service.name, builder.tags()
    live, previous = (tags.get(builder.name.tagged(tag)) for tag in (LIVE, PREVIOUS))
    images = {one.id: one for one in (live, previous, *retained_images(builder)) if one}
    held = hold_of(name)
    found = []
    for identifier, (since, until) in _order(images, history.lives(name)):
        image = images[identifier]
        state = "live" if image == live else "previous" if image == previous else "retained"
        event = history.rejection(name, image.id, image.content, "")
        rolled_back = event is not None and event.result == history.ROLLED_BACK
        notes = ["rolled back"] if rolled_back else [str(held)] if held and state == "live" else []
        found.append(Version(image.id[:12], state, since, "" if state == "live" else until, ", ".join(notes)))
    return found


def retained_images(builder: "Builder") -> list["Image"]:
    """Return the images of a service that have a version's tag."""
    rows = builder.engine.image_list(builder.name.untagged)
    tags = [row["tag"] for row in rows if row["tag"].startswith(VERSION)]
    return list(builder.engine.images(builder.name.tagged(tag) for tag in tags).values())


def version_to_restore(builder: "Builder", beginning: str) -> "Image":
    """Return the image that a version's id begins so. Raises NoSuchNameError."""
    wanted = beginning.removeprefix("sha256:").removeprefix(VERSION)
    tags = builder.tags()
    live = tags.get(builder.name.tagged(LIVE))
    there = {one.id: one for one in (tags.get(builder.name.tagged(PREVIOUS)), *retained_images(builder)) if one}
    found = [image for identifier, image in there.items() if wanted and identifier.startswith(wanted)]
    name = builder.service.name
    hint = f"list the retained versions with `d history {name} --images`; `keep_images` sets their number"
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise NoSuchNameError(f"{name}: {count} version begins with `{beginning}`", hint)
    if found[0].equals(live):
        raise NoSuchNameError(f"{name}: {found[0].id[:12]} is live already", hint)
    return found[0]


def prune(builder: "Builder") -> None:
    """Remove the tags of versions beyond `keep_images`, those first that were live longest ago."""
    try:
        live = builder.tags().get(builder.name.tagged(LIVE))
        images = {one.id: one for one in retained_images(builder) if not one.equals(live)}
        old = _order(images, history.lives(builder.service.name))[builder.settings[KEEP_IMAGES] :]
        for identifier, _ in old:
            builder.engine.call("rmi", builder.name.tagged(version_tag(identifier)))
    except DockyardError as error:
        warn(f"{builder.service.name}: some versions beyond `keep_images` could not be released: {error}")


def _order(images: "Iterable[str]", lives: "Sequence[tuple[str, str, str]]") -> list[tuple[str, tuple[str, str]]]:
    """Return image ids with the times in which they were live the last time, the newest first; unknown ones last."""
    last: dict[str, tuple[str, str]] = {}
    for image, since, until in lives:
        last.setdefault(image, (since, until))
    order = [image for image in last if image in set(images)]
    return [(image, last[image]) for image in order] + [(image, ("", "")) for image in images if image not in last]
