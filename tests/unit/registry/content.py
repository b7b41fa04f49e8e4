"""Images as registries store them, made up for the tests."""

import gzip
import hashlib
import io
import json
import tarfile
from typing import NamedTuple

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def descriptor(kind: str, body: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": kind, "digest": digest(body), "size": len(body), **more}


class Single(NamedTuple):
    """An image for one platform."""

    manifest: bytes
    config: bytes
    layer: bytes


class Multi(NamedTuple):
    """An image for two platforms, with the attestation of one."""

    index: bytes
    parts: dict[str, Single]


def single(text: str, architecture: str = "amd64", labels: dict[str, str] | None = None) -> Single:
    files = _tar(text)
    layer = gzip.compress(files, mtime=0)
    config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "2026-11-01T00:00:00Z",
            "config": {"Labels": labels or {"org.opencontainers.image.version": text}},
            "rootfs": {"type": "layers", "diff_ids": [digest(files)]},
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": [descriptor(LAYER, layer)],
    }
    return Single(json.dumps(manifest).encode(), config, layer)


def _tar(text: str) -> bytes:
    """Return an archive with one file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("etc/text")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text.encode()))
    return content.getvalue()


def multi(text: str) -> Multi:
    parts = {name: single(f"{text} for {name}", name) for name in ("amd64", "arm64")}
    attestation = single(f"attestation of {text}", "unknown")
    entries = [
        descriptor(MANIFEST, part.manifest, platform={"os": "linux", "architecture": name})
        for name, part in parts.items()
    ]
    entries.append(
        descriptor(
            MANIFEST,
            attestation.manifest,
            platform={"os": "unknown", "architecture": "unknown"},
            annotations={"vnd.docker.reference.type": "attestation-manifest"},
        )
    )
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return Multi(json.dumps(index).encode(), {**parts, "unknown": attestation})
