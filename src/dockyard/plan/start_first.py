"""A new container that starts before the old one stops: on no network until then, so that it reaches nobody.

What could be written by both at once rules it out.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from dockyard.errors import Problem, SettingsError
from dockyard.plan.flags import flag_values, is_set
from dockyard.plan.isolation import FOR_EVERYBODY, Claim, Kind, claims_of, unprovable
from dockyard.settings.keys import START_FIRST
from dockyard.settings.resolve import Settings

NO_NETWORK = "none"

# How a flag of `run` is called where a container joins a network later on.
_WHEN_JOINING = {"ip": "--ip", "ip6": "--ip6", "network-alias": "--alias", "net-alias": "--alias"}


def refuse_start_first(settings: Settings, flags: Sequence[str], sockets: Iterable[str]) -> None:
    """Raise SettingsError where a launch's container cannot run beside the one before it, with every reason.

    `sockets` are mounted files through which a container reaches somebody although it has no network.
    """
    where = settings.value(START_FIRST).source
    reasons = list(dict.fromkeys(chain(_shared(flags), _reaching(flags, sockets), _not_to_join(flags))))
    if reasons:
        *others, last = (Problem(where, f"start_first: {reason}") for reason in reasons)
        hint = "leave out `start_first`: then the old container stops before the new one starts"
        raise SettingsError([*others, last._replace(hint=hint)])


def _shared(flags: Sequence[str]) -> Iterator[str]:
    """Yield what two containers at once would get into each other's way with."""
    for claim in claims_of(flags):
        if claim.kind in {Kind.PATH, Kind.VOLUME} and claim.writable:
            yield f"two at once would write to `{claim.value}`"
        elif claim.kind is Kind.CONTAINER or _is_exclusive(claim):
            yield f"two at once would use the {claim.kind.value} `{claim.value}`"
    if is_set(flags, "rm"):
        yield "a container that the engine removes at its end cannot come back"


def _is_exclusive(claim: Claim) -> bool:
    return claim.kind is Kind.DEVICE and not FOR_EVERYBODY.fullmatch(claim.value)


def _reaching(flags: Sequence[str], sockets: Iterable[str]) -> Iterator[str]:
    """Yield how the new one could do something while it is not in service."""
    yield from (f"without a network it would not be alone: {reason}" for reason in unprovable(flags))
    yield from (f"without a network it would still reach who listens at `{path}`" for path in sockets)


def _not_to_join(flags: Sequence[str]) -> Iterator[str]:
    """Yield what a container can have from its start alone."""
    networks = list(flag_values(flags, "network")) + list(flag_values(flags, "net"))
    if len(networks) > 1 or any(name in {"", NO_NETWORK} or "=" in name for name in networks):
        yield f"a container that is up can join one network, not `{', '.join(networks)}`"
    for flag in ("mac-address", "link", "link-local-ip"):
        if list(flag_values(flags, flag)):
            yield f"`--{flag}` is for containers that start on their network"


def joining(flags: Sequence[str], name: str) -> tuple[str, ...]:
    """Return what `network connect` is told: addresses and names as the launch has them, its network, the container."""
    given = ((word, value) for flag, word in _WHEN_JOINING.items() for value in flag_values(flags, flag))
    return (*chain.from_iterable(given), network(flags), name)


def network(flags: Sequence[str]) -> str:
    """Return the network of a launch that may start first."""
    return next(chain(flag_values(flags, "network"), flag_values(flags, "net")), "bridge")
