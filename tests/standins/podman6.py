"""podman 6: lists whose `.Labels` is a text, inspect answers of 5 and 6, crun, image ids that are not sha256.

From the source of containers/podman 6.0.0 (cmd/podman/containers/ps.go) and its release notes. 6.0 announces that ids
of images will not be sha256 for ever: here they are not. Modes of mount points are those of crun 1.21 and 1.28.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tests.standins import running
from tests.standins.engine import Options, RefusedError, StandIn, Thing, mounts_of, published
from tests.standins.gotemplate import Struct
from tests.standins.store import State, digest

_DIRECTORY, _FILE = 0o1755, 0o700  # crun's


class Podman6(StandIn):
    """podman 6.0, as root."""

    name = "podman"
    version: ClassVar[str] = "6.0.0"
    default_network: ClassVar[str] = "podman"
    mounted_files: ClassVar[tuple[str, ...]] = (*StandIn.mounted_files, "/run/.containerenv")

    def unknown_command(self, verb: str) -> str:
        """Return the message about an unknown verb."""
        return f"Error: unrecognized command `podman {verb}`\nTry 'podman --help' for more information"

    def template_failed(self, reason: str) -> str:
        """Return the message about a template that cannot be executed."""
        return f"Error: {reason}"

    def missing(self, kind: str, name: str) -> str:
        """Return the message about an object that does not exist."""
        if kind == "network":
            return f"Error: network {name}: unable to find network with name or ID {name}: network not found"
        return f'Error: no such {kind} "{name}"' if kind == "container" else f"Error: {name}: image not known"

    def port_taken(self, address: str, port: str) -> str:
        """Return podman's message, with netavark, about a port that a process uses."""
        return (
            f"Error: unable to start container: cannot listen on the TCP port: listen tcp4 {address}:{port}: bind: "
            "address already in use"
        )

    def full_name(self, name: str) -> str:
        """Return a reference as it is stored: with a registry."""
        tagged = super().full_name(name)
        first = tagged.partition("/")[0]
        return tagged if "." in first or first == "localhost" else f"localhost/{tagged}"

    def row_of_container(self, state: State, container: Thing) -> Struct:
        """Return a container as the templates of `ps` see it."""
        up = container["status"] == "running"
        ports = ", ".join(f"{address}:{port}->{inside}" for address, port, inside in published(container))
        entry = Struct(
            "entities.ListContainer",
            {"Labels": container["labels"], "State": container["status"], "ID": container["id"]},
        )
        status = "Up 2 seconds" if up else f"Exited ({container['exit_code']}) 2 seconds ago"
        fields = {
            "ID": container["id"],
            "Names": container["name"],
            "State": status,
            "Status": status if container["started"] else "Created",
            "Image": self._named(state, container),
            "Ports": ports,
            # a map until 5
            "Labels": ",".join(f"{key}={value}" for key, value in container["labels"].items()),
            "ListContainer": entry,
        }
        return Struct("containers.psReporter", fields, {"Label": lambda key: container["labels"].get(key, "")})

    def _named(self, state: State, container: Thing) -> str:
        name = self.full_name(container["image_name"])
        return name if state["tags"].get(name) == container["image"] else str(container["image"])

    def answer_of_container(self, state: State, container: Thing) -> Thing:
        """Return an inspect answer."""
        flags = container["flags"]
        up = container["status"] == "running"
        upper = self.store.tree(container["snapshot"])
        image = state["images"][container["image"]]
        config = image["configuration"]["config"]
        return {
            "Id": container["id"],
            "Name": container["name"],
            "Created": container["created"],
            "Image": container["image"],
            "ImageDigest": f"sha256:{digest(image['configuration'])}",
            "ImageName": self._named(state, container),
            "Driver": "overlay",
            "OCIRuntime": "crun",
            "GraphDriver": {
                "Name": "overlay",
                "Data": {
                    "LowerDir": ":".join(str(one) for one in self.lower_of(state, container)),
                    "UpperDir": str(upper),
                    "WorkDir": str(upper.parent / "work"),
                    **({"MergedDir": str(upper.parent / "rootfs")} if up else {}),
                },
            },
            "State": {
                "Status": container["status"],
                "Running": up,
                "Pid": container["pid"],
                "ExitCode": container["exit_code"],
                "StartedAt": container["started"] or "0001-01-01T00:00:00Z",
                "FinishedAt": container["finished"] or "0001-01-01T00:00:00Z",
                "CheckpointedAt": "0001-01-01T00:00:00Z",
            },
            "RestartCount": 0,
            "Mounts": [
                {"Type": "bind", "Source": source, "Destination": target, "RW": True, "Driver": ""}
                for target, source in mounts_of(container).items()
            ],
            "Config": {
                "Labels": container["labels"] or None,
                "Cmd": container["command"],
                "Entrypoint": config.get("Entrypoint"),  # a text until 4
                "StopSignal": config.get("StopSignal", "SIGTERM"),  # a number until 4
                "Env": flags.get("env", []),
                "User": flags.get("user", [""])[-1],
                "Healthcheck": self._check(container, config),
            },
            "HostConfig": {
                "AutoRemove": bool(flags.get("rm")),
                "RestartPolicy": {"Name": container["restart"], "MaximumRetryCount": 0},
                "NetworkMode": container["networks"][0] if container["networks"] else "none",
                "ReadonlyRootfs": bool(flags.get("read-only")),
                "Tmpfs": {},
            },
            "NetworkSettings": {
                "Ports": {
                    inside: [{"HostIp": address, "HostPort": port}] for address, port, inside in published(container)
                },
                "Networks": {name: {"IPAddress": ""} for name in container["networks"] if name != "none"},
            },
        }

    @staticmethod
    def _check(container: Thing, config: Thing) -> Thing | None:
        command = container["flags"].get("health-cmd")
        return {"Test": ["CMD-SHELL", command[-1]]} if command else config.get("Healthcheck")

    def answer_of_image(self, state: State, image: Thing) -> Thing:
        """Return an inspect answer."""
        configuration = image["configuration"]
        tags = self.tags_of(state, image)
        upper, *lower = [self.store.tree(one) for one in reversed(image["snapshots"])] or [self.root]
        below = {"LowerDir": ":".join(map(str, lower))} if lower else {}
        return {
            "Id": image["id"],
            "Digest": f"sha256:{digest(configuration)}",
            "RepoTags": tags,
            "RepoDigests": [f"{tag.rpartition(':')[0]}@sha256:{digest(configuration)}" for tag in tags],
            "Parent": "",
            "Comment": "",
            "Created": configuration["created"],
            "Config": configuration["config"],
            "Labels": configuration["config"].get("Labels"),
            "Version": "",
            "Author": "",
            "Architecture": "amd64",
            "Os": "linux",
            "Size": 12345,
            "GraphDriver": {"Name": "overlay", "Data": {"UpperDir": str(upper), **below}},
            "RootFS": {"Type": "layers", "Layers": configuration["rootfs"]["diff_ids"]},
            "User": configuration["config"].get("User", ""),
            "HealthCheck": configuration["config"].get("Healthcheck"),
            "History": configuration["history"],
        }

    def add_image(self, state: State, configuration: Thing, snapshots: Sequence[str], options: Options) -> str:
        """Store an image by its configuration; buildah adds a step for each label."""
        for flag in ("provenance", "sbom", "metadata-file", "load"):
            if flag in options.values:
                raise RefusedError(f"Error: unknown flag: --{flag}\nSee 'podman build --help'", 125)
        labels = [f"/bin/sh -c #(nop) LABEL {json.dumps(one)[1:-1]}" for one in options.all("label")]
        steps = [{"created": configuration["created"], "created_by": one, "empty_layer": True} for one in labels]
        configuration = {**configuration, "history": [*configuration["history"], *steps]}
        identifier = hashlib.sha512(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
        image = {"id": identifier, "configuration": configuration, "snapshots": list(snapshots)}
        state["images"].setdefault(identifier, image)
        if written := options.last("iidfile"):
            Path(written).write_text(f"sha256:{identifier}")
        return identifier

    def image_in_list(self, image: Thing, tags: Sequence[str], *, every: bool, filtered: bool) -> bool:
        """Whether `images` lists an image: all except those that others are built on."""
        del image, tags, every, filtered
        return True

    def info(self, _state: State) -> Thing:
        """Return the fields of `info`."""
        return {"host": {"cgroupVersion": "v2"}, "store": {"graphRoot": str(self.root)}, "version": {}}

    info_kind = "define.Info"

    def _make_init(self, container: Thing) -> None:
        """Create crun's mount points that the image lacks, in the container's layer."""
        self.store.tree(container["init"])
        tree = self.store.tree(container["snapshot"])
        for name in ("dev", "proc", "sys", "run", "etc"):
            (tree / name).mkdir()
            (tree / name).chmod(_DIRECTORY)
        for name in ("etc/hosts", "etc/hostname", "etc/resolv.conf", "run/.containerenv"):
            (tree / name).touch()
            (tree / name).chmod(_FILE)

    def do_healthcheck_run(self, state: State, argv: Sequence[str]) -> int:
        """Check a container's health now."""
        container = self.find(state, argv[0])
        config = state["images"][container["image"]]["configuration"]["config"]
        check = self._check(container, config)
        if not check:
            raise RefusedError(f"Error: container {container['id']} has no defined healthcheck", 125)
        return running.execute(container["pid"], ["/bin/sh", "-c", check["Test"][-1]])

    def do_unshare(self, _state: State, argv: Sequence[str]) -> None:
        """Run a command with the ids of containers; root's are the host's."""
        os.execvp(argv[0], list(argv))  # noqa: S606


if __name__ == "__main__":
    if "STANDIN_ROOT" not in os.environ:
        raise RefusedError("STANDIN_ROOT is not set")
    sys.exit(Podman6(Path(os.environ["STANDIN_ROOT"])).main(sys.argv[1:]))
