"""Whether a container serves again: it is healthy, or listens where it, or the one before it, listened."""

import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.watch import SLACK

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container

ANSWER_SECONDS = 30.0  # for a container without a health check
PAUSE_SECONDS = 0.05
LISTENING = "0A"  # a socket's state in /proc/net/tcp
FIRST_EPHEMERAL_PORT = 32768


def listening_ports(pid: int) -> frozenset[int]:
    """Return the TCP ports on which anything listens in the network of a process, other than for itself alone.

    Ports that the kernel chose are left out: after a restart they are others. Empty if that cannot be read.
    """
    return frozenset(port for port in _ports(pid) if port < FIRST_EPHEMERAL_PORT) if pid else frozenset()


def _ports(pid: int) -> Iterator[int]:
    for name, loopback in (("tcp", "7F"), ("tcp6", "00000000000000000000000001000000")):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]:
                address, _, port = line.split()[1].partition(":")
                is_own = address.endswith(loopback) if name == "tcp" else address == loopback
                if line.split()[3] == LISTENING and not is_own:
                    yield int(port, 16)


def published_ports(container: "Container") -> frozenset[int]:
    """Return the TCP ports of a container that are published."""
    return frozenset(int(port.partition("/")[0]) for port in container.ports if port.endswith("/tcp"))


def await_answer(engine: "Engine", name: str, ports: Collection[int]) -> bool:
    """Wait until a container is healthy or, without a health check, listens on these ports; returns whether it does."""
    began = time.monotonic()
    while True:
        found = next(iter(engine.containers([name])), None)
        if found and _serves(engine, found, ports):
            return True
        patience = found.check.patience + SLACK if found and found.check else ANSWER_SECONDS
        if time.monotonic() - began > patience:
            return False
        time.sleep(PAUSE_SECONDS)


def _serves(engine: "Engine", container: "Container", ports: Collection[int]) -> bool:
    if container.status != "running":
        return False
    if not container.check:
        return set(ports) <= listening_ports(container.pid)
    return engine.is_healthy(container.id) if engine.dialect.health_check else container.health == "healthy"
