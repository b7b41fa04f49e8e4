"""The header that says how to log in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.registry.challenge import Challenge, choose_challenge, parse_challenges

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:x/y:pull,push"'
PARAMETERS = {
    "realm": "https://auth.docker.io/token",
    "service": "registry.docker.io",
    "scope": "repository:x/y:pull,push",
}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (HUB, [Challenge("bearer", PARAMETERS)]),
        (f"Basic realm=plain, {HUB}", [Challenge("basic", {"realm": "plain"}), Challenge("bearer", PARAMETERS)]),
        (f'{HUB}, Basic realm="a \\"b\\""', [Challenge("bearer", PARAMETERS), Challenge("basic", {"realm": 'a "b"'})]),
        ("BASIC", [Challenge("basic", {})]),
        ("Negotiate, Basic realm=x", [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
        ('bearer Realm = "r" , service = s', [Challenge("bearer", {"realm": "r", "service": "s"})]),
        ("", []),
        ("=,,", []),
    ],
)
def test_ways_to_log_in_are_read(header: str, expected: list[Challenge]):
    assert list(parse_challenges(header)) == expected


def test_a_token_is_preferred_to_a_password():
    chosen = choose_challenge(f"Basic realm=plain, {HUB}")
    assert chosen
    assert chosen.scheme == "bearer"
    assert choose_challenge("Negotiate") is None


@given(st.text(max_size=200))
def test_any_header_is_read_without_an_error(header: str):
    assert all(challenge.scheme for challenge in parse_challenges(header))
