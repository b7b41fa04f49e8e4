"""What differs between the versions of engines that people run, what to set, and what dockyard does about it.

docs/reference/engines.md is written from this. Facts are from release notes and source of the engines, and from runs of
the tests on those versions that the README lists.
"""

from typing import NamedTuple


class Difference(NamedTuple):
    """One difference since a version: `since` as users know it, `set` empty if nothing must be set."""

    since: str
    what: str
    dockyard: str
    set: str = ""


DOCKER = (
    Difference(
        "23.0",
        "`docker build` uses BuildKit if the buildx plugin is installed. Without it the legacy builder is used, which "
        "is deprecated and has no cache mounts, secrets and heredocs.",
        "It builds with either. `d check` reports once for the host that buildx is missing.",
        "install docker-buildx (Debian, Ubuntu) or docker-buildx-plugin (Docker's packages)",
    ),
    Difference(
        "26.1",
        "Images can be stored in the containerd image store instead of by a graph driver. An image's id is then the "
        "digest of its manifest or index, and answers name no directories of layers.",
        "Images are compared by their content, which is the same in all stores.",
        '`"features": {"containerd-snapshotter": true}` in daemon.json chooses that store, `false` a graph driver',
    ),
    Difference(
        "28.0",
        "Neighbours no longer reach ports that are published on 127.0.0.1, nor ports that are not published.",
        "`d check` warns of settings that undo this: the network option `gateway_mode_ipv4=nat-unprotected`, and "
        "`DOCKER_INSECURE_NO_IPTABLES_RAW=1` in the daemon's environment.",
        "neither of the two; docker needs `ipset`",
    ),
    Difference(
        "28.0",
        "A port that another process uses is reported in different words, and since 29.0 in others again.",
        "It knows the words of 20.10 to 29, and of rootless podman: the image is retried, not blamed.",
    ),
    Difference(
        "29.0",
        "The containerd image store is the default on a new host; an upgraded host keeps its graph driver. Images are "
        "in `/var/lib/containerd`, which is not below docker's `data-root`.",
        "`d check` checks the free space of the file system that images are really written to.",
        "give `/var/lib/containerd` room, or move it: `root` in /etc/containerd/config.toml",
    ),
    Difference(
        "29.0",
        "The API's minimum is 1.44, and 1.40 again since 29.3: old tools that use the socket directly fail.",
        "It uses the client, and d-map asks without a version: both work.",
        '`"min-api-version": "1.24"` in daemon.json, if another tool needs it',
    ),
    Difference(
        "29.0",
        "Lists of images hide those without a tag, unless `--all` is given.",
        "`d clean` asks for them by name.",
    ),
    Difference(
        "29.0",
        "By default each build attests its provenance, which contains timestamps: equal sources get different ids.",
        "It asks for no attestations, unless `build_params` do, and compares content.",
    ),
    Difference(
        "29.0",
        "nftables can be used instead of iptables. It is experimental, leaves forwarding off and refuses swarm.",
        "Nothing depends on either.",
        '`"firewall-backend": "nftables"` in daemon.json, and `net.ipv4.ip_forward=1`',
    ),
    Difference(
        "29.0",
        "`userns-remap` puts docker back on graph drivers. With `containerd-snapshotter: true` in daemon.json it does "
        "not start at all.",
        "`d userns enable` reports this before it changes or restarts anything.",
        "take `containerd-snapshotter` out of daemon.json before you map users",
    ),
    Difference(
        "containerd 2.1.5",
        "Its unit no longer lifts the limit of open files: containers get 1024 instead of 1048576.",
        "`d-run --explain` shows the value; `d check` warns if an image is known to want more.",
        '`ulimits: nofile=65536` in a service, or `"default-ulimits"` in daemon.json for all',
    ),
)

PODMAN = (
    Difference(
        "4.3",
        "The oldest version that is tested.",
        "All features work but `d userns enable` and `start_first`, which need a daemon.",
    ),
    Difference(
        "5.0",
        "pasta connects rootless containers instead of slirp4netns; CNI networks are off; cgroup v1 warns; crun is the "
        "usual runtime.",
        "It knows the words of pasta for a port in use, and the mount points that crun creates.",
        "install `passt`; with CNI networks: `podman system reset`, or stay with 4.x",
    ),
    Difference(
        "5.8.0",
        "At the next boot the database moves from BoltDB to SQLite; with quadlets it does so half-way, and there is no "
        "way back.",
        "`d check` warns of exactly this version.",
        "5.8.1 or later",
    ),
    Difference(
        "6.0",
        "Removed: BoltDB, cgroup v1, iptables, CNI, slirp4netns. Networks are isolated from each other. netavark 2 and "
        "nftables are needed.",
        "It lists containers in a way that 4.3 to 6.0 understand.",
        "install `nftables` and `passt`; boot with cgroup v2",
    ),
    Difference(
        "6.0",
        "`default_host_ips` in containers.conf says on which addresses a port without an address is published.",
        "It treats such a port as published on all addresses, which is safe.",
        "name the address in `ports`",
    ),
    Difference(
        "6.0",
        "A later release is announced to use image ids other than sha256.",
        "It reads ids of any length.",
    ),
)

HOST = (
    Difference(
        "cgroup v2",
        "systemd 256 boots with version 1 only if it is forced to, and 258 not at all; podman 6 needs version 2.",
        "Limits, the freezer of d-cowscan and rootless podman work with both; `d-cowscan` needs nothing set.",
        "nothing on Debian 12 and later, Ubuntu 22.04 and later; before: `systemd.unified_cgroup_hierarchy=1`",
    ),
    Difference(
        "Ubuntu 24.04",
        "AppArmor forbids users to create user namespaces. podman's package has a profile that permits it.",
        "It enters the namespace through `podman unshare`, which the profile allows.",
        "use Ubuntu's podman; one in another path needs its own profile",
    ),
    Difference(
        "an engine that hangs",
        "Docker was seen to deadlock: lists were answered, builds and starts were not.",
        "After 15 s without output it asks the engine, after 30 s it reports what it waits for, and after 60 s it ends "
        "with exit code 3. If production has begun to change, it waits instead.",
        "`systemctl restart docker`",
    ),
)

TABLES = {"Docker": DOCKER, "podman": PODMAN, "The host": HOST}
