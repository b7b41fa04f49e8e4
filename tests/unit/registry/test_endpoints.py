"""Where a repository is asked for, as daemon.json and registries.conf say."""

import tomllib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import UsageError
from dockyard.registry.endpoints import DockerRules, Endpoint, PodmanRules
from dockyard.registry.reference import parse_reference

DIGEST = "sha256:" + "a" * 64
ADDRESSES = {"localhost": ["127.0.0.1", "::1"], "inside.example.com": ["10.1.2.3"], "127.0.0.1": ["127.0.0.1"]}


def _docker(settings: dict[str, object], text: str) -> tuple[Endpoint, ...]:
    rules = DockerRules(settings, lambda host: ADDRESSES.get(host, []))
    return rules.endpoints_of(parse_reference(text))


def _podman(text: str, reference: str) -> tuple[Endpoint, ...]:
    return PodmanRules([tomllib.loads(text)]).endpoints_of(parse_reference(reference))


def test_docker_hub_has_another_server_than_its_name():
    hub = Endpoint("registry-1.docker.io", "library/debian", login="docker.io")
    assert _docker({}, "debian") == (hub,)
    assert _podman("", "debian") == (hub,)


def test_mirrors_of_docker_hub_come_first_and_are_for_docker_hub_alone():
    settings = {"registry-mirrors": ["http://mirror:5000/", "https://cache.example.com/hub"]}
    assert _docker(settings, "x/y") == (
        Endpoint("mirror:5000", "x/y", ("http",), login="mirror:5000"),
        Endpoint("cache.example.com", "x/y", path="/hub", login="cache.example.com"),
        Endpoint("registry-1.docker.io", "x/y", login="docker.io"),
    )
    assert [endpoint.host for endpoint in _docker(settings, "ghcr.io/x/y")] == ["ghcr.io"]


@pytest.mark.parametrize(
    ("host", "is_insecure"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", False),  # it resolves to nothing here
        ("reg.example.com:5000", True),
        ("reg.example.com", False),
        ("inside.example.com:443", True),
        ("outside.example.com", False),
    ],
)
def test_docker_takes_insecure_registries_by_name_and_by_network(host: str, is_insecure: bool):
    settings = {"insecure-registries": ["reg.example.com:5000", "10.0.0.0/8", "rubbish/99"]}
    (endpoint,) = _docker(settings, f"{host}/web")
    assert endpoint.is_verified == (not is_insecure)
    assert endpoint.schemes == (("https", "http") if is_insecure else ("https",))


@pytest.mark.parametrize("value", [None, 3, "x", {}, [3, None]])
def test_what_daemon_json_has_that_is_not_a_list_of_texts_counts_for_nothing(value: object):
    assert len(_docker({"registry-mirrors": value, "insecure-registries": value}, "debian")) == 1


REGISTRIES = """
[[registry]]
prefix = "example.com/foo"
location = "inside.example.com:5000/bar"
insecure = true

[[registry]]
prefix = "example.com/foo/special"
location = "special.example.com"

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "mirror.example.com/hub"
[[registry.mirror]]
location = "other.example.com"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "third.example.com"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "*.blocked.example.com"
blocked = true

[[registry]]
prefix = "*.wild.example.com"
location = "tame.example.com/all"
"""


def _places(reference: str) -> list[str]:
    return [f"{one.host}/{one.repository}" for one in _podman(REGISTRIES, reference)]


def test_podman_rewrites_the_longest_prefix_in_whole_parts():
    assert _places("example.com/foo/web") == ["inside.example.com:5000/bar/web"]
    assert _places("example.com/foo/special/web") == ["special.example.com/web"]
    assert _places("example.com/foobar/web") == ["example.com/foobar/web"]
    assert _places("a.b.wild.example.com/web") == ["tame.example.com/all/web"]
    assert _places("wild.example.com/web") == ["wild.example.com/web"]


