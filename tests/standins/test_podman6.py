"""dockyard on podman 6: `.Labels` of a list is a text, ids of images are no sha256, crun makes the mount points."""

import pytest

from tests.standins.world import StandInWorld


def test_labels_of_a_list_cannot_be_indexed(podman: StandInWorld) -> None:
    """The stand-in refuses what podman 6 refuses: this is how every list failed."""
    podman.call("create", "--name", "dyt-any", "dytest/dyt-base:latest", "sleep", "1")
    refused = podman.run("podman", "ps", "-a", "--format", '{{index .Labels "dockyard.service"}}', expect=1)
    assert "error calling index: cannot index slice/array with type string" in refused.stderr


def test_rows_have_labels(podman: StandInWorld) -> None:
    """What a container belongs to is read from a list, stopped ones too."""
    service = podman.waiting()
    podman.go_live(service)
    podman.d("down", service.name)
    assert service.name not in podman.d("list-up-names").stdout
    podman.d("up", service.name)
    assert service.name in podman.d("list-up-names").stdout
    assert len(podman.tags(service.name)["live"]) > 64, "an id that is no sha256"


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_mount_points_of_crun_are_expected(podman: StandInWorld, stopped: bool) -> None:
    """Crun makes directories with mode 1755 and files with 0700: they are nothing that the container changed."""
    service = podman.waiting()
    podman.go_live(service)
    if stopped:
        podman.d("down", service.name)
    assert podman.run("d-cowscan", "--all", service.name).stdout == "all ok\n"
