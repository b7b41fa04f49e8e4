"""What changed when another image became live, for the report and the history; and how one that failed differs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockyard import history
from dockyard.errors import DockyardError

if TYPE_CHECKING:
    from dockyard.build import Builder
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Image
    from dockyard.packages.compare import ImageDifference

MAX_RECORDED = 200
"""Packages of an event that are recorded by name."""


def note_changes(engine: "Engine", service: str, before: str, after: str) -> tuple[str, ...]:
    """Record in the history what differs from the image that was live before, and return lines for the report.

    Both are ids; nothing differs if one is empty. That images cannot be compared is a line, and stops nothing.
    """
    if not before or not after or before == after:
        return ()
    try:
        found = difference(engine, before, after)
    except DockyardError as error:
        return (f"{after[:12]} was not compared with {before[:12]}: {error}",)
    if found is None or found.is_equal:
        return ()
    history.add_detail(service, after, detail_of(found, before))
    return (f"changed: {describe(found)}", *found.notes)


def describe_candidate(builder: "Builder", image: str) -> tuple[str, ...]:
    """Return as lines how an image, by its id, differs from what is live, or why that is not known."""
    from dockyard.plan.build import LIVE

    live = builder.tags().get(builder.name.tagged(LIVE))
    try:
        found = difference(builder.engine, live.id, image) if live else None
    except DockyardError as error:
        return (f"not compared with the live image: {error}",)
    return (f"changed: {describe(found) or 'nothing'}", *found.notes) if found else ()


def difference(engine: "Engine", before: str, after: str) -> "ImageDifference | None":
    """Return how two images differ, by their ids; None if one of them does not exist any more. Raises DockyardError.

    Trimmed images have mostly lost their list of packages: that of what they were trimmed from is compared, if it is
    still there.
    """
    from dockyard.packages.compare import compare_images, compare_packages

    first, second = _images(engine, before, after)
    if not first or not second:
        return None
    found = compare_images(engine, first, second)
    if found.is_equal or found.packages or not (first.trimmed and second.trimmed):
        return found
    whole, other = _images(engine, first.trimmed, second.trimmed)
    return found._replace(packages=compare_packages(engine, whole, other)) if whole and other else found


def _images(engine: "Engine", *identifiers: str) -> "list[Image | None]":
    names = [f"sha256:{identifier}" for identifier in identifiers]
    found = engine.images(names)
    return [found.get(name) for name in names]


def detail_of(found: "ImageDifference", before: str) -> dict[str, Any]:
    """Return a difference as an event records it."""
    left_out = len(found.packages) - MAX_RECORDED
    return {
        "before": before,
        "packages": [list(change) for change in found.packages[:MAX_RECORDED]],
        **({"more_packages": left_out} if left_out > 0 else {}),
        "files": found.files,
        **({"configuration": True} if found.configuration else {}),
    }


def describe(found: "ImageDifference") -> str:
    """Return a difference in words, such as `openssl 3.0.15 → 3.0.17, 2 files`."""
    from dockyard.packages.words import describe_difference

    return describe_difference(found)


def describe_recorded(detail: Mapping[str, Any]) -> str:
    """Return in words what differs, from the detail of an event; empty if it records nothing of that."""
    if "files" not in detail:
        return ""
    from dockyard.packages.compare import ImageDifference
    from dockyard.packages.package import PackageChange

    packages = tuple(PackageChange(*map(str, change)) for change in detail.get("packages", ()))
    found = ImageDifference(packages, int(detail["files"]), bool(detail.get("configuration")))
    more = detail.get("more_packages")
    return f"{describe(found)}, {more} more packages" if more else describe(found)


def describe_failed_image(engine: "Engine", service: str, report: str, live: str) -> str:
    """Return in words how the image that failed differs from what is live; empty if there are no two images.

    `report` is the directory of the failure report. Raises DockyardError.
    """
    image = history.image_of_failure(service, report)
    found = difference(engine, live, image) if live and image and live != image else None
    if found is None:
        return ""
    return f"{image[:12]} differs from the live image, {live[:12]}: {describe(found) or 'only in timestamps'}"
