"""A local registry, and the images published there."""

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dockyard.dockerfile import build_arguments
from tests.engines.world import BASE, LABEL, World, free_port, wait_for, write

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


class Upstream:
    """Third parties that publish images in a registry."""

    def __init__(self, engine: World, address: str) -> None:
        self.engine = engine
        self.address = address

    def name(self, repository: str) -> str:
        """Return a repository's name for a Dockerfile."""
        return f"{self.address}/{repository}"

    def publish(
        self, repository: str, tags: str, files: Mapping[str, str], *, base: str = BASE, labels: Mapping[str, str] = {}
    ) -> str:
        """Publish an image with these files, under one or more tags; returns its digest."""
        context = self.engine.root / "published"
        shutil.rmtree(context, ignore_errors=True)
        for path, text in files.items():
            write(context / "root" / path, text, mode=0o755)
        named = "".join(f'LABEL {key}="{value}"\n' for key, value in labels.items())
        write(context / "Dockerfile", f"FROM {base}\n{named}LABEL {LABEL}\nCOPY root /\n")
        draft = f"{self.name(repository)}:draft"
        plain = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}  # with them, a containerd store pushes an index
        self.engine.run(self.engine.engine, "build", "--quiet", "--tag", draft, context, env=plain)
        self.engine.call("push", "--quiet", draft)
        self.engine.call("rmi", draft)
        digest = self.digest(repository, "draft")
        for tag in tags.split():
            self.move(repository, tag, digest)
        return digest

    def digest(self, repository: str, tag: str) -> str:
        """Return the current digest of a tag."""
        return self._ask("GET", f"{repository}/manifests/{tag}")[0]["docker-content-digest"]

    def move(self, repository: str, tag: str, digest: str) -> None:
        """Point a tag to an existing image."""
        headers, manifest = self._ask("GET", f"{repository}/manifests/{digest}")
        self._ask("PUT", f"{repository}/manifests/{tag}", manifest, headers["content-type"])

    def mirror(self, repository: str, other: str, tag: str) -> str:
        """Have another repository the image of a tag, under the same digest; returns its name there."""
        headers, text = self._ask("GET", f"{repository}/manifests/{tag}")
        manifest = json.loads(text)
        for blob in (manifest["config"], *manifest["layers"]):
            mount = f"{other}/blobs/uploads/?mount={blob['digest']}&from={repository}"
            self._ask("POST", mount, b"", "text/plain")
        self._ask("PUT", f"{other}/manifests/{tag}", text, headers["content-type"])
        return f"{self.name(other)}:{tag}"

    def republish(self, repository: str, tag: str) -> str:
        """Point a tag to an image of the same content with another digest, like a rebuild of the same files."""
        headers, text = self._ask("GET", f"{repository}/manifests/{tag}")
        manifest = json.loads(text)
        configuration = json.loads(self._ask("GET", f"{repository}/blobs/{manifest['config']['digest']}")[1])
        seconds = int(configuration["created"][17:19])
        configuration["created"] = f"{configuration['created'][:17]}{(seconds + 1) % 60:02}Z"
        configuration["author"] = f"{configuration.get('author', '')}."
        blob = json.dumps(configuration).encode()
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        place = urlsplit(self._ask("POST", f"{repository}/blobs/uploads/", b"", "text/plain")[0]["location"])
        target = f"{place.path.removeprefix('/v2/')}?{place.query}&digest={digest}"
        self._ask("PUT", target, blob, "application/octet-stream")
        manifest["config"] |= {"digest": digest, "size": len(blob)}
        self._ask("PUT", f"{repository}/manifests/{tag}", json.dumps(manifest).encode(), headers["content-type"])
        return self.digest(repository, tag)

    def move_to_index(self, repository: str, tag: str, digest: str) -> str:
        """Point a tag to an index for several platforms, all with the image of a digest; returns the index's digest."""
        headers, manifest = self._ask("GET", f"{repository}/manifests/{digest}")
        image = {"mediaType": headers["content-type"], "digest": digest, "size": len(manifest)}
        names = (build_arguments(())["TARGETARCH"], "s390x")
        manifests = [{**image, "platform": {"os": "linux", "architecture": name}} for name in names]
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}
        answer, _ = self._ask("PUT", f"{repository}/manifests/{tag}", json.dumps(index).encode(), _INDEX)
        return answer["docker-content-digest"]

    def _ask(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> tuple[dict[str, str], bytes]:
        """Return the headers and the body of an answer."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        with closing(connection):
            headers = {"Content-Type": kind} if kind else {"Accept": _MANIFEST}
            connection.request(method, f"/v2/{path}", body, headers)
            answer = connection.getresponse()
            read = answer.read()
            assert answer.status < 300, (method, path, answer.status, read)
            return {name.lower(): value for name, value in answer.getheaders()}, read


@contextmanager
def serving(engine: World) -> Iterator[Upstream]:
    """Run Debian's docker-registry locally, and let the engine and dockyard use it without TLS."""
    program = shutil.which("docker-registry")
    if not program:
        pytest.skip("docker-registry is not installed (Debian's package of that name)")
    address = f"127.0.0.1:{free_port()}"
    configuration: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(engine.root / "upstream")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    file = write(engine.root / "upstream.yml", json.dumps(configuration))
    insecure = write(engine.root / "insecure.conf", f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    before = dict(engine.environment)
    engine.environment |= {"CONTAINERS_REGISTRIES_CONF": str(insecure), "DOCKYARD_OFFLINE": "false"}
    log = Path(engine.root / "upstream.log").open("w", encoding="utf-8")  # noqa: SIM115 - as long as the registry
    with log, subprocess.Popen([program, "serve", str(file)], stdout=log, stderr=log) as child:
        try:
            wait_for(lambda: _is_up(address), "the registry")
            yield Upstream(engine, address)
        finally:
            child.terminate()
            engine.environment.clear()
            engine.environment |= before


def _is_up(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2):
            return True
    except OSError:
        return False
