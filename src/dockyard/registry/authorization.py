"""Logging in to registries: the header `Authorization`, from tokens that are fetched once and renewed in time."""

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlencode

from dockyard.errors import DockyardError, RegistryError
from dockyard.masking import known
from dockyard.registry.challenge import BASIC, Challenge, choose_challenge
from dockyard.registry.credentials import Credentials
from dockyard.registry.manifest import UnreadableError, read_object
from dockyard.registry.transport import Answer, Origin, Request, basic_authorization, parse_origin
from dockyard.registry.trust import Trust

MAX_TOKEN_ANSWER = 1024 * 1024  # bytes
TOKEN_SECONDS = 60.0  # how long a token is valid if its service does not say
EARLY_SECONDS = 5.0  # before its end a token is replaced
MAX_TOKEN_SECONDS = 24 * 3600.0
CLIENT = "dockyard"

_TOKEN = re.compile(r"[\x21-\x7e]+")

Send = Callable[[Request, float], Answer]
FindCredentials = Callable[[str, str], Credentials | None]


class Visit(NamedTuple):
    """A repository at a server, as one logs in for it."""

    origin: Origin
    trust: Trust
    login: str
    """The name of the registry in auth files."""
    repository: str

    @property
    def scope(self) -> str:
        """What a token is requested for."""
        return f"repository:{self.repository}:pull"


class _Token(NamedTuple):
    header: str
    expires: float


class KeyedLocks:
    """A lock for each of many things."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[Hashable, threading.Lock] = defaultdict(threading.Lock)

    def __getitem__(self, key: Hashable) -> threading.Lock:
        with self._lock:
            return self._locks[key]


class Authorizations:
    """Headers for repositories; safe to use from several threads."""

    def __init__(self, send: Send, find_credentials: FindCredentials) -> None:
        self._send = send
        self._find_credentials = find_credentials
        self._locks = KeyedLocks()
        self._challenges: dict[Origin, Challenge] = {}
        self._tokens: dict[tuple[Origin, str], _Token] = {}

    def header_for(self, visit: Visit, deadline: float) -> str:
        """Return the header to send; empty for a server that has not asked for one."""
        challenge = self._challenges.get(visit.origin)
        if not challenge:
            return self._valid(visit)
        with self._locks[visit.origin, visit.repository]:
            return self._valid(visit) or self._log_in(visit, challenge, deadline)

    def renew(self, visit: Visit, refused: str, answer: Answer, deadline: float) -> str:
        """Return the header to send after one was refused, or none was sent. Raises RegistryError."""
        with self._locks[visit.origin, visit.repository]:
            valid = self._valid(visit)
            if valid and valid != refused:  # another thread was here first
                return valid
            challenge = choose_challenge(answer.headers.get("www-authenticate", ""))
            if not challenge or (refused and challenge.scheme == BASIC):
                raise access_error(visit)
            header = self._log_in(visit, challenge, deadline)
            if challenge.parameters.get("scope", visit.scope) == visit.scope:  # so it is predictable for others
                self._challenges[visit.origin] = challenge._replace(
                    parameters={key: value for key, value in challenge.parameters.items() if key != "scope"}
                )
            return header

    def _valid(self, visit: Visit) -> str:
        token = self._tokens.get((visit.origin, visit.repository))
        return token.header if token and monotonic() < token.expires else ""

    def _log_in(self, visit: Visit, challenge: Challenge, deadline: float) -> str:
        try:
            credentials = self._find_credentials(visit.login, visit.repository)
        except DockyardError as error:
            message = f"{visit.login}: {error}"
            raise RegistryError(message, error.hint, host=visit.login, kind="denied") from None
        token = self._fetch(visit, challenge, credentials, deadline)
        self._tokens[visit.origin, visit.repository] = token
        return token.header

    def _fetch(self, visit: Visit, challenge: Challenge, credentials: Credentials | None, deadline: float) -> _Token:
        forever = float("inf")
        if credentials and credentials.registry_token:
            return _Token(f"Bearer {credentials.registry_token}", forever)
        if challenge.scheme == BASIC:
            if not credentials:
                raise access_error(visit)
            return _Token(basic_authorization(credentials.user, credentials.password), forever)
        request = _token_request(visit, challenge, credentials)
        asked = monotonic()
        answer = self._send(request, deadline)
        _check_status(visit, request.origin, answer)
        return _read_token(visit, request.origin, answer, asked)


def _token_request(visit: Visit, challenge: Challenge, credentials: Credentials | None) -> Request:
    """Return the request for a token. Raises RegistryError if the password would be sent in the clear."""
    try:
        origin, target = parse_origin(challenge.parameters.get("realm", ""))
    except ValueError:
        raise _wrong_error(visit, f"{visit.login} does not say where it gives out tokens") from None
    if origin.scheme != "https" and visit.origin.scheme == "https":
        raise _wrong_error(visit, f"{visit.login} wants its tokens requested without TLS, at {origin}")
    trust = visit.trust if origin == visit.origin else visit.trust._replace(has_client_certificate=False)
    fields = {name: challenge.parameters.get(name, "") for name in ("service", "scope")}
    fields["scope"] = fields["scope"] or visit.scope
    return _request_for(origin, target, {key: value for key, value in fields.items() if value}, credentials, trust)


def _request_for(
    origin: Origin, target: str, fields: dict[str, str], credentials: Credentials | None, trust: Trust
) -> Request:
    headers = {"Accept": "application/json", "User-Agent": CLIENT}
    if credentials and credentials.identity_token:
        refresh = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token, "client_id": CLIENT}
        body = urlencode(fields | refresh).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return Request("POST", origin, target, headers, MAX_TOKEN_ANSWER, trust, body)
    if credentials:
        headers["Authorization"] = basic_authorization(credentials.user, credentials.password)
    target += ("&" if "?" in target else "?") + urlencode(fields)
    return Request("GET", origin, target, headers, MAX_TOKEN_ANSWER, trust)


def _check_status(visit: Visit, origin: Origin, answer: Answer) -> None:
    """Raise RegistryError if no token was given."""
    match answer.status:
        case 200:
            return
        case 400 | 401 | 403 | 404:
            raise access_error(visit)
    message = f"{origin}, which gives out tokens for {visit.login}, answers with status {answer.status}"
    raise _wrong_error(visit, message)


def _read_token(visit: Visit, origin: Origin, answer: Answer, asked: float) -> _Token:
    try:
        content = read_object(answer.body)
    except UnreadableError as error:
        raise _wrong_error(visit, f"{origin} gives out no tokens for {visit.login}: its answer is {error}") from None
    value = content.get("token") or content.get("access_token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise _wrong_error(visit, f"{origin} gives out no valid token for {visit.login}")
    known.learn([value])
    seconds = content.get("expires_in")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0
    valid = min(float(seconds), MAX_TOKEN_SECONDS) if is_number else TOKEN_SECONDS  # type: ignore[arg-type]
    return _Token(f"Bearer {value}", asked + max(valid - EARLY_SECONDS, valid / 2))


def access_error(visit: Visit) -> RegistryError:
    """Return the error of a repository that is not for us."""
    message = f"{visit.login} refuses access to {visit.repository}: it does not exist, or needs a login"
    return RegistryError(message, f"check its name, or log in to {visit.login}", host=visit.login, kind="denied")


def _wrong_error(visit: Visit, message: str) -> RegistryError:
    return RegistryError(message, host=visit.login, kind="wrong")
