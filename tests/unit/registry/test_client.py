"""Registries over HTTP: what is asked, what is made of answers, and what becomes of bad ones."""

import json
import platform
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from dockyard.errors import RegistryError
from dockyard.registry.asking import ask_all
from dockyard.registry.client import MAX_MANIFEST, MAX_PAGES
from dockyard.registry.manifest import platform_of
from dockyard.registry.reference import Reference, parse_reference
from tests.unit.registry.conftest import Ask, Run, answering
from tests.unit.registry.content import INDEX, digest, multi, single
from tests.unit.registry.servers import Answer, Reply, Seen, Server, Shelf

HERE = platform_of(platform.system(), platform.machine())


def _reference(server: Server, tag: str = "1", digest: str = "") -> Reference:
    return Reference(server.host, "web", tag, digest)


def test_a_tag_is_resolved_with_one_request_for_its_head(run: Run, registries: Ask):
    shelf = Shelf()
    image = multi("one")
    wanted = shelf.add("web", "1", image)
    server = run(shelf)
    assert registries().resolve(_reference(server)).digest == wanted
    assert [(seen.method, seen.path) for seen in server.requests] == [("HEAD", "/v2/web/manifests/1")]
    for kind in ("index.v1", "manifest.list.v2", "image.manifest.v1", "distribution.manifest.v2"):
        assert kind in server.requests[0].headers["accept"]


def test_the_platforms_of_an_index_leave_attestations_out(run: Run, registries: Ask):
    shelf = Shelf()
    image = multi("one")
    wanted = shelf.add("web", "1", image)
    found = registries().platforms(_reference(run(shelf)))
    assert found.digest == wanted
    assert dict(found.platforms) == {f"linux/{name}": digest(image.parts[name].manifest) for name in ("amd64", "arm64")}


def test_a_single_manifest_has_no_platforms(run: Run, registries: Ask):
    shelf = Shelf()
    wanted = shelf.add("web", "1", single("one"))
    found = registries().platforms(_reference(run(shelf)))
    assert (found.digest, dict(found.platforms)) == (wanted, {})


def test_details_are_those_of_the_image_for_this_machine(run: Run, registries: Ask):
    shelf = Shelf()
    image = multi("one")
    shelf.add("web", "1", image)
    part = image.parts[HERE.rpartition("/")[2]]
    details = registries().details(_reference(run(shelf)))
    assert details.config_digest == digest(part.config)
    assert details.manifest_digest == digest(part.manifest)
    assert dict(details.labels) == json.loads(part.config)["config"]["Labels"]
    assert details.created == "2026-11-01T00:00:00Z"


def test_an_image_for_other_machines_is_missing(run: Run, registries: Ask):
    shelf = Shelf()
    entry = {"digest": digest(b"x"), "platform": {"os": "plan9", "architecture": "mips"}}
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    shelf.manifests["web", "1"] = INDEX, body
    with pytest.raises(RegistryError, match=f"has no image for {HERE}") as caught:
        registries().details(_reference(run(shelf)))
    assert caught.value.kind == "missing"


def test_nothing_is_asked_twice(run: Run, registries: Ask):
    shelf = Shelf()
    shelf.add("web", "1", single("one"))
    server = run(shelf)
    known = registries()
    for _ in range(2):
        known.resolve(_reference(server))
        known.platforms(_reference(server))
        known.details(_reference(server))
        known.tags(_reference(server))
    assert len(server.requests) == 4  # HEAD, GET of the manifest, GET of the configuration, the tags
    assert server.connections <= 2  # the first one tried to speak TLS


def test_the_head_is_followed_by_a_get_where_it_has_no_digest(run: Run, registries: Ask):
    image = single("one")
    server = run(lambda _: Reply(200, image.manifest))
    assert registries().resolve(_reference(server)).digest == digest(image.manifest)
    assert [seen.method for seen in server.requests] == ["HEAD", "GET"]


def test_a_registry_that_knows_no_head_is_asked_with_get(run: Run, registries: Ask):
    image = single("one")
    server = run(lambda seen: Reply(405) if seen.method == "HEAD" else Reply(200, image.manifest))
    assert registries().resolve(_reference(server)).digest == digest(image.manifest)


def test_tags_of_all_pages_are_read(run: Run, registries: Ask):
    pages = {
        "/v2/web/tags/list?n=1000": (["1", "2"], '</v2/web/tags/list?last=2&n=2>; rel="next"'),
        "/v2/web/tags/list?last=2&n=2": (["3"], "<list?last=3>; rel=next"),
        "/v2/web/tags/list?last=3": (["4", "not a tag", 5], ""),
    }

    def answer(seen: Seen) -> Reply:
        tags, link = pages[seen.path]
        return Reply(200, json.dumps({"tags": tags}).encode(), {"Link": link} if link else {})

    assert registries().tags(_reference(run(answer))) == ("1", "2", "3", "4")


