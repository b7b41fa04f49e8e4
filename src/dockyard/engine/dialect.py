"""All that differs between engines. Nothing else in the package asks which engine it talks to."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dockyard.engine.about import About, about_docker, about_podman
from dockyard.engine.entries import DOCKER_ENTRIES, PODMAN_ENTRIES, EngineEntry
from dockyard.engine.models import IdMap, IdRange


def _id_map_of_data_root(answer: str, subordinate: str) -> IdMap:
    """Return docker's map: a daemon that maps users keeps its data in a directory `UID.GID`.

    `subordinate` is /etc/subuid, which tells how many ids there are.
    """
    root, _, security = answer.partition(" ")
    offsets = re.search(r"/(\d+)\.(\d+)$", root)
    if not offsets or "name=userns" not in security:
        return IdMap()
    uid, gid = int(offsets[1]), int(offsets[2])
    size = next(
        (int(line[2]) for line in re.findall(r"(?m)^([^:]*):(\d+):(\d+)$", subordinate) if int(line[1]) == uid), 65536
    )
    return IdMap((IdRange(0, uid, size),), (IdRange(0, gid, size),))


def _id_map_of_namespace(answer: str, _subordinate: str) -> IdMap:
    """Return the map of a user namespace: /proc/PID/uid_map and gid_map, one after the other."""
    rows = [IdRange(*map(int, line.split())) for line in answer.splitlines() if line.strip()]
    starts = [number for number, row in enumerate(rows) if row.inside == 0]
    second = starts[1] if len(starts) > 1 else len(rows)
    return IdMap(tuple(rows[:second]), tuple(rows[second:]))


class Dialect(NamedTuple):
    """One engine's words and habits."""

    name: str
    bridge_network: str
    """What the engine calls the network that `--network bridge` joins."""
    bridge_pins_addresses: bool
    logs: dict[str, tuple[str, ...]]
    """Short names of `log` → the driver with its options; `{name}` stands for the container's. One that is missing here
    the engine does not have."""
    unreachable: tuple[str, ...]
    """Parts of what the client writes when the engine does not answer."""
    missing: tuple[str, ...]
    """Parts of what the client writes when what was asked for does not exist."""
    port_taken: tuple[str, ...]
    """Matches the client's message for a port in use: `address`, with the port, and `protocol` if it is given."""
    probe: tuple[str, ...]
    """A question that is not answered if the engine waits for itself, and cheap otherwise."""
    when_stuck: str
    """What to do about an engine that does not answer."""
    read_about: Callable[[Mapping[str, Any]], About]
    """Reads what `info` says of the engine."""
    changes_at_once: tuple[tuple[str, int], ...] = (("0", 8),)
    """How many starts, stops and removals at a time it gets from us, from a version on (docs/decisions/fleet.md). The
    first one is the smallest."""
    socket: str = ""
    """Where the engine listens, by default; empty if none does."""
    limits_from: str = ""
    """The program whose limits containers inherit, unless they are given their own."""
    works_in_client: bool = False
    """Whether the client does the work, as there is no engine beside it."""
    port_reserved: str = ""
    """Part of it if the engine itself has that port reserved. docker 20.10 does not release a port after it was killed
    while it started a container, until it is restarted once more: its bridge restores the container's endpoint with
    its ports, and releases the endpoint, as it has no sandbox, but not the ports."""
    half_written: str = ""
    """Matches the client's message about an image whose creation was interrupted, which makes lists of images fail;
    its group is the image's id."""
    removal: tuple[str, ...] = ("rm", "--force")
    """Removes a container at once, up or not."""
    reading: tuple[str, ...] = ("cp",)
    """Copies a file out of a container; where the path is a link, what it leads to."""
    health_check: tuple[str, ...] = ()
    """Checks a container's health now, where the engine leaves it to timers of a host that may have none."""
    build_flags: tuple[str, ...] = ()
    """What every build gets, so that a failed one leaves no container behind."""
    load_flag: tuple[str, ...] = ()
    """Has a builder other than the engine's load its result into the engine; buildx leaves it in its cache."""
    build_environment: tuple[tuple[str, str], ...] = ()
    """What every build has in its environment, unless the user has set it to something else."""
    needs_buildkit: str = ""
    """Matches what the client writes if a build needs BuildKit and the client has used its legacy builder."""
    builder_notice: tuple[str, ...] = ()
    """The lines by which a client says that its legacy builder is deprecated, without their indentation; first the one
    that they begin with."""
    leaves_build_secrets: bool = False
    """Whether the builder writes the secrets of a build into its temporary directory, and may leave them there."""
    has_shared_package_cache: bool = False
    maps_root: bool = True
    """Whether containers that root launches may have other ids than the host."""
    id_map: tuple[str, ...] = ()
    """Asks which ids of the host the ids in containers are."""
    read_id_map: Callable[[str, str], IdMap] = _id_map_of_data_root
    """Makes a map of the answer and of the text of /etc/subuid."""
    unshare: tuple[str, ...] = ()
    """Begins a command that is to run with the ids of containers, where these are not root's to give."""
    label: str = '{{printf "%%q" (.Label "%s")}}'
    """The template that prints a label, `%s`, in a list of containers: quoted, as its value can be anything."""
    monitor: str = ""
    """The program that stays beside each container while it is up, and longer where its client was killed."""
    shim: str = ""
    """The program that stays beside each container while it is up, where the engine's daemon runs it."""
    task_exists: str = ""
    """Matches what the client writes if a container cannot start because an earlier shim is left; its group is the
    container's id. Seen after dockerd and containerd were killed in the middle of a `stop`."""
    task_left: str = ""
    """Matches what the client writes if a container cannot start because its state is left in containerd's directory:
    that directory, and the container's id. Seen after dockerd and containerd were killed several times."""
    prune_build_cache: tuple[str, ...] = ()
    """Removes the cache of builds, where it is apart from the images."""
    state: str = "{{.State}}"
    """How a list of containers is asked for their states."""
    set_restart: tuple[str, ...] = ()
    """Sets the restart policy of a container that exists, where the engine can."""
    join: tuple[str, ...] = ()
    """Puts a container that is up on a network, which publishes its ports only then: it can start while another one has
    them. podman takes them as a container starts, on whatever network."""
    leave: tuple[str, ...] = ()
    """Takes it off one."""
    limits_processes: bool = False
    """Whether a container has a limit of processes by default."""
    mounting: tuple[str, ...] = ()
    """Mounts the root of a container that has not started, for it to start with; where the engine can."""
    unmounting: tuple[str, ...] = ()
    """Undoes that."""
    mounting_image: tuple[str, ...] = ()
    """Mounts an image, read-only, and prints where; where the engine can."""
    unmounting_image: tuple[str, ...] = ()
    """Undoes that."""
    overlay_drivers: tuple[str, ...] = ()
    """The storage drivers whose layers the engine lists."""
    snapshotters: tuple[str, ...] = ()
    """The storage drivers whose layers containerd lists, as overlays; the usual one first."""
    snapshots: tuple[str, ...] = ()
    """The program and first words of a question to containerd, by its `{socket}` and the `{driver}`."""
    snapshot_sockets: tuple[str, ...] = ()
    """Where containerd listens: dockerd's own, then one that the system runs."""
    merged_roots: str = ""
    """Where a container's root is mounted, in a directory of its id, if its inspect answer does not say."""
    starting: tuple[str, ...] = ()
    """Asks where the engine keeps a directory for each container, by id, that it writes to as it starts the container:
    after its root is mounted, and before anything runs."""
    entries: tuple[EngineEntry, ...] = ()
    """What the engine creates and mounts in containers by itself."""
    testinfra: str = "docker"


