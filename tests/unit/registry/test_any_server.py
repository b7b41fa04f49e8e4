"""Whatever a server answers, its registry has an error of one line, and nothing else happens."""

import json
import tempfile
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.errors import RegistryError
from dockyard.registry import exchange
from dockyard.registry.asking import ask_all
from dockyard.registry.client import Registries
from dockyard.registry.configuration import read_configuration
from dockyard.registry.manifest import ImageDetails, RemoteImage
from dockyard.registry.reference import Reference, is_digest, is_tag
from tests.unit.registry.content import digest, multi, single
from tests.unit.registry.servers import Reply, serve

KINDS = ("unreachable", "missing", "denied", "limited", "wrong")
IMAGE, MANY = single("one"), multi("two")

_text = st.text(st.characters(min_codepoint=1, max_codepoint=0x24F, exclude_characters="\r\n"), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _text | st.just(digest(IMAGE.config)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "manifests",
                    "config",
                    "layers",
                    "digest",
                    "platform",
                    "os",
                    "architecture",
                    "tags",
                    "errors",
                    "code",
                    "message",
                    "token",
                    "expires_in",
                    "Labels",
                    "created",
                    "schemaVersion",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_bodies = (
    _json.map(lambda content: json.dumps(content).encode())
    | st.binary(max_size=100)
    | st.sampled_from([IMAGE.manifest, IMAGE.config, MANY.index, b"<html>", b'{"tags": ["1"]}'])
)
_headers = st.dictionaries(
    st.sampled_from(
        [
            "Content-Length",
            "Transfer-Encoding",
            "Location",
            "Link",
            "Docker-Content-Digest",
            "WWW-Authenticate",
            "Retry-After",
            "Connection",
            "Content-Type",
        ]
    ),
    _text
    | st.sampled_from(
        [
            "chunked",
            "close",
            "5",
            "-5",
            "9" * 30,
            "/elsewhere",
            "//[",
            "http://127.0.0.1:1/x",
            "https://é.example/",
            '</v2/web/tags/list?x>; rel="next"',
            'Bearer realm="/t"',
            'Basic realm="x"',
            digest(IMAGE.manifest),
            "Mon, 30 Nov 2026 00:00:00 GMT",
            "Mon, 30 Nov 99999 00:00:00 GMT",
        ]
    ),
    max_size=4,
)
_statuses = st.sampled_from([200, 200, 200, 201, 204, 302, 307, 401, 403, 404, 405, 429, 500]) | st.integers(100, 999)


@st.composite
def _answers(draw: st.DrawFn) -> bytes:
    """Return what a server writes: an answer that is nearly right, or not at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    body = draw(_bodies)
    headers = draw(_headers)
    if draw(st.booleans()):
        headers = {"Content-Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {draw(_statuses)} {draw(_text)}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


@settings(max_examples=150)
@given(st.lists(_answers(), min_size=1, max_size=4), st.sampled_from(["resolve", "platforms", "details", "tags"]))
def test_any_answer_is_a_value_that_makes_sense_or_an_error(answers: list[bytes], ask: str):
    left = list(answers)
    with (
        patch.object(exchange, "PAUSES", (0.0, 0.0)),
        serve(lambda _: Reply(raw=iter([left.pop(0) if len(left) > 1 else left[0]]))) as server,
        tempfile.TemporaryDirectory() as home,
        Registries(
            "docker", configuration=read_configuration("docker", {"HOME": home}, Path(home)), seconds=0.5
        ) as known,
    ):
        reference = Reference(server.host, "web", "1")
        found = ask_all({reference: lambda: getattr(known, ask)(reference)})[reference]
    if isinstance(found, RegistryError):
        assert found.kind in KINDS
        assert found.host == server.host
        assert all(line.isprintable() for line in found.lines())
        return
    if isinstance(found, RemoteImage):
        assert all(map(is_digest, [found.digest, *found.platforms.values()]))
    elif isinstance(found, ImageDetails):
        assert is_digest(found.config_digest)
        assert is_digest(found.manifest_digest)
    else:
        assert all(map(is_tag, found))
