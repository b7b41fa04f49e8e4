"""Where a repository is asked for: mirrors first, as daemon.json of Docker or registries.conf of podman have them."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from dockyard.registry.proxies import is_in_networks
from dockyard.registry.reference import DOCKER_HUB, HUB_NAMES, Reference, has_host, parse_reference

HUB_SERVER = "registry-1.docker.io"
AUTH_FILES = "containers-auth.json"
"""What registries.conf calls the auth files, among the helper programs."""
THIS_HOST = ("127.0.0.0/8", "::1/128")
"""Networks whose registries need no valid certificate: Docker takes these for granted."""


class Endpoint(NamedTuple):
    """A server that may have a repository, and what the repository is called there."""

    host: str
    repository: str
    schemes: tuple[str, ...] = ("https",)
    """Tried in this order: `http` is second if the engine falls back to it."""
    is_verified: bool = True
    path: str = ""
    """What is before `/v2/`."""
    login: str = ""
    """The name under which credentials are stored."""


class EndpointRules(Protocol):
    """What an engine's configuration says of registries."""

    def names_of(self, text: str) -> tuple[Reference, ...]:
        """Return what a name may mean, the likeliest first. Raises UsageError."""

    def endpoints_of(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Return where to ask, in this order; nothing if the configuration forbids it."""


class Addresses(Protocol):
    """What a host's name resolves to."""

    def __call__(self, host: str) -> Iterable[str]: ...


def _schemes(is_insecure: bool) -> tuple[str, ...]:
    return ("https", "http") if is_insecure else ("https",)


def _server_of(host: str) -> str:
    return HUB_SERVER if host in HUB_NAMES else host


class DockerRules:
    """`registry-mirrors` and `insecure-registries` of daemon.json."""

    def __init__(self, settings: Mapping[str, object], addresses: Addresses) -> None:
        self._mirrors = _texts(settings.get("registry-mirrors"))
        self._insecure = _texts(settings.get("insecure-registries"))
        self._addresses = addresses

    def names_of(self, text: str) -> tuple[Reference, ...]:
        """Return what a name means: without a host it is in Docker Hub."""
        return (parse_reference(text),)

    def endpoints_of(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Return the mirrors of Docker Hub for what is there, then the registry."""
        mirrors = map(self._mirror, self._mirrors) if reference.host == DOCKER_HUB else ()
        server = _server_of(reference.host)
        own = self._endpoint(server, reference.repository, reference.host)
        return (*(mirror._replace(repository=reference.repository) for mirror in mirrors), own)

    def _endpoint(self, host: str, repository: str, login: str) -> Endpoint:
        is_insecure = self._is_insecure(host)
        return Endpoint(host, repository, _schemes(is_insecure), is_verified=not is_insecure, login=login)

    def _mirror(self, url: str) -> Endpoint:
        scheme, _, rest = url.partition("://") if "://" in url else ("https", "", url)
        host, _, path = rest.partition("/")
        return self._endpoint(host, "", host)._replace(schemes=(scheme,), path=f"/{path}".rstrip("/"))

    def _is_insecure(self, host: str) -> bool:
        if host in self._insecure:
            return True
        networks = [*THIS_HOST, *(entry for entry in self._insecure if "/" in entry)]
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        return is_in_networks(self._addresses(name), networks)


class PodmanRules:
    """registries.conf: rewritten prefixes, mirrors, and what short names mean."""

    def __init__(self, files: Iterable[Mapping[str, Any]]) -> None:
        self._registries: dict[str, Mapping[str, Any]] = {}
        self._aliases: dict[str, str] = {}
        self._search: list[str] = []
        self.helpers: tuple[str, ...] = (AUTH_FILES,)
        """Where credentials are looked for, in this order: programs, and the auth files."""
        for file in files:  # a later one wins
            for entry in _tables(file.get("registry")):
                self._registries[_text(entry, "prefix") or _text(entry, "location")] = entry
            aliases = file.get("aliases")
            self._aliases |= dict(aliases) if isinstance(aliases, dict) else {}
            if "unqualified-search-registries" in file:
                self._search = list(_texts(file["unqualified-search-registries"]))
            self.helpers = _texts(file.get("credential-helpers")) or self.helpers

    def names_of(self, text: str) -> tuple[Reference, ...]:
        """Return what a name means: by an alias, else in the registries that are searched, else in Docker Hub."""
        name = text.partition("@")[0]
        if has_host(name):
            return (parse_reference(text),)
        above, slash, last = name.rpartition("/")
        name = f"{above}{slash}{last.partition(':')[0]}"
        alias = self._aliases.get(name)
        if isinstance(alias, str) and alias:
            return (parse_reference(alias + text[len(name) :]),)
        return tuple(parse_reference(f"{host}/{text}") for host in self._search) or (parse_reference(text),)

    def endpoints_of(self, reference: Reference) -> tuple[Endpoint, ...]:
        """Return the mirrors of the longest prefix that fits, then its location."""
        whole = f"{reference.host}/{reference.repository}"
        prefix = max((prefix for prefix in self._registries if _matching_part(whole, prefix)), key=len, default="")
        if not prefix:
            return (_rewrite_name(whole, "", "", is_insecure=False),)
        entry = self._registries[prefix]
        if entry.get("blocked") is True:
            return ()
        matched = _matching_part(whole, prefix)
        by_digest_only = entry.get("mirror-by-digest-only") is True
        mirrors = [mirror for mirror in _tables(entry.get("mirror")) if _serves(mirror, reference, by_digest_only)]
        return tuple(
            _rewrite_name(whole, matched, _text(place, "location"), is_insecure=place.get("insecure") is True)
            for place in (*mirrors, entry)
        )


def _serves(mirror: Mapping[str, Any], reference: Reference, by_digest_only: bool) -> bool:
    """Return whether a mirror is asked: some are for digests alone, some for tags alone."""
    kind = _text(mirror, "pull-from-mirror") or ("digest-only" if by_digest_only else "all")
    return kind in ("all", "digest-only" if reference.digest else "tag-only")


def _matching_part(name: str, prefix: str) -> str:
    """Return the part of a name that a prefix fits, in whole parts of the path; `*.example.com` is any host below."""
    host = name.partition("/")[0]
    if prefix.startswith("*."):
        return host if host.endswith(prefix[1:]) else ""
    return prefix if name == prefix or name.startswith(f"{prefix}/") else ""


def _rewrite_name(name: str, matched: str, location: str, *, is_insecure: bool) -> Endpoint:
    """Return where a name is, with the part that matched replaced by a location, if there is one."""
    host, _, repository = (location + name[len(matched) :] if location else name).partition("/")
    login = DOCKER_HUB if host in HUB_NAMES else host
    return Endpoint(_server_of(host), repository, _schemes(is_insecure), is_verified=not is_insecure, login=login)


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    return value if isinstance(value, str) else ""


def _texts(content: object) -> tuple[str, ...]:
    return tuple(entry for entry in content if isinstance(entry, str)) if isinstance(content, list) else ()


def _tables(content: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(entry for entry in content if isinstance(entry, dict)) if isinstance(content, list) else ()
