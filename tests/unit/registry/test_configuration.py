"""Which files count: daemon.json, registries.conf and its parts, certificates, for root and for users."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.registry.configuration import MAX_FILE, Configuration, read_configuration, resolve_host
from dockyard.registry.reference import parse_reference

Read = Callable[..., Configuration]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a configuration with some files below `/`, and some variables."""

    def read_with(program: str, files: Mapping[str, str] = {}, environment: Mapping[str, str] = {}) -> Configuration:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_configuration(program, {"HOME": str(tmp_path / "home/ann"), **environment}, tmp_path)

    return read_with


def _hosts(configuration: Configuration, text: str) -> list[str]:
    return [endpoint.host for endpoint in configuration.rules.endpoints_of(parse_reference(text))]


def _names(configuration: Configuration, text: str) -> list[str]:
    return [str(name) for name in configuration.rules.names_of(text)]


@pytest.mark.parametrize("program", ["docker", "podman", "/usr/bin/podman", "nerdctl"])
def test_without_files_everything_is_as_the_engine_has_it(read: Read, program: str):
    configuration = read(program)
    assert _hosts(configuration, "debian") == ["registry-1.docker.io"]
    assert configuration.program == ("podman" if "podman" in program else "docker")


def test_docker_reads_daemon_json_and_podman_does_not(read: Read):
    files = {"etc/docker/daemon.json": '{"registry-mirrors": ["https://mirror.example.com"]}'}
    assert _hosts(read("docker", files), "debian") == ["mirror.example.com", "registry-1.docker.io"]
    assert _hosts(read("podman", files), "debian") == ["registry-1.docker.io"]


def test_rootless_docker_has_its_own_daemon_json(read: Read, tmp_path: Path):
    files = {
        "etc/docker/daemon.json": '{"registry-mirrors": ["https://system.example.com"]}',
        "home/ann/.config/docker/daemon.json": '{"registry-mirrors": ["https://own.example.com"]}',
    }
    rootless = read("docker", files, {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"})
    assert _hosts(rootless, "debian")[0] == "own.example.com"
    assert rootless.certificates == (tmp_path / "home/ann/.config/docker/certs.d",)
    assert _hosts(read("docker", files), "debian")[0] == "system.example.com"


def test_the_proxies_of_daemon_json_are_what_pulls_use(read: Read):
    files = {"etc/docker/daemon.json": '{"proxies": {"https-proxy": "http://p:1", "no-proxy": "a.b"}}'}
    assert read("docker", files).proxies.https == "http://p:1"
    assert read("docker", files, {"HTTPS_PROXY": "http://q:2"}).proxies.https == "http://q:2"


MAIN = 'unqualified-search-registries = ["main.example.com"]\n[aliases]\nweb = "main.example.com/web"\n'


def test_parts_of_registries_conf_come_after_it_in_their_order(read: Read):
    files = {
        "etc/containers/registries.conf": MAIN,
        "etc/containers/registries.conf.d/10.conf": '[aliases]\nweb = "ten.example.com/web"\n',
        "etc/containers/registries.conf.d/20.conf": '[aliases]\nweb = "twenty.example.com/web"\n',
        "etc/containers/registries.conf.d/30.conf.bak": '[aliases]\nweb = "thirty.example.com/web"\n',
    }
    configuration = read("podman", files)
    assert _names(configuration, "web") == ["twenty.example.com/web:latest"]
    assert _names(configuration, "db") == ["main.example.com/db:latest"]
    own = {"home/ann/.config/containers/registries.conf": 'unqualified-search-registries = ["own.example.com"]'}
    assert _names(read("podman", own), "db") == ["own.example.com/db:latest"]
    named = {"named.conf": "unqualified-search-registries = []"}
    place = str(next(path for path in configuration.certificates).parents[2] / "named.conf")
    assert _names(read("podman", named, {"CONTAINERS_REGISTRIES_CONF": place}), "web") == ["web:latest"]


def test_what_podman_was_told_when_it_asked_counts(read: Read, monkeypatch: pytest.MonkeyPatch):
    files = {
        "etc/containers/registries.conf": MAIN,
        "var/cache/containers/short-name-aliases.conf": '[aliases]\n"web" = "root.example.com/web"\n',
        "home/ann/.cache/containers/short-name-aliases.conf": '[aliases]\n"web" = "ann.example.com/web"\n',
    }
    for uid, expected in ((0, "root"), (1000, "ann")):
        monkeypatch.setattr("os.getuid", lambda uid=uid: uid)
        assert _names(read("podman", files), "web") == [f"{expected}.example.com/web:latest"]


@pytest.mark.parametrize(
    ("program", "name", "what"),
    [("docker", "etc/docker/daemon.json", "JSON"), ("podman", "etc/containers/registries.conf", "TOML")],
)
@pytest.mark.parametrize("text", ["{", "3", "= x"])
def test_a_file_that_is_not_what_it_should_be_is_named(read: Read, program: str, name: str, what: str, text: str):
    with pytest.raises(DockyardError, match=f"{name} is not {what}$") as caught:
        read(program, {name: text})
    assert len(caught.value.lines()) == 2


def test_a_file_that_cannot_be_read_is_named(read: Read, tmp_path: Path):
    path = tmp_path / "etc/docker/daemon.json"
    path.mkdir(parents=True)
    with pytest.raises(DockyardError, match=r"daemon\.json cannot be read: Is a directory"):
        read("docker")
    path.rmdir()
    path.write_bytes(b"\xff")
    with pytest.raises(DockyardError, match=r"daemon\.json is not UTF-8"):
        read("docker")
    path.write_bytes(b" " * (MAX_FILE + 1))
    with pytest.raises(DockyardError, match=r"daemon\.json is larger than 4 MiB"):
        read("docker")


def test_an_empty_file_and_a_byte_order_mark_are_no_harm(read: Read):
    assert read("docker", {"etc/docker/daemon.json": ""})
    files = {"etc/docker/daemon.json": '\ufeff{"registry-mirrors": ["https://mirror.example.com"]}'}
    assert _hosts(read("docker", files), "debian")[0] == "mirror.example.com"


def test_a_host_that_does_not_resolve_has_no_addresses():
    assert resolve_host("nowhere.invalid") == ()
    assert resolve_host("x" * 300) == ()
    assert "127.0.0.1" in resolve_host("127.0.0.1")
    assert "::1" in resolve_host("[::1]")
