"""What counts as other content: all that can change what a service does, and nothing that says when it was built."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError
from dockyard.packages.compare import ImageDifference, compare_images, has_same_files
from dockyard.packages.package import PackageChange
from dockyard.surface import same
from dockyard.surface.residue import RESIDUE
from tests.unit.packages.databases import dpkg_status, image, rpm_header, write, write_rpm_database


class _Engine:
    """An engine that maps no ids."""

    id_map = IdMap()


ENGINE: Any = _Engine()
Build = Callable[[Path, int], object]


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., ImageDifference]:
    """Build two layers with one function, which gets 1 and 2, and compare them."""

    def run(build: Build, **more: str) -> ImageDifference:
        layers = tmp_path / "before", tmp_path / "after"
        for number, layer in enumerate(layers, 1):
            write(layer / "var/lib/dpkg/status", dpkg_status(("base-files", "12")))
            build(layer, number)
            os.utime(layer / "var/lib/dpkg/status", (number, number))
        images = image("1", layers[0]), image("2", layers[1], **more)
        found = compare_images(ENGINE, *images)
        assert has_same_files(ENGINE, *images) == found.is_equal
        return found

    return run


Compare = Callable[..., ImageDifference]


def test_a_fixed_package_is_reported_with_its_files(compare: Compare) -> None:
    """The package manager's lists of it are not counted as files: they follow from the package."""

    def build(layer: Path, number: int) -> None:
        write(layer / "var/lib/dpkg/status", dpkg_status(("openssl", f"3.0.{number}")))
        write(layer / "var/lib/dpkg/info/openssl.md5sums", f"{number}")
        write(layer / "usr/bin/openssl", f"program {number}", 0o755)
        write(layer / f"usr/lib/new/libcrypto.so.{number}", b"x")

    assert compare(build) == ImageDifference((PackageChange("openssl", "3.0.1", "3.0.2"),), 3)


def test_the_same_packages_again_are_the_same_content(compare: Compare) -> None:
    """What `apt-get update && apt-get install` leaves a minute later: logs, lists, caches, backups, times."""

    def build(layer: Path, number: int) -> None:
        write(layer / "var/log/apt/history.log", f"Start-Date: {number}")
        write(layer / "var/log/dpkg.log", f"{number} configure")
        write(layer / f"var/lib/apt/lists/deb_{number}_Packages", "x" * number)
        write(layer / "var/cache/apt/pkgcache.bin", f"{number}")
        write(layer / "var/cache/ldconfig/aux-cache", f"{number}")
        write(layer / "var/lib/dpkg/status-old", f"{number}")
        write(layer / "etc/shadow", f"root:*:{20000 + number}:0:99999:7:::\ndaemon:!:{20000 + number}::::::\n")
        write(layer / "etc/machine-id", f"{number}" * 32 + "\n")
        write(layer / "usr/bin/tool", "same", 0o755)

    assert compare(build).is_equal


def test_every_path_that_does_not_count_does_not(compare: Compare) -> None:
    """Each row of the table."""

    def build(layer: Path, number: int) -> None:
        for path in RESIDUE:
            name = f"{path}inner/file" if path.endswith("/") else path.replace("*", "part")
            write(layer / name.lstrip("/"), f"{number}")

    assert compare(build).is_equal


@pytest.mark.parametrize(
    ("path", "text", "files"),
    [
        ("var/log/apt/history.log", "ran", 0),
        ("var/log/apt/run", "#!/bin/sh\n", 1),
        ("var/log/aptitude", "", 1),
        ("var/log/other.log", "", 1),
        ("var/lib/dpkg/info/a/b-old", "", 1),
        ("srv/var/log/dpkg.log", "", 1),
        ("var/log/dpkg.log/x", "", 2),
        ("etc/ld.so.cache", "", 1),
    ],
)
def test_what_is_near_a_path_that_does_not_count_does(compare: Compare, path: str, text: str, files: int) -> None:
    """Nor is anything left out that can be executed."""

    def build(layer: Path, number: int) -> None:
        write(layer / path, f"{text}{number}", 0o755 if text.startswith("#!") else 0o644)

    def build_two(layer: Path, number: int) -> None:
        build(layer, number)
        if files == 2:
            write(layer / "var/log/other", f"{number}")

    assert compare(build_two).files == files


@pytest.mark.parametrize(
    ("shadow", "is_equal"),
    [
        ("root:*:{day}:0:99999:7:::", True),
        ("web:$y$hash:{day}:0:99999:7:::", True),
        ("web:!:{day}::::::", True),
        ("web:$y$hash:{day}:0:90:7:::", False),
        ("web:$y$hash:{day}:7:99999:7:::", False),
        ("web:$y${day}:20000:0:99999:7:::", False),
        ("web:*:20000:0:99999:7::{day}:", False),
        ("web:*:{day}", False),
    ],
)
def test_the_day_of_a_password_counts_if_it_has_a_deadline(compare: Compare, shadow: str, is_equal: bool) -> None:
    """Without one, nothing follows from the day."""
    found = compare(lambda layer, number: write(layer / "etc/shadow", shadow.replace("{day}", f"2000{number}")))
    assert found.is_equal is is_equal


