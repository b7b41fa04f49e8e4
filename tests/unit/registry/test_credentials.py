"""Credentials: where they are looked for, what helper programs say, and what becomes of files that are broken."""

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.registry import credentials
from dockyard.registry.configuration import read_configuration
from dockyard.registry.credentials import Credentials, CredentialStore, ask_helper

Find = Callable[..., Credentials | None]


def _auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Return what is found for a host, with some files and variables."""

    def find_with(
        files: Mapping[str, object],
        host: str = "reg.example.com",
        repository: str = "a/b",
        program: str = "docker",
        environment: Mapping[str, str] = {},
    ) -> Credentials | None:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        known = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), **environment}
        store = CredentialStore(read_configuration(program, known, tmp_path))
        return store.find_credentials(host, repository)

    return find_with


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a credential helper on PATH, as a script; what it was asked is in the file that is returned."""

    def install(name: str, script: str) -> Path:
        directory, asked = tmp_path / "bin", tmp_path / f"asked-{name}"
        directory.mkdir(exist_ok=True)
        program = directory / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\nread -r server; echo "$server" >>{asked}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
        return asked

    return install


@pytest.mark.parametrize("key", ["reg.example.com", "https://reg.example.com", "http://reg.example.com/v1/"])
def test_a_login_is_found_however_its_host_is_written(find: Find, key: str):
    file = {"auths": {key: _auth("ann", "pass:word")}}
    assert find({".docker/config.json": file}) == Credentials("ann", "pass:word")


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("program", ["docker", "podman"])
def test_the_login_of_docker_hub_has_many_names(find: Find, key: str, program: str):
    file = {"auths": {key: _auth("ann", "x")}}
    assert find({".docker/config.json": file}, "docker.io", "library/web", program) == Credentials("ann", "x")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "ann", "password": "x"}, Credentials("ann", "x")),
        ({"identitytoken": "abc"}, Credentials("", "", "abc")),
        ({"registrytoken": "abc"}, Credentials("", "", "", "abc")),
        ({**_auth("ann", ""), "identitytoken": "abc"}, Credentials("ann", "", "abc")),
        (_auth("ann", "x\0\0"), Credentials("ann", "x")),
        ({}, None),
        (3, None),
        ({"auth": ""}, None),
    ],
)
def test_an_entry_is_a_password_or_a_token(find: Find, entry: object, expected: Credentials | None):
    assert find({".docker/config.json": {"auths": {"reg.example.com": entry}}}) == expected


def test_docker_config_names_another_directory(find: Find, tmp_path: Path):
    files = {"other/config.json": {"auths": {"reg.example.com": _auth("ann", "x")}}}
    assert find(files, environment={"DOCKER_CONFIG": str(tmp_path / "other")}) == Credentials("ann", "x")
    assert find(files) is None


def test_docker_auth_config_comes_before_files(find: Find):
    text = json.dumps({"auths": {"reg.example.com": _auth("env", "x")}})
    files = {".docker/config.json": {"auths": {"reg.example.com": _auth("ann", "x")}}}
    assert find(files, environment={"DOCKER_AUTH_CONFIG": text}) == Credentials("env", "x")


def test_podman_takes_the_first_file_that_knows_the_registry(find: Find, tmp_path: Path):
    files = {
        "run/containers/auth.json": {"auths": {"reg.example.com": _auth("first", "x")}},
        ".config/containers/auth.json": {"auths": {"reg.example.com": _auth("second", "x"), "b.c": _auth("b", "x")}},
        ".docker/config.json": {"auths": {"b.c": _auth("third", "x"), "d.e": _auth("d", "x")}},
        "named.json": {"auths": {"reg.example.com": _auth("named", "x")}},
    }
    assert find(files, program="podman") == Credentials("first", "x")
    assert find(files, "b.c", program="podman") == Credentials("b", "x")
    assert find(files, "d.e", program="podman") == Credentials("d", "x")
    named = {"REGISTRY_AUTH_FILE": str(tmp_path / "named.json")}
    assert find(files, program="podman", environment=named) == Credentials("named", "x")
    assert find(files, "d.e", program="podman", environment=named) is None


def test_podman_takes_the_longest_path_that_fits(find: Find):
    auths = {"r.e": _auth("host", "x"), "r.e/team": _auth("team", "x"), "r.e/team/app": _auth("app", "x")}
    files = {"run/containers/auth.json": {"auths": auths}}
    for repository, user in {"team/app": "app", "team/other": "team", "teams/x": "host", "app": "host"}.items():
        assert find(files, "r.e", repository, "podman") == Credentials(user, "x")


def test_a_helper_is_asked_for_the_server(find: Find, helper: Callable[..., Path]):
    asked = helper("store", """echo '{"ServerURL":"x","Username":"ann","Secret":"from helper"}'""")
    config = {"credsStore": "store", "auths": {"reg.example.com": {}}}
    assert find({".docker/config.json": config}) == Credentials("ann", "from helper")
    assert find({".docker/config.json": config}, "docker.io", "library/web") == Credentials("ann", "from helper")
    assert asked.read_text().splitlines() == ["reg.example.com", "https://index.docker.io/v1/"]


