"""What engines say of themselves, as each version puts it."""

from pathlib import Path

import pytest

from dockyard.engine import limits
from dockyard.engine.about import About, about_docker, about_podman, numbers_of
from dockyard.engine.dialect import DOCKER, PODMAN

OLD = {
    "ServerVersion": "20.10.24+dfsg1",
    "DockerRootDir": "/var/lib/docker",
    "DriverStatus": [["Backing Filesystem", "extfs"], ["userxattr", "false"]],
    "ClientInfo": {"Version": "28.2.2", "Plugins": []},
}
NEW = {
    "ServerVersion": "29.7.2",
    "DockerRootDir": "/var/lib/docker",
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "Containerd": {"Address": "/run/containerd/containerd.sock", "Namespaces": {"Containers": "moby"}},
    "ClientInfo": {"Version": "29.7.2", "Plugins": [{"Name": "buildx", "Version": "v0.36.0"}]},
}


def test_graph_drivers_keep_images_below_the_data_root() -> None:
    assert about_docker(OLD) == About("20.10.24+dfsg1", "28.2.2", "/var/lib/docker", has_buildx=False)


def test_containerd_store_is_read_off_the_driver() -> None:
    socket = "/run/containerd/containerd.sock"
    assert about_docker(NEW) == About(
        "29.7.2",
        "29.7.2",
        "/var/lib/docker",
        has_buildx=True,
        uses_containerd_store=True,
        containerd=socket,
        driver="overlayfs",
    )


def test_podman_has_one_place() -> None:
    answer = {"version": {"Version": "5.8.2"}, "store": {"graphRoot": "/var/lib/containers/storage"}}
    assert about_podman(answer) == About("5.8.2", "5.8.2", "/var/lib/containers/storage")


@pytest.mark.parametrize("answer", [{}, {"ClientInfo": None, "DriverStatus": None}, {"ClientInfo": {"Plugins": None}}])
def test_what_is_not_said_is_empty(answer: dict[str, None]) -> None:
    assert about_docker(answer) == About(has_buildx=False)
    assert about_podman({"version": None, "store": None}) == About()


def test_versions_are_compared_by_their_numbers() -> None:
    assert numbers_of("20.10.24+dfsg1") == (20, 10, 24)
    assert numbers_of("6.0.0-rc1") == (6, 0, 0)
    assert numbers_of("") == ()


# ------------------------------------------------------------------------------------------------------------- limits
@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a containerd whose soft limit is 1024, and no daemon.json."""
    place = tmp_path / "proc"
    for pid, name, soft in (("7", "bash", "99"), ("8", "containerd", "1024"), ("self", "containerd", "5")):
        (place / pid).mkdir(parents=True)
        (place / pid / "comm").write_text(f"{name}\n")
        table = f"Max processes  100  100  processes\nMax open files  {soft}  524288  files\n"
        (place / pid / "limits").write_text(table)
    monkeypatch.setattr(limits, "_PROC", place)
    monkeypatch.setattr(limits, "_CONFIGURATION", tmp_path / "daemon.json")
    return place


def test_containers_inherit_the_limit_of_containerd(proc: Path) -> None:
    assert limits.default_open_files(DOCKER) == 1024
    assert limits.default_open_files(PODMAN) is None  # which sets its own
    (proc / "8/limits").write_text("Max open files  unlimited  unlimited  files\n")
    assert limits.default_open_files(DOCKER) == 2**63 - 1
    (proc / "8/comm").write_text("sleep\n")
    assert limits.default_open_files(DOCKER) is None


@pytest.mark.usefixtures("proc")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"default-ulimits": {"nofile": {"Name": "nofile", "Soft": 64000, "Hard": 64000}}}', 64000),
        ('{"default-ulimits": {"nproc": {"Soft": 5}}}', 1024),
        ("{}", 1024),
        ("[]", 1024),
        ("no JSON", 1024),
    ],
)
def test_daemon_json_comes_first(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "daemon.json").write_text(text)
    assert limits.default_open_files(DOCKER) == expected
