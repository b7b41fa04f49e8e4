"""What an image offers, told from its entries alone; and what came and went."""

import struct

import pytest

from dockyard.surface.difference import Difference, differences
from dockyard.surface.programs import is_interpreter, is_package_manager, is_shell
from dockyard.surface.surface import Surface, surface_of
from dockyard.surface.told import difference_lines, surface_lines
from dockyard.surface.tree import Tree
from tests.unit.surface.trees import ELF, SCRIPT, directory, file, link, program, tree

ACCOUNTS = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/:/usr/sbin/nologin
gone:x:2:2::/:/bin/bash
open::3:3::/:
set:$6$salt$hash:4:4::/:/bin/sh
short:x
"""
SHADOW = "root:!:1::::::\n"


def found(entries: Tree, passwd: str = "", shadow: str = "") -> Surface:
    return surface_of(entries, passwd, shadow)


def test_executables_are_programs_and_scripts_and_no_libraries():
    """What can be run and is meant to be; a library, a text and a program that nobody may run are none."""
    surface = found(
        tree(
            {
                "/bin/a": program(size=100),
                "/bin/b": program(SCRIPT, size=20),
                "/lib/libc.so.6": program(size=1000),
                "/lib/x.so": program(),
                "/etc/text": program(b"text"),
                "/bin/not": program(ELF, 0o644),
            }
        )
    )
    assert (surface.elf, surface.scripts) == ({"/bin/a": 100}, {"/bin/b": 20})
    assert surface.executable_bytes == 120
    assert surface.files == 6


def test_a_file_with_several_names_counts_once_and_can_be_called_by_each():
    entries = tree(
        {
            "/usr/bin/busybox": program(size=100, inode=7),
            "/usr/bin/hard": program(size=100, inode=7),
            "/bin/sh": link("../usr/bin/busybox"),
            "/bin/awk": link("/usr/bin/busybox"),
            "/bin/nowhere": link("/usr/bin/gone"),
            "/bin/round": link("round"),
        }
    )
    surface = found(entries)
    assert (surface.elf, surface.bytes) == ({"/usr/bin/busybox": 100}, 100)
    assert surface.names == ("/bin/awk", "/bin/sh", "/usr/bin/hard")
    assert surface.shells == ("/bin/sh", "/usr/bin/busybox")
    assert surface.interpreters == ("/bin/awk",)


def test_what_gives_rights_is_listed():
    """setuid, setgid and capabilities count on what can be run; a setgid directory gives nobody rights."""
    value = struct.pack("<5I", 0x02000001, 1 << 10 | 1 << 21, 0, 1 << 7, 0)
    surface = found(
        tree(
            {
                "/bin/su": program(mode=0o4755),
                "/bin/wall": program(mode=0o2755),
                "/bin/ping": file(ELF, 0o755, cap=value),
                "/var/mail": directory(0o2775),
                "/etc/odd": file(mode=0o4644),
            }
        )
    )
    assert (surface.setuid, surface.setgid) == (("/bin/su",), ("/bin/wall",))
    assert surface.capabilities == {"/bin/ping": "net_bind_service,sys_admin,bpf"}


def test_what_everybody_may_write_to_is_listed_but_links():
    surface = found(
        tree({"/drop": directory(0o1777), "/srv": directory(0o777), "/etc/x": file(mode=0o666), "/l": link("/etc/x")})
    )
    assert surface.world_writable == ("/drop (sticky)", "/etc/x", "/srv")


def test_users_able_to_log_in_have_a_shell_that_is_there():
    """Locked, set or no password is told; a shell that the image does not have lets nobody in."""
    surface = found(tree({"/bin/sh": program(), "/usr/sbin/nologin": program()}), ACCOUNTS, SHADOW)
    assert [(one.name, one.shell, one.password) for one in surface.logins] == [
        ("root", "/bin/sh", "locked"),
        ("open", "/bin/sh", "empty"),
        ("set", "/bin/sh", "set"),
    ]
    assert found(tree({}), ACCOUNTS, SHADOW).logins == ()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("bash", is_shell),
        ("busybox", is_shell),
        ("python3.11", is_interpreter),
        ("perl5.36.0", is_interpreter),
        ("lua5.4", is_interpreter),
        ("apt-get", is_package_manager),
        ("pip3", is_package_manager),
    ],
)
def test_programs_are_known_by_name_with_any_version(name: str, what: object):
    assert [one for one in (is_shell, is_interpreter, is_package_manager) if one(name)] == [what]


def test_other_programs_are_not_taken_for_such():
    for name in ("sshd", "redis-server", "nginx", "bashful", "3"):
        assert not any(test(name) for test in (is_shell, is_interpreter, is_package_manager)), name


def test_what_came_and_went():
    before = found(tree({"/bin/sh": program(), "/bin/su": program(mode=0o4755)}))
    now = found(tree({"/bin/su": program(), "/bin/bash": program()}))
    assert differences(before, now) == (
        Difference("executables", ("/bin/bash",), ("/bin/sh",)),
        Difference("setuid", (), ("/bin/su",)),
        Difference("shells", ("/bin/bash",), ("/bin/sh",)),
    )
    assert difference_lines(differences(before, now))[:2] == ["  + executables: /bin/bash", "  - executables: /bin/sh"]
    assert difference_lines(differences(now, now)) == ["  no differences"]


def test_a_surface_in_words_escapes_names():
    """A name from an image can do nothing to a terminal, nor begin a line of its own."""
    lines = surface_lines(found(tree({"/srv/\x1b[2J\n": file(mode=0o666)})))
    assert "/srv/\\x1b[2J\\x0a" in "\n".join(lines)
    assert all("\n" not in line and "\x1b" not in line for line in lines)
