"""Debian's docker-registry on loopback: plain, with TLS, with logins, and behind a proxy that limits requests."""

import base64
import json
import platform
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from dockyard.errors import RegistryError
from dockyard.registry.asking import ask_all
from dockyard.registry.manifest import platform_of
from dockyard.registry.reference import Reference
from tests.unit.registry.conftest import Ask, Run
from tests.unit.registry.content import digest, multi, single
from tests.unit.registry.real import BASIC, HTPASSWD, PASSWORD, USER, RealRegistry, TokenService, run_registry
from tests.unit.registry.servers import Authority, Reply, Seen

HERE = platform_of(platform.system(), platform.machine())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    with run_registry(tmp_path_factory.mktemp("plain")) as registry:
        yield registry


def _login_file(host: str, user: str = USER, password: str = PASSWORD) -> dict[str, object]:
    return {"auths": {host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}}}


@pytest.mark.parametrize("program", ["docker", "podman"])
def test_a_plain_registry_answers_all_questions(plain: RealRegistry, registries: Ask, program: str):
    image = multi("one")
    wanted = plain.push("a/web", "1", image)
    plain.push("a/web", "2", single("two"))
    conf = f'[[registry]]\nlocation = "{plain.host}"\ninsecure = true\n'
    known = registries(program, {"etc/containers/registries.conf": conf})
    reference = Reference(plain.host, "a/web", "1")
    assert known.resolve(reference).digest == wanted
    found = known.platforms(reference)
    assert found.digest == wanted
    assert dict(found.platforms) == {f"linux/{name}": digest(image.parts[name].manifest) for name in ("amd64", "arm64")}
    here = image.parts[HERE.rpartition("/")[2]]
    details = known.details(reference)
    assert (details.config_digest, details.manifest_digest) == (digest(here.config), digest(here.manifest))
    assert dict(details.labels) == json.loads(here.config)["config"]["Labels"]
    assert set(known.tags(reference)) == {"1", "2"}
    pinned = Reference(plain.host, "a/web", "", digest(here.manifest))
    assert known.resolve(pinned).digest == digest(here.manifest)
    assert known.platforms(pinned).platforms == {}


def test_podman_wants_tls_of_a_registry_that_is_not_said_to_be_insecure(plain: RealRegistry, registries: Ask):
    with pytest.raises(RegistryError, match="does not speak TLS") as caught:
        registries("podman").resolve(Reference(plain.host, "a/web", "1"))
    assert caught.value.kind == "unreachable"


def test_a_tag_that_moves_has_a_new_digest_for_the_next_command(plain: RealRegistry, registries: Ask):
    reference = Reference(plain.host, "moving", "1")
    first, known = plain.push("moving", "1", single("one")), registries()
    assert known.resolve(reference).digest == first
    second = plain.push("moving", "1", single("two"))
    assert second != first
    assert known.resolve(reference).digest == first
    assert registries().resolve(reference).digest == second


def test_what_is_not_there_is_missing(plain: RealRegistry, registries: Ask):
    plain.push("there", "1", single("one"))
    known = registries()
    for reference in (Reference(plain.host, "there", "2"), Reference(plain.host, "nowhere", "1")):
        for ask in (known.resolve, known.platforms, known.details):
            with pytest.raises(RegistryError) as caught:
                ask(reference)
            assert caught.value.kind == "missing"
    with pytest.raises(RegistryError, match="has no repository nowhere"):
        known.tags(Reference(plain.host, "nowhere"))


def test_a_private_authority_and_a_password(tmp_path: Path, authority: Authority, registries: Ask):
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(tmp_path / "htpasswd")}}
    with run_registry(tmp_path / "real", authority=authority, auth=auth, headers={"Authorization": BASIC}) as registry:
        wanted = registry.push("web", "1", single("one"))
        reference = Reference(registry.host, "web", "1")
        certificate = authority.certificate.read_text()
        for program, place in (("docker", "etc/docker"), ("podman", "etc/containers")):
            auth_file = "home/.docker/config.json" if program == "docker" else "run/containers/auth.json"
            files = {auth_file: _login_file(registry.host), f"{place}/certs.d/{registry.host}/ca.crt": certificate}
            assert registries(program, files).resolve(reference).digest == wanted
            (tmp_path / place / f"certs.d/{registry.host}/ca.crt").unlink()
        for wrong in (_login_file(registry.host, USER, "a guess"), {"auths": {}}):
            with pytest.raises(RegistryError, match="refuses access to web") as caught:
                registries("docker", {"home/.docker/config.json": wrong}).resolve(reference)
            assert caught.value.kind == "denied"
            assert "guess" not in "".join(caught.value.lines())
        with pytest.raises(RegistryError, match="has a certificate that is not valid") as caught:
            registries("podman").resolve(reference)
        assert caught.value.kind == "unreachable"


