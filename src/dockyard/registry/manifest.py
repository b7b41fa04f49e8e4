"""What registries serve of images, read with suspicion: manifests, lists of them by platform, configurations."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dockyard.registry.reference import is_digest

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
ACCEPTED = ", ".join((*INDEX_TYPES, *MANIFEST_TYPES))
MAX_ENTRIES = 1000  # manifests in an index, labels of an image
MAX_LABEL = 64 * 1024  # characters

_MACHINES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv8l": "arm/v7",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "i386": "386",
    "i686": "386",
}


class RemoteImage(NamedTuple):
    """What a tag or a digest names in a registry."""

    digest: str
    """Of the index or the manifest: what a pull shows, and what a pin holds."""
    platforms: Mapping[str, str] = MappingProxyType({})
    """The digest of each platform's manifest; empty for a single manifest, and if only the digest was asked for."""


class ImageDetails(NamedTuple):
    """What the image of one platform says of itself."""

    config_digest: str
    manifest_digest: str
    labels: Mapping[str, str]
    created: str


class Manifest(NamedTuple):
    """What a manifest or an index says; one of the two is empty."""

    platforms: Mapping[str, str] | None
    config_digest: str


class UnreadableError(Exception):
    """A text is not what it should be; the message says what it is instead."""


def digest_of(body: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of what was served."""
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def has_digest(body: bytes, digest: str) -> bool:
    """Return whether a body is what its digest promises."""
    return digest_of(body, digest.partition(":")[0]) == digest


def platform_of(system: str, machine: str) -> str:
    """Return how images name a platform that the kernel names otherwise.

    >>> platform_of("Linux", "x86_64")
    'linux/amd64'
    """
    return f"{system.lower()}/{_MACHINES.get(machine, machine)}"


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is. Raises UnreadableError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        kind = "HTML" if body.lstrip()[:1] == b"<" else "not JSON"
        raise UnreadableError(kind) from None
    if not isinstance(content, dict):
        raise UnreadableError("not a JSON object")
    return content


def read_manifest(body: bytes) -> Manifest:
    """Return what an index or a manifest says. Raises UnreadableError."""
    content = read_object(body)
    entries = content.get("manifests")
    if entries is None:
        return Manifest(None, _config_of(content))
    if not isinstance(entries, list) or "config" in content or "layers" in content:
        raise UnreadableError("not a manifest")
    if len(entries) > MAX_ENTRIES:
        raise UnreadableError(f"an index of more than {MAX_ENTRIES} manifests")
    found: dict[str, str] = {}
    for entry in entries:
        platform, digest = _platform_in(entry), _digest_in(entry)
        if platform and digest:
            found.setdefault(platform, digest)
    return Manifest(MappingProxyType(found), "")


def choose_platform(platforms: Mapping[str, str], wanted: str) -> str:
    """Return the digest for a platform, or for an older variant of it; nothing if there is none."""
    base, _, variant = wanted.partition("/arm/v")
    older = [f"{base}/arm/v{number}" for number in range(int(variant) - 1, 4, -1)] if variant.isdecimal() else []
    candidates = [wanted, *older, *([f"{base}/arm"] if older else [])]
    return next((platforms[name] for name in candidates if name in platforms), "")


def _platform_in(entry: object) -> str:
    """Return the platform of an entry of an index; nothing for attestations and other things that do not run."""
    platform = entry.get("platform") if isinstance(entry, dict) else None
    system, architecture, variant = (_text(platform, key) for key in ("os", "architecture", "variant"))
    if not system or not architecture or "unknown" in (system, architecture):
        return ""
    if (architecture, variant) == ("arm64", "v8"):  # the only one there is: often left out
        variant = ""
    return "/".join(part for part in (system, architecture, variant) if part)


def _config_of(manifest: Mapping[str, Any]) -> str:
    digest = _digest_in(manifest.get("config"))
    if not digest:
        old = manifest.get("schemaVersion") == 1
        raise UnreadableError("a manifest of the old format, version 1" if old else "not a manifest")
    return digest


def _digest_in(content: object) -> str:
    """Return the digest that a descriptor names; nothing for what is not a digest: it becomes a part of a URL."""
    digest = _text(content, "digest")
    return digest if is_digest(digest) else ""


def read_labels(body: bytes) -> tuple[Mapping[str, str], str]:
    """Return the labels of an image's configuration, and when it was created. Raises UnreadableError."""
    content = read_object(body)
    config = content.get("config")
    labels = config.get("Labels") if isinstance(config, dict) else None
    pairs = list(labels.items())[:MAX_ENTRIES] if isinstance(labels, dict) else []
    known = {_encodable(key): _encodable(value) for key, value in pairs if isinstance(value, str)}
    short = {key: value for key, value in known.items() if len(key) + len(value) <= MAX_LABEL}
    return MappingProxyType(short), _encodable(_text(content, "created"))


def _encodable(text: str) -> str:
    r"""Return a text that can be stored: JSON may have half a character, such as `\ud800`."""
    return text.encode("utf-8", "replace").decode()


def _text(content: object, key: str) -> str:
    """Return a text in a JSON object; nothing if there is none."""
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) else ""
