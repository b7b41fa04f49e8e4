"""An image as an archive that `docker load` and `podman load` take: one layer, and the configuration as it was.

The format is that of `docker save` (github.com/moby/docker-image-spec): a layer as a tar, a configuration whose hash is
the image's id, and a manifest that names both. Nothing of the configuration goes through a Dockerfile's quoting.
"""

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.engine.identity import TRIMMED_BY, TRIMMED_FOR_LABEL, TRIMMED_LABEL
from dockyard.engine.models import Answer, plain_id
from dockyard.surface.tree import Entry, Files, Tree

_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}
_NANOSECONDS = 10**9
_COMPARED = ("Labels", "User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Volumes", "ExposedPorts")


class Archive(NamedTuple):
    """A file to load, and what the image is known by: the digest of its configuration, its layer's, and the settings.

    The digest of the configuration is the image's id, except in docker's containerd image store: that has the digest of
    a manifest, which it writes itself.
    """

    path: Path
    id: str
    layer: str
    config: Mapping[str, Any]

    def is_of(self, answer: Answer) -> bool:
        """Return whether the engine's answer is about the image of this archive, by its layer and its settings."""
        config = answer.get("Config") or {}
        layers = (answer.get("RootFS") or {}).get("Layers")
        same = all((config.get(word) or None) == (self.config.get(word) or None) for word in _COMPARED)
        return layers == [f"sha256:{self.layer}"] and same


def write_archive(  # noqa: PLR0913, PLR0917 - an image, and what becomes of it
    place: Path, tree: Tree, keep: Collection[str], files: Files, answer: Answer, asked: str
) -> Archive:
    """Write an archive of what is kept of an image into a directory; `answer` is what the engine knows of the image.

    `asked` is a hash of what decided on that; the image carries it.

    The same image, trimmed in the same way, gets the same configuration on every engine. Raises OSError.
    """
    layer = place / "layer.tar"
    _write_layer(layer, tree, keep, files)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    described = configuration_of(answer, digest, asked)
    configuration = json.dumps(described, sort_keys=True).encode()
    identifier = hashlib.sha256(configuration).hexdigest()
    manifest = [{"Config": f"{identifier}.json", "RepoTags": None, "Layers": ["layer.tar"]}]
    path = place / "image.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(layer, "layer.tar")
        _add_bytes(tar, f"{identifier}.json", configuration)
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
    layer.unlink()
    return Archive(path, identifier, digest, described["config"])


def configuration_of(answer: Answer, layer: str, asked: str) -> dict[str, Any]:
    """Return an image's configuration with another layer, of this hash, and labels that say what it is made from."""
    config = dict(answer.get("Config") or {})
    check = answer.get("HealthCheck") or answer.get("Healthcheck")  # podman has it beside
    if check:
        config.setdefault("Healthcheck", check)
    told = {TRIMMED_LABEL: plain_id(answer["Id"]), TRIMMED_FOR_LABEL: asked}
    config["Labels"] = {**(config.get("Labels") or {}), **told}
    config.pop("Image", None)  # the image below, of docker's own builder: there is none
    words = ("Architecture", "Os", "Variant", "Author", "Created")
    platform = {word.lower(): answer[word] for word in words if answer.get(word)}
    history = [{"created": answer.get("Created"), "created_by": f"{TRIMMED_BY}{plain_id(answer['Id'])}"}]
    return {
        **platform,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": history,
    }


def _write_layer(path: Path, tree: Tree, keep: Collection[str], files: Files) -> None:
    names: dict[tuple[int, int], str] = {}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for one in sorted(keep):
            entry = tree[one]
            member = _member(one, entry, names)
            if member.isreg():
                with files.opened(one) as descriptor, open(descriptor, "rb", closefd=False) as source:
                    tar.addfile(member, source)
            elif entry.facts.format in _TYPES:  # a socket is made by whoever listens
                tar.addfile(member)


def _member(path: str, entry: Entry, names: dict[tuple[int, int], str]) -> tarfile.TarInfo:
    facts = entry.facts
    member = tarfile.TarInfo(path.lstrip("/") or ".")
    member.type = _TYPES.get(facts.format, tarfile.REGTYPE)
    member.mode, member.mtime = facts.mode, facts.times[1] // _NANOSECONDS
    member.uid, member.gid = facts.owner
    member.devmajor, member.devminor = os.major(facts.device), os.minor(facts.device)
    member.pax_headers = _attributes(facts.attributes)
    if entry.is_link:
        member.linkname = facts.target
    elif entry.is_file:
        first = names.setdefault(entry.inode, member.name)
        if first != member.name:
            member.type, member.linkname = tarfile.LNKTYPE, first
        else:
            member.size = facts.size
    return member


def _attributes(attributes: Mapping[str, bytes]) -> dict[str, str]:
    """Return extended attributes as GNU tar, bsdtar and both engines have them."""
    return {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in attributes.items()}


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
