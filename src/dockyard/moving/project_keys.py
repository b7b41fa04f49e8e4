"""Rules for the top-level keys of a compose file: networks, volumes, secrets, configs."""

import shlex
from collections.abc import Callable, Iterator

from dockyard.moving.context import Wanted, absolute
from dockyard.moving.mounts import bound
from dockyard.moving.network_rules import chosen, real_name
from dockyard.moving.outcome import Carried, Command, Left, Outcome
from dockyard.moving.reading import Project
from dockyard.moving.tree import Part

NETWORK = "a network"
TopRule = Callable[[Part, Project, Wanted], Iterator[Outcome]]


def network_commands(project: Project, wanted: Wanted) -> Iterator[Outcome]:
    """Yield the commands that create the networks that services of the project join."""
    joined = {chosen(part, project) for part in project.services.values()} - {""}
    if wanted.network:
        yield Command(f"docker network create {shlex.quote(wanted.network)}", NETWORK, wanted.network)
        return
    for name in sorted(joined):
        part = project.defined("networks", name)
        external = part.at("external") if part else None
        if external and (external.is_set or external.pairs()):
            continue  # it is created elsewhere
        flags = [word for _, word in _network_flags(part)] if part else []
        real = real_name(project, "networks", name)
        yield Command(shlex.join(("docker", "network", "create", *flags, real)), NETWORK, real)


_SWITCHES = {"internal": "--internal", "attachable": "--attachable", "enable_ipv6": "--ipv6"}
_RANGES = {"subnet": "--subnet", "gateway": "--gateway", "ip_range": "--ip-range"}
_PAIRS = {("driver_opts",): "--opt", ("labels",): "--label", ("ipam", "options"): "--ipam-opt"}


def _network_flags(part: Part) -> Iterator[tuple[Part, str]]:
    """Yield the values of a network, each with its flag."""
    for leaf in part.leaves():
        *above, key = leaf.path[2:] or [""]
        match above, key:
            case [], "driver":
                yield leaf, f"--driver={leaf.text}"
            case [], _ if key in _SWITCHES and leaf.is_set:
                yield leaf, _SWITCHES[key]
            case ["ipam"], "driver":
                yield leaf, f"--ipam-driver={leaf.text}"
            case ["ipam", "config", _], _ if key in _RANGES:
                yield leaf, f"{_RANGES[key]}={leaf.text}"
            case ["ipam", "config", _, "aux_addresses"], _:
                yield leaf, f"--aux-address={key}={leaf.text}"
            case _ if tuple(above) in _PAIRS:
                yield leaf, f"{_PAIRS[tuple(above)]}={leaf.text if key.isdigit() else f'{key}={leaf.text}'}"


def _networks(part: Part, project: Project, wanted: Wanted) -> Iterator[Outcome]:
    joined = {chosen(service, project) for service in project.services.values()}
    for name, network in part.pairs().items():
        flags = {leaf.path for leaf, _ in _network_flags(network)}
        for leaf in network.leaves():
            key = ".".join(leaf.path[2:])
            if wanted.network:
                yield Carried((leaf,), how=f"all are on network `{wanted.network}`")
            elif name not in joined:
                yield Left(
                    (leaf,), "no service joins it", f"docker network create {real_name(project, 'networks', name)}"
                )
            elif leaf.path in flags:
                yield Carried((leaf,), how="docker network create")
            elif key in {"", "name", "external", "external.name"}:
                yield Carried((leaf,), how="the network's name")
            elif not leaf.is_set and leaf.text.lower() in {"false", "no", "0"}:
                yield Carried((leaf,), how="off by default")
            else:
                yield Left((leaf,), "`docker network create` has no flag for it")


def _volumes(part: Part, project: Project, _: Wanted) -> Iterator[Outcome]:
    for name, volume in part.pairs().items():
        is_bound = bound(project, name) is not None
        for leaf in volume.leaves():
            key = ".".join(leaf.path[2:])
            if key in {"", "name", "external", "external.name"} or (key == "driver" and leaf.text == "local"):
                yield Carried((leaf,), how="a directory, and the source of its data")
            elif key.startswith("driver_opts.") and is_bound:
                yield Carried((leaf,), how="the source of its data")
            elif key.startswith("labels"):
                yield Left((leaf,), "a directory has no labels")
            else:
                yield Left((leaf,), "a directory has no driver", "mount it on the host, and use its absolute path")


def _secrets(part: Part, project: Project, _: Wanted) -> Iterator[Outcome]:
    for name, secret in part.pairs().items():
        for leaf in secret.leaves():
            key = leaf.path[-1]
            place = f"VOL_BASE/SERVICE/secrets/{name}"
            if key == "file" and absolute(project, leaf.text).exists():
                yield Carried((leaf,), how="the source of the copy")
            elif key == "environment":
                write = f"printenv {shlex.quote(leaf.text)} | install -D -m 0444 /dev/stdin {place}"
                yield Left((leaf,), "the value is not written", write)
            elif key == "name":
                yield Left((leaf,), "the file has the name of its secret")
            else:
                yield Left((leaf,), "there is nothing to copy", f"write it to {place}")


def _configs(part: Part, project: Project, _: Wanted) -> Iterator[Outcome]:
    for config in part.pairs().values():
        for leaf in config.leaves():
            key = leaf.path[-1]
            if (key == "file" and absolute(project, leaf.text).exists()) or key == "content":
                yield Carried((leaf,), how="the content of the file")
            else:
                instead = "write the file that the service's settings.yaml mounts"
                yield Left((leaf,), "there is nothing to copy", instead)


def _left(why: str, instead: str = "") -> TopRule:
    def rule(part: Part, _: Project, __: Wanted) -> Iterator[Outcome]:
        yield Left(part.leaves(), why, instead)

    return rule


def _name(part: Part, _: Project, __: Wanted) -> Iterator[Outcome]:
    yield Carried((part,), how="the project's name, as part of the names of networks, volumes and secrets")


PROJECT_KEYS: dict[str, TopRule] = {
    "name": _name,
    "version": _left("compose ignores it too"),
    "networks": _networks,
    "volumes": _volumes,
    "secrets": _secrets,
    "configs": _configs,
    "include": _left("files of other projects are not read", "import that file first, with `d import`"),
}


def project_outcomes(project: Project, wanted: Wanted) -> Iterator[Outcome]:
    """Yield the outcomes of everything but services."""
    for key, part in project.root.pairs().items():
        if key == "services":
            continue
        unknown = "an extension: it is only used by aliases" if key.startswith("x-") else "there is no counterpart"
        yield from PROJECT_KEYS.get(key, _left(unknown))(part, project, wanted)
