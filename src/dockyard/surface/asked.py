"""What a process asks the kernel for while it waits for the answer: the file's name as the process has it.

The kernel tells where an opened file is, with every link on the way resolved. Which links those were is known from the
name alone, and that is still in the memory of whoever waits: see proc(5) for `syscall` and `mem`, syscall(2) for the
numbers.
"""

import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_AT_CWD = -100
_LONGEST, _MOST_WORDS, _PAGE = 4096, 64, 4096


class _Call(NamedTuple):
    """Which arguments are the file's name, the directory that it is relative to, and a program's arguments."""

    name: int
    directory: int | None = None
    words: int | None = None


_CALLS = {
    "x86_64": {
        2: _Call(0),  # open
        59: _Call(0, words=1),  # execve
        85: _Call(0),  # creat
        257: _Call(1, 0),  # openat
        322: _Call(1, 0, 2),  # execveat
        437: _Call(1, 0),  # openat2
    },
    "aarch64": {56: _Call(1, 0), 221: _Call(0, words=1), 281: _Call(1, 0, 2), 437: _Call(1, 0)},
}


class Asked(NamedTuple):
    """An absolute path, and the arguments of a program that is to be run; empty where that cannot be told."""

    path: str = ""
    words: tuple[str, ...] = ()


def asked_by(thread: int) -> Asked:
    """Return what a thread waits for; nothing where it is not in such a call, or is gone."""
    with suppress(OSError, ValueError):
        number, *rest = Path(f"/proc/{thread}/syscall").read_text(encoding="ascii").split()
        call = _CALLS.get(os.uname().machine, {}).get(int(number))
        if call:
            arguments = [int(word, 16) for word in rest]
            with open(f"/proc/{thread}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 - no buffer
                name = os.fsdecode(_text(memory.fileno(), arguments[call.name]))
                words = _words(memory.fileno(), arguments[call.words]) if call.words is not None else ()
            return Asked(_absolute(thread, name, arguments, call), words)
    return Asked()


def _absolute(thread: int, name: str, arguments: list[int], call: _Call) -> str:
    if not name or name.startswith("/"):
        return name
    above = _AT_CWD if call.directory is None else _signed(arguments[call.directory])
    place = "cwd" if above == _AT_CWD else f"fd/{above}"
    return f"{Path(f'/proc/{thread}/{place}').readlink()}/{name}"


def _signed(argument: int) -> int:
    found: int = struct.unpack("i", struct.pack("I", argument & 0xFFFFFFFF))[0]
    return found


def _text(memory: int, address: int) -> bytes:
    found = b""
    while len(found) < _LONGEST:
        place = address + len(found)
        part = os.pread(memory, _PAGE - place % _PAGE, place)
        if not part:
            break
        found += part
        if b"\0" in part:
            break
    return found.partition(b"\0")[0]


def _words(memory: int, address: int) -> tuple[str, ...]:
    words = []
    for number in range(_MOST_WORDS):
        (pointer,) = struct.unpack("Q", os.pread(memory, 8, address + number * 8))
        if not pointer:
            break
        words.append(os.fsdecode(_text(memory, pointer)))
    return tuple(words)
