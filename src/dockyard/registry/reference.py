"""References of images, as people write them: read by the grammar that docker and podman share, and written again."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dockyard.errors import UsageError

DOCKER_HUB = "docker.io"
HUB_NAMES = frozenset([DOCKER_HUB, "index.docker.io", "registry-1.docker.io"])
"""What Docker Hub is called in references and configurations."""
LATEST = "latest"
MAX_NAME = 255  # characters of host and repository

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_ID = re.compile(r"[a-f0-9]{64}")


class Reference(NamedTuple):
    """An image in a registry: by tag, by digest, or by both."""

    host: str
    repository: str
    tag: str = LATEST
    """Empty if only a digest is given."""
    digest: str = ""

    def __str__(self) -> str:
        """Return it as people write it, with its tag and its digest."""
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def canonical(self) -> str:
        """Host, repository, tag and digest in full: what every engine takes for the same image."""
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"

    @property
    def name(self) -> str:
        """Host and repository as people write them: `debian`, `ghcr.io/x/y`."""
        whole = f"{self.host}/{self.repository}"
        if self.host != DOCKER_HUB:
            return whole
        short = self.repository.removeprefix("library/")
        short = self.repository if "/" in short else short
        return whole if has_host(short) or _ID.fullmatch(short) else short

    def with_tag(self, tag: str) -> "Reference":
        """Return the reference of another tag of the repository, without a digest."""
        return self._replace(tag=tag, digest="")

    def with_digest(self, digest: str) -> "Reference":
        """Return the reference with the tag that it has, and a digest."""
        return self._replace(digest=digest)


def choose_reference(candidates: Sequence[Reference], pulled: Iterable[str]) -> Reference:
    """Return the candidate that an image was pulled as, by the engine's list of `NAME@DIGEST`; else the first."""
    names = {text.partition("@")[0] for text in pulled}
    known = (one for one in candidates if not names.isdisjoint([one.name, f"{one.host}/{one.repository}"]))
    return next(known, candidates[0])


def is_digest(text: str) -> bool:
    """Return whether a text is a digest that can be verified."""
    return bool(_DIGEST.fullmatch(text))


def is_tag(text: str) -> bool:
    """Return whether a text can be the name of a tag."""
    return bool(_TAG.fullmatch(text))


def parse_reference(text: str) -> Reference:
    """Return what a reference names; without a host it is in Docker Hub. Raises UsageError.

    >>> parse_reference("debian")
    Reference(host='docker.io', repository='library/debian', tag='latest', digest='')
    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _refusal(text, "its digest is not `sha256:` and 64 hexadecimal digits")
    rest, tag = _split_tag(rest)
    if tag is not None and not is_tag(tag):
        raise _refusal(text, "its tag has characters that a tag cannot have")
    host, repository = _split_host(rest)
    if not _HOST.fullmatch(host):
        raise _refusal(text, "its host is not a host name")
    if not _REPOSITORY.fullmatch(repository):
        lower = "names of images are in lower case" if repository != repository.lower() else "its name is not valid"
        raise _refusal(text, lower)
    if _ID.fullmatch(rest):
        raise _refusal(text, "it is the id of an image")
    if len(host) + 1 + len(repository) > MAX_NAME:
        raise _refusal(text, f"it is longer than {MAX_NAME} characters")
    return Reference(host, repository, ("" if digest else LATEST) if tag is None else tag, digest)


def _split_tag(text: str) -> tuple[str, str | None]:
    """Return a name and its tag; None if it has none."""
    above, slash, last = text.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{above}{slash}{name}", tag if colon else None


def has_host(name: str) -> bool:
    """Return whether the first part of a name is a host: it has a dot, a port or capitals, or is `localhost`."""
    first, slash, _ = name.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())


def _split_host(name: str) -> tuple[str, str]:
    """Return the host and the repository of a name, as an engine completes it."""
    first, _, rest = name.partition("/")
    host, repository = (first, rest) if has_host(name) else (DOCKER_HUB, name)
    if host in HUB_NAMES:
        host = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return host, repository


def _refusal(text: str, reason: str) -> UsageError:
    shown = text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}…"
    return UsageError(f"`{shown}` is not a reference of an image: {reason}", hint="write it as `HOST/NAME:TAG`")
