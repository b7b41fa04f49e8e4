#!/usr/bin/python3 -IS
"""d-map: `ID NAME` of the running containers, a line each, by name. Safe under sudo for anybody.

It takes no arguments and reads no environment, no configuration and nothing of its caller's. It starts no program: it
asks Docker's and podman's sockets, at their fixed places, or reads podman's state where that has no socket. It gives
its privileges up before it parses the answers. Anything unexpected ends it with nothing printed.
"""

import contextlib
import json
import os
import signal
import socket
import stat
import struct
import sys
import time

DOCKER, PODMAN = b"/run/docker.sock", b"/run/podman/podman.sock"
STATE, RUNNING = b"/var/lib/containers/storage/overlay-containers", b"/run/containers/storage/overlay-containers"
DEADLINE = 2.0  # seconds for everything
LARGEST = 8 * 1024 * 1024  # bytes of one answer
NOBODY = 65534
DIGITS, SHORT = 64, 12  # of an id, and of one in the engines' own lists
LONGEST = 255  # bytes of a name
STANDARD_ERROR = 2
REFUSED = "only root may list the containers of root's engines: use sudo; for your own: `d ls`"
REQUEST = b"GET /containers/json HTTP/1.0\r\nHost: localhost\r\n\r\n"

HEXADECIMAL = frozenset("0123456789abcdef")
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
SIGNS = LETTERS | frozenset("_.-")


class MapError(Exception):
    """An error for standard error; it never contains an engine's output."""


def become_plain() -> None:
    """Drop what a caller may have left to trip over: closed descriptors, signals, a directory."""
    while (descriptor := os.open("/dev/null", os.O_RDWR)) <= STANDARD_ERROR:
        pass
    os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in (signal.SIGALRM, signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.chdir("/")
    os.umask(0o077)


def drop_privileges() -> None:
    """Drop all privileges."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


# ------------------------------------------------------------------------------------------------------------- sockets
def is_there(path: bytes) -> bool:
    """Return whether a socket exists; raise MapError if others than root own it or a directory above it."""
    place = b""
    for part in path.strip(b"/").split(b"/"):
        place = place + b"/" + part
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            return False
        is_last = place == path
        kind = stat.S_ISSOCK if is_last else stat.S_ISDIR
        # Others may write to a socket, which is to talk to it; not to a directory, which is to replace what is in it.
        writable = 0 if is_last else stat.S_IWGRP | stat.S_IWOTH
        if not kind(found.st_mode) or found.st_uid != 0 or found.st_mode & writable:
            raise MapError(
                f"{place.decode()}: not owned by root, or writable by others: check `ls -ld {place.decode()}`"
            )
    return True


def asked(path: bytes, end: float) -> bytes:
    """Return what the engine at a socket answers, headers and all."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(left(end))
        connection.connect(path)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", credentials)[1] != 0:
            raise MapError(f"{path.decode()}: the process that answers is not root's")
        connection.sendall(REQUEST)
        answer = bytearray()
        while True:
            connection.settimeout(left(end))
            chunk = connection.recv(65536)
            if not chunk:
                return bytes(answer)
            answer += chunk
            if len(answer) > LARGEST:
                raise MapError(f"{path.decode()}: the answer is too long")


def left(end: float) -> float:
    """Return how many seconds are left."""
    seconds = end - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def containers(answer: bytes) -> list[tuple[str, str]]:
    """Return ids and names from an engine's answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise MapError("an engine refused to answer")
    found = []
    for one in json.loads(body):
        # Docker's begin with a slash, and those with two are of links; podman's have none
        own = [name[1:] for name in one["Names"] if name.count("/") == 1 and name.startswith("/")]
        bare = [name for name in one["Names"] if "/" not in name]
        found.append((one["Id"], (own or bare)[0]))
    return found


# ------------------------------------------------------------------------------------------------------ podman's state
def state() -> tuple[bytes, frozenset[str]]:
    """Return what podman's storage knows of its containers, and the ids of those that run."""
    try:
        listing = os.open(STATE + b"/containers.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"[]", frozenset()
    with open(listing, "rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise MapError("podman's state is too large")
    try:
        there = os.listdir(RUNNING)
    except FileNotFoundError:
        return text, frozenset()
    return text, frozenset(name.decode("ascii", "replace") for name in there if runs(name))


def runs(name: bytes) -> bool:
    """Return whether podman's container of an id has a process: one in a control group that is called after it."""
    try:
        with open(RUNNING + b"/" + name + b"/userdata/pidfile", "rb") as file:
            pid = int(file.read(32))
        with open(b"/proc/%d/cgroup" % pid, "rb") as file:
            return name in file.read(LARGEST)
    except (OSError, ValueError):
        return False


def containers_of_state(text: bytes, running: frozenset[str]) -> list[tuple[str, str]]:
    """Return ids and names of those that run."""
    return [(one["id"], one["names"][0]) for one in json.loads(text) if one["id"] in running]


# ----------------------------------------------------------------------------------------------------------------- main
def checked(identifier: object, name: object) -> tuple[str, str]:
    """Return name and short id; raise MapError for anything that cannot be one."""
    if not (isinstance(identifier, str) and len(identifier) == DIGITS and HEXADECIMAL.issuperset(identifier)):
        raise MapError("an engine answered with an invalid id")
    if not (isinstance(name, str) and len(name) <= LONGEST and name[:1] in LETTERS and SIGNS.issuperset(name)):
        raise MapError("an engine answered with an invalid name")
    return name, identifier[:SHORT]


def lines() -> list[str]:
    """Return a line for each running container."""
    end = time.monotonic() + DEADLINE
    answers = [asked(path, end) for path in (DOCKER, PODMAN) if is_there(path)]
    known = (b"[]", frozenset[str]()) if is_there(PODMAN) else state()
    if not answers and not os.path.isdir(STATE):
        raise MapError("no engine: neither Docker's socket nor podman's socket or state exists")
    drop_privileges()
    found = [one for answer in answers for one in containers(answer)]
    of_state = containers_of_state(*known)
    if of_state:
        tell("podman's from its state, as it has no socket")
    return [f"{identifier} {name}\n" for name, identifier in sorted(checked(*one) for one in (*found, *of_state))]


def main() -> int:
    """Print the lines; returns the exit code."""
    become_plain()
    if len(sys.argv) > 1:
        tell("it takes no arguments")
        return 2
    try:
        write(1, "".join(lines()))
    except BrokenPipeError:
        return 1
    except MapError as error:
        reason = str(error)
    except TimeoutError:
        reason = "no answer in time"
    except PermissionError:
        reason = REFUSED
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, MemoryError):
        reason = "an engine did not answer with a list of containers"
    else:
        return 0
    tell(reason)
    return 1


def tell(words: str) -> None:
    """Print a message to stderr; a failure to print it is ignored."""
    with contextlib.suppress(OSError):
        write(STANDARD_ERROR, f"d-map: {words}\n")


def write(descriptor: int, text: str) -> None:
    """Write all of it; raises OSError."""
    rest = text.encode("ascii", "backslashreplace")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    sys.exit(main())
