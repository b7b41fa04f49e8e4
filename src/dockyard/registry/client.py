"""Questions to registries: what a tag names, for which platforms, what an image says of itself, which tags exist."""

import os
import re
from collections.abc import Callable, Mapping
from time import monotonic
from types import TracebackType
from typing import NamedTuple, Self, TypeVar
from urllib.parse import quote, urljoin

from dockyard.errors import RegistryError
from dockyard.registry.authorization import KeyedLocks, Visit
from dockyard.registry.configuration import Configuration, read_configuration
from dockyard.registry.credentials import CredentialStore
from dockyard.registry.endpoints import Endpoint
from dockyard.registry.exchange import Exchange, Question
from dockyard.registry.manifest import (
    ACCEPTED,
    ImageDetails,
    Manifest,
    RemoteImage,
    UnreadableError,
    choose_platform,
    digest_of,
    has_digest,
    platform_of,
    read_labels,
    read_manifest,
    read_object,
)
from dockyard.registry.reference import Reference, is_digest, is_tag
from dockyard.registry.transport import Origin, Transport, parse_origin
from dockyard.registry.trust import Trust

SECONDS = 30.0  # for one question, with all that it takes
MAX_MANIFEST = 4 * 1024 * 1024  # bytes, as the specification has it
MAX_CONFIGURATION = 8 * 1024 * 1024
MAX_PAGE = 8 * 1024 * 1024
PAGE = 1000  # tags to ask for at a time
MAX_PAGES = 200
MAX_TAGS = 100_000

T = TypeVar("T")

_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel\s*=\s*"?next"?', re.IGNORECASE)


class _Served(NamedTuple):
    """A manifest or an index, verified against its digest."""

    digest: str
    manifest: Manifest


