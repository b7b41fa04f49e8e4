"""Rules for what a container gets from the host: volumes, configs, secrets, devices."""

from collections.abc import Iterator
from pathlib import Path

from dockyard.moving.context import Context, Store
from dockyard.moving.mounts import Mount, copy_of, fits_image, goes_into_image, has_several_writers, mounts_of
from dockyard.moving.outcome import Carried, Command, File, Left, Outcome, flag, pair, setting
from dockyard.moving.tree import Part, size
from dockyard.settings.nodes import Mapping, Scalar
from dockyard.settings.types import has_glob

BEFORE = "its data"
SHARED = "several services of the compose project write to it"


def volumes(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield what replaces each mount: a file in the image, a directory of the service, or one of the host."""
    assert part.path  # noqa: S101 - the mounts are those of the context's service
    for mount in mounts_of(context.part):
        yield from _mount(mount, context)
        for word in mount.options:
            yield Left(mount.parts, f"no setting has the option `{word}`", "")
        yield from _rest(mount)


def _mount(mount: Mount, context: Context) -> Iterator[Outcome]:
    key = mount.store_key(context.project)
    if mount.kind == "tmpfs":
        yield from _tmpfs(mount)
    elif mount.kind not in {"volume", "bind"} or not mount.target:
        yield Left(mount.parts, f"a mount of type `{mount.kind}` has no setting", "extra_docker: --mount=…")
    elif has_glob(mount.source) or ".." in mount.target.split("/"):
        yield Left(mount.parts, "its path would be read as a pattern", "rename it")
    elif goes_into_image(mount, context.part, context.project):
        yield from _into_image(context.path(mount.source), mount.target, mount.parts)
    elif key:
        yield from _stored(context.stores[key], mount, context)
    elif mount.kind == "volume":
        name = "anonymous/" + mount.target.strip("/").replace("/", "-")
        yield pair(_key(mount, Path()), name, mount.target, *mount.parts)
    else:
        source = context.path(mount.source)
        yield _pair(_key(mount, source), str(source), mount, context)


def _key(mount: Mount, source: Path) -> str:
    """Return the setting that mounts it: a file must be copied for tests, or it would be empty."""
    if mount.read_only:
        return "mount_ro"
    return "mount_persistent_test_copy_files" if source.is_file() else "mount_rw"


def _stored(store: Store, mount: Mount, context: Context) -> Iterator[Outcome]:
    own = store.owner == context.directory
    source = context.path(mount.source) if mount.kind == "bind" else Path()
    path = store.path if own else f"{context.base}/{store.owner}/{store.path}"
    yield _pair(_key(mount, source), path, mount, context)
    if own and store.copy:
        yield Command(store.copy, BEFORE)


def _pair(key: str, source: str, mount: Mount, context: Context) -> Carried:
    """Return one mount; if several services of the project write to it, it is marked as shared."""
    if mount.read_only or not has_several_writers(mount, context.project):
        return pair(key, source, mount.target, *mount.parts)
    where = mount.parts[0].node.where
    said = {"target": mount.target, "shared": "true", "reason": SHARED}
    options = Mapping(tuple((Scalar(name, where), Scalar(text, where)) for name, text in said.items()), where)
    return Carried(mount.parts, key, Mapping(((Scalar(source, where), options),), where))


def _into_image(source: Path, target: str, parts: tuple[Part, ...]) -> Iterator[Outcome]:
    yield File(f"files/{target.strip('/')}", source=source)
    yield Carried(parts, how=f"in the image, from files/{target.strip('/')}")


def _tmpfs(mount: Mount) -> Iterator[Outcome]:
    options = {part.path[-1]: part for part in mount.rest if part.path[-2] == "tmpfs"}
    texts = [f"{name}={size(option.text)}" for name, option in options.items() if name in {"size", "mode"}]
    read_only = ["ro"] if mount.read_only else []
    words = ",".join([*texts, *read_only])
    yield setting("tmpfs", f"{mount.target}:{words}" if words else mount.target, *mount.parts, *options.values())


_TOLD = {
    "nocopy": "files of the image are never copied into a directory",
    "create_host_path": "the service's own directories are created, others must exist",
}


def _rest(mount: Mount) -> Iterator[Outcome]:
    """Yield the outcomes of the other options of a mount."""
    for leaf in mount.rest:
        name = leaf.path[-1]
        if name in _TOLD:
            yield Carried((leaf,), how=_TOLD[name])
        elif mount.kind != "tmpfs" or name not in {"size", "mode"}:
            yield Left((leaf,), "mounts have no setting for it", "extra_docker: --mount=…")


def tmpfs(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield tmpfs mounts."""
    for item in part.items():
        yield setting("tmpfs", item.text, item)


def devices(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield devices: as a setting if the path inside is the same, with all permissions; otherwise as a flag."""
    for item in part.items():
        fields = item.pairs()
        names = ("source", "target", "permissions")
        texts = [fields[name].text for name in names if name in fields] if fields else item.text.split(":")
        if not texts:
            continue
        same = texts[0].startswith("/") and texts[1:2] in ([], [texts[0]]) and texts[2:] in ([], ["rwm"])
        parts = item.leaves()
        yield setting("mount_devices", texts[0], *parts) if same else flag("--device", ":".join(texts), *parts)


def secrets(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield a read-only file for each secret, below the service's data: no secret is written to its source."""
    for name, target, item in _granted(part, context, "/run/secrets/"):
        yield pair("mount_ro", f"secrets/{name}", target, *item)
        definition = context.project.defined("secrets", name)
        file = definition.at("file") if definition else None
        if file and context.path(file.text).exists():
            place = f"{context.base}/{context.directory}/secrets/{name}"
            yield Command(copy_of(context.path(file.text), place), "a secret")
    yield from _owners(part, "compose ignores it outside of swarm")


def configs(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield a file in the image for each config; of an image that is built, a read-only mount."""
    for name, target, item in _granted(part, context, "/"):
        definition = context.project.defined("configs", name)
        file, content = (definition.at(key) if definition else None for key in ("file", "content"))
        source = context.path(file.text) if file else None
        if content and not context.is_built and not context.uses_secret(content):
            yield File(f"files/{target.strip('/')}", content.text, mode=_mode(part, name))
            yield Carried(item, how=f"in the image, from files/{target.strip('/')}")
        elif source and source.exists() and not context.is_built and fits_image(source):
            yield from _into_image(source, target, item)
        else:
            yield pair("mount_ro", f"configs/{name}", target, *item)
            place = f"{context.base}/{context.directory}/configs/{name}"
            if source and source.exists():
                yield Command(copy_of(source, place), BEFORE)
            else:
                yield Left(item, "the content of the config is not written", f"write it to {place}")
    yield from _owners(part, "files in an image belong to root, and are readable by all users")


def _granted(part: Part, context: Context, place: str) -> Iterator[tuple[str, str, tuple[Part, ...]]]:
    """Yield name, target and leaves of each secret or config of a service."""
    for item in part.items():
        fields = item.pairs()
        name = fields["source"].text if "source" in fields else item.text
        said = fields["target"].text if "target" in fields else name
        used = tuple(field for key, field in fields.items() if key in {"source", "target"}) or (item,)
        yield name, said if said.startswith("/") else place + said, used
    assert context.part.path  # noqa: S101 - of a service


def _mode(part: Part, name: str) -> int:
    for item in part.items():
        fields = item.pairs()
        if "mode" in fields and fields.get("source", item).text == name:
            digits = fields["mode"].text.lower().removeprefix("0o")
            return int(digits, 8) & 0o777 if digits and not set(digits) - set("01234567") else 0o644
    return 0o644


def _owners(part: Part, why: str) -> Iterator[Outcome]:
    for item in part.items():
        for name, field in item.pairs().items():
            if name in {"uid", "gid", "mode"}:
                yield Left((field,), why, "chown and chmod the file")
