"""The mounts of a project's services in one form, and which service will own each directory."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard.moving.context import Store, Wanted, absolute
from dockyard.moving.network_rules import real_name
from dockyard.moving.reading import Project
from dockyard.moving.tree import Part

MOST_IN_IMAGE = 16 * 1024 * 1024  # bytes of configuration: more is data
_FIELDS = {"type", "source", "target", "read_only"}


class Mount(NamedTuple):
    """A mount of compose: `kind` is volume, bind, tmpfs or another type; an empty source: it has no name."""

    kind: str
    source: str
    target: str
    read_only: bool
    parts: tuple[Part, ...]
    rest: tuple[Part, ...] = ()
    options: tuple[str, ...] = ()

    def store_key(self, project: Project) -> str:
        """Return the key by which the services of a project share it; empty if it is not shared, or outside of it."""
        if self.kind == "volume":
            place = bound(project, self.source)
            return f"path:{place}" if place else f"volume:{self.source}" if self.source else ""
        path = absolute(project, self.source)
        return f"path:{path}" if self.kind == "bind" and path.is_relative_to(project.directory) else ""


def mounts_of(service: Part) -> Iterator[Mount]:
    """Yield the mounts of a service."""
    said = service.at("volumes")
    for item in said.items() if said else ():
        yield _long(item) if item.pairs() else _short(item)


def _short(item: Part) -> Mount:
    first, *others = item.text.split(":")
    if not others:
        return Mount("volume", "", first, read_only=False, parts=(item,))
    options = [word for word in others[1].split(",") if word] if len(others) > 1 else []
    kind = "bind" if first.startswith((".", "/", "~")) else "volume"
    unknown = tuple(word for word in options if word not in {"ro", "rw"})
    return Mount(kind, first, others[0], "ro" in options, (item,), options=unknown)


def _long(item: Part) -> Mount:
    fields = item.pairs()
    used = tuple(field for name, field in fields.items() if name in _FIELDS)
    rest = tuple(leaf for name, field in fields.items() if name not in _FIELDS for leaf in field.leaves())
    texts = {name: field.text for name, field in fields.items()}
    read_only = "read_only" in fields and fields["read_only"].is_set
    return Mount(texts.get("type", "volume"), texts.get("source", ""), texts.get("target", ""), read_only, used, rest)


def bound(project: Project, volume: str) -> Path | None:
    """Return the directory that a named volume is bound to by its driver's options, if any."""
    part = project.defined("volumes", volume)
    options = part.at("driver_opts") if part else None
    said = {name: option.text for name, option in options.pairs().items()} if options else {}
    device = said.get("device", "")
    is_bind = "bind" in said.get("o", "").split(",") and device.startswith("/")
    return absolute(project, device) if is_bind else None


def plan_stores(project: Project, wanted: Wanted, order: list[str], base: str) -> dict[str, Store]:
    """Return the owner of each shared or own directory: the first service in `order` that mounts it."""
    found: dict[str, Store] = {}
    for name in order:
        for mount in mounts_of(project.services[name]):
            key = mount.store_key(project)
            if key and key not in found and not goes_into_image(mount, project.services[name], project):
                owner = wanted.prefix + name
                path = _free(_path(project, key), {store.path for store in found.values() if store.owner == owner})
                found[key] = Store(owner, path, _copy(project, key, f"{base}/{owner}/{path}"))
    return found


def sharers(project: Project) -> Mapping[str, list[str]]:
    """Return the services that mount each directory that more than one mounts."""
    found: dict[str, list[str]] = {}
    for name, part in project.services.items():
        for key in {mount.store_key(project) for mount in mounts_of(part)} - {""}:
            found.setdefault(key, []).append(name)
    return {key: names for key, names in found.items() if len(names) > 1}


def has_several_writers(mount: Mount, project: Project) -> bool:
    """Return whether more than one service of a project writes to a mount; a socket has no writers."""
    if mount.source.endswith(".sock"):
        return False
    writers = [
        name
        for name, part in project.services.items()
        if any(not one.read_only and _is_same(one, mount, project) for one in mounts_of(part))
    ]
    return len(writers) > 1


def _is_same(one: Mount, other: Mount, project: Project) -> bool:
    key = other.store_key(project)
    if key or one.kind != "bind" or other.kind != "bind":
        return bool(key) and one.store_key(project) == key
    return absolute(project, one.source) == absolute(project, other.source)


def _path(project: Project, key: str) -> str:
    kind, _, rest = key.partition(":")
    if kind == "volume":
        return rest
    path = Path(rest)
    relative = str(path.relative_to(project.directory)) if path.is_relative_to(project.directory) else path.name
    return "project" if relative in {".", ""} else relative


def _free(path: str, taken: set[str]) -> str:
    """Return a path that does not overlap with those in use."""
    number, free = 2, path
    while any(f"{free}/".startswith(f"{other}/") or f"{other}/".startswith(f"{free}/") for other in taken):
        number, free = number + 1, f"{path.replace('/', '-')}-{number}"
    return free


def _copy(project: Project, key: str, target: str) -> str:
    """Return the command that copies the data; empty if there are none."""
    kind, _, rest = key.partition(":")
    there = shlex.quote(target)
    if kind == "volume":
        name = shlex.quote(real_name(project, "volumes", rest))
        place = f"docker volume inspect --format '{{{{.Mountpoint}}}}' {name}"
        return f'mkdir -p {there} && cp -a "$({place})/." {there}/'
    return copy_of(Path(rest), target)


def copy_of(source: Path, target: str) -> str:
    """Return the command that copies a file or directory of the host; empty if it does not exist."""
    here, there = shlex.quote(str(source)), shlex.quote(target)
    if source.is_dir():
        return f"mkdir -p {there} && cp -a {here}/. {there}/"
    above = shlex.quote(target.rpartition("/")[0])
    return f"mkdir -p {above} && cp -a {here} {there}" if source.exists() else ""


def goes_into_image(mount: Mount, service: Part, project: Project) -> bool:
    """Return whether a mount is configuration that can be part of the image, and is never written to."""
    source = absolute(project, mount.source)
    inside = mount.kind == "bind" and source != project.directory and bool(mount.store_key(project))
    if not inside or not mount.read_only or service.at("build"):
        return False
    return source.exists() and fits_image(source) and not _is_written(source, project)


def _is_written(path: Path, project: Project) -> bool:
    every = (mount for service in project.services.values() for mount in mounts_of(service))
    places = (absolute(project, mount.source) for mount in every if mount.kind == "bind" and not mount.read_only)
    return any(path.is_relative_to(place) or place.is_relative_to(path) for place in places)


def fits_image(source: Path) -> bool:
    """Return whether a file or directory is configuration that an image may contain: small, and readable by all."""
    entries = [source, *source.rglob("*")] if source.is_dir() else [source]
    total = 0
    for entry in entries:
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()) or not entry.stat().st_mode & 0o004:
            return False
        total += entry.stat().st_size if entry.is_file() else 0
    return total <= MOST_IN_IMAGE
