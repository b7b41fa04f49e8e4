"""dockyard on podman 6: `.Labels` of a list is a text, image ids are not sha256, crun creates the mount points."""

import pytest

from tests.standins.world import StandInWorld


def test_labels_of_a_list_cannot_be_indexed(podman: StandInWorld) -> None:
    """The stand-in refuses what podman 6 refuses: this made every list fail."""
    podman.call("create", "--name", "dyt-any", "dytest/dyt-base:latest", "sleep", "1")
    refused = podman.run("podman", "ps", "-a", "--format", '{{index .Labels "dockyard.service"}}', expect=1)
    assert "error calling index: cannot index slice/array with type string" in refused.stderr


def test_rows_have_labels(podman: StandInWorld) -> None:
    """The service of a container is read from a list, also for stopped ones."""
    service = podman.waiting()
    podman.go_live(service)
    podman.d("down", service.name)
    assert service.name not in podman.d("list-up-names").stdout
    podman.d("up", service.name)
    assert service.name in podman.d("list-up-names").stdout
    assert len(podman.tags(service.name)["live"]) > 64, "an id that is no sha256"


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_mount_points_of_crun_are_expected(podman: StandInWorld, stopped: bool) -> None:
    """Crun creates directories with mode 1755 and files with 0700: they do not count as changes of the container."""
    service = podman.waiting()
    podman.go_live(service)
    if stopped:
        podman.d("down", service.name)
    assert podman.run("d-cowscan", "--all", service.name).stdout == "all ok\n"
