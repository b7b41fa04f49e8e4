"""dockyard on Docker 29 as it is freshly installed: the containerd image store, buildx, API 1.52."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.standalone import d_map
from tests.engines.world import FROM_BASE, REPOSITORY, free_port, write
from tests.standins import http_socket
from tests.standins.world import StandInWorld


def test_each_build_with_provenance_has_another_id(docker: StandInWorld) -> None:
    """The stand-in does what Docker 29 does, so that the tests below judge something; its list hides the first one."""
    service = docker.waiting()
    ids = []
    for _ in range(2):
        docker.call("build", "--tag", "dytest/same:latest", str(service))
        ids.append(docker.image_id("dytest/same:latest"))
    assert ids[0] != ids[1]
    assert ids[0][:12] not in docker.call("images", "--quiet")


def test_unknown_field_of_a_template_is_refused(docker: StandInWorld) -> None:
    """A format that Docker 29 would refuse fails here as well."""
    docker.call("create", "--name", "dyt-any", "dytest/dyt-base:latest", "sleep", "1")
    refused = docker.run("docker", "ps", "--all", "--format", "{{.NoSuchField}}", expect=1)
    assert "can't evaluate field NoSuchField in type *formatter.ContainerContext" in refused.stderr


def test_port_of_another_process_does_not_blame_the_image(docker: StandInWorld) -> None:
    """29 says `failed to bind host port ADDRESS:PORT/tcp`: production is restored, and the image is tried again."""
    port = free_port()
    service = docker.waiting()
    docker.go_live(service)
    settings = json.loads((service / "settings.yaml").read_text())
    write(service / "settings.yaml", json.dumps({**settings, "ports": [f"{port}:80"], "network": "bridge"}))
    write(service / "files/version", "2")
    with socket.create_server(("0.0.0.0", port)):  # noqa: S104 - as the container would
        failed = docker.d("upgrade", service.name, expect=1)
    assert f"port 0.0.0.0:{port} of this host is already in use" in failed.text
    assert docker.is_up(service.name)
    docker.d("upgrade-all")
    assert docker.tags(service.name)["live"] == docker.tags(service.name)["latest"]


def _settled(docker: StandInWorld) -> Path:
    """Return a service whose container has been up, and is the only one of its name."""
    service = docker.waiting()
    docker.go_live(service)
    return service


def test_layers_of_running_and_stopped_containers_are_found(docker: StandInWorld) -> None:
    """Inspect answers name neither driver nor directories: containerd does, by the ids of containers."""
    service = _settled(docker)
    for verb in ("ls", "down"):
        docker.d(*((verb, service.name) if verb == "down" else (verb,)))
        upper = Path(docker.d("cow-dir", service.name).stdout.strip())
        assert upper.parent.parent == docker.root / "engine/snapshots"
        (upper / verb).write_text("changed")
        found = docker.run("d-cowscan", "--all", service.name, expect=1).stdout
        assert f"/{verb} " in found
        assert "INCOMPLETE" not in found


def test_owners_that_only_the_image_knows_are_found(docker: StandInWorld) -> None:
    """An image's layers are found by its chain id: a data directory belongs to the user of the image, not to root."""
    name = f"dyt-owner-{next(docker.numbers)}"
    command = ["sh", "-c", "trap 'exit 0' TERM; while sleep 0.1; do :; done"]
    volume = {"path": "data", "owner": "user/app"}
    settings = {"cmd": command, "network": "none", "mount_rw": "data:/data", "vols": [volume]}
    files = {"etc/passwd": "root:x:0:0::/:/bin/sh\napp:x:4321:4321::/:/bin/sh\n"}
    service = docker.service(settings, name=name, dockerfile=f"{FROM_BASE}USER app\n", files=files)
    docker.go_live(service)
    shutil.rmtree(service / "files")
    docker.d("down", service.name)
    shutil.rmtree(docker.volumes / service.name)
    docker.d("up", service.name)
    assert (docker.volumes / service.name / "data").stat().st_uid == 4321


def test_map_lists_what_runs(docker: StandInWorld, tmp_path: Path) -> None:
    """d-map names no version of the API: 29 refuses those before 1.44."""
    service = _settled(docker)
    script = (
        f"mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs tmpfs /var/lib; "
        f"cd {REPOSITORY}; STANDIN_ROOT={docker.root}/engine {sys.executable} -m tests.standins.http_socket "
        f"/run/docker.sock >{tmp_path}/ready & trap 'kill $!' EXIT; "
        f"until grep -q ready {tmp_path}/ready; do sleep 0.05; done; {d_map.__file__}"
    )
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", script)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert f"{docker.container_id(service.name)[:12]} {service.name}\n" in done.stdout, done.stderr
    assert http_socket.answer(docker.root / "engine", "GET /v1.41/containers/json HTTP/1.0")[0] == 400
    assert http_socket.answer(docker.root / "engine", "GET /v1.44/containers/json HTTP/1.0")[0] == 200


@pytest.mark.parametrize("parameters", ["", "--provenance=mode=max"], ids=["plain", "attested"])
def test_unchanged_source_switches_nothing(docker: StandInWorld, parameters: str) -> None:
    """A forced rebuild of the same files has the same content, whatever its provenance says: `:prev` stays."""
    service = docker.waiting(**({"build_params": parameters} if parameters else {}))
    docker.go_live(service)
    write(service / "files/version", f"another version {parameters}")
    docker.d("upgrade", service.name)
    before = docker.container_id(service.name), {**docker.tags(service.name), "latest": ""}
    docker.d("upgrade", "--force", service.name)
    assert (docker.container_id(service.name), {**docker.tags(service.name), "latest": ""}) == before


@pytest.mark.parametrize(
    ("parameters", "buildx"),
    [
        ("--provenance=false", "0.35"),
        ("--provenance=false", "0.36"),
        ("--provenance=mode=max", "0.35"),
        ("--sbom=true", "0.36"),
    ],
)
def test_build_is_recognised_by_any_digest(docker: StandInWorld, parameters: str, buildx: str) -> None:
    """Buildx before 0.36 writes the configuration's digest into --iidfile, where the engine has the manifest's."""
    service = docker.waiting(build_params=parameters)
    docker.d("build", service.name, env={"STANDIN_BUILDX": buildx})
    assert docker.image_id(f"dytest/{service.name}:latest")


def test_clean_scan_of_what_buildx_built(docker: StandInWorld) -> None:
    """BuildKit writes no step for `--label`: its images are not taken for images that somebody has added to."""
    service = _settled(docker)
    assert docker.run("d-cowscan", "--all", service.name).stdout == "all ok\n"
