"""Containers of services whose directory is gone or has another name."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.engine.models import DIRECTORY_LABEL, SUFFIXES, Container, Row
from dockyard.errors import DockyardError
from dockyard.service import Service, is_service
from dockyard.settings.keys import BUILD_REPO, REPO1, REPO2

if TYPE_CHECKING:
    from dockyard.engine.models import Image
    from dockyard.yard import Yard


class Orphan(NamedTuple):
    """A container of production that is up, and whose service is gone."""

    service: str
    container: Container

    @property
    def name(self) -> str:
        """The container's name."""
        return self.container.name

    def __str__(self) -> str:
        """Return what is wrong, in words."""
        directory = self.container.labels.get(DIRECTORY_LABEL, "")
        where = f", {directory}" if directory else ""
        return f"container `{self.name}` is up, but the directory of its service is gone{where}"

    @property
    def hint(self) -> str:
        """What to do about it."""
        adopt = f"move it to the service that replaces it with `d adopt {self.service} NEW`"
        return f"{adopt}; or stop it with `d down {self.name}`"


def list_orphans(yard: "Yard") -> list[Orphan]:
    """Return the orphans of a host, by name. What was launched from a directory elsewhere is none while that exists."""
    candidates = [row.id for row in yard.rows if row.is_up and _is_left(yard, row)]
    found = yard.engine.containers(candidates) if candidates else []
    return sorted(
        (Orphan(one.service, one) for one in found if not _has_directory(one)), key=lambda orphan: orphan.name
    )


def _is_left(yard: "Yard", row: Row) -> bool:
    """Return whether a container is production of a service that is not among those of the host."""
    known = {service.name for service in yard.services}
    return bool(row.service) and row.service not in known and not row.is_under_test and not row.name.endswith(SUFFIXES)


def _has_directory(container: Container) -> bool:
    directory = container.labels.get(DIRECTORY_LABEL, "")
    return bool(directory) and is_service(Path(directory))


# ---------------------------------------------------------------------------------------------------------- renamed
def list_renamed(yard: "Yard") -> dict[str, Orphan]:
    """Return the services that evidently are orphans under a new name.

    Such a service has never had a container, an image or an event, and it is what the orphan was made from: its source
    has the same hash, or, if it is not built here, it has the same image and the same mounts.
    """
    orphans = list_orphans(yard)
    if not orphans:
        return {}
    images = yard.engine.images(f"sha256:{one.container.image_id}" for one in orphans)
    found = {}
    for service in yard.services:
        if _is_new(yard, service):
            same = (
                one for one in orphans if _is_same(yard, service, one, images.get(f"sha256:{one.container.image_id}"))
            )
            orphan = next(same, None)
            if orphan:
                found[service.name] = orphan
    return found


def _is_new(yard: "Yard", service: Service) -> bool:
    from dockyard import history

    has_container = any(row.service == service.name for row in yard.rows)
    return not has_container and not tags_of(yard, service.name) and not history.events(service.name, 1)


def _is_same(yard: "Yard", service: Service, orphan: Orphan, image: "Image | None") -> bool:
    try:
        if service.is_buildable:
            from dockyard.build import builder_for

            return bool(image and image.source) and builder_for(yard, service).source == (image and image.source)
        return _has_same_image_and_mounts(yard, service, orphan)
    except DockyardError:
        return False


def _has_same_image_and_mounts(yard: "Yard", service: Service, orphan: Orphan) -> bool:
    from dockyard.plan.flags import mount_targets
    from dockyard.replace import planned

    plan = planned(yard, service, replacing=True)
    return plan.image_id == orphan.container.image_id and mount_targets(plan.flags) == {*orphan.container.mounts}


def refuse_renamed(service: str, orphan: Orphan) -> DockyardError:
    """Return why a service is not launched that evidently is an orphan under a new name."""
    return DockyardError(
        f"{service} seems to be `{orphan.service}` under a new name, and container `{orphan.name}` is up",
        hint=f"move container, data, images and history with `d adopt {orphan.service} {service}`; "
        f"or stop it with `d down {orphan.name}`, so that {service} starts with its own data",
    )


# ------------------------------------------------------------------------------------------------------------- images
def _repositories(yard: "Yard") -> set[str]:
    """Return the repositories in which images of services are kept on this host."""
    return {yard.settings[key] or "" for key in (BUILD_REPO, REPO1, REPO2)}


def tags_of(yard: "Yard", service: str) -> list[str]:
    """Return the tags of a service's images: `repo/service:tag`."""
    repositories = {f"{repository}/{service}".lstrip("/") for repository in _repositories(yard)}
    return sorted(
        f"{row['repository']}:{row['tag']}"
        for row in yard.engine.image_list()
        if row["repository"].removeprefix("localhost/") in repositories and row["tag"] != "<none>"
    )