def test_a_repository_without_tags_has_none(run: Run, registries: Ask):
    assert registries().tags(_reference(run(lambda _: Reply(200, b'{"tags": null}')))) == ()


BAD_MANIFESTS = {
    b"<html>hello</html>": "answers with HTML when asked for",
    b"hello": "answers with not JSON when asked for",
    b"[" * 100_000: "not JSON",
    b"[]": "not a JSON object",
    b"{}": "not a manifest",
    b'{"schemaVersion": 1, "name": "x"}': "of the old format",
    b'{"manifests": 3}': "not a manifest",
    b'{"manifests": [], "layers": []}': "not a manifest",
    b'{"config": {"digest": "../../etc"}}': "not a manifest",
    json.dumps({"manifests": [{}] * 2000}).encode(): "more than 1000 manifests",
}


@pytest.mark.parametrize("body", BAD_MANIFESTS, ids=lambda body: body[:30].decode())
def test_what_is_not_a_manifest_is_wrong(run: Run, registries: Ask, body: bytes):
    with pytest.raises(RegistryError, match=BAD_MANIFESTS[body]) as caught:
        registries().platforms(_reference(run(lambda _: Reply(200, body))))
    assert caught.value.kind == "wrong"
    assert len(caught.value.lines()) == 1


def test_a_manifest_of_another_digest_is_wrong(run: Run, registries: Ask):
    image = single("one")
    reference = _reference(run(lambda _: Reply(200, image.manifest)), digest=digest(b"another"))
    with pytest.raises(RegistryError, match="content of another digest") as caught:
        registries().platforms(reference)
    assert caught.value.kind == "wrong"


@pytest.mark.parametrize("method", ["resolve", "platforms"])
def test_a_header_of_another_digest_is_wrong(run: Run, registries: Ask, method: str):
    image = single("one")
    headers = {"Docker-Content-Digest": digest(b"another")}
    reference = _reference(run(lambda _: Reply(200, image.manifest, headers)), digest=digest(image.manifest))
    if method == "platforms":  # the digest that was asked for is what counts
        assert registries().platforms(reference).digest == digest(image.manifest)
        return
    with pytest.raises(RegistryError, match="content of another digest"):
        registries().resolve(reference)


def test_a_configuration_of_another_digest_is_wrong(run: Run, registries: Ask):
    shelf = Shelf()
    image = single("one")
    shelf.add("web", "1", image)
    shelf.blobs[digest(image.config)] = b"{}"
    with pytest.raises(RegistryError, match="content of another digest"):
        registries().details(_reference(run(shelf)))


def _failing(run: Run, registries: Ask, answer: Answer, ask: str = "platforms", seconds: float = 5.0) -> RegistryError:
    """Return the error that a server's answer ends in, which is one line, and a hint at most."""
    server = run(answer)
    with pytest.raises(RegistryError) as caught:
        getattr(registries(seconds=seconds), ask)(_reference(server))
    error = caught.value
    assert error.host == server.host
    assert all("\n" not in line for line in error.lines())
    assert len(error.lines()) <= 2
    return error


def test_a_tag_that_is_gone_is_missing(run: Run, registries: Ask):
    shelf = Shelf()
    for ask in ("resolve", "platforms", "details"):
        error = _failing(run, registries, shelf, ask)
        assert error.kind == "missing"
        assert "has no 127.0.0.1" in str(error)


def test_a_repository_that_is_gone_is_missing(run: Run, registries: Ask):
    gone = Reply(404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}')
    error = _failing(run, registries, lambda _: gone, "tags")
    assert error.kind == "missing"
    assert str(error).endswith("has no repository web")


def test_a_refusal_is_denied(run: Run, registries: Ask):
    for status in (401, 403):
        error = _failing(run, registries, lambda _, status=status: Reply(status))
        assert error.kind == "denied"


def test_another_status_is_wrong_and_quotes_what_the_server_says_on_one_line(run: Run, registries: Ask):
    body = json.dumps({"errors": [{"code": "X", "message": "so\x1b[2J\nmuch" + "x" * 1000}]}).encode()
    error = _failing(run, registries, lambda _: Reply(418, body))
    assert error.kind == "wrong"
    assert error.lines() == [f"{error.host} answers with status 418 when asked for {error.host}/web:1: so\\x1b[2J"]


def test_a_redirect_loop_ends(run: Run, registries: Ask):
    error = _failing(run, registries, lambda seen: Reply(302, b"", {"Location": seen.path}))
    assert error.kind == "wrong"
    assert "in a circle" in str(error)


