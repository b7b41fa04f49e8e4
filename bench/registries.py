"""Measure the requests to local registries for 50 references in 10 repositories, and their time.

    PATH="$PATH:.state/registry/usr/bin" .venv/bin/python bench/registries.py [ROUNDS]

Uses Debian's docker-registry: plain, with a password over TLS, and with tokens. Prints, for the digests only and with
tags and platforms: the requests that each server got, and the median seconds of a command with an empty cache, then of
the same queries again within that command.
"""

import base64
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.unit.registry.content import multi
from tests.unit.registry.real import HTPASSWD, PASSWORD, USER, RealRegistry, TokenService, run_registry
from tests.unit.registry.servers import create_authority, serve

from dockyard.errors import RegistryError
from dockyard.registry.asking import ask_all
from dockyard.registry.client import Registries
from dockyard.registry.configuration import read_configuration
from dockyard.registry.reference import Reference

REPOSITORIES, TAGS = 10, 5
LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
NAMES = [f"team/r{number}" for number in range(REPOSITORIES)]


@contextmanager
def servers(place: Path) -> Iterator[dict[str, RealRegistry]]:
    """Run three registries, each with all images."""
    for name in ("authority", "passwords"):
        (place / name).mkdir()
    authority = create_authority(place / "authority")
    (place / "passwords/htpasswd").write_text(HTPASSWD)
    passwords = {"htpasswd": {"realm": "bench", "path": str(place / "passwords/htpasswd")}}
    service = TokenService(authority)
    token = service.token("registry", [f"repository:{name}:push" for name in NAMES], ("pull", "push"))
    with serve(service) as tokens:
        realm = {"realm": f"http://{tokens.host}/token", "service": "registry", "issuer": "tests"}
        by_token = {"token": {**realm, "rootcertbundle": str(authority.certificate)}}
        with (
            run_registry(place / "plain") as plain,
            run_registry(
                place / "secure", authority=authority, auth=passwords, headers={"Authorization": f"Basic {LOGIN}"}
            ) as secure,
            run_registry(place / "tokens", auth=by_token, headers={"Authorization": f"Bearer {token}"}) as tokened,
        ):
            found = {"plain": plain, "TLS and a password": secure, "tokens": tokened}
            for registry in found.values():
                for name in NAMES:
                    for tag in range(TAGS):
                        registry.push(name, f"1.{tag}", multi(f"{name} {tag}"))
            yield found


def ask(known: Registries, host: str, *, everything: bool) -> float:
    """Send all queries; return the seconds."""
    references = [Reference(host, name, f"1.{tag}") for name in NAMES for tag in range(TAGS)]
    began = time.perf_counter()
    answers = list(ask_all({one: lambda one=one: known.resolve(one) for one in references}).values())
    if everything:
        answers += ask_all({one: lambda one=one: known.tags(one) for one in references[::TAGS]}).values()
        answers += ask_all({one: lambda one=one: known.platforms(one) for one in references}).values()
    failed = [answer for answer in answers if isinstance(answer, RegistryError)]
    if failed:
        raise failed[0]
    return time.perf_counter() - began


def measure(environment: Mapping[str, str], host: str, rounds: int, *, everything: bool) -> str:
    cold, warm, requests = [], [], {}
    for _ in range(rounds):
        with Registries("docker", configuration=read_configuration("docker", environment)) as known:
            cold.append(ask(known, host, everything=everything))
            requests = {
                "registry" if server == host else "token service": count for server, count in known.requests.items()
            }
            warm.append(ask(known, host, everything=everything))
    counts = ", ".join(f"{server} {count}" for server, count in requests.items())
    return f"{statistics.median(cold):.3f} s, again {statistics.median(warm):.4f} s; requests: {counts}"


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as directory, servers(Path(directory)) as found:
        home = Path(directory) / "home/.docker"
        home.mkdir(parents=True)
        auths = {registry.host: {"auth": LOGIN} for registry in found.values()}
        (home / "config.json").write_text(json.dumps({"auths": auths}))
        for name, registry in found.items():
            for everything in (False, True):
                what = "digests, tags, platforms" if everything else "digests"
                print(
                    f"{name}, {what}:",
                    measure({"HOME": str(home.parent)}, registry.host, rounds, everything=everything),
                )


if __name__ == "__main__":
    main()