def test_podman_asks_the_helpers_of_registries_conf_in_their_order(find: Find, helper: Callable[..., Path]):
    asked = helper("store", """[ "$server" = docker.io ] && echo '{"Username":"ann","Secret":"of store"}'; exit 0""")
    files = {
        "etc/containers/registries.conf": 'credential-helpers = ["containers-auth.json", "store"]\n',
        "run/containers/auth.json": {"auths": {"reg.example.com": _auth("ann", "of file")}},
    }
    assert find(files, program="podman") == Credentials("ann", "of file")
    assert find(files, "docker.io", "library/web", "podman") == Credentials("ann", "of store")
    assert asked.read_text() == "docker.io\n"
    assert find(files, "other.example.com", program="podman") is None


def test_the_helper_of_a_registry_comes_before_that_for_all(find: Find, helper: Callable[..., Path]):
    helper("all", """echo '{"Username":"all","Secret":"x"}'""")
    helper("one", """echo '{"Username":"one","Secret":"x"}'""")
    for program, file in (("docker", ".docker/config.json"), ("podman", "run/containers/auth.json")):
        config = {"credsStore": "all", "credHelpers": {"reg.example.com": "one"}}
        assert find({file: config}, program=program) == Credentials("one", "x")
        assert find({file: config}, "other.example.com", program=program) == Credentials("all", "x")


def test_a_helper_may_have_a_token(find: Find, helper: Callable[..., Path]):
    helper("store", """echo '{"Username":"<token>","Secret":"abc"}'""")
    assert find({".docker/config.json": {"credsStore": "store"}}) == Credentials("", "", "abc")


def test_a_helper_that_has_none_is_no_failure(find: Find, helper: Callable[..., Path]):
    helper("store", "echo credentials not found in native keychain; exit 1")
    assert find({".docker/config.json": {"credsStore": "store"}}) is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no keyring: the secret is hunter22; exit 1", "docker-credential-store failed with exit code 1"),
        ("echo hello", "the answer of docker-credential-store is not JSON"),
        ("echo '[]'", "the answer of docker-credential-store is not JSON"),
        ("sleep 30", r"docker-credential-store does not answer within 0\.3 s"),
    ],
)
def test_a_helper_that_fails_is_reported_on_a_line_without_what_it_wrote(
    helper: Callable[..., Path], script: str, message: str
):
    helper("store", script.replace("sleep", "exec sleep"))
    with pytest.raises(DockyardError, match=message) as caught:
        ask_helper("store", "reg.example.com", 0.3)
    assert "hunter22" not in "".join(caught.value.lines())
    assert caught.value.hint == "see what it says: `echo reg.example.com | docker-credential-store get >/dev/null`"


def test_a_helper_that_is_not_installed_is_reported(find: Find, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DockyardError, match="docker-credential-store is not installed"):
        find({".docker/config.json": {"credsStore": "store"}})


@pytest.mark.parametrize("name", ["../x", "a b", "x;y", "a/b"])
def test_the_name_of_a_helper_is_not_a_path(find: Find, name: str):
    with pytest.raises(DockyardError, match="name of a credential helper is not valid"):
        find({".docker/config.json": {"credsStore": name}})


def test_a_failing_helper_is_asked_once(tmp_path: Path, helper: Callable[..., Path]):
    asked = helper("store", "exit 7")
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"credsStore": "store"}')
    store = CredentialStore(read_configuration("docker", {"HOME": str(tmp_path)}, tmp_path))
    for _ in range(3):
        with pytest.raises(DockyardError, match="exit code 7"):
            store.find_credentials("reg.example.com", "a/b")
    assert len(asked.read_text().splitlines()) == 1


@pytest.mark.parametrize("text", ["hello", "[]", "{", "[" * 100_000])
def test_an_auth_file_that_is_not_json_is_reported(find: Find, text: str):
    with pytest.raises(DockyardError, match=r"config\.json is not JSON$"):
        find({".docker/config.json": text})


def test_a_login_that_is_not_valid_is_reported_without_it(find: Find):
    for text in ("hunter22!", base64.b64encode(b"\xff\xfe:x").decode()):
        with pytest.raises(DockyardError, match="stored login of reg") as caught:
            find({".docker/config.json": {"auths": {"reg.example.com": {"auth": text}}}})
        assert text not in "".join(caught.value.lines())


def test_an_empty_file_has_no_logins(find: Find):
    assert find({".docker/config.json": ""}) is None
    assert find({".docker/config.json": {"auths": None, "credHelpers": []}}) is None


def test_what_is_found_is_masked_from_then_on(find: Find, monkeypatch: pytest.MonkeyPatch):
    learnt: list[str] = []
    monkeypatch.setattr(credentials.known, "learn", learnt.extend)
    find({".docker/config.json": {"auths": {"reg.example.com": _auth("ann", "hunter22")}}})
    assert "hunter22" in learnt