def test_a_password_that_must_be_changed_counts(compare: Compare) -> None:
    """Day 0 means that: see shadow(5)."""
    days = {1: "0", 2: "20001"}
    assert not compare(lambda layer, number: write(layer / "etc/shadow", f"a:x:{days[number]}:0:99999:7:::")).is_equal


def test_a_machine_id_is_random_and_its_absence_is_not(compare: Compare) -> None:
    """An empty file has systemd create one."""
    found = compare(lambda layer, number: write(layer / "etc/machine-id", "" if number == 1 else "a" * 32))
    assert found.files == 1


def _bytecode(layer: Path, second: int, code: bytes = b"code", *, flags: int = 0, source: int | None = None) -> None:
    path = write(layer / "srv/tool.py", "print(1)\n")
    os.utime(path, (second, second if source is None else source))
    head = b"\xa7\r\r\n" + flags.to_bytes(4, "little") + second.to_bytes(4, "little") + (9).to_bytes(4, "little")
    write(layer / "srv/__pycache__/tool.cpython-311.pyc", head + code)


def test_bytecode_differs_in_the_time_of_its_source(compare: Compare) -> None:
    """Both images run it."""
    assert compare(lambda layer, number: _bytecode(layer, 1000 + number)).is_equal


@pytest.mark.parametrize(
    "build",
    [
        lambda layer, number: _bytecode(layer, 1000 + number, b"code %d" % number),
        lambda layer, number: _bytecode(layer, 1000 + number, flags=1),
        lambda layer, number: _bytecode(layer, 1000 + number, source=1001),
        lambda layer, number: _bytecode(layer, 1000, source=999 + number),
    ],
    ids=["code", "by hash", "one invalid", "valid in one image alone"],
)
def test_other_bytecode_counts(compare: Compare, build: Build) -> None:
    """Python does not run bytecode whose source has another time: that is another content."""
    found = compare(build)
    if found.is_equal:  # equal bytes, and times are no content: then neither counts
        pytest.fail("equal")


def test_rpm_differs_in_when_it_installed(tmp_path: Path) -> None:
    """Its database is compared by its packages."""
    layers = tmp_path / "1", tmp_path / "2"
    for number, layer in enumerate(layers):
        write_rpm_database(
            layer / "var/lib/rpm/rpmdb.sqlite",
            [rpm_header("bash", "5", "1"), rpm_header("a", "1", "1")][:: 1 if number else -1],
        )
    assert compare_images(ENGINE, image("1", layers[0]), image("2", layers[1])).is_equal


def test_a_database_that_cannot_be_read_counts_as_a_file(tmp_path: Path) -> None:
    """With a note: what it says is not known."""
    layers = tmp_path / "1", tmp_path / "2"
    for number, layer in enumerate(layers):
        write(layer / "var/lib/rpm/Packages", f"{number}")
    found = compare_images(ENGINE, image("1", layers[0]), image("2", layers[1]))
    assert (found.packages, found.files) == ((), 1)
    assert "Berkeley DB" in found.notes[0]


def test_a_trimmed_image_has_lost_its_list_and_not_its_packages(tmp_path: Path) -> None:
    """Then only files are compared."""
    write(tmp_path / "1/var/lib/dpkg/status", dpkg_status(("a", "1")))
    write(tmp_path / "2/usr/bin/a", "x")
    found = compare_images(ENGINE, image("1", tmp_path / "1"), image("2", tmp_path / "2"))
    assert found.packages == ()
    assert found.files > 0


def test_the_configuration_counts(compare: Compare) -> None:
    """With equal files, too."""
    found = compare(lambda layer, _: write(layer / "a", "x"), configuration="d")
    assert found == ImageDifference(configuration=True)


def test_a_new_directory_is_counted_with_its_files(compare: Compare) -> None:
    """An empty one counts alone, and one whose mode has changed."""

    def build(layer: Path, number: int) -> None:
        (layer / "srv").mkdir(mode=0o700 + number)
        if number == 2:
            write(layer / "opt/new/deep/file", "x")
            (layer / "empty").mkdir()

    assert compare(build).files == 3


def test_a_directory_for_what_does_not_count_does_not_count(compare: Compare) -> None:
    """As /var/log, which the first package that writes a log creates."""

    def build(layer: Path, number: int) -> None:
        if number == 2:
            write(layer / "var/log/dpkg.log", "installed")

    assert compare(build).is_equal


def test_more_than_can_be_compared_is_an_error(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of holes costs an image nothing, and reading it would never end."""
    monkeypatch.setattr(same, "MAX_COMPARED_BYTES", 1 << 30)

    def build(layer: Path, number: int) -> None:
        with write(layer / "holes", "x").open("r+b") as file:
            file.truncate(1 << 40)
            assert number

    with pytest.raises(DockyardError, match="1 GiB of files to compare"):
        compare(build)
