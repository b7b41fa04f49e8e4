"""dockyard on podman 6: `.Labels` of a list is a text, ids of images are no sha256, crun makes the mount points."""

import pytest

from tests.engines.world import write
from tests.standins.world import StandInWorld


def test_service_is_built_launched_upgraded_and_rolled_back(podman: StandInWorld) -> None:
    """Lists and ids are read as podman 6 has them; `:prev` is what was live."""
    service = podman.waiting()
    podman.go_live(service)
    first = podman.tags(service.name)["live"]
    assert f"{service.name}  {service.name}  prod  running" in podman.d("ls").stdout
    write(service / "files/version", "2")
    podman.d("upgrade", service.name)
    second = podman.tags(service.name)
    assert second["live"] != first == second["prev"]
    podman.d("rollback", service.name)
    assert podman.tags(service.name) == {**second, "live": first, "prev": second["live"]}
    assert podman.inspect(service.name)["Image"] == first
    assert len(first) > 64, "an id that is no sha256"


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


def test_images_without_a_tag_are_removed(podman: StandInWorld) -> None:
    """Those that a container needs stay, whatever form their ids have."""
    service = podman.waiting()
    podman.d_build(service)
    first = podman.image_id(f"dytest/{service.name}:latest")
    write(service / "files/version", "2")
    podman.d_build(service)
    podman.d("clean")
    left = podman.call("images", "--all", "--quiet", "--no-trunc")
    assert first not in left
    assert podman.image_id(f"dytest/{service.name}:latest") in left


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_mount_points_of_crun_are_expected(podman: StandInWorld, stopped: bool) -> None:
    """Crun makes directories with mode 1755 and files with 0700: they are nothing that the container changed."""
    service = podman.waiting()
    podman.go_live(service)
    if stopped:
        podman.d("down", service.name)
    assert podman.run("d-cowscan", "--all", service.name).stdout == "all ok\n"
