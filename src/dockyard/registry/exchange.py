"""One question to a registry: with retries and redirects, and an error in words."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import localtime, monotonic, sleep, strftime, time
from typing import NamedTuple
from urllib.parse import urljoin

from dockyard.errors import RegistryError
from dockyard.registry.authorization import Authorizations, FindCredentials, KeyedLocks, Visit, access_error
from dockyard.registry.manifest import UnreadableError, read_object
from dockyard.registry.transport import (
    Answer,
    BrokenError,
    Origin,
    Request,
    Transport,
    first_line,
    parse_origin,
    unreachable_error,
)

MAX_REDIRECTS = 5
PAUSES = (0.2, 0.8)  # seconds before the second and the third try
FAILING = frozenset([500, 502, 503, 504])
"""Statuses of a server that may answer if it is asked again."""
REDIRECTS = frozenset([301, 302, 303, 307, 308])
MAX_WAIT = 24 * 3600  # seconds: a registry cannot stop us for longer
AGENT = "dockyard"


class Question(NamedTuple):
    """What is asked about a repository; `subject` is how messages name it."""

    method: str
    target: str
    limit: int
    subject: str
    accept: str = "*/*"


class Exchange:
    """Asks servers, and remembers those that cannot be asked for the time being; safe to use from several threads."""

    def __init__(self, transport: Transport, find_credentials: FindCredentials) -> None:
        self._transport = transport
        self._authorizations = Authorizations(self._send, find_credentials)
        self._lock = threading.Lock()
        self._failed: dict[Origin, RegistryError] = {}
        self._met: set[Origin] = set()
        self._answered: set[Origin] = set()
        self._first = KeyedLocks()

    def has_answered(self, origin: Origin) -> bool:
        """Return whether a server has answered anything yet."""
        return origin in self._answered

    def ask(self, visit: Visit, question: Question, deadline: float) -> Answer:
        """Return the answer to a question. Raises RegistryError for any but the one that was hoped for."""
        try:
            if visit.origin not in self._met:
                with self._first[visit.origin]:  # so that the others know whether it answers, and how to log in
                    if visit.origin not in self._met:
                        answer = self._ask(visit, question, deadline)
                        self._met.add(visit.origin)
                        return answer
            return self._ask(visit, question, deadline)
        except RegistryError as error:  # it may be remembered of a server that other registries use, too
            raise RegistryError(str(error), error.hint, host=visit.login, kind=error.kind, until=error.until) from None

    def _ask(self, visit: Visit, question: Question, deadline: float) -> Answer:
        header = self._authorizations.header_for(visit, deadline)
        origin, answer = self._follow(visit, question, header, deadline)
        if answer.status == 401 and origin == visit.origin:  # noqa: PLR2004 - unauthorized; another server gets no login
            header = self._authorizations.renew(visit, header, answer, deadline)
            _, answer = self._follow(visit, question, header, deadline)
        if answer.status != 200:  # noqa: PLR2004 - success
            raise _refusal_error(visit, question, answer)
        return answer

    def _follow(self, visit: Visit, question: Question, header: str, deadline: float) -> tuple[Origin, Answer]:
        """Return the server that a registry leads to, and its answer; credentials are for the registry alone."""
        origin, target, trust = visit.origin, question.target, visit.trust
        for _ in range(MAX_REDIRECTS + 1):
            headers = {"Accept": question.accept, "User-Agent": AGENT}
            if origin == visit.origin and header:
                headers["Authorization"] = header
            request = Request(question.method, origin, target, headers, question.limit, trust)
            answer = self._send(request, deadline)
            if answer.status not in REDIRECTS:
                return origin, answer
            origin, target = _next_place(visit, request, answer)
            trust = visit.trust._replace(has_client_certificate=origin == visit.origin)
        raise _wrong_error(visit, f"redirects requests for {question.subject} in a circle, or too often")

    def _send(self, request: Request, deadline: float) -> Answer:
        """Return an answer, with a few tries. Raises RegistryError."""
        if failed := self._failed.get(request.origin):
            raise failed
        for pause in (*PAUSES, None):
            try:
                answer = self._transport.send(request, deadline)
                self._answered.add(request.origin)
                if answer.status not in FAILING or pause is None:
                    break
            except BrokenError as error:
                if pause is None:
                    raise unreachable_error(request.origin, str(error)) from None
            except RegistryError as error:
                if error.kind == "unreachable":
                    self._failed[request.origin] = error
                raise
            sleep(min(pause, max(deadline - monotonic(), 0)))
        if answer.status in FAILING:
            raise unreachable_error(request.origin, f"answers with status {answer.status}")
        if answer.status == 429:  # noqa: PLR2004 - too many requests
            raise self._failed.setdefault(request.origin, _limit_error(request.origin, answer.headers))
        return answer


def _next_place(visit: Visit, request: Request, answer: Answer) -> tuple[Origin, str]:
    """Return the server and the target that an answer redirects to. Raises RegistryError."""
    here = f"{request.origin.scheme}://{request.origin}{request.target}"
    try:
        origin, target = parse_origin(urljoin(here, answer.headers.get("location", "")))
    except ValueError:
        raise _wrong_error(visit, "redirects requests to what is not a URL") from None
    if origin.scheme != "https" and request.origin.scheme == "https":
        raise _wrong_error(visit, f"redirects requests to a server without TLS, {origin}")
    return origin, target


def _refusal_error(visit: Visit, question: Question, answer: Answer) -> RegistryError:
    code, message = _first_error(answer.body)
    if answer.status == 404:  # noqa: PLR2004 - not found
        missing = f"repository {visit.repository}" if code == "NAME_UNKNOWN" else question.subject
        return RegistryError(f"{visit.login} has no {missing}", host=visit.login, kind="missing")
    if answer.status in (401, 403):
        return access_error(visit)
    said = f": {message}" if message else ""
    return _wrong_error(visit, f"answers with status {answer.status} when asked for {question.subject}{said}")


def _first_error(body: bytes) -> tuple[str, str]:
    """Return code and message of the first error that a registry reports."""
    with suppress(UnreadableError):
        errors = read_object(body).get("errors")
        if isinstance(errors, list) and errors and isinstance(errors[0], dict):
            return str(errors[0].get("code", "")), first_line(str(errors[0].get("message", "")))
    return "", ""


def _limit_error(origin: Origin, headers: Mapping[str, str]) -> RegistryError:
    until = read_retry_after(headers.get("retry-after", ""), time())
    when = f" until {strftime('%H:%M', localtime(until))}" if until else ""
    message = f"{origin} limits requests, and answers no more of them{when}"
    return RegistryError(
        message, f"ask again later, or log in to {origin}", host=str(origin), kind="limited", until=until
    )


def read_retry_after(text: str, now: float) -> float | None:
    """Return until when a header says to wait, in seconds since 1970; None if it does not say."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return now + min(int(text[:10]), MAX_WAIT)
    try:
        then = parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(then, now), now + MAX_WAIT)


def _wrong_error(visit: Visit, problem: str) -> RegistryError:
    return RegistryError(f"{visit.login} {problem}", host=visit.login, kind="wrong")