def _driver(name: str, *options: str) -> tuple[str, ...]:
    return ("--log-driver", name, *(word for option in options for word in ("--log-opt", option)))


_SYSLOG = _driver("syslog", "mode=non-blocking", "max-buffer-size=4m", "syslog-facility=local3", "tag={name}")

_LISTEN = r"listen (?P<protocol>tcp|udp|sctp)\w* (?P<address>\S*:\d+): bind: address already in use"
_ADDRESS = r"(?P<address>\[[^\]\s]*\]:\d+|[\d.]*:\d+)"

DOCKER = Dialect(
    name="docker",
    bridge_network="bridge",
    bridge_pins_addresses=False,
    logs={
        "none": _driver("none"),
        "syslog": _SYSLOG,
        "json": _driver("json-file", "max-size=5m", "max-file=3"),
        "journald": _driver("journald"),
        "passthrough": (),
    },
    unreachable=("Cannot connect to the Docker daemon", "error during connect", "permission denied while trying"),
    missing=("No such", "no such", "not found"),
    port_taken=(
        r"[Bb]ind for (?P<address>\S*:\d+) failed: port is already",  # by another container, in all versions
        _LISTEN,  # up to 27, where a userland proxy listens
        # 28: with the address in the container
        rf"failed to bind host port (?:\d+ )?for {_ADDRESS}(?:-\d+)?:\S+/(?P<protocol>\w+): address already in use",
        # 29
        rf"failed to bind host port {_ADDRESS}/(?P<protocol>\w+): address already in use",
    ),
    probe=("info", "--format", "{{.ServerVersion}}"),
    changes_at_once=(("0", 4), ("23", 16)),  # the network code of 20.10 waits for itself
    read_about=about_docker,
    socket="/var/run/docker.sock",
    limits_from="containerd",
    when_stuck=(
        "`docker info` shows whether it answers again; if it does not, restart it, which stops all containers unless "
        "live-restore is on: `systemctl restart docker`, or `service docker restart`; see its log: `journalctl "
        "-u docker`"
    ),
    port_reserved="failed: port is already allocated",
    reading=("cp", "--follow-link"),
    build_flags=("--force-rm",),
    load_flag=("--load",),
    # Default attestations contain timestamps: with them, each build has another id (buildx 0.10).
    build_environment=(("BUILDX_NO_DEFAULT_ATTESTATIONS", "1"),),
    needs_buildkit=r"the --mount option requires BuildKit|unknown flag: --secret",
    builder_notice=(
        "DEPRECATED: The legacy builder is deprecated and will be removed in a future release.",
        "Install the buildx component to build images with BuildKit:",
        "https://docs.docker.com/go/buildx/",
        "BuildKit is currently disabled; enable it by removing the DOCKER_BUILDKIT=0",
        "environment-variable.",
    ),
    set_restart=("update", "--restart"),
    join=("network", "connect"),
    leave=("network", "disconnect"),
    shim="containerd-shim-runc-v2",
    task_exists=r"task ([0-9a-f]{64}): already exists",
    task_left=r"mkdir (/.+/io\.containerd\.runtime\.v2\.task/[^/]+)/([0-9a-f]{64}): file exists",
    prune_build_cache=("builder", "prune", "--force"),
    id_map=("info", "--format", "{{.DockerRootDir}} {{json .SecurityOptions}}"),
    overlay_drivers=("overlay2",),
    snapshotters=("overlayfs", "fuse-overlayfs", "stargz"),
    snapshots=("ctr", "--address", "{socket}", "--namespace", "moby", "snapshots", "--snapshotter", "{driver}"),
    snapshot_sockets=("/run/docker/containerd/containerd.sock", "/run/containerd/containerd.sock"),
    merged_roots="{root}/rootfs/{driver}",
    starting=("info", "--format", "{{.DockerRootDir}}/containers"),
    entries=DOCKER_ENTRIES,
)

