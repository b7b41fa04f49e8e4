"""Recorded answers of real engines, docker 20.10 and podman 4.3: tests/golden/inspect, without what nobody reads."""

import json
from typing import Any

import pytest

from dockyard.engine.models import (
    Container,
    Image,
    Network,
    container_from,
    image_from,
    network_from,
    plain_id,
)
from tests.unit.making import GOLDEN

ENGINES = ["docker", "podman"]
PATH = "PATH=/usr/local/bin:/usr/bin:/bin"
WEB_IMAGE = "b42e63169e23b37697b29f1d3431338c7934a51b763d5763539348001b4ef97e"


def _recorded(engine: str, kind: str) -> list[dict[str, Any]]:
    return json.loads((GOLDEN / "inspect" / f"{engine}.json").read_text(encoding="utf-8"))[kind]


def _containers(engine: str) -> list[Container]:
    return [container_from(answer) for answer in _recorded(engine, "containers")]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_container_is_the_same_from_each_engine(engine: str):
    up = _containers(engine)[0]
    assert up.name == "web-web"
    assert up.image_id == WEB_IMAGE
    assert (up.status, up.is_up, up.health) == ("running", True, "healthy")
    assert (up.service, up.mode) == ("web", "prod")
    assert up.pid > 1
    assert up.started.startswith("2026-11-23T23:56:")
    assert up.layer.endswith("/diff")


@pytest.mark.parametrize(
    ("engine", "addresses", "image", "ports"),
    [
        (
            "docker",
            {"bridge": "172.17.0.4"},
            "ktools/web:latest",
            {"8080/tcp": "127.0.0.1:18999", "9/udp": "127.0.0.1:18998"},
        ),
        ("podman", {"podman": "10.88.0.135"}, "localhost/ktools/web:latest", {"8080/tcp": "127.0.0.1:18999"}),
    ],
)
def test_where_a_container_is_reached(engine: str, addresses: dict[str, str], image: str, ports: dict[str, str]):
    up = _containers(engine)[0]
    assert (up.addresses, up.image, up.ports) == (addresses, image, ports)


@pytest.mark.parametrize("engine", ENGINES)
def test_mounts_are_sources_by_target(engine: str):
    mounts = _containers(engine)[0].mounts
    assert set(mounts) == {"/data", "/anonymous"}
    assert mounts["/data"] == "/srv/data"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_container_that_never_ran_has_nothing(engine: str):
    made = _containers(engine)[1]
    assert (made.name, made.status, made.is_up, made.pid, made.health) == ("web-made", "created", False, 0, "")
    assert (made.labels, made.addresses, made.ports, made.mounts, made.service) == ({}, {}, {}, {}, "")


@pytest.mark.parametrize(
    ("status", "is_up"),
    [
        ("running", True),
        ("paused", True),
        ("restarting", True),
        ("stopping", True),
        ("created", False),
        ("configured", False),
        ("exited", False),
        ("stopped", False),
        ("dead", False),
        ("removing", False),
    ],
)
def test_a_container_is_up_while_it_holds_name_and_address(status: str, is_up: bool):
    assert Container("1", "web", status, "2").is_up == is_up


@pytest.mark.parametrize(
    ("binding", "port"),
    [
        ({"HostIp": "", "HostPort": "80"}, "0.0.0.0:80"),
        ({"HostIp": "0.0.0.0", "HostPort": "80"}, "0.0.0.0:80"),  # noqa: S104 - read, not bound
        ({"HostIp": "127.0.0.1", "HostPort": "80"}, "127.0.0.1:80"),
    ],
)
def test_a_port_that_is_bound_anywhere_is_bound_to_all_addresses(binding: dict[str, str], port: str):
    answer = _recorded("docker", "containers")[1]
    answer["NetworkSettings"]["Ports"] = {"80/tcp": [binding, {"HostIp": "::", "HostPort": "80"}]}
    assert container_from(answer).ports == {"80/tcp": port}


def test_an_address_without_a_list_of_networks_is_the_bridges():
    answer = _recorded("docker", "containers")[0]
    del answer["NetworkSettings"]["Networks"]
    assert container_from(answer).addresses == {"bridge": "172.17.0.4"}


@pytest.mark.parametrize(
    ("engine", "image"),
    [
        (
            "docker",
            Image(
                WEB_IMAGE,
                "web",
                ("ktools/web:latest", "ktools/web:live"),
                environment=(PATH,),
                driver="overlay2",
                content=WEB_IMAGE,
            ),
        ),
        (
            "podman",
            Image(
                WEB_IMAGE,
                "web",
                ("localhost/ktools/web:latest",),
                ("localhost/ktools/web@sha256:d1c85183c6b6b57d0eef3a57ad4009813acffc87e65d0ad65fd243e8f9427633",),
                environment=(PATH,),
                driver="overlay",
                content=WEB_IMAGE,
            ),
        ),
    ],
)
def test_an_image_has_one_id_on_all_engines(engine: str, image: Image):
    assert image_from(_recorded(engine, "images")[0]) == image


def test_podman_says_which_digest_is_that_of_the_manifest():
    """It lists the digest of the index beside it."""
    answer = {"Id": "1", "Digest": "sha256:2", "RepoDigests": ["x@sha256:2", "x@sha256:3"]}
    image = image_from(answer)
    assert (image.manifest_digest, image.digests) == ("sha256:2", ("x@sha256:2", "x@sha256:3"))


def test_an_image_without_a_user_and_tags_is_roots():
    assert image_from({"Id": "sha256:1", "Config": {"User": ""}, "RepoTags": None}) == Image("1", content="1")


@pytest.mark.parametrize(("test", "is_checked"), [(["CMD-SHELL", "true"], True), (["NONE"], False), (None, False)])
def test_an_image_says_whether_its_health_is_checked(test: list[str] | None, is_checked: bool):
    config = {"Healthcheck": {"Test": test} if test else None, "ExposedPorts": {"22/tcp": {}}}
    found = image_from({"Id": "1", "Config": config})
    assert (found.is_checked, found.exposed) == (is_checked, {"22/tcp"})


@pytest.mark.parametrize(
    ("engine", "networks"),
    [
        (
            "docker",
            [Network("bridge", "bridge", ("172.17.0.0/16",)), Network("host", "host"), Network("none", "null")],
        ),
        ("podman", [Network("podman", "bridge", ("10.88.0.0/16",))]),
    ],
)
def test_a_network_is_name_driver_and_subnets(engine: str, networks: list[Network]):
    assert [network_from(answer) for answer in _recorded(engine, "networks")] == networks


def test_an_id_is_plain_with_and_without_its_kind():
    assert plain_id("sha256:12") == plain_id("12") == "12"
