"""A new container that starts before the old one stops: without a network until then, so that it is isolated.

It is ruled out by anything that both could write to concurrently.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import chain

from dockyard.plan.flags import flag_values, is_set
from dockyard.plan.isolation import FOR_EVERYBODY, Claim, Kind, claims_of, unprovable

NO_NETWORK = "none"

# How a flag of `run` is called where a container joins a network later on.
_WHEN_JOINING = {"ip": "--ip", "ip6": "--ip6", "network-alias": "--alias", "net-alias": "--alias"}
# Flags that give a container more of the host than it can have to itself.
_OF_THE_HOST = ("gpus", "device-cgroup-rule")
# Flags that count as a container starts on its network, and not as it joins one.
_AT_THE_START = ("mac-address", "link", "link-local-ip")


def obstacles(flags: Sequence[str], sockets: Container[str]) -> tuple[str, ...]:
    """Return why a launch's container cannot run beside the one before it; nothing if it can.

    `sockets` are those of the mounted files through which a container reaches somebody although it has no network.
    """
    return tuple(dict.fromkeys(chain(_shared(flags), _reaching(flags, sockets), _not_to_switch(flags))))


def read_only_sources(flags: Sequence[str]) -> tuple[str, ...]:
    """Return the paths of the host that a launch mounts without writing to them: a socket among them is one still."""
    return tuple(claim.value for claim in claims_of(flags) if claim.kind is Kind.PATH and not claim.writable)


def _shared(flags: Sequence[str]) -> Iterator[str]:
    """Yield what two containers at once would get into each other's way with."""
    for claim in claims_of(flags):
        if claim.kind in {Kind.PATH, Kind.VOLUME} and claim.writable:
            yield f"the old and the new container would both write to `{claim.value}`"
        elif claim.kind is Kind.CONTAINER or _is_exclusive(claim):
            yield f"the old and the new container would both use the {claim.kind.value} `{claim.value}`"
    yield from (
        f"the old and the new container would both have `--{flag}`" for flag in _OF_THE_HOST if _has(flags, flag)
    )


def _is_exclusive(claim: Claim) -> bool:
    return claim.kind is Kind.DEVICE and not FOR_EVERYBODY.fullmatch(claim.value)


def _reaching(flags: Sequence[str], sockets: Container[str]) -> Iterator[str]:
    """Yield how the new one could do something while it is not in service."""
    yield from (f"even without a network it is not isolated: {reason}" for reason in unprovable(flags))
    listening = (path for path in read_only_sources(flags) if path in sockets)
    yield from (f"even without a network it could use the socket `{path}`" for path in listening)


def _not_to_switch(flags: Sequence[str]) -> Iterator[str]:
    """Yield what a container can have from its start alone, or does away with its way back."""
    if is_set(flags, "rm"):
        yield "a rollback would be impossible: the engine removes the old container when it ends"
    networks = [*flag_values(flags, "network"), *flag_values(flags, "net")]
    if NO_NETWORK in networks:
        yield "it has no network to join"
    elif len(networks) > 1 or any("=" in name for name in networks):
        yield f"it can join only one network by name, not `{', '.join(networks)}`"
    yield from (
        f"`--{flag}` has an effect only if it starts on its network" for flag in _AT_THE_START if _has(flags, flag)
    )


def _has(flags: Sequence[str], flag: str) -> bool:
    return any(True for _ in flag_values(flags, flag))


def joining(flags: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the arguments of `network connect`: the launch's addresses and names, its network, the container."""
    given = ((word, value) for flag, word in _WHEN_JOINING.items() for value in flag_values(flags, flag))
    return (*chain.from_iterable(given), network(flags), name)


def network(flags: Sequence[str]) -> str:
    """Return the network of a launch that may start first."""
    return next(chain(flag_values(flags, "network"), flag_values(flags, "net")), "bridge")