PODMAN = Dialect(
    name="podman",
    bridge_network="podman",
    bridge_pins_addresses=True,
    logs={
        "none": _driver("none"),
        "json": _driver("json-file", "max-size=15m"),  # one file: podman does not rotate
        "journald": _driver("journald"),
        "passthrough": (),
    },
    port_taken=(
        _LISTEN,
        r"Failed to bind port (?P<address>\d+) \(Address already in use\)",  # pasta's words, of rootless podman 5 and 6
    ),
    probe=("info", "--format", "{{.Version.Version}}"),
    read_about=about_podman,
    when_stuck="another podman may hold its storage: list them with `pgrep -a podman`; end the one that is stuck",
    works_in_client=True,
    unreachable=("Cannot connect to Podman", "unable to connect to Podman"),
    missing=("no such", "not known", "unable to find", "not found"),
    half_written=r'image with ID "([0-9a-f]+)" \(consider removing the image',
    removal=("rm", "--force", "--time", "0"),  # podman would give it ten seconds to end by itself
    health_check=("healthcheck", "run"),
    leaves_build_secrets=True,  # 5.8 does
    has_shared_package_cache=True,
    maps_root=False,
    id_map=("unshare", "cat", "/proc/self/uid_map", "/proc/self/gid_map"),
    read_id_map=_id_map_of_namespace,
    unshare=("unshare",),
    monitor="conmon",
    # .Labels is a map up to 5 and a text in 6, and `.Label` came with 5; the struct within is the same in all of them.
    label='{{printf "%%q" (index .ListContainer.Labels "%s")}}',
    state="{{.ListContainer.State}}",
    limits_processes=True,
    mounting=("mount",),
    unmounting=("unmount",),
    mounting_image=("image", "mount"),
    unmounting_image=("image", "unmount"),
    overlay_drivers=("overlay",),
    entries=PODMAN_ENTRIES,
    testinfra="podman",
)


def dialect_of(program: str, script: str = "") -> Dialect:
    """Return the dialect of a program by its name, or by its text where it is a script, as podman-docker is."""
    return PODMAN if "podman" in program.rpartition("/")[2] or "podman" in script else DOCKER
