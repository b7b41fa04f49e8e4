"""Docker 29, freshly installed: the containerd image store, API 1.52, buildx.

From the source of moby and docker/cli 29.x, and of buildx 0.30: what is left out of answers if it is empty (API 1.52),
`isDangling` of the CLI's list, which digest `--iidfile` gets, default attestations.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.standins.engine import Options, RefusedError, StandIn, Thing, mounts_of, published
from tests.standins.gotemplate import Struct
from tests.standins.store import State, digest

_UP = "Up 2 seconds"


class Docker29(StandIn):
    """Docker 29.0 and later."""

    name = "docker"
    version: ClassVar[str] = "29.7.2"

    def unknown_command(self, verb: str) -> str:
        """Return the message about an unknown verb."""
        return f"docker: unknown command: docker {verb}\n\nRun 'docker --help' for more information"

    def template_failed(self, reason: str) -> str:
        """Return the message about a template that cannot be executed."""
        return f"failed to execute template: {reason}"

    def missing(self, kind: str, name: str) -> str:
        """Return the message about an object that does not exist."""
        if kind == "network":
            return f"Error response from daemon: network {name} not found"
        return f"Error response from daemon: No such {kind}: {name}"

    def port_taken(self, address: str, port: str) -> str:
        """Return the message of 29's port allocator, which contains neither the container's address nor "for"."""
        return (
            "Error response from daemon: failed to set up container networking: driver failed programming external "
            f"connectivity on endpoint x (1f): failed to bind host port {address}:{port}/tcp: address already in use"
        )

    def port_allocated(self, address: str, port: str) -> str:
        """Return the message about a host port that another container uses."""
        return (
            "Error response from daemon: failed to set up container networking: driver failed programming external "
            f"connectivity on endpoint x (1f): Bind for {address}:{port} failed: port is already allocated"
        )

    def row_of_container(self, state: State, container: Thing) -> Struct:
        """Return a container as the templates of `ps` see it."""
        tags = self.tags_of(state, state["images"][container["image"]]) if container["image"] in state["images"] else []
        named = container["image_name"] if self.full_name(container["image_name"]) in tags else container["image"][:12]
        ports = ", ".join(f"{address}:{port}->{inside}" for address, port, inside in published(container))
        up = container["status"] == "running"
        fields = {
            "ID": container["id"],
            "Names": container["name"],
            "State": container["status"],
            "Status": _UP if up else f"Exited ({container['exit_code']}) 2 seconds ago" if container["started"] else "",
            "Image": named,
            "Ports": ports if up else "",
            "Labels": ",".join(f"{key}={value}" for key, value in container["labels"].items()),
        }
        return Struct("*formatter.ContainerContext", fields, {"Label": lambda key: container["labels"].get(key, "")})

    def answer_of_container(self, state: State, container: Thing) -> Thing:
        """Return an inspect answer: no GraphDriver in this store, and only addresses of networks."""
        up = container["status"] == "running"
        flags = container["flags"]
        return {
            "Id": container["id"],
            "Name": f"/{container['name']}",
            "Created": container["created"],
            "Image": f"sha256:{container['image']}",
            "ImageManifestDescriptor": {"digest": f"sha256:{state['images'][container['image']]['manifest']}"},
            "Driver": "overlayfs",
            "Storage": {"RootFS": {"Snapshot": {"Name": "overlayfs"}}},
            "RestartCount": 0,
            "State": {
                "Status": container["status"],
                "Running": up,
                "Paused": False,
                "Restarting": False,
                "OOMKilled": False,
                "Dead": False,
                "Pid": container["pid"],
                "ExitCode": container["exit_code"],
                "Error": "",
                "StartedAt": container["started"] or "0001-01-01T00:00:00Z",
                "FinishedAt": container["finished"] or "0001-01-01T00:00:00Z",
            },
            "Mounts": [
                {"Type": "bind", "Source": source, "Destination": target, "Mode": "", "RW": True}
                for target, source in mounts_of(container).items()
            ],
            "Config": without_empty(
                {
                    "Image": container["image_name"],
                    "Labels": container["labels"],
                    "Cmd": container["command"],
                    "Env": flags.get("env", []),
                    "User": flags.get("user", [""])[-1],
                }
            ),
            "HostConfig": {
                "AutoRemove": bool(flags.get("rm")),
                "RestartPolicy": {"Name": container["restart"], "MaximumRetryCount": 0},
                "NetworkMode": container["networks"][0] if container["networks"] else "none",
                "ReadonlyRootfs": bool(flags.get("read-only")),
            },
            "NetworkSettings": {
                "SandboxID": "",
                "Ports": {
                    inside: [{"HostIp": address, "HostPort": port}] for address, port, inside in published(container)
                }
                if up
                else {},
                "Networks": {name: {"IPAddress": ""} for name in container["networks"]},
            },
        }

    def answer_of_image(self, state: State, image: Thing) -> Thing:
        """Return an inspect answer: the Id is the digest of the index, or of the manifest if there is no index."""
        configuration = image["configuration"]
        kind = "image.index" if image["index"] else "image.manifest"
        descriptor = {
            "mediaType": f"application/vnd.oci.{kind}.v1+json",
            "digest": f"sha256:{image['id']}",
            "size": 856,
        }
        tags = self.tags_of(state, image)
        names = dict.fromkeys(tag.rpartition(":")[0] for tag in tags)
        return without_empty(
            {
                "Id": f"sha256:{image['id']}",
                "RepoTags": tags,
                "RepoDigests": [f"{name}@sha256:{image['id']}" for name in names],
                "Created": configuration["created"],
                "Architecture": "amd64",
                "Os": "linux",
                "Size": 12345,
                "Config": without_empty(configuration["config"]),
                "RootFS": {"Type": "layers", "Layers": configuration["rootfs"]["diff_ids"]},
                "Metadata": {"LastTagTime": configuration["created"]},
                "Descriptor": descriptor,
            }
        )

    def add_image(self, state: State, configuration: Thing, snapshots: Sequence[str], options: Options) -> str:
        """Store an image by its index if it has attestations, otherwise by its manifest."""
        configured = digest(configuration)
        manifest = digest({"config": configured, "layers": configuration["rootfs"]["diff_ids"]})
        with_attestations = wants_attestations(options)
        # The provenance contains the build's times and a new id.
        index = digest([manifest, os.urandom(8).hex()]) if with_attestations else ""
        identifier = index or manifest
        state["images"].setdefault(
            identifier,
            {
                "id": identifier,
                "manifest": manifest,
                "config_digest": configured,
                "index": bool(index),
                "configuration": configuration,
                "snapshots": list(snapshots),
            },
        )
        if written := options.last("iidfile"):
            # buildx before 0.36.0 writes the configuration's digest as soon as there are no attestations
            old = os.environ.get("STANDIN_BUILDX", "0.35") < "0.36"
            Path(written).write_text(f"sha256:{configured if old and not index else identifier}")
        return identifier

    def image_in_list(self, image: Thing, tags: Sequence[str], *, every: bool, filtered: bool) -> bool:
        """Whether `images` lists an image: without a tag only with `--all`, or if a filter names `dangling`."""
        del image
        return bool(tags) or every or filtered

    def info(self, _state: State) -> Thing:
        """Return the fields of `info`."""
        return {
            "ServerVersion": self.server_version,
            "DockerRootDir": "/var/lib/docker",
            "Driver": "overlayfs",
            "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
            "CgroupVersion": "2",
            "CgroupDriver": "systemd",
            "LiveRestoreEnabled": False,
            "Containerd": {"Address": str(self.store.socket), "Namespaces": {"Containers": "moby", "Plugins": "x"}},
            "ClientInfo": {"Version": self.version, "Plugins": [{"Name": "buildx", "Version": "v0.35.0"}]},
        }

    def do_builder_prune(self, _state: State, _argv: Sequence[str]) -> None:
        """Remove the cache of builds."""
        print("Total:\t0B")

    def do_buildx_version(self, _state: State, _argv: Sequence[str]) -> None:
        """Print the version of buildx."""
        print(f"github.com/docker/buildx v{os.environ.get('STANDIN_BUILDX', '0.35')}.0 0000")


def without_empty(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without its empty fields, which API 1.52 leaves out."""
    return {name: value for name, value in answer.items() if value not in ("", [], {}, None)}


def wants_attestations(options: Options) -> bool:
    """Whether a build has a provenance attestation, buildx's default, or an SBOM."""
    said = options.last("provenance")
    by_default = not os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS")
    provenance = by_default if not said else said != "false"
    return provenance or options.last("sbom", "false") != "false"


if __name__ == "__main__":
    if "STANDIN_ROOT" not in os.environ:
        raise RefusedError("STANDIN_ROOT is not set")
    sys.exit(Docker29(Path(os.environ["STANDIN_ROOT"])).main(sys.argv[1:]))
