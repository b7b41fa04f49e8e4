"""Tokens, redirects, certificates, mirrors and proxies: who gets which secret, and who does not."""

import base64
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

import pytest

from dockyard.errors import RegistryError
from dockyard.registry.asking import ask_all
from dockyard.registry.reference import Reference, parse_reference
from tests.unit.registry.conftest import Ask, Run
from tests.unit.registry.content import digest, single
from tests.unit.registry.servers import Answer, Authority, Reply, Seen, Server, Shelf, serve

PASSWORD = "opens-sesame-17"  # noqa: S105 - of the tests
FIRST = "t0ken-of-one"
BASIC = "Basic " + base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
IMAGE = single("one")


def _shelf() -> Shelf:
    shelf = Shelf()
    for name in ("web", "db", "library/debian"):
        shelf.add(name, "1", IMAGE)
    return shelf


def _login(host: str, **entry: str) -> dict[str, object]:
    login = entry or {"auth": base64.b64encode(f"ann:{PASSWORD}".encode()).decode()}
    return {"home/.docker/config.json": {"auths": {host: login}}}


def _protected(realm: str, token: str = FIRST, content: Shelf | None = None, **more: str) -> Answer:
    """Return a registry that wants a token."""
    shelf = content or _shelf()

    def answer(seen: Seen) -> Reply:
        if seen.headers.get("authorization") == f"Bearer {token}":
            return shelf(seen)
        fields = {"realm": realm, "service": "tests", **more}
        header = "Bearer " + ",".join(f'{name}="{text}"' for name, text in fields.items())
        return Reply(401, b"", {"WWW-Authenticate": header})

    return answer


def _gives(content: object) -> Answer:
    return lambda _: Reply(200, json.dumps(content).encode())


def _ask(registries: Ask, server: Server, files: dict[str, object] | None = None) -> str:
    return registries(files=files or {}).resolve(Reference(server.host, "web", "1")).digest


def test_fifty_references_in_ten_repositories_take_a_request_each_and_a_token_a_repository(run: Run, registries: Ask):
    shelf = Shelf()
    references = [(f"r{number}", f"1.{tag}") for number in range(10) for tag in range(5)]
    for name, tag in references:
        shelf.add(name, tag, IMAGE)
    scopes = {f"repository:r{number}:pull": f"t0ken-{number}" for number in range(10)}
    tokens = run(lambda seen: _gives({"token": scopes[parse_qs(urlsplit(seen.path).query)["scope"][0]]})(seen))
    answers = {name: _protected(f"http://{tokens.host}/t", f"t0ken-{name[1:]}", shelf) for name, _ in references}
    server = run(lambda seen: answers[seen.path.split("/")[2]](seen))
    known = registries()
    for _ in range(2):
        found = ask_all(
            {one: lambda one=one: known.resolve(one) for one in [Reference(server.host, *pair) for pair in references]}
        )
        assert [str(one) for one in found.values() if isinstance(one, RegistryError)] == []
    assert len(tokens.requests) == 10
    assert len(server.requests) == 51  # the first one is asked without a token
    assert {seen.method for seen in server.requests} == {"HEAD"}


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_is_fetched_with_the_password(run: Run, registries: Ask, name: str):
    tokens = run(_gives({name: "t0ken-of-one"}))
    server = run(_protected(f"http://{tokens.host}/token?x=1"))
    assert _ask(registries, server, _login(server.host)) == digest(IMAGE.manifest)
    (request,) = tokens.requests
    assert request.headers["authorization"] == BASIC
    query = parse_qs(urlsplit(request.path).query)
    assert query == {"x": ["1"], "service": ["tests"], "scope": ["repository:web:pull"]}
    assert all(seen.headers.get("authorization") != BASIC for seen in server.requests)


def test_an_identity_token_is_exchanged_for_a_token(run: Run, registries: Ask):
    tokens = run(_gives({"access_token": "t0ken-of-one"}))
    server = run(_protected(f"http://{tokens.host}/token"))
    assert _ask(registries, server, _login(server.host, identitytoken="identity-of-ann"))
    (request,) = tokens.requests
    assert (request.method, urlsplit(request.path).query) == ("POST", "")
    fields = parse_qs(request.body.decode())
    assert fields["grant_type"] == ["refresh_token"]
    assert fields["refresh_token"] == ["identity-of-ann"]
    assert "authorization" not in request.headers


