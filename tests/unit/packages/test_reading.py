"""Where an image's packages are found, through which links, and what is reported of databases that cannot be read."""

import os
from pathlib import Path

import pytest

from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError
from dockyard.layers import copies
from dockyard.packages import reading
from dockyard.packages.reading import PackageList, read_packages
from dockyard.surface.tree import files_of, read_tree
from tests.unit.packages.databases import (
    apk_installed,
    dpkg_status,
    ndb_database,
    rpm_header,
    write,
    write_rpm_database,
)


def packages_of(*layers: Path) -> PackageList:
    """Return the packages of an image with these layers, the uppermost first."""
    places = [str(layer) for layer in layers]
    with files_of(places) as files:
        return read_packages(read_tree(places, IdMap()), files)


def versions(found: PackageList) -> dict[str, str]:
    """Return the version of each package."""
    return {name: one.version for name, one in found.packages.items()}


def test_an_image_without_a_package_manager_has_no_packages(tmp_path: Path) -> None:
    """That is no problem to report."""
    write(tmp_path / "srv/program", b"\x7fELF")
    assert packages_of(tmp_path) == PackageList({})


def test_the_uppermost_layer_decides(tmp_path: Path) -> None:
    """The list of a lower layer is that of a base image."""
    write(tmp_path / "lower/var/lib/dpkg/status", dpkg_status(("openssl", "1")))
    write(tmp_path / "upper/var/lib/dpkg/status", dpkg_status(("openssl", "2"), ("curl", "8")))
    assert versions(packages_of(tmp_path / "upper", tmp_path / "lower")) == {"curl": "8", "openssl": "2"}


def test_distroless_images_have_a_file_for_each_package(tmp_path: Path) -> None:
    """Sums of files beside them list no package."""
    write(tmp_path / "var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12\nArchitecture: amd64\n")
    write(tmp_path / "var/lib/dpkg/status.d/base.md5sums", "0123  usr/lib/os-release\n")
    write(tmp_path / "var/lib/dpkg/status.d/tz", "Package: tzdata\nVersion: 2025b\nArchitecture: all\n")
    found = packages_of(tmp_path)
    assert versions(found) == {"base-files": "12", "tzdata": "2025b"}
    assert found.notes == ()


@pytest.mark.parametrize("above", ["lib", "usr/lib"])
def test_apk_has_its_list_in_either_directory(tmp_path: Path, above: str) -> None:
    """Alpine moved it into /usr; a link leads from one to the other, and it is read once."""
    write(tmp_path / above / "apk/db/installed", apk_installed(("musl", "1.2.5-r0")))
    if above == "usr/lib":
        (tmp_path / "lib").symlink_to("usr/lib")
    found = packages_of(tmp_path)
    assert versions(found) == {"musl": "1.2.5-r0"}
    assert len(found.databases) == 1


def test_rpm_has_its_database_behind_a_link(tmp_path: Path) -> None:
    """As in Fedora; an absolute link is one within the image."""
    write_rpm_database(tmp_path / "usr/lib/sysimage/rpm/rpmdb.sqlite", [rpm_header("bash", "5.2", "1")])
    (tmp_path / "var/lib").mkdir(parents=True)
    (tmp_path / "var/lib/rpm").symlink_to("/usr/lib/sysimage/rpm")
    found = packages_of(tmp_path)
    assert versions(found) == {"bash": "5.2-1"}
    assert found.databases == ("/usr/lib/sysimage/rpm/rpmdb.sqlite",)


def test_rpm_of_suse(tmp_path: Path) -> None:
    """Its format is ndb."""
    write(tmp_path / "usr/lib/sysimage/rpm/Packages.db", ndb_database([rpm_header("bash", "5.2", "1")]))
    assert versions(packages_of(tmp_path)) == {"bash": "5.2-1"}


def test_an_old_rpm_is_a_note(tmp_path: Path) -> None:
    """A Berkeley DB is not read, and is reported."""
    write(tmp_path / "var/lib/rpm/Packages", b"\0" * 100)
    found = packages_of(tmp_path)
    assert found.packages == {}
    assert "/var/lib/rpm/Packages cannot be read: `Packages` is a Berkeley DB" in found.notes[0]


def test_what_is_not_a_file_is_a_note(tmp_path: Path) -> None:
    """A pipe would be waited for, and a device answers without end: neither is opened."""
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    os.mkfifo(tmp_path / "var/lib/dpkg/status")
    assert packages_of(tmp_path).notes[0].endswith("/var/lib/dpkg/status cannot be read: it is not a file")


def test_no_link_leads_out_of_the_image(tmp_path: Path) -> None:
    """The host's list of packages is not an image's."""
    layer = tmp_path / "layer"
    write(tmp_path / "host/status", dpkg_status(("of-the-host", "1")))
    (layer / "var/lib/dpkg").mkdir(parents=True)
    (layer / "var/lib/dpkg/status").symlink_to(tmp_path / "host/status")
    (layer / "var/lib/rpm").symlink_to("../../../../../../../../../../var/lib")
    (layer / "lib").symlink_to("lib")  # a loop
    assert packages_of(layer) == PackageList({})


def test_too_large_a_list_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of it there is, no more is read than a list can have."""
    monkeypatch.setattr(reading, "MAX_TEXT_BYTES", 1 << 20)
    with write(tmp_path / "var/lib/dpkg/status", dpkg_status(("a", "1"))).open("r+b") as file:
        file.truncate(1 << 40)
    assert packages_of(tmp_path).notes == (
        "the package database /var/lib/dpkg/status cannot be read: it is larger than 1 MiB",
    )


def test_no_name_of_an_image_reaches_a_terminal(tmp_path: Path) -> None:
    """Notes are fit to print, whatever a file is called."""
    write(tmp_path / "var/lib/dpkg/status.d/a\n\x1b[2J", "no stanza")
    (note,) = packages_of(tmp_path).notes
    assert note.isprintable()


def test_a_full_disk_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no room for a private copy."""
    write_rpm_database(tmp_path / "var/lib/rpm/rpmdb.sqlite", [rpm_header("bash", "5.2", "1")])

    def fail(_size: int = 0) -> Path:
        raise DockyardError("no room for a copy")

    monkeypatch.setattr(copies, "private_directory", fail)
    assert packages_of(tmp_path).notes[0].endswith("cannot be read: no room for a copy")


def test_one_damaged_database_leaves_the_others(tmp_path: Path) -> None:
    """What can be read is."""
    write(tmp_path / "var/lib/dpkg/status", dpkg_status(("a", "1")))
    write(tmp_path / "var/lib/rpm/rpmdb.sqlite", b"no database" * 100)
    found = packages_of(tmp_path)
    assert versions(found) == {"a": "1"}
    assert "SQLite reports: file is not a database" in found.notes[0]