def test_podman_asks_a_mirror_for_what_it_serves():
    assert _places("debian") == [
        "mirror.example.com/hub/library/debian",
        "third.example.com/library/debian",
        "registry-1.docker.io/library/debian",
    ]
    assert _places(f"debian@{DIGEST}")[1] == "other.example.com/library/debian"


def test_podman_asks_mirrors_by_digest_only_where_it_is_told_so():
    text = '[[registry]]\nlocation = "a.b"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m.n"\n'
    assert [one.host for one in _podman(text, "a.b/x")] == ["a.b"]
    assert [one.host for one in _podman(text, f"a.b/x@{DIGEST}")] == ["m.n", "a.b"]


def test_insecurity_is_of_each_place_by_itself():
    by_host = {one.host: one for one in _podman(REGISTRIES, f"debian@{DIGEST}")}
    assert by_host["other.example.com"].schemes == ("https", "http")
    assert by_host["mirror.example.com"].schemes == ("https",)
    assert _podman("", "localhost:5000/web")[0].is_verified


def test_podman_asks_nothing_of_what_is_blocked():
    assert _places("any.blocked.example.com/web") == []


def test_a_later_file_wins():
    files = [
        {"registry": [{"location": "a.b"}], "aliases": {"web": "a.b/web"}, "unqualified-search-registries": ["a.b"]},
        {"registry": [{"location": "a.b", "blocked": True}], "aliases": {"web": "c.d/web"}},
    ]
    rules = PodmanRules(files)
    assert rules.endpoints_of(parse_reference("a.b/x")) == ()
    assert [str(one) for one in rules.names_of("web:1")] == ["c.d/web:1"]
    assert [str(one) for one in rules.names_of("other")] == ["a.b/other:latest"]


def test_a_short_name_means_what_the_engine_takes_it_for():
    search = {"unqualified-search-registries": ["quay.io", "docker.io"], "aliases": {"debian": "docker.io/x/debian"}}
    rules = PodmanRules([search])
    assert [str(one) for one in rules.names_of("web")] == ["quay.io/web:latest", "web:latest"]
    assert [str(one) for one in rules.names_of("debian:12")] == ["x/debian:12"]
    assert [str(one) for one in rules.names_of(f"debian@{DIGEST}")] == [f"x/debian@{DIGEST}"]
    assert [str(one) for one in rules.names_of("ghcr.io/web")] == ["ghcr.io/web:latest"]
    assert [str(one) for one in PodmanRules([]).names_of("web")] == ["web:latest"]
    assert [str(one) for one in DockerRules({}, lambda _: []).names_of("web")] == ["web:latest"]


@pytest.mark.parametrize(
    "content",
    [
        {"registry": 3},
        {"registry": [3, {"prefix": 4}, {"location": ["x"]}]},
        {"aliases": [1], "unqualified-search-registries": "x"},
        {"aliases": {"web": 3}},
        {"registry": [{"location": "a.b", "mirror": [{"location": 5}, 6]}]},
    ],
)
def test_what_is_not_as_it_should_be_in_registries_conf_counts_for_nothing(content: dict[str, object]):
    rules = PodmanRules([content])
    assert rules.names_of("web")
    assert rules.endpoints_of(parse_reference("a.b/web"))[-1].host == "a.b"


KEYS = ["registry", "aliases", "unqualified-search-registries", "registry-mirrors", "insecure-registries"]
PARTS = ["prefix", "location", "mirror", "insecure", "blocked", "pull-from-mirror", "web"]
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["a.b", "*.b", "http://m:1", "::"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*KEYS, *PARTS]),
            inner,
            max_size=5,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(KEYS), _values))
def test_any_configuration_leads_somewhere_or_nowhere_and_never_to_an_exception(content: dict[str, object]):
    for rules in (DockerRules(content, lambda _: []), PodmanRules([content])):
        for reference in map(parse_reference, ("a.b/web", "debian")):
            assert all(endpoint.host is not None for endpoint in rules.endpoints_of(reference))
        with suppress(UsageError):  # an alias may be no name of an image
            assert rules.names_of("web")