def test_a_registry_token_is_sent_as_it_is(run: Run, registries: Ask):
    tokens = run(_gives({}))
    server = run(_protected(f"http://{tokens.host}/token"))
    assert _ask(registries, server, _login(server.host, registrytoken="t0ken-of-one"))
    assert tokens.requests == []


def test_a_token_is_requested_for_what_the_registry_says(run: Run, registries: Ask):
    """A mirror may call a repository otherwise: then it is asked each time."""
    tokens = run(_gives({"token": "t0ken-of-one"}))
    server = run(_protected(f"http://{tokens.host}/token", scope="repository:cache/web:pull"))
    known = registries()
    for name in ("web", "db"):
        known.resolve(Reference(server.host, name, "1"))
    assert {parse_qs(urlsplit(seen.path).query)["scope"][0] for seen in tokens.requests} == {
        "repository:cache/web:pull"
    }
    assert sum("authorization" not in seen.headers for seen in server.requests) == 2


def test_without_credentials_a_token_is_requested_anonymously(run: Run, registries: Ask):
    tokens = run(_gives({"token": "t0ken-of-one"}))
    server = run(_protected(f"http://{tokens.host}/token"))
    assert _ask(registries, server)
    assert "authorization" not in tokens.requests[0].headers


BAD_TOKENS = {
    "refused": (Reply(401), "denied"),
    "limited": (Reply(429, b"", {"Retry-After": "60"}), "limited"),
    "failing": (Reply(418), "wrong"),
    "html": (Reply(200, b"<html>"), "wrong"),
    "empty": (Reply(200, b"{}"), "wrong"),
    "number": (Reply(200, b'{"token": 3}'), "wrong"),
    "injection": (Reply(200, b'{"token": "a\\r\\nX-Injected: 1"}'), "wrong"),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_token_that_is_not_to_be_had_is_reported(run: Run, registries: Ask, kind: str):
    reply, expected = BAD_TOKENS[kind]
    tokens = run(lambda _: reply)
    server = run(_protected(f"http://{tokens.host}/token"))
    with pytest.raises(RegistryError) as caught:
        _ask(registries, server, _login(server.host))
    assert (caught.value.kind, caught.value.host) == (expected, server.host)
    assert PASSWORD not in "".join(caught.value.lines())
    if expected == "limited":
        assert caught.value.until


def test_a_limit_of_a_token_service_is_reported_for_each_registry_that_uses_it(run: Run, registries: Ask):
    tokens = run(lambda _: Reply(429))
    servers = [run(_protected(f"http://{tokens.host}/token")) for _ in range(2)]
    known = registries()
    found = ask_all(
        {one: lambda one=one: known.resolve(one) for one in [Reference(server.host, "web", "1") for server in servers]}
    )
    assert [(error.host, error.kind) for error in found.values()] == [(one.host, "limited") for one in servers]
    assert len(tokens.requests) in (1, 2)  # both may ask at a time


@pytest.mark.parametrize("realm", ["", "not a url", "ftp://x/y", "http://ann:secret@127.0.0.1/"])
def test_a_token_service_that_is_not_a_url_is_reported(run: Run, registries: Ask, realm: str):
    with pytest.raises(RegistryError, match="does not say where it gives out tokens") as caught:
        _ask(registries, run(_protected(realm)))
    assert caught.value.kind == "wrong"


def test_an_expired_token_that_the_registry_refuses_is_renewed_once(run: Run, registries: Ask):
    names = iter(["old", "new", "newer"])
    tokens = run(lambda _: Reply(200, json.dumps({"token": next(names)}).encode()))
    server = run(_protected(f"http://{tokens.host}/token", "old"))
    known = registries()
    known.resolve(Reference(server.host, "web", "1"))
    server.answer = _protected(f"http://{tokens.host}/token", "new")
    assert known.platforms(Reference(server.host, "web", "1"))
    server.answer = _protected(f"http://{tokens.host}/token", "never")
    with pytest.raises(RegistryError) as caught:
        known.tags(Reference(server.host, "web"))
    assert caught.value.kind == "denied"
    assert len(tokens.requests) == 3


def test_a_registry_with_passwords_gets_it_at_once_from_the_second_question_on(run: Run, registries: Ask):
    shelf = _shelf()
    challenge = Reply(401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
    server = run(lambda seen: shelf(seen) if seen.headers.get("authorization") == BASIC else challenge)
    known = registries(files=_login(server.host))
    for name in ("web", "db"):
        known.resolve(Reference(server.host, name, "1"))
    assert [seen.headers.get("authorization") for seen in server.requests] == [None, BASIC, BASIC]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_server_that_a_registry_leads_to_gets_no_login_even_if_it_asks(run: Run, registries: Ask, scheme: str):
    greedy = run(
        lambda seen: Reply(401, b"", {"WWW-Authenticate": f'{scheme} realm="http://{seen.headers["host"]}/t"'})
    )
    server = run(lambda _: Reply(307, b"", {"Location": f"http://{greedy.host}/x"}))
    with pytest.raises(RegistryError) as caught:
        _ask(registries, server, {**_login(server.host), **_login(greedy.host)})
    assert caught.value.kind == "denied"
    assert [(seen.path, "authorization" in seen.headers) for seen in greedy.requests] == [("/x", False)]


def test_a_broken_auth_file_is_reported_for_that_registry(run: Run, registries: Ask):
    server = run(lambda _: Reply(401, b"", {"WWW-Authenticate": "Basic"}))
    with pytest.raises(RegistryError, match=r"config\.json is not JSON") as caught:
        _ask(registries, server, {"home/.docker/config.json": "{"})
    assert (caught.value.kind, caught.value.host) == ("denied", server.host)


# ---- TLS


def _certificates(authority: Authority, host: str, *, has_client: bool = False) -> dict[str, object]:
    place = f"etc/docker/certs.d/{host}"
    files: dict[str, object] = {f"{place}/ca.crt": authority.certificate.read_text()}
    if has_client:
        files[f"{place}/client.cert"] = authority.client_certificate.read_text()
        files[f"{place}/client.key"] = authority.client_key.read_text()
    return files


@contextmanager
def _strict(registries: Ask, files: dict[str, object]) -> Iterator[Ask]:
    """Have podman's rules, with docker's certificates: no registry is insecure by itself."""
    yield lambda **more: registries("podman", files, **more)


def test_a_certificate_of_a_private_authority_is_accepted(run: Run, registries: Ask, authority: Authority):
    server = run(_shelf(), authority.context())
    with _strict(registries, _certificates(authority, server.host)) as strict:
        assert strict().resolve(Reference(server.host, "web", "1")).digest == digest(IMAGE.manifest)


def test_a_certificate_of_an_unknown_authority_is_refused(run: Run, registries: Ask, authority: Authority):
    server = run(_shelf(), authority.context())
    with pytest.raises(RegistryError, match="has a certificate that is not valid") as caught:
        registries("podman").resolve(Reference(server.host, "web", "1"))
    assert caught.value.kind == "unreachable"
    assert server.host in caught.value.hint
    assert server.requests == []


def test_a_certificate_for_another_name_is_refused(registries: Ask, authority: Authority):
    with (
        serve(_shelf(), authority.context(), address="127.0.0.2") as other,
        _strict(registries, _certificates(authority, other.host)) as strict,
        pytest.raises(RegistryError, match="has a certificate that is not valid"),
    ):
        strict().resolve(Reference(other.host, "web", "1"))


def test_docker_takes_any_certificate_on_this_host(run: Run, registries: Ask, authority: Authority):
    server = run(_shelf(), authority.context())
    assert registries().resolve(Reference(server.host, "web", "1")).digest == digest(IMAGE.manifest)


def test_after_an_answer_over_tls_nothing_is_asked_without_it(run: Run, registries: Ask, authority: Authority):
    server = run(lambda _: Reply(503), authority.context())
    with pytest.raises(RegistryError, match="answers with status 503"):
        registries().resolve(Reference(server.host, "web", "1"))
    assert len(server.requests) == 3
    assert server.connections <= 3


def test_a_client_shows_its_certificate_to_the_registry(run: Run, registries: Ask, authority: Authority):
    server = run(_shelf(), authority.context(asks_for_client=True))
    with _strict(registries, _certificates(authority, server.host, has_client=True)) as strict:
        assert strict().resolve(Reference(server.host, "web", "1"))


def test_a_registry_that_wants_a_certificate_of_the_client_is_reported(run: Run, registries: Ask, authority: Authority):
    server = run(_shelf(), authority.context(asks_for_client=True))
    with _strict(registries, _certificates(authority, server.host)) as strict, pytest.raises(RegistryError) as caught:
        strict().resolve(Reference(server.host, "web", "1"))
    assert caught.value.kind == "unreachable"


@pytest.mark.parametrize("name", ["ca.crt", "client.cert"])
def test_a_certificate_file_of_no_use_is_named(run: Run, registries: Ask, authority: Authority, name: str):
    server = run(_shelf(), authority.context())
    with pytest.raises(RegistryError, match=f"{name}, or its key, cannot be used") as caught:
        registries("docker", {f"etc/docker/certs.d/{server.host}/{name}": "rubbish"}).resolve(
            Reference(server.host, "web", "1")
        )
    assert caught.value.kind == "wrong"


def test_a_registry_with_tls_may_not_send_us_where_there_is_none(run: Run, registries: Ask, authority: Authority):
    plain = run(_gives({"token": "t0ken-of-one"}))
    server = run(_protected(f"http://{plain.host}/token"), authority.context())
    files = {**_certificates(authority, server.host), **_login(server.host)}
    with _strict(registries, files) as strict:
        with pytest.raises(RegistryError, match="tokens requested without TLS") as caught:
            strict().resolve(Reference(server.host, "web", "1"))
        assert caught.value.kind == "wrong"
        server.answer = lambda _: Reply(302, b"", {"Location": f"http://{plain.host}/"})
        with pytest.raises(RegistryError, match="redirects requests to a server without TLS"):
            strict().resolve(Reference(server.host, "web", "1"))
    assert plain.requests == []


def test_a_token_service_may_have_a_certificate_of_the_same_authority(run: Run, registries: Ask, authority: Authority):
    tokens = run(_gives({"token": "t0ken-of-one"}), authority.context())
    server = run(_protected(f"https://{tokens.host}/token"), authority.context())
    with _strict(registries, {**_certificates(authority, server.host), **_login(server.host)}) as strict:
        assert strict().resolve(Reference(server.host, "web", "1"))
    assert tokens.requests[0].headers["authorization"] == BASIC


# ---- Mirrors


def test_a_mirror_is_asked_first_and_the_registry_not_at_all(run: Run, registries: Ask):
    mirror = run(_shelf())
    known = registries(files={"etc/docker/daemon.json": {"registry-mirrors": [f"http://{mirror.host}/"]}})
    assert known.resolve(parse_reference("debian:1")).digest == digest(IMAGE.manifest)
    assert [seen.path for seen in mirror.requests] == ["/v2/library/debian/manifests/1"]


@pytest.mark.parametrize("status", [404, 401, 429, 418])
def test_after_a_mirror_without_an_answer_the_registry_is_asked(run: Run, registries: Ask, status: int):
    mirror, server = run(lambda _: Reply(status)), run(_shelf())
    conf = f"""
[[registry]]
location = "{server.host}"
insecure = true
[[registry.mirror]]
location = "{mirror.host}/cache"
insecure = true
"""
    known = registries("podman", {"etc/containers/registries.conf": conf})
    assert known.resolve(Reference(server.host, "web", "1")).digest == digest(IMAGE.manifest)
    assert mirror.requests[0].path == "/v2/cache/web/manifests/1"


def test_credentials_of_a_registry_are_not_for_its_mirror(run: Run, registries: Ask):
    challenge = Reply(401, b"", {"WWW-Authenticate": "Basic"})
    mirror = run(lambda _: challenge)
    shelf = _shelf()
    server = run(lambda seen: shelf(seen) if seen.headers.get("authorization") == BASIC else challenge)
    conf = f"""
[[registry]]
location = "{server.host}"
insecure = true
[[registry.mirror]]
location = "{mirror.host}"
insecure = true
"""
    known = registries("podman", {"etc/containers/registries.conf": conf, **_login(server.host)})
    assert known.resolve(Reference(server.host, "web", "1"))
    assert ["authorization" in seen.headers for seen in mirror.requests] == [False]


def test_a_blocked_registry_is_not_asked(run: Run, registries: Ask):
    server = run(_shelf())
    conf = f'[[registry]]\nlocation = "{server.host}"\nblocked = true\n'
    with pytest.raises(RegistryError, match=r"registries\.conf blocks") as caught:
        registries("podman", {"etc/containers/registries.conf": conf}).resolve(Reference(server.host, "web", "1"))
    assert caught.value.kind == "denied"
    assert server.requests == []


# ---- Proxies


ELSEWHERE = "registry.example:5000"
"""A registry that only the proxy knows."""


def test_a_registry_without_tls_is_asked_through_the_proxy(run: Run, registries: Ask):
    shelf = _shelf()
    proxy = run(lambda seen: shelf(seen._replace(path=urlsplit(seen.path).path)))
    files = {"etc/docker/daemon.json": {"registry-mirrors": [f"http://{ELSEWHERE}"]}}
    environment = {"http_proxy": f"http://ann:{PASSWORD}@{proxy.host}"}
    assert registries(files=files, environment=environment).resolve(parse_reference("debian:1"))
    assert proxy.requests[0].path == f"http://{ELSEWHERE}/v2/library/debian/manifests/1"
    assert proxy.requests[0].headers["proxy-authorization"] == BASIC
    assert "authorization" not in proxy.requests[0].headers


def test_a_registry_with_tls_is_asked_through_a_tunnel(run: Run, registries: Ask, authority: Authority):
    server = run(_shelf(), authority.context())
    host = server.host.replace("127.0.0.1", "registry.example")
    with _tunnel(server.host) as (proxy, asked):
        environment = {"HTTPS_PROXY": f"http://ann:{PASSWORD}@{proxy}"}
        files = {"etc/docker/daemon.json": {"insecure-registries": [host]}}
        known = registries(files=files, environment=environment)
        assert known.resolve(Reference(host, "web", "1")).digest == digest(IMAGE.manifest)
    assert asked[0].startswith(f"CONNECT {host} ")
    assert f"Proxy-Authorization: {BASIC}" in asked[0]
    assert all("proxy-authorization" not in seen.headers for seen in server.requests)


def test_a_proxy_that_refuses_is_named_without_its_password(registries: Ask):
    with _tunnel("") as (proxy, _):
        environment = {"HTTPS_PROXY": f"http://ann:{PASSWORD}@{proxy}"}
        with pytest.raises(RegistryError, match=r"cannot be reached through the proxy: Tunnel.* 407") as caught:
            registries(environment=environment).resolve(parse_reference("registry.example/web"))
    assert PASSWORD not in "".join(caught.value.lines())
    assert caught.value.kind == "unreachable"


def test_a_proxy_of_another_kind_is_reported(registries: Ask):
    with pytest.raises(RegistryError, match="the proxy's URL does not begin") as caught:
        registries(environment={"HTTPS_PROXY": "socks5://x:1"}).resolve(parse_reference("registry.example/web"))
    assert caught.value.kind == "unreachable"


def test_no_proxy_is_used_for_exceptions(run: Run, registries: Ask):
    proxy, server = run(lambda _: Reply(500)), run(_shelf())
    known = registries(environment={"http_proxy": f"http://{proxy.host}", "https_proxy": f"http://{proxy.host}"})
    assert known.resolve(Reference(server.host, "web", "1"))  # loopback is always an exception
    assert proxy.requests == []


@contextmanager
def _tunnel(target: str) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy that connects to one server, whatever it is asked for; it refuses where there is none."""
    asked: list[str] = []

    def copy(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            sink.sendall(data)
        with suppress(OSError):  # the other side may be gone
            sink.shutdown(socket.SHUT_WR)

    def pass_on(client: socket.socket) -> None:
        with client:
            asked.append(client.recv(65536).decode())
            if not target:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            host, _, port = target.partition(":")
            with socket.create_connection((host, int(port))) as upstream:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=copy, args=(upstream, client), daemon=True)
                back.start()
                copy(client, upstream)
                back.join()

    def accept() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=pass_on, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)