class Registries:
    """The registries of one command: connections are reused, and nothing is asked twice. Safe to use from threads."""

    def __init__(self, program: str, *, configuration: Configuration | None = None, seconds: float = SECONDS) -> None:
        """Ask as an engine's program does, `docker` or `podman`. Raises DockyardError for an unusable file."""
        self._configuration = configuration or read_configuration(program, os.environ)
        self._seconds = seconds
        self._transport = Transport(self._configuration.proxies)
        self._exchange = Exchange(self._transport, CredentialStore(self._configuration).find_credentials)
        self._platform = platform_of(os.uname().sysname, os.uname().machine)
        self._known = _Once()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    @property
    def requests(self) -> Mapping[str, int]:
        """The number of requests that each server got."""
        return dict(self._transport.sent)

    def references_of(self, text: str) -> tuple[Reference, ...]:
        """Return what a name means to the engine, the likeliest first: podman may search several registries."""
        return self._configuration.rules.names_of(text)

    def resolve(self, reference: Reference) -> RemoteImage:
        """Return the digest of what a reference names. Raises RegistryError."""
        return self._known.get(("resolve", reference), lambda: RemoteImage(self._resolve(reference)))

    def platforms(self, reference: Reference) -> RemoteImage:
        """Return the digest of what a reference names, and those of its platforms. Raises RegistryError."""
        served = self._manifest(reference)
        return RemoteImage(served.digest, served.manifest.platforms or {})

    def details(self, reference: Reference) -> ImageDetails:
        """Return what the image for this machine says of itself. Raises RegistryError."""
        return self._known.get(("details", reference), lambda: self._details(reference))

    def tags(self, reference: Reference) -> tuple[str, ...]:
        """Return all tags of a repository. Raises RegistryError."""
        repository = reference.with_tag("")
        return self._known.get(("tags", repository), lambda: self._ask(repository, self._read_tags))

    def _resolve(self, reference: Reference) -> str:
        def read_digest(endpoint: Endpoint, visit: Visit, deadline: float) -> str:
            question = Question("HEAD", _manifest_target(endpoint, reference), 0, str(reference), ACCEPTED)
            try:
                digest = self._exchange.ask(visit, question, deadline).headers.get("docker-content-digest", "")
            except RegistryError as error:
                if error.kind != "wrong":
                    raise
                digest = ""  # it may not know HEAD
            if not is_digest(digest):
                return self._read_manifest(endpoint, visit, deadline, reference).digest
            if reference.digest and digest != reference.digest:
                raise _digest_error(visit, reference)
            return digest

        return self._ask(reference, read_digest)

    def _manifest(self, reference: Reference) -> _Served:
        def read_manifest(endpoint: Endpoint, visit: Visit, deadline: float) -> _Served:
            return self._read_manifest(endpoint, visit, deadline, reference)

        return self._known.get(("manifest", reference), lambda: self._ask(reference, read_manifest))

    def _details(self, reference: Reference) -> ImageDetails:
        served = self._manifest(reference)
        if (platforms := served.manifest.platforms) is not None:
            digest = choose_platform(platforms, self._platform)
            if not digest:
                message = f"{reference} has no image for {self._platform}"
                raise RegistryError(message, host=reference.host, kind="missing")
            served = self._manifest(reference._replace(tag="", digest=digest))
        config = served.manifest.config_digest
        if not config:
            raise RegistryError(f"{reference} is an index of an index", host=reference.host, kind="wrong")

        def read_config(endpoint: Endpoint, visit: Visit, deadline: float) -> ImageDetails:
            target = f"{_repository_path(endpoint)}/blobs/{config}"
            answer = self._exchange.ask(
                visit, Question("GET", target, MAX_CONFIGURATION, f"the configuration of {reference}"), deadline
            )
            if not has_digest(answer.body, config):
                raise _digest_error(visit, reference)
            labels, created = _read(visit, f"the configuration of {reference}", lambda: read_labels(answer.body))
            return ImageDetails(config, served.digest, labels, created)

        return self._ask(reference, read_config)

    def _read_manifest(self, endpoint: Endpoint, visit: Visit, deadline: float, reference: Reference) -> _Served:
        target = _manifest_target(endpoint, reference)
        answer = self._exchange.ask(visit, Question("GET", target, MAX_MANIFEST, str(reference), ACCEPTED), deadline)
        manifest = _read(visit, str(reference), lambda: read_manifest(answer.body))
        promised = reference.digest or answer.headers.get("docker-content-digest", "")
        if is_digest(promised) and not has_digest(answer.body, promised):
            raise _digest_error(visit, reference)
        return _Served(promised if is_digest(promised) else digest_of(answer.body), manifest)

    def _read_tags(self, endpoint: Endpoint, visit: Visit, deadline: float) -> tuple[str, ...]:
        target = f"{_repository_path(endpoint)}/tags/list?n={PAGE}"
        subject = f"repository {endpoint.repository}"
        found: dict[str, None] = {}
        for _ in range(MAX_PAGES):
            answer = self._exchange.ask(visit, Question("GET", target, MAX_PAGE, subject, "application/json"), deadline)
            page = _read(visit, f"the list of tags of {subject}", lambda body=answer.body: _read_page(body))  # type: ignore[misc]
            if page and all(tag in found for tag in page):
                break  # it repeats itself
            found |= dict.fromkeys(page)
            following = _NEXT.search(answer.headers.get("link", ""))
            if not following:
                return tuple(found)
            if len(found) > MAX_TAGS:
                break
            target = _next_page(visit, target, following[1])
        raise RegistryError(
            f"{visit.login} has a list of tags of {subject} that does not end", host=visit.login, kind="wrong"
        )

    def _ask(self, reference: Reference, ask: Callable[[Endpoint, Visit, float], T]) -> T:
        """Return the answer of the first server that has one; the registry's own error if none has."""
        failed = RegistryError(
            f"registries.conf blocks {reference.host}/{reference.repository}", host=reference.host, kind="denied"
        )
        for endpoint in self._configuration.rules.endpoints_of(reference):
            try:
                return self._ask_endpoint(endpoint, ask)
            except RegistryError as error:
                failed = error
        raise failed

    def _ask_endpoint(self, endpoint: Endpoint, ask: Callable[[Endpoint, Visit, float], T]) -> T:
        """Return an endpoint's answer: over TLS, and without only if the server does not speak it."""
        directories = tuple(place / endpoint.host for place in self._configuration.certificates)
        trust = Trust(endpoint.is_verified, directories)
        origins = _origins_of(endpoint)
        answering = [origin for origin in origins if self._exchange.has_answered(origin)]
        *first, last = answering[:1] or origins
        for origin in first:
            try:
                return self._ask_origin(origin, trust, endpoint, ask)
            except RegistryError as error:
                if error.kind != "unreachable" or self._exchange.has_answered(origin):
                    raise
        return self._ask_origin(last, trust, endpoint, ask)

    def _ask_origin(
        self, origin: Origin, trust: Trust, endpoint: Endpoint, ask: Callable[[Endpoint, Visit, float], T]
    ) -> T:
        visit = Visit(origin, trust, endpoint.login, endpoint.repository)
        return ask(endpoint, visit, monotonic() + self._seconds)