@pytest.fixture
def with_tokens(tmp_path: Path, authority: Authority, run: Run) -> Iterator[tuple[RealRegistry, TokenService]]:
    """A registry that takes tokens, and the service that gives them out."""
    service = TokenService(authority)
    server = run(service)
    auth = {
        "token": {
            "realm": f"http://{server.host}/token",
            "service": "registry",
            "issuer": "tests",
            "rootcertbundle": str(authority.certificate),
        }
    }
    names = [f"team/r{number}" for number in range(10)]
    scopes = [f"repository:{name}:push" for name in names]
    headers = {"Authorization": f"Bearer {service.token('registry', scopes, ('pull', 'push'))}"}
    with run_registry(tmp_path / "real", auth=auth, headers=headers) as registry:
        yield registry, service


def test_a_token_is_fetched_once_for_each_repository(with_tokens: tuple[RealRegistry, TokenService], registries: Ask):
    registry, service = with_tokens
    for number in range(3):
        for tag in ("1", "2"):
            registry.push(f"team/r{number}", tag, single(f"{number} {tag}"))
    known = registries(files={"home/.docker/config.json": _login_file(registry.host)})
    references = [Reference(registry.host, f"team/r{number}", tag) for number in range(3) for tag in ("1", "2")]
    answers = ask_all({one: lambda one=one: known.resolve(one) for one in references})
    assert [str(one) for one in answers.values() if isinstance(one, RegistryError)] == []
    assert service.given == 3
    assert known.requests[registry.host] == 1 + 1 + 6  # TLS is tried, one request without a token, then the questions


def test_without_a_login_no_token_is_given(with_tokens: tuple[RealRegistry, TokenService], registries: Ask):
    registry, service = with_tokens
    registry.push("team/r0", "1", single("one"))
    with pytest.raises(RegistryError, match="refuses access to team/r0") as caught:
        registries().resolve(Reference(registry.host, "team/r0", "1"))
    assert caught.value.kind == "denied"
    service.allows_anonymous = True
    assert registries().resolve(Reference(registry.host, "team/r0", "1"))


def test_a_token_that_has_expired_is_replaced(with_tokens: tuple[RealRegistry, TokenService], registries: Ask):
    registry, service = with_tokens
    service.seconds = 0.001
    for tag in ("1", "2", "3"):
        registry.push("team/r0", tag, single(tag))
    known = registries(files={"home/.docker/config.json": _login_file(registry.host)})
    for tag in ("1", "2", "3"):
        known.resolve(Reference(registry.host, "team/r0", tag))
    assert service.given == 3


def test_behind_a_proxy_that_limits_requests(plain: RealRegistry, registries: Ask, run: Run):
    """The first questions are answered; from the limit on, nothing is asked any more."""
    names = [str(number) for number in range(20)]
    for name in names:
        plain.push("limited", name, single(name))
    passed = []

    def forward(seen: Seen) -> Reply:
        passed.append(seen)
        if len(passed) > 5:
            return Reply(429, b"", {"Retry-After": "120"})
        connection = HTTPConnection(plain.host, timeout=10)
        connection.request(seen.method, seen.path, headers={"Accept": seen.headers["accept"]})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        headers = {name: text for name, text in response.getheaders() if name.lower() != "content-length"}
        return Reply(response.status, body, {**headers, "Content-Length": str(len(body))})

    server = run(forward)
    known = registries()
    answers = ask_all(
        {name: lambda name=name: known.resolve(Reference(server.host, "limited", name)) for name in names}, lambda _: ""
    )
    limits = [answer for answer in answers.values() if isinstance(answer, RegistryError)]
    assert len(limits) == 15
    assert {limit.kind for limit in limits} == {"limited"}
    assert len({limit.until for limit in limits}) == 1
    assert len(passed) <= 5 + 6  # those that were under way
