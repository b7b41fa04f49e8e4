"""Who we are at a registry: from docker's and podman's files, or from the helper programs that these name."""

import json
import re
import threading
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dockyard.errors import DockyardError
from dockyard.masking import known
from dockyard.process import capture
from dockyard.registry.configuration import DOCKER, Configuration, parse_table, read_optional_file
from dockyard.registry.endpoints import AUTH_FILES
from dockyard.registry.reference import DOCKER_HUB, HUB_NAMES

HELPER_SECONDS = 15.0
HUB_KEY = "https://index.docker.io/v1/"
"""Under what docker stores the login of Docker Hub."""
TOKEN_USER = "<token>"  # noqa: S105 - how a helper says that its secret is a token
NOT_FOUND = "credentials not found"
"""What a helper says that has none for a registry."""

_HELPER = re.compile(r"[a-zA-Z0-9._-]+")


class Credentials(NamedTuple):
    """A user with a password, or a token that stands for both."""

    user: str = ""
    password: str = ""
    identity_token: str = ""
    """What tokens are requested with."""
    registry_token: str = ""
    """What is sent as it is."""


class CredentialStore:
    """The stored credentials of an engine's user; each is read once."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._lock = threading.Lock()
        self._files: list[dict[str, Any]] | None = None
        self._helped: dict[tuple[str, str], Credentials | DockyardError | None] = {}

    def find_credentials(self, host: str, repository: str) -> Credentials | None:
        """Return the credentials for a repository; None if there are none. Raises DockyardError."""
        with self._lock:
            found = next(self._search(host, repository), None)
        if found:
            known.learn([found.password, found.identity_token, found.registry_token])
        return found

    def _search(self, host: str, repository: str) -> Iterator[Credentials]:
        for helper in self._configuration.helpers:
            found = self._search_files(host, repository) if helper == AUTH_FILES else [self._ask_once(helper, host)]
            yield from filter(None, found)

    def _search_files(self, host: str, repository: str) -> Iterator[Credentials | None]:
        if self._files is None:
            self._files = list(self._read_files())
        for file in self._files:
            yield self._find_in(file, host, repository)

    def _read_files(self) -> Iterable[dict[str, Any]]:
        named = [(str(path), read_optional_file(path)) for path in self._configuration.auth_files]
        for where, text in [("DOCKER_AUTH_CONFIG", self._configuration.auth_text or None), *named]:
            if text is not None:
                yield parse_table(text, json.loads, "JSON", where)

    def _find_in(self, file: Mapping[str, Any], host: str, repository: str) -> Credentials | None:
        helpers, logins = _by_host(file.get("credHelpers")), _by_host(file.get("auths"))
        helper = helpers.get(host) or file.get("credsStore")
        if isinstance(helper, str) and helper:
            found = self._ask_once(helper, host)
            if found or self._configuration.program == DOCKER:
                return found
        names = f"{host}/{repository}".split("/")
        keys = ["/".join(names[:count]) for count in range(len(names), 0, -1)]  # podman: the longest one counts
        return next((found for key in keys if (found := _read_login(logins.get(key), key))), None)

    def _ask_once(self, helper: str, host: str) -> Credentials | None:
        server = HUB_KEY if (self._configuration.program, host) == (DOCKER, DOCKER_HUB) else host
        key = helper, server
        if key not in self._helped:
            try:
                self._helped[key] = ask_helper(helper, server)
            except DockyardError as error:
                self._helped[key] = error
        found = self._helped[key]
        if isinstance(found, DockyardError):
            raise found
        return found


def _by_host(table: object) -> dict[str, Any]:
    """Return entries by host, or by host and path: without what docker writes before and after them."""
    return {_plain_key(key): value for key, value in table.items()} if isinstance(table, dict) else {}


def _plain_key(key: str) -> str:
    is_url = "://" in key
    name = key.partition("://")[2] if is_url else key
    host, _, path = name.partition("/")
    if host in HUB_NAMES:
        host = DOCKER_HUB
    return host if is_url or path.strip("/") in ("", "v1", "v2") else f"{host}/{path.rstrip('/')}"


def _read_login(entry: object, key: str) -> Credentials | None:
    """Return the credentials in an entry of `auths`; None for one without. Raises DockyardError."""
    if not isinstance(entry, dict):
        return None
    values = {name: value for name, value in entry.items() if isinstance(value, str) and value}
    user, password = values.get("username", ""), values.get("password", "")
    if auth := values.get("auth"):
        try:
            user, _, password = b64decode(auth, validate=True).decode().partition(":")
        except (Base64Error, ValueError):
            raise DockyardError(f"the stored login of {key} is not valid", f"log in to {key} again") from None
    found = Credentials(user, password.strip("\0"), values.get("identitytoken", ""), values.get("registrytoken", ""))
    return found if any((found.password, found.identity_token, found.registry_token)) else None


def ask_helper(helper: str, server: str, seconds: float = HELPER_SECONDS) -> Credentials | None:
    """Return what `docker-credential-HELPER get` has for a server; None if it has none. Raises DockyardError."""
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise DockyardError("the name of a credential helper is not valid", "correct `credsStore` or `credHelpers`")
    try:
        done = capture((program, "get"), timeout=seconds, given=f"{server}\n")
    except TimeoutError:
        raise DockyardError(f"{program} does not answer within {seconds:g} s", _hint(program, server)) from None
    except FileNotFoundError:
        raise DockyardError(f"{program} is not installed", "install it, or remove it from the auth file") from None
    except OSError as error:
        raise DockyardError(f"{program} cannot be started: {error.strerror}", _hint(program, server)) from None
    if done.exit_code:
        if NOT_FOUND in f"{done.stdout}{done.stderr}":
            return None
        raise DockyardError(f"{program} failed with exit code {done.exit_code}", _hint(program, server))
    return _read_answer(done.stdout, program, server)


def _hint(program: str, server: str) -> str:
    return f"see what it says: `echo {server} | {program} get >/dev/null`"


def _read_answer(text: str, program: str, server: str) -> Credentials | None:
    content = {}
    try:
        content = parse_table(text, json.loads, "JSON", f"the answer of {program}")
    except DockyardError as error:
        raise DockyardError(str(error), _hint(program, server)) from None
    user, secret = (str(content.get(key) or "") for key in ("Username", "Secret"))
    if not secret:
        return None
    return Credentials(identity_token=secret) if user == TOKEN_USER else Credentials(user, secret)
