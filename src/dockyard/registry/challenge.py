"""How a registry wants to be asked: the header `WWW-Authenticate`, read by its grammar."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

BEARER, BASIC = "bearer", "basic"

_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][\w!#$%&'*+.^`|~-]*)(?:\s+(?!\s*=)|$|(?=,))", re.ASCII)
_PARAMETER = re.compile(r'\s*,?\s*([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))', re.ASCII)


class Challenge(NamedTuple):
    """A way to log in: `basic`, or `bearer` with the address of the token service."""

    scheme: str
    parameters: Mapping[str, str] = MappingProxyType({})


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Return the ways that a header offers; what is not such a way is left out.

    >>> parse_challenges('Basic realm="x"')[0].scheme
    'basic'
    """
    found: list[Challenge] = []
    position = 0
    while match := _SCHEME.match(header, position):
        position = match.end()
        parameters: dict[str, str] = {}
        while pair := _PARAMETER.match(header, position):
            position = pair.end()
            value = pair[3] if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2])
            parameters.setdefault(pair[1].lower(), value)
        found.append(Challenge(match[1].lower(), parameters))
    return tuple(found)


def choose_challenge(header: str) -> Challenge | None:
    """Return the way to take: a token if there is a choice; None for none that is known."""
    offered = {challenge.scheme: challenge for challenge in reversed(parse_challenges(header))}
    return offered.get(BEARER) or offered.get(BASIC)
