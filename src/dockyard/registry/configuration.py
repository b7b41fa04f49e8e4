"""What engines are configured to do with registries, read from the files that they read."""

import json
import os
import socket
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.errors import DockyardError
from dockyard.registry.endpoints import AUTH_FILES, DockerRules, EndpointRules, PodmanRules
from dockyard.registry.proxies import Proxies, read_proxies

DOCKER, PODMAN = "docker", "podman"
CORRECT_HINT = "correct the file; the engine cannot use it either"
MAX_FILE = 4 * 1024 * 1024  # bytes


class Configuration(NamedTuple):
    """What is configured of registries: where they are, what they are asked through, and as whom."""

    program: str
    rules: EndpointRules
    proxies: Proxies
    auth_files: tuple[Path, ...]
    """The first one that knows a registry counts."""
    auth_text: str
    """What DOCKER_AUTH_CONFIG has: it comes before all files."""
    certificates: tuple[Path, ...]
    """Directories with a directory for each registry that has certificates."""
    helpers: tuple[str, ...] = (AUTH_FILES,)
    """Where credentials are looked for: helper programs, and the auth files."""


def read_configuration(program: str, environment: Mapping[str, str], root: Path = Path("/")) -> Configuration:
    """Return what an engine is configured to do. Raises DockyardError for a file that cannot be read.

    `root` is where `/etc` and its neighbours are: another one for tests.
    """
    home = Path(environment.get("HOME") or Path.home())
    read = _read_podman if Path(program).name.startswith(PODMAN) else _read_docker
    return read(environment, home, root)


def _read_docker(environment: Mapping[str, str], home: Path, root: Path) -> Configuration:
    is_rootless = environment.get("DOCKER_HOST", "").startswith("unix:///run/user/")
    own = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "docker"
    place = own if is_rootless else root / "etc/docker"
    settings = _parse(place / "daemon.json", json.loads, "JSON") or {}
    proxies = settings.get("proxies")
    client = Path(environment.get("DOCKER_CONFIG") or home / ".docker")
    return Configuration(
        DOCKER,
        DockerRules(settings, resolve_host),
        read_proxies(environment, proxies if isinstance(proxies, dict) else {}),
        (client / "config.json",),
        environment.get("DOCKER_AUTH_CONFIG", ""),
        (place / "certs.d",),
    )


def _read_podman(environment: Mapping[str, str], home: Path, root: Path) -> Configuration:
    own = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers"
    certificates = (root / "etc/containers/certs.d", root / "etc/docker/certs.d", own / "certs.d")
    files = _registries_files(environment, home, own, root)
    rules = PodmanRules([content for path in files if (content := _parse(path, tomllib.loads, "TOML"))])
    return Configuration(
        PODMAN,
        rules,
        read_proxies(environment, {}),
        tuple(_podman_auth_files(environment, home, own)),
        "",
        certificates,
        rules.helpers,
    )


def _registries_files(environment: Mapping[str, str], home: Path, own: Path, root: Path) -> Iterable[Path]:
    """Return the files that make up registries.conf; what a later one says counts."""
    if named := environment.get("CONTAINERS_REGISTRIES_CONF"):
        return [Path(named)]
    system = root / "etc/containers/registries.conf"
    main = own / "registries.conf" if (own / "registries.conf").exists() else system
    parts = [system.with_name("registries.conf.d"), own / "registries.conf.d"]
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache") if os.getuid() else root / "var/cache"
    asked = cache / "containers/short-name-aliases.conf"  # what podman's users have chosen when they were asked
    return [main, *(path for part in parts for path in sorted(part.glob("*.conf"))), asked]


def _podman_auth_files(environment: Mapping[str, str], home: Path, own: Path) -> Iterable[Path]:
    if named := environment.get("REGISTRY_AUTH_FILE"):
        return [Path(named)]
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    below = "containers/auth.json" if environment.get("XDG_RUNTIME_DIR") else "auth.json"
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    return [Path(runtime) / below, own / "auth.json", docker]


def read_optional_file(path: Path) -> str | None:
    """Return what a file of a configuration has; None if there is none. Raises DockyardError."""
    try:
        with path.open("rb") as file:
            body = file.read(MAX_FILE + 1)
        if len(body) > MAX_FILE:
            raise DockyardError(
                f"{path} is larger than {MAX_FILE // 1024 // 1024} MiB",
                CORRECT_HINT,
            )
        return body.decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise DockyardError(f"{path} is not UTF-8", CORRECT_HINT) from None
    except OSError as error:
        raise DockyardError(f"{path} cannot be read: {error.strerror}", "run this as its owner, or as root") from None


def parse_table(text: str, parse: Callable[[str], object], what: str, where: str) -> dict[str, Any]:
    """Return the table that a text is. Raises DockyardError."""
    content: object = None
    with suppress(ValueError, RecursionError):
        content = parse(text) if text.strip() else {}
    if not isinstance(content, dict):
        raise DockyardError(f"{where} is not {what}", CORRECT_HINT)
    return content


def _parse(path: Path, parse: Callable[[str], object], what: str) -> dict[str, Any] | None:
    text = read_optional_file(path)
    return None if text is None else parse_table(text, parse, what, str(path))


@cache
def resolve_host(host: str) -> tuple[str, ...]:
    """Return the addresses of a host; nothing for a name that does not resolve."""
    with suppress(OSError, UnicodeError):
        return tuple(str(found[4][0]) for found in socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM))
    return ()
