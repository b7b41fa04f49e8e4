"""References, compared with the cases that docker's grammar is tested with."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import UsageError
from dockyard.registry.reference import DOCKER_HUB, LATEST, Reference, choose_reference, is_digest, parse_reference

HEX = "f" * 64
DIGEST = f"sha256:{HEX}"

VALID = {
    "debian": (DOCKER_HUB, "library/debian", LATEST, ""),
    "debian:12": (DOCKER_HUB, "library/debian", "12", ""),
    "docker/docker": (DOCKER_HUB, "docker/docker", LATEST, ""),
    "library/debian": (DOCKER_HUB, "library/debian", LATEST, ""),
    "docker.io/debian": (DOCKER_HUB, "library/debian", LATEST, ""),
    "docker.io/library/debian": (DOCKER_HUB, "library/debian", LATEST, ""),
    "index.docker.io/debian:x": (DOCKER_HUB, "library/debian", "x", ""),
    "registry-1.docker.io/a/b": (DOCKER_HUB, "a/b", LATEST, ""),
    "docker.io/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a": (
        DOCKER_HUB,
        "library/1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a",
        LATEST,
        "",
    ),
    "localhost/web": ("localhost", "web", LATEST, ""),
    "localhost:5000/web:1": ("localhost:5000", "web", "1", ""),
    "localhost:5000": (DOCKER_HUB, "library/localhost", "5000", ""),
    "127.0.0.1:5000/a/b/c": ("127.0.0.1:5000", "a/b/c", LATEST, ""),
    "[::1]:5000/web": ("[::1]:5000", "web", LATEST, ""),
    "[2001:db8::1]/web": ("[2001:db8::1]", "web", LATEST, ""),
    "ghcr.io/x/y@" + DIGEST: ("ghcr.io", "x/y", "", DIGEST),
    "ghcr.io/x/y:1@" + DIGEST: ("ghcr.io", "x/y", "1", DIGEST),
    "Foo/bar": ("Foo", "bar", LATEST, ""),
    "xn--n3h.com/myimage:xn--n3h.com": ("xn--n3h.com", "myimage", "xn--n3h.com", ""),
    "a__b/c.d-e--f": (DOCKER_HUB, "a__b/c.d-e--f", LATEST, ""),
    "foo/foo_bar.com:8080": (DOCKER_HUB, "foo/foo_bar.com", "8080", ""),
    "foo.com/bar:A.b-C_9": ("foo.com", "bar", "A.b-C_9", ""),
    "1.2.3.4/x": ("1.2.3.4", "x", LATEST, ""),
}
INVALID = [
    "",
    ":justtag",
    "@" + DIGEST,
    "repo@sha256:ffff",
    "repo@md5:" + "f" * 32,
    "repo:tag@" + DIGEST.upper(),
    "Uppercase:tag",
    "test:5000/Uppercase/lowercase:tag",
    "a//b",
    "a/../b",
    "/a",
    "a/",
    "a_",
    "-a",
    "a..b/c",
    "foo_bar.com/x",
    "-foo/bar",
    "http://docker.io/a",
    "a:-1",
    "a:" + "x" * 129,
    HEX,
    "x y",
    "x\n",
    "dé",
    "\uff44",
    "a@b@c",
    "host:٣/x",
    "a/" * 128 + "a",
]


@pytest.mark.parametrize("text", VALID)
def test_a_reference_is_read(text: str):
    assert parse_reference(text) == Reference(*VALID[text])


@pytest.mark.parametrize("text", INVALID)
def test_what_is_not_a_reference_is_refused_on_one_line(text: str):
    with pytest.raises(UsageError, match="is not a reference of an image: ") as caught:
        parse_reference(text)
    assert len(caught.value.lines()) == 2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("docker.io/library/debian:12", "debian"),
        ("index.docker.io/x/y", "x/y"),
        ("ghcr.io/library/y", "ghcr.io/library/y"),
        ("docker.io/library/x/y", "library/x/y"),
        ("docker.io/foo.bar/x", "docker.io/foo.bar/x"),
        ("docker.io/localhost/x", "docker.io/localhost/x"),
    ],
)
def test_its_name_is_what_people_write(text: str, name: str):
    assert parse_reference(text).name == name


def test_tags_and_digests_are_exchanged():
    pinned = parse_reference("debian:12").with_digest(DIGEST)
    assert str(pinned) == f"debian:12@{DIGEST}"
    assert str(pinned.with_tag("13")) == "debian:13"
    assert str(parse_reference(f"debian@{DIGEST}")) == f"debian@{DIGEST}"


@pytest.mark.parametrize("pulled", ["debian@" + DIGEST, "docker.io/library/debian@" + DIGEST])
def test_of_several_meanings_that_counts_which_the_image_was_pulled_as(pulled: str):
    candidates = [parse_reference("quay.io/debian"), parse_reference("debian")]
    assert choose_reference(candidates, ["x@" + DIGEST, pulled]) == candidates[1]
    assert choose_reference(candidates, ["x@" + DIGEST]) == candidates[0]
    assert choose_reference(candidates, []) == candidates[0]


_words = st.from_regex(r"[a-z0-9]+(?:(?:[._]|__|-{1,3})[a-z0-9]+){0,2}", fullmatch=True)
_hosts = st.sampled_from(["docker.io", "ghcr.io", "localhost", "localhost:5000", "a.b:1", "[::1]:5", "Reg"])
_tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
_repositories = st.lists(_words, min_size=1, max_size=3).map("/".join)


@given(_hosts, _repositories, _tags | st.just(""), st.sampled_from(["", DIGEST]))
def test_what_is_written_is_read_as_the_same(host: str, repository: str, tag: str, digest: str):
    text = f"{host}/{repository}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = parse_reference(text)
    assert parse_reference(str(reference)) == reference
    assert reference.tag == (tag or ("" if digest else LATEST))
    assert reference.digest == digest
    if host != DOCKER_HUB:
        assert (reference.host, reference.repository) == (host, repository)


@given(st.text(alphabet=string.ascii_letters + string.digits + "/:@.-_[]é \n\x1b", max_size=40))
def test_any_text_is_a_reference_that_is_safe_in_a_url_or_is_refused(text: str):
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert re.fullmatch(r"[a-zA-Z0-9.:\[\]-]+", reference.host)
    assert re.fullmatch(r"[a-z0-9._/-]+", reference.repository)
    assert ".." not in reference.repository
    assert re.fullmatch(r"[\w.-]*", reference.tag, re.ASCII)
    assert not reference.digest or is_digest(reference.digest)
    assert parse_reference(str(reference)) == reference
