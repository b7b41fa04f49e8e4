"""The attack surface of an image: what there is to run, to gain rights by, to write to, and to log in as. Pure."""

import re
import stat
import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dockyard.surface.programs import is_interpreter, is_package_manager, is_shell
from dockyard.surface.tree import Entry, Tree
from dockyard.surface.way import way

ELF, SCRIPT = b"\x7fELF", b"#!"
CAPABILITY = "security.capability"
_LIBRARY = re.compile(r"\.so(\.|$)")
_NO_LOGIN = frozenset({"nologin", "false", "sync", "halt", "shutdown", "true"})
_LOCKED = ("!", "*")
_PASSWD_SHELL = 6


class Login(NamedTuple):
    """A user for whom a shell is there, or a password: `password` is `locked`, `set` or `empty`."""

    name: str
    uid: int
    shell: str
    password: str

    def __str__(self) -> str:
        """Return it in short."""
        return f"{self.name} ({self.shell}, password {self.password})"


class Surface(NamedTuple):
    """What an image offers. Everything is by path, sorted; `names` are links by which programs may be called."""

    files: int
    bytes: int
    elf: dict[str, int]
    scripts: dict[str, int]
    names: tuple[str, ...]
    setuid: tuple[str, ...]
    setgid: tuple[str, ...]
    capabilities: dict[str, str]
    shells: tuple[str, ...]
    interpreters: tuple[str, ...]
    package_managers: tuple[str, ...]
    world_writable: tuple[str, ...]
    logins: tuple[Login, ...]

    @property
    def executables(self) -> dict[str, int]:
        """The programs, each with its size in bytes: libraries apart, which nobody runs."""
        return {**self.elf, **self.scripts}

    @property
    def executable_bytes(self) -> int:
        """The size of all programs together."""
        return sum(self.executables.values())

    def data(self) -> dict[str, Any]:
        """Return it for machines."""
        counts = {"executables": len(self.executables), "executable_bytes": self.executable_bytes}
        return {**self._asdict(), **counts, "logins": [login._asdict() for login in self.logins]}


def surface_of(tree: Tree, passwd: str, shadow: str) -> Surface:
    """Return the surface of an image, whose /etc/passwd and /etc/shadow have these texts."""
    once = _once(tree)
    programs = {path: entry for path, entry in once.items() if is_program(path, entry)}
    names = {path: way(tree, path).end for path, entry in sorted(tree.items()) if entry.is_link}
    callable_as = {path: end for path, end in names.items() if end in tree and is_program(end, tree[end])}
    callable_as |= {path: path for path, entry in tree.items() if is_program(path, entry)}

    def called(test: Callable[[str], bool]) -> tuple[str, ...]:
        return tuple(sorted(path for path in callable_as if test(path.rpartition("/")[2])))

    return Surface(
        files=sum(1 for entry in tree.values() if not entry.is_directory),
        bytes=sum(entry.facts.size for entry in once.values()),
        elf={path: entry.facts.size for path, entry in programs.items() if entry.head.startswith(ELF)},
        scripts={path: entry.facts.size for path, entry in programs.items() if entry.head.startswith(SCRIPT)},
        names=tuple(sorted(path for path in callable_as if path not in programs)),
        setuid=_with_mode(once, stat.S_ISUID),
        setgid=_with_mode(once, stat.S_ISGID),
        capabilities={
            path: capabilities_in(entry.facts.attributes[CAPABILITY])
            for path, entry in once.items()
            if CAPABILITY in entry.facts.attributes
        },
        shells=called(is_shell),
        interpreters=called(is_interpreter),
        package_managers=called(is_package_manager),
        world_writable=_world_writable(tree),
        logins=tuple(_logins(passwd, shadow, lambda shell: way(tree, shell).end)),
    )


def is_program(path: str, entry: Entry) -> bool:
    """Return whether the kernel runs a file, and it is meant to be: not a library, though many can be executed."""
    is_library = bool(_LIBRARY.search(path.rpartition("/")[2]))
    return entry.can_be_run and entry.head.startswith((ELF, SCRIPT)) and not is_library


def _once(tree: Tree) -> dict[str, Entry]:
    """Return the regular files, one that has several names by the first of them."""
    found: dict[tuple[int, int], str] = {}
    for path in sorted(path for path, entry in tree.items() if entry.is_file):
        found.setdefault(tree[path].inode, path)
    return {path: tree[path] for path in found.values()}


def _with_mode(files: dict[str, Entry], bit: int) -> tuple[str, ...]:
    return tuple(path for path, entry in files.items() if entry.facts.mode & bit and entry.can_be_run)


def _world_writable(tree: Tree) -> tuple[str, ...]:
    """Return what everybody may write to; a directory with the sticky bit is marked, as only owners remove there."""
    found = (
        f"{path} (sticky)" if entry.is_directory and entry.facts.mode & stat.S_ISVTX else path
        for path, entry in sorted(tree.items())
        if entry.facts.mode & stat.S_IWOTH and not entry.is_link
    )
    return tuple(found)


def _logins(passwd: str, shadow: str, find: Callable[[str], str]) -> Iterable[Login]:
    passwords = {name: rest.partition(":")[0] for name, _, rest in (line.partition(":") for line in _lines(shadow))}
    for line in _lines(passwd):
        fields = line.split(":")
        if len(fields) <= _PASSWD_SHELL or not fields[2].isdecimal():
            continue
        name, word, uid, shell = fields[0], fields[1], int(fields[2]), fields[6] or "/bin/sh"
        hashed = passwords.get(name, "*") if word == "x" else word
        password = "empty" if not hashed else "locked" if hashed.startswith(_LOCKED) else "set"
        if shell.rpartition("/")[2] not in _NO_LOGIN and find(shell):
            yield Login(name, uid, shell, password)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


_CAPABILITIES = """
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
    net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct
    sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap
    mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
"""


def capabilities_in(value: bytes) -> str:
    """Return the permitted capabilities of a file by name: see linux/capability.h, `struct vfs_ns_cap_data`."""
    if len(value) < struct.calcsize("<5I"):
        return value.hex()
    _, low, _, high, _ = struct.unpack_from("<5I", value)
    bits = low | high << 32
    names = dict(enumerate(_CAPABILITIES.split()))  # linux/capability.h
    return ",".join(names.get(bit, str(bit)) for bit in range(64) if bits >> bit & 1)
