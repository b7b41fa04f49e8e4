"""dockyard on Docker 29 as it is freshly installed: the containerd image store, buildx, API 1.52."""

import json
import socket

from tests.engines.world import free_port, write
from tests.standins.world import StandInWorld


def test_service_is_built_launched_upgraded_and_rolled_back(docker: StandInWorld) -> None:
    """Answers without empty fields, GraphDriver and Parent are enough for the main job; `:prev` is what was live."""
    service = docker.waiting()
    docker.go_live(service)
    first = docker.tags(service.name)["live"]
    assert f"{service.name}  {service.name}  prod  running" in docker.d("ls").stdout
    write(service / "files/version", "2")
    docker.d("upgrade", service.name)
    second = docker.tags(service.name)
    assert second["live"] != first == second["prev"]
    docker.d("rollback", service.name)
    assert docker.tags(service.name) == {**second, "live": first, "prev": second["live"]}
    assert docker.inspect(service.name)["Image"] == f"sha256:{first}"
    rows = [line.split()[:3] for line in docker.d("images", service.name).stdout.splitlines()]
    assert sorted(rows) == sorted(
        [f"dytest/{service.name}", tag, one[:12]] for tag, one in docker.tags(service.name).items()
    )


def test_each_build_with_provenance_has_another_id(docker: StandInWorld) -> None:
    """The stand-in does what Docker 29 does, so that the tests below judge something."""
    service = docker.waiting()
    ids = []
    for _ in range(2):
        docker.call("build", "--tag", "dytest/same:latest", str(service))
        ids.append(docker.image_id("dytest/same:latest"))
    assert ids[0] != ids[1]


def test_unknown_field_of_a_template_is_refused(docker: StandInWorld) -> None:
    """A format that Docker 29 would refuse fails here as well."""
    docker.call("create", "--name", "dyt-any", "dytest/dyt-base:latest", "sleep", "1")
    refused = docker.run("docker", "ps", "--all", "--format", "{{.NoSuchField}}", expect=1)
    assert "can't evaluate field NoSuchField in type *formatter.ContainerContext" in refused.stderr


def test_port_of_another_process_does_not_blame_the_image(docker: StandInWorld) -> None:
    """29 says `failed to bind host port ADDRESS:PORT/tcp`: production comes back, and the image is tried again."""
    port = free_port()
    service = docker.waiting()
    docker.go_live(service)
    settings = json.loads((service / "settings.yaml").read_text())
    write(service / "settings.yaml", json.dumps({**settings, "ports": [f"{port}:80"], "network": "bridge"}))
    write(service / "files/version", "2")
    with socket.create_server(("0.0.0.0", port)):  # noqa: S104 - as the container would
        failed = docker.d("upgrade", service.name, expect=1)
    assert f"port 0.0.0.0:{port} of this host is taken already" in failed.text
    assert docker.is_up(service.name)
    docker.d("upgrade-all")
    assert docker.tags(service.name)["live"] == docker.tags(service.name)["latest"]


def test_images_without_a_tag_are_removed(docker: StandInWorld) -> None:
    """The list of 29 hides them, unless it is asked for them."""
    service = docker.waiting()
    docker.d_build(service)
    first = docker.image_id(f"dytest/{service.name}:latest")
    write(service / "files/version", "2")
    docker.d_build(service)
    assert first[:12] not in docker.call("images", "--quiet")
    assert first[:12] in docker.d("clean", "--dry-run").text
    docker.d("clean")
    assert first[:12] not in docker.call("images", "--all", "--quiet")


def test_stopped_and_running_containers_are_scanned(docker: StandInWorld) -> None:
    """A scan is incomplete where layers cannot be found, and says which store it is."""
    service = docker.waiting()
    docker.go_live(service)
    docker.d("down", service.name)
    done = docker.run("d-cowscan", "--all", expect=None)
    assert "unknown" not in done.stdout