@pytest.mark.parametrize(
    "location", ["", "ftp://x/y", "http://user@127.0.0.1/", "http://[", "http://x:99999/", "/\x01"]
)
def test_a_redirect_to_nowhere_is_wrong(run: Run, registries: Ask, location: str):
    if location == "":  # to itself
        error = _failing(run, registries, lambda _: Reply(302, b"", {}))
    else:
        error = _failing(run, registries, lambda _: Reply(302, b"", {"Location": location}))
    assert error.kind == "wrong"


def test_a_redirect_is_followed_for_content_without_credentials(run: Run, registries: Ask):
    shelf = Shelf()
    image = single("one")
    shelf.add("web", "1", image)
    elsewhere = run(lambda _: Reply(200, image.config))

    def answer(seen: Seen) -> Reply:
        if "authorization" not in seen.headers:
            return Reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
        if "/blobs/" in seen.path:
            return Reply(307, b"", {"Location": f"http://{elsewhere.host}/signed?secret=abc"})
        return shelf(seen)

    server = run(answer)
    auth = {"auths": {server.host: {"username": "ann", "password": "opens-sesame"}}}
    known = registries(files={"home/.docker/config.json": auth})
    assert known.details(_reference(server)).config_digest == digest(image.config)
    assert ["authorization" in seen.headers for seen in elsewhere.requests] == [False]


def test_endless_pages_end(run: Run, registries: Ask):
    counter = iter(range(10**9))
    link = {"Link": '</v2/web/tags/list?again>; rel="next"'}
    error = _failing(run, registries, lambda _: Reply(200, b'{"tags": ["t%d"]}' % next(counter), link), "tags")
    assert error.kind == "wrong"
    assert "does not end" in str(error)
    assert next(counter) == MAX_PAGES


def test_pages_that_repeat_themselves_end_sooner(run: Run, registries: Ask):
    link = {"Link": '</v2/web/tags/list?again>; rel="next"'}
    server = run(lambda _: Reply(200, b'{"tags": ["1"]}', link))
    with pytest.raises(RegistryError, match="does not end"):
        registries().tags(_reference(server))
    assert len(server.requests) == 2


@pytest.mark.parametrize("link", ["http://elsewhere.example/v2/web/tags/list", "ftp://x", "http://[", "/\x7f"])
def test_pages_at_another_server_are_not_read(run: Run, registries: Ask, link: str):
    headers = {"Link": f'<{link}>; rel="next"'}
    error = _failing(run, registries, lambda _: Reply(200, b'{"tags": ["1"]}', headers), "tags")
    assert error.kind == "wrong"
    assert "at another server" in str(error)


def test_the_next_page_is_asked_of_the_same_server_whatever_its_port_is_said_to_be(run: Run, registries: Ask):
    more = {"Link": '<https://127.0.0.1/v2/web/tags/list?last=1>; rel="next"'}
    server = run(
        lambda seen: Reply(200, b'{"tags": ["2"]}') if "last" in seen.path else Reply(200, b'{"tags": ["1"]}', more)
    )
    assert registries().tags(_reference(server)) == ("1", "2")


def test_a_huge_body_is_not_read_to_its_end(run: Run, registries: Ask):
    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\n\r\n"
        while True:
            yield b"x" * 65536

    error = _failing(run, registries, lambda _: Reply(raw=pieces()))
    assert error.kind == "wrong"
    assert f"more than {MAX_MANIFEST // 1024} KiB" in str(error)