class _Once:
    """Answers by question: each is asked once, also if several threads want it at a time."""

    def __init__(self) -> None:
        self._locks = KeyedLocks()
        self._answers: dict[object, object] = {}

    def get(self, key: tuple[str, Reference], ask: Callable[[], T]) -> T:
        with self._locks[key]:
            if key not in self._answers:
                try:
                    self._answers[key] = ask()
                except RegistryError as error:
                    self._answers[key] = error
            answer = self._answers[key]
        if isinstance(answer, RegistryError):
            raise answer
        return answer  # type: ignore[return-value]


def _origins_of(endpoint: Endpoint) -> list[Origin]:
    try:
        return [parse_origin(f"{scheme}://{endpoint.host}")[0] for scheme in endpoint.schemes]
    except ValueError:
        raise RegistryError(f"{endpoint.host} is not a server", host=endpoint.login, kind="unreachable") from None


def _repository_path(endpoint: Endpoint) -> str:
    return f"{endpoint.path}/v2/{quote(endpoint.repository)}"


def _manifest_target(endpoint: Endpoint, reference: Reference) -> str:
    return f"{_repository_path(endpoint)}/manifests/{reference.digest or reference.tag}"


def _read_page(body: bytes) -> list[str]:
    """Return the tags of a page, without what cannot be a tag. Raises UnreadableError."""
    tags = read_object(body).get("tags")
    if tags is None:
        return []  # what some registries say of a repository without tags
    if not isinstance(tags, list):
        raise UnreadableError("not a list of tags")
    return [tag for tag in tags if isinstance(tag, str) and is_tag(tag)]


def _next_page(visit: Visit, target: str, link: str) -> str:
    """Return the target of the next page; it is asked of the same server. Raises RegistryError if it is at another.

    The scheme and the port do not count: registries behind a proxy often do not know their own.
    """
    here = f"{visit.origin.scheme}://{visit.origin}"
    try:
        there, following = parse_origin(urljoin(here + target, link))
    except ValueError:
        there, following = None, ""
    if there is None or there.host != visit.origin.host:
        message = f"{visit.login} continues its list of tags at another server"
        raise RegistryError(message, host=visit.login, kind="wrong")
    return following


def _read(visit: Visit, subject: str, read: Callable[[], T]) -> T:
    """Return what a body says. Raises RegistryError that says what it is instead."""
    try:
        return read()
    except UnreadableError as error:
        raise RegistryError(
            f"{visit.login} answers with {error} when asked for {subject}", host=visit.login, kind="wrong"
        ) from None


def _digest_error(visit: Visit, reference: Reference) -> RegistryError:
    message = f"{visit.login} answers with content of another digest when asked for {reference}"
    return RegistryError(message, host=visit.login, kind="wrong")
