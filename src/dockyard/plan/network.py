"""Where an instance is reached: its network, its address, its published ports."""

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.engine.models import Network
from dockyard.errors import DockyardError
from dockyard.plan.facts import Facts
from dockyard.settings.keys import IP, IPV6_PORTS, NETWORK, PORT_OFFSET, PORTS, SUBNET
from dockyard.settings.resolve import Settings
from dockyard.settings.types import LAST_PORT
from dockyard.settings.values import Port

# Networks without addresses from the engine, so that none can be pinned; after a `:` further words follow.
_WITHOUT_ADDRESS = {"none", "host", "slirp4netns", "pasta", "container:", "ns:", "slirp4netns:", "pasta:"}
# Networks of another container or of the host, on which ports cannot be published.
_WITHOUT_PORTS = {"none", "host", "container:", "ns:"}


class Part(NamedTuple):
    """Some words of a command line, and what the user should know of them."""

    argv: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def network_name(settings: Settings) -> str:
    """Return the network to join, `none` in small letters."""
    name = settings[NETWORK]
    return "none" if name == "NONE" else name


def _kind(name: str) -> str:
    """Return `container:` of `container:web`, and other names as they are."""
    kind, colon, _ = name.partition(":")
    return kind + colon


def can_pin(settings: Settings, bridge_pins: bool) -> bool:
    """Return whether the network lets an instance ask for an address."""
    name = network_name(settings)
    return _kind(name) not in _WITHOUT_ADDRESS and (bridge_pins or name != "bridge")


def lookups(settings: Settings, names: tuple[str, ...], bridge_pins: bool) -> tuple[str, ...]:
    """Return the names to look up in DNS, in the order of preference; `names` are tried for `-`."""
    wanted = settings[IP]
    if not wanted or not can_pin(settings, bridge_pins) or _parse(wanted):
        return ()
    return names if wanted == "-" else (wanted,)


def network_part(settings: Settings, facts: Facts, names: tuple[str, ...]) -> Part:
    """Return `--network` and the pinned address; raises DockyardError for a network or address that cannot be."""
    name = network_name(settings)
    if can_pin(settings, facts.dialect.bridge_pins_addresses) and not facts.network:
        raise DockyardError(
            f"network `{name}` does not exist (from {settings.value(NETWORK).source})",
            hint=f"{facts.dialect.name} network create {name}",
        )
    address = _address(settings, facts, names)
    return Part(("--network", name, *address.argv), address.notes)


def _address(settings: Settings, facts: Facts, names: tuple[str, ...]) -> Part:
    wanted, by_default = settings[IP], settings.value(IP).source == "default"
    if not can_pin(settings, facts.dialect.bridge_pins_addresses):
        quiet = by_default or not wanted
        reason = f"network `{network_name(settings)}` cannot pin addresses: the engine picks"
        return Part(notes=() if quiet else (f"ip: {reason}",))
    if not wanted:
        return Part()
    found = _parse(wanted) or _looked_up(settings, facts, names)
    if not found and by_default and network_name(settings) == "bridge":
        return Part()  # no address was requested, on the default network
    if not found:
        return Part(notes=(f"ip: nothing found for {' or '.join(_asked(settings, names))}: the engine picks",))
    return _pinned(settings, facts.network, found, literal=bool(_parse(wanted)))


def _asked(settings: Settings, names: tuple[str, ...]) -> tuple[str, ...]:
    wanted = settings[IP]
    return names if wanted == "-" else (wanted or "",)


def _looked_up(settings: Settings, facts: Facts, names: tuple[str, ...]) -> str:
    return next((facts.addresses[name] for name in _asked(settings, names) if name in facts.addresses), "")


def _pinned(settings: Settings, network: Network | None, found: str, *, literal: bool) -> Part:
    """Return the flag that pins an address, its third octet replaced where the mode asks for it."""
    ip, subnet = settings.value(IP), settings.value(SUBNET)
    address = _in_subnet(found, subnet.value)
    is_shared = subnet.spelling and not subnet.for_this_mode
    if settings.mode.isolated and not ip.for_this_mode and (is_shared or address == found):
        return Part(notes=(f"ip: {address} is production's: the engine picks",))
    if network and network.subnets and not any(_contains(subnet, address) for subnet in network.subnets):
        reason = f"{address} is not in network `{network.name}` ({', '.join(network.subnets)})"
        if literal:
            raise DockyardError(f"ip: {reason}", hint=f"set in {ip.source}")
        return Part(notes=(f"ip: {reason}: the engine picks",))
    return Part(("--ip6" if ":" in address else "--ip", address), (f"ip: {address}",))


def _parse(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _in_subnet(address: str, third: int | None) -> str:
    if third is None or ":" in address:
        return address
    first, second, _, last = address.split(".")
    return f"{first}.{second}.{third}.{last}"


def _contains(subnet: str, address: str) -> bool:
    network, host = ipaddress.ip_network(subnet, strict=False), ipaddress.ip_address(address)
    return host.version == network.version and host in network


def ports_part(settings: Settings) -> Part:
    """Return a `--publish` for each port, shifted and kept to this host in dev and test."""
    ports = settings[PORTS]
    if ports and _kind(network_name(settings)) in _WITHOUT_PORTS:
        return Part(notes=(f"ports: not published on network `{network_name(settings)}`",))
    return Part(tuple(word for port in effective_ports(settings) for word in ("--publish", _publish(settings, port))))


def effective_ports(settings: Settings) -> Iterator[Port]:
    """Yield the ports as this mode publishes them: those given for the mode as written, production's shifted."""
    taken = {port.host for port in settings[PORTS]}
    for port in settings[PORTS]:
        if not settings.mode.isolated:
            yield port
        else:
            as_written = settings.value(PORTS).for_this_mode
            host = port.host if as_written else _shifted(port.host, settings[PORT_OFFSET], taken)
            yield port._replace(ip=port.ip or "127.0.0.1", host=host)


def _shifted(port: int, offset: int | str, taken: set[int]) -> int:
    """Return the host port of an instance under test; 0 if the engine is to pick one."""
    is_free = isinstance(offset, int) and port + offset <= LAST_PORT and port + offset not in taken
    return port + int(offset) if is_free else 0


def _publish(settings: Settings, port: Port) -> str:
    ip = port.ip or ("" if settings[IPV6_PORTS] else "0.0.0.0")  # noqa: S104 - what publishing means
    where = f"[{ip}]:" if ":" in ip else f"{ip}:" if ip else ""
    protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
    return f"{where}{port.host or ''}:{port.container}{protocol}"