def test_a_truncated_body_is_asked_for_again_and_then_given_up(run: Run, registries: Ask):
    answers = []

    def answer(seen: Seen) -> Reply:
        answers.append(seen)
        return Reply(raw=iter([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"]))

    error = _failing(run, registries, answer)
    assert error.kind == "unreachable"
    assert "a part of it" in str(error)
    assert len(answers) == 3


def test_what_is_not_http_is_given_up(run: Run, registries: Ask):
    error = _failing(run, registries, lambda _: Reply(raw=iter([b"220 smtp.example.com ESMTP\r\n"])))
    assert error.kind == "unreachable"
    assert "not HTTP" in str(error)


def test_a_server_that_drips_is_given_up_in_time(run: Run, registries: Ask):
    def pieces() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        while not stopped.wait(0.05):
            yield b"{"

    stopped = threading.Event()
    began = time.monotonic()
    error = _failing(run, registries, lambda _: Reply(raw=pieces()), seconds=0.5)
    stopped.set()
    assert error.kind == "unreachable"
    assert "does not answer in time" in str(error)
    assert time.monotonic() - began < 5


def test_a_server_that_drips_headers_is_given_up_in_time(run: Run, registries: Ask):
    def pieces() -> Iterator[bytes]:
        while not stopped.wait(0.05):
            yield b"H"

    stopped = threading.Event()
    error = _failing(run, registries, lambda _: Reply(raw=pieces()), seconds=0.5)
    stopped.set()
    assert error.kind == "unreachable"


def test_a_silent_server_delays_the_rest_only_once(run: Run, registries: Ask):
    stopped = threading.Event()
    server = run(lambda _: Reply(raw=iter([b""])) if stopped.wait(20) else Reply())
    known = registries(seconds=0.5)
    references = [_reference(server, tag=f"t{number}") for number in range(20)]
    began = time.monotonic()
    answers = ask_all({one: lambda one=one: known.resolve(one) for one in references})
    stopped.set()
    assert {answer.kind for answer in answers.values()} == {"unreachable"}
    assert time.monotonic() - began < 5
    assert len(server.requests) == 1


def test_a_server_that_is_down_is_unreachable(registries: Ask):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(RegistryError, match=f"^{host} refuses connections$") as caught:
            registries().resolve(Reference(host, "web"))
    assert caught.value.kind == "unreachable"


def test_a_name_that_does_not_resolve_is_unreachable(registries: Ask):
    with pytest.raises(RegistryError, match="is a name that does not resolve") as caught:
        registries().resolve(parse_reference("nowhere.invalid/web"))
    assert caught.value.kind == "unreachable"


def test_a_server_that_fails_now_and_then_is_asked_again(run: Run, registries: Ask):
    image = single("one")
    good = Reply(200, image.manifest)
    server = run(answering(Reply(503), Reply(raw=iter([])), good))
    assert registries().platforms(_reference(server)).digest == digest(image.manifest)


def test_a_server_that_keeps_failing_is_unreachable_for_that_question(run: Run, registries: Ask):
    server = run(lambda seen: Reply(502, b"<html>") if "bad" in seen.path else Reply(200, single("x").manifest))
    known = registries()
    with pytest.raises(RegistryError, match="answers with status 502") as caught:
        known.platforms(_reference(server, tag="bad"))
    assert caught.value.kind == "unreachable"
    assert known.platforms(_reference(server, tag="good"))


def test_a_connection_that_the_server_ended_is_replaced(run: Run, registries: Ask):
    image = single("one")
    length = len(image.manifest)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length  # it says nothing of ending
    server = run(lambda _: Reply(raw=iter([head, image.manifest])))
    known = registries()
    for tag in ("1", "2", "3"):
        assert known.platforms(_reference(server, tag=tag)).digest == digest(image.manifest)
    assert len(server.requests) == 3


@pytest.mark.parametrize("form", ["seconds", "date", "absent", "rubbish", "huge"])
def test_a_limit_ends_the_questions_to_that_registry(run: Run, registries: Ask, form: str):
    now = time.time()
    headers = {
        "seconds": {"Retry-After": "600"},
        "date": {"Retry-After": formatdate(now + 600, usegmt=True)},
        "absent": {},
        "rubbish": {"Retry-After": "soon"},
        "huge": {"Retry-After": "9" * 400},
    }[form]
    server = run(lambda _: Reply(429, b"", headers))
    known = registries()
    references = [_reference(server, tag=f"t{number}") for number in range(20)]
    answers = ask_all({one: lambda one=one: known.resolve(one) for one in references})
    assert {answer.kind for answer in answers.values()} == {"limited"}
    assert len(server.requests) == 1
    until = answers[references[0]].until
    if form in ("seconds", "date"):
        assert abs(until - now - 600) < 5
    elif form == "huge":
        assert now < until <= now + 24 * 3600 + 60
    else:
        assert until is None


def test_a_limit_does_not_touch_other_registries(run: Run, registries: Ask):
    shelf = Shelf()
    shelf.add("web", "1", single("one"))
    limited, good = run(lambda _: Reply(429)), run(shelf)
    known = registries()
    tasks = {_reference(server): lambda server=server: known.resolve(_reference(server)) for server in (limited, good)}
    answers = list(ask_all(tasks).values())
    assert answers[0].kind == "limited"
    assert answers[1].digest.startswith("sha256:")


def test_an_error_in_the_program_is_not_hidden():
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask_all({"a": fail}, lambda _: "")


def test_the_rest_of_a_host_fails_with_the_error_of_the_limit():
    limit = RegistryError("enough", host="h", kind="limited", until=5.0)
    asked = []

    def ask(key: str) -> str:
        asked.append(key)
        if key.startswith("h"):
            raise limit
        return key

    keys = [*(f"h{number}" for number in range(50)), "other"]
    answers = ask_all({key: lambda key=key: ask(key) for key in keys}, lambda key: key[0])
    assert list(answers) == keys
    assert all(answers[key] is limit for key in keys[:-1])
    assert answers["other"] == "other"
    assert len(asked) < 50
