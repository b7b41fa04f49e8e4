"""Users and groups, from a service's files and from the layers of its image."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.accounts import accounts_of, host_accounts
from dockyard.plan.facts import Accounts, Owner

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
Root = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return what makes a picture of an image's root, or one of its layers, of the texts of passwd and group."""

    def make(name: str, passwd: str | None = None, group: str | None = None) -> Path:
        etc = tmp_path / name / "etc"
        etc.mkdir(parents=True)
        for file, text in (("passwd", passwd), ("group", group)):
            if text is not None:
                (etc / file).write_text(text)
        return tmp_path / name

    return make


# --------------------------------------------------------------------------------------------------------- the files
def test_users_are_known_by_name_and_by_uid(root: Root):
    files = root("files", "root:x:0:0::/:/bin/sh\nredis:x:999:998::/data:\n")
    redis = Owner(999, 998)
    assert accounts_of(files).users == {"root": Owner(0, 0), "0": Owner(0, 0), "redis": redis, "999": redis}


def test_groups_are_known_by_name_and_their_members_by_theirs(root: Root):
    files = root("files", "redis:x:999:998::/:\njoe:x:5:5::/:\n", "root:x:0:\nredis:x:998:joe, ann\ndisk:x:6:joe\n")
    found = accounts_of(files)
    assert found.groups == {"root": 0, "redis": 998, "disk": 6}
    assert (found.users["joe"], found.users["redis"]) == (Owner(5, 5, (998, 6)), Owner(999, 998))


def test_of_two_lines_for_one_name_or_uid_the_first_counts(root: Root):
    """As the C library has it."""
    found = accounts_of(root("files", "a:x:1:1::/:\na:x:2:2::/:\nb:x:1:9::/:\n", "g:x:1:\ng:x:2:\n"))
    assert (found.users["a"], found.users["1"], found.users["b"]) == (Owner(1, 1), Owner(1, 1), Owner(1, 9))
    assert found.groups == {"g": 1}


@pytest.mark.parametrize("line", ["", "#", "redis", "redis:x", "redis:x:many:1", "redis:x:1", ":::", "+::::::"])
def test_lines_that_are_no_entries_are_passed_over(root: Root, line: str):
    found = accounts_of(root("files", f"{line}\nok:x:1:2::/:\n", f"{line}\nok:x:2\n"))
    assert found.users["ok"] == Owner(1, 2)
    assert found.groups["ok"] == 2
    assert "redis" not in found.users


def test_users_in_bytes_that_are_not_utf8_are_no_obstacle(root: Root):
    files = root("files")
    (files / "etc/passwd").write_bytes(b"\xff:x:5:5::/:\nok:x:1:2::/:\n")
    assert accounts_of(files).users["ok"] == Owner(1, 2)


def test_no_files_no_users(tmp_path: Path):
    assert accounts_of(tmp_path / "missing") == Accounts({}, {})


# --------------------------------------------------------------------------------------------------------- the layers
def _layered(*layers: Path, files: Path | None = None) -> dict[str, tuple[int, int]]:
    found = accounts_of(files or Path("/none"), [str(layer) for layer in layers])
    return {name: owner[:2] for name, owner in found.users.items() if not name.isdigit()}


def test_the_uppermost_layer_that_has_the_file_decides(root: Root):
    top, middle, bottom = root("top"), root("middle", "a:x:1:1::/:\n"), root("bottom", "a:x:2:2::/:\nb:x:3:3::/:\n")
    assert _layered(top, middle, bottom) == {"a": (1, 1)}


def test_the_files_of_the_service_count_before_its_image(root: Root):
    image = root("image", "a:x:1:1::/:\nb:x:2:2::/:\n", "g:x:1:a\nh:x:2:\n")
    files = root("files", "a:x:5:5::/:\n", "g:x:7:\n")
    found = accounts_of(files, [str(image)])
    assert (found.users["a"], found.users["5"], found.users["b"]) == (Owner(5, 5), Owner(5, 5), Owner(2, 2))
    assert found.groups == {"g": 7, "h": 2}


@as_root
def test_a_file_that_a_layer_deletes_is_gone(root: Root):
    """An overlay marks it with a device 0/0."""
    top, bottom = root("top"), root("bottom", "a:x:1:1::/:\n")
    os.mknod(top / "etc/passwd", 0o020000, 0)
    assert _layered(top, bottom) == {}


def test_links_in_layers_are_not_followed(root: Root, tmp_path: Path):
    """Whoever made the image may have them lead to the host's own files."""
    (tmp_path / "passwd").write_text("evil:x:0:0::/:\n")
    (tmp_path / "host/etc").mkdir(parents=True)
    (tmp_path / "host/etc/passwd").write_text("evil:x:0:0::/:\n")
    link, bottom = root("link"), root("bottom", "a:x:1:1::/:\n")
    (link / "etc/passwd").symlink_to(tmp_path / "passwd")
    assert _layered(link, bottom) == {}
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/etc").symlink_to(tmp_path / "host/etc")
    assert "evil" not in _layered(tmp_path / "linked", bottom)


def test_a_pipe_in_a_layer_does_not_hold_us_up(root: Root):
    top = root("top")
    os.mkfifo(top / "etc/passwd")
    assert _layered(top) == {}


def test_layers_that_are_not_there_are_passed_over(root: Root):
    assert _layered(Path("/none"), root("image", "a:x:1:1::/:\n")) == {"a": (1, 1)}


def test_a_file_that_has_no_end_is_not_read_to_it(root: Root):
    lines = "".join(f"u{number}:x:{number}:{number}::/:\n" for number in range(100000))
    assert 1000 < len(_layered(root("image", lines))) < 100000


# ----------------------------------------------------------------------------------------------------------- the host
def test_the_hosts_users_and_groups_are_known_by_name():
    found = host_accounts(["root", "no-such-user"], ["root", "no-such-group"])
    assert found == Accounts({"root": Owner(0, 0)}, {"root": 0})
