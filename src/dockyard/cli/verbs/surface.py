"""The verb that shows the attack surface of an image."""

from typing import TYPE_CHECKING, Any

from dockyard.cli.command import flag, option
from dockyard.cli.output import Result
from dockyard.cli.verb import On, verb
from dockyard.errors import NoSuchNameError
from dockyard.plan.build import LATEST, LIVE, PREVIOUS
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.build import Builder
    from dockyard.engine.models import Image
    from dockyard.surface.measure import Measured


@verb(
    "surface",
    on=On.SERVICE,
    report=True,
    settles=False,
    options=(
        option("--tag", default="", help="tag of the image (default: `live`, or else `latest`)"),
        flag("--used", help="also run its Test, and report which files were opened"),
    ),
)
def surface(yard: Yard, name: str, *, tag: str, used: bool) -> Result:
    """Show the image's attack surface, and what was added and removed since the previous image.

    It lists programs, shells, interpreters, package managers, files that grant privileges, world-writable files, and
    users who can log in. The image is read from its layers: nothing is launched, unless --used runs its Test.
    """
    from dockyard.build import builder_for
    from dockyard.surface.measure import measure
    from dockyard.surface.told import surface_lines

    builder = builder_for(yard, yard.named(name))
    reference, image = _image(builder, tag)
    now = measure(yard.engine, image)
    origin = f", trimmed from {image.trimmed[:12]}" if image.trimmed else ""
    head = f"{reference}, {image.id[:12]}{origin}"
    data: dict[str, Any] = {"service": name, "image": image.id, "reference": reference, "trimmed": image.trimmed}
    before, told = _against(builder, image, now)
    opened, lines = _used(builder, image, now) if used else ({}, [])
    data |= {"surface": now.surface.data(), **before, **opened}
    return Result([head, *surface_lines(now.surface), *told, *lines], data)


def _image(builder: "Builder", tag: str) -> "tuple[str, Image]":
    references = [builder.name.tagged(one) for one in ([tag] if tag else [LIVE, LATEST])]
    found = builder.engine.images(references)
    for reference in references:
        if reference in found:
            return reference, found[reference]
    raise NoSuchNameError(f"image {references[-1]} does not exist", hint="build it first with d-build")


def _against(builder: "Builder", image: "Image", now: "Measured") -> tuple[dict[str, Any], list[str]]:
    """Return what was added and removed since the previous image, if there is one."""
    from dockyard.packages.reading import list_changes
    from dockyard.packages.words import describe_changes
    from dockyard.surface.difference import differences
    from dockyard.surface.measure import measure
    from dockyard.surface.told import difference_lines

    reference = builder.name.tagged(PREVIOUS)
    previous = builder.engine.images([reference]).get(reference)
    if not previous or previous.id == image.id:
        return {}, []
    before = measure(builder.engine, previous)
    found, changes = differences(before.surface, now.surface), list_changes(before.packages, now.packages)
    packages = [change._asdict() for change in changes]
    data = {"image": previous.id, "differences": [one._asdict() for one in found], "packages": packages}
    lines = [f"  packages: {describe_changes(changes)}"] if changes else []
    lines += [f"  {note}" for note in dict.fromkeys((*before.packages.notes, *now.packages.notes))]
    return {"previous": data}, [f"since {reference}, {previous.id[:12]}", *difference_lines(found), *lines]


def _used(builder: "Builder", image: "Image", now: "Measured") -> tuple[dict[str, Any], list[str]]:
    """Run the Test, and return which files of the image were opened."""
    from dockyard.surface.told import use_lines
    from dockyard.surface.trim import parted, used_by_test

    opened = parted(used_by_test(builder, image.id), now.tree)
    return {"used": opened}, ["while its Test ran", *use_lines(now.surface, opened)]
