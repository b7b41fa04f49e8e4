"""Rules for how a container is reached: networks, names, ports."""

from collections.abc import Iterator

from dockyard.moving.context import DEFAULT_NETWORK, Context
from dockyard.moving.outcome import Carried, Left, Outcome, flag, setting
from dockyard.moving.reading import Project
from dockyard.moving.rules import Rule, of_map
from dockyard.moving.tree import Part

ALIAS = "--network-alias"


def real_name(project: Project, kind: str, name: str) -> str:
    """Return the engine's name of a network or volume of a project."""
    part = project.defined(kind, name)
    named = part.at("name") if part else None
    external = part.at("external") if part else None
    if named and named.text:
        return named.text
    old_form = external.at("name") if external else None
    if old_form:
        return old_form.text
    return name if external and external.is_set else f"{project.name}_{name}"


def chosen(part: Part, project: Project) -> str:
    """Return the network that a service joins: by priority, then by how many others share it, then by name."""
    said = part.at("networks")
    members = said.pairs() if said else {}
    if part.at("network_mode"):
        return ""
    others = [set(each.pairs()) for each in (service.at("networks") for service in project.services.values()) if each]

    def rank(name: str) -> tuple[int, int, str]:
        priority = members[name].at("priority")
        weight = int(priority.text) if priority and priority.text.isdigit() else 0
        return (-weight, -sum(name in each for each in others), name)

    return min(members, key=rank) if members else DEFAULT_NETWORK


def joined(context: Context) -> Iterator[Outcome]:
    """Yield the network that a service joins, and its name for the other services of its project."""
    name = chosen(context.part, context.project)
    if not name:
        return
    said = context.part.at("networks", name)
    parts = (said,) if said and said.is_empty else ()
    yield setting("network", context.wanted.network or real_name(context.project, "networks", name), *parts)
    if context.container != context.name:
        yield flag(ALIAS, context.name)


def networks(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield the options of the joined network; other networks are left behind, unless all services are on one."""
    name = chosen(context.part, context.project)
    for other, member in part.pairs().items():
        if other == name:
            yield from _MEMBER(member, context)
        elif context.wanted.network:
            yield Carried(member.leaves(), how=f"all are on network `{context.wanted.network}`")
        else:
            real = real_name(context.project, "networks", other)
            why = f"a service has one network, here `{name}`"
            yield Left(member.leaves(), why, _both(real, context.container))


def _both(network: str, container: str) -> str:
    connect = f"docker network connect {network} {container}"
    return f"put all on one with `d import --network NAME`, or after each launch: {connect}"


_MEMBER = of_map(
    {
        "aliases": lambda part, _: [flag(ALIAS, item.text, item) for item in part.items()],
        "ipv4_address": lambda part, _: [setting("ip", part.text, part)],
        "ipv6_address": lambda part, _: [flag("--ip6", part.text, part)],
        "link_local_ips": lambda part, _: [flag("--link-local-ip", item.text, item) for item in part.items()],
        "mac_address": lambda part, _: [flag("--mac-address", part.text, part)],
        "priority": lambda part, _: [Carried((part,), how="decides which network is joined")],
    },
    lambda part, _: [Left(part.leaves(), "the engine's `run` has no flag for it", "docker network connect")],
)


def network_mode(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield a network outside of the project: one of the engine, or another container's."""
    kind, _, name = part.text.partition(":")
    if kind == "service":
        yield setting("network", f"container:{other_container(name, context)}", part)
    else:
        yield setting("network", part.text, part)


def other_container(name: str, context: Context) -> str:
    """Return the name of another service's container."""
    other = context.project.services.get(name)
    return context._replace(name=name, part=other).container if other else name


def namespace(name: str) -> Rule:
    """Return a rule for a namespace that may belong to another service."""

    def rule(part: Part, context: Context) -> Iterator[Outcome]:
        kind, _, other = part.text.partition(":")
        text = f"container:{other_container(other, context)}" if kind == "service" else part.text
        if text:
            yield flag(name, text, part)

    return rule


def ports(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield published ports, also on IPv6 if no address is named, as compose does."""
    for item in part.items() if not part.text else [part]:
        fields = item.pairs()
        yield from _port(_short(fields), _used(fields)) if fields else _port(item.text, (item,))
        yield from _rest_of_port(fields)


def _short(fields: dict[str, Part]) -> str:
    """Return a port's short form."""
    texts = {name: field.text for name, field in fields.items()}
    address = texts.get("host_ip", "")
    address = f"[{address}]" if ":" in address else address
    protocol = texts.get("protocol", "tcp")
    parts = [part for part in (address, texts.get("published", ""), texts.get("target", "")) if part]
    return ":".join(parts) + ("" if protocol == "tcp" else f"/{protocol}")


def _used(fields: dict[str, Part]) -> tuple[Part, ...]:
    return tuple(field for name, field in fields.items() if name in {"host_ip", "published", "target", "protocol"})


def _port(text: str, parts: tuple[Part, ...]) -> Iterator[Outcome]:
    if ":" not in text:
        yield flag("--publish", text, *parts)  # on a port that the engine picks
        return
    yield setting("ports", text, *parts)
    if text.count(":") == 1:
        yield setting("ipv6_ports", "true", *parts)


def _rest_of_port(fields: dict[str, Part]) -> Iterator[Outcome]:
    for name, field in fields.items():
        if name == "mode" and field.text in {"ingress", "host"}:
            yield Carried((field,), how="with a single engine, both modes are the same")
        elif name in {"name", "app_protocol", "mode"}:
            yield Left((field,), "no engine supports it: in compose it is only a comment")


def extra_hosts(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield lines for /etc/hosts, of lists `name:address` and `name=address`, and of maps, with one address or more."""
    for item in part.items():
        name, _sign, address = item.text.partition("=" if "=" in item.text else ":")
        yield setting("add_host", f"{name}:{address.strip('[]')}", item)
    for name, value in part.pairs().items():
        for item in value.items():
            yield setting("add_host", f"{name}:{item.text.strip('[]')}", item)


def links(part: Part, context: Context) -> Iterator[Outcome]:
    """Accept a link to a service by its own name, which its network resolves anyway."""
    for item in part.items():
        name, _, alias = item.text.partition(":")
        if alias in {"", name} and name in context.project.services:
            yield Carried((item,), how="services in the same network find each other by name")
        else:
            instead = f"`extra_docker: {ALIAS}={alias}` in {name}"
            yield Left((item,), "a service has the same name for all others", instead)
