"""What is different in a small text, as a person reads it; never what a secret is."""

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase

from dockyard.copying.opening import opened, pin, readable
from dockyard.scan.attributes import namespaces
from dockyard.scan.layer import EDITED, REPLACED, Change
from dockyard.scan.lower import directories, found
from dockyard.scan.where import Place
from dockyard.text import escaped

LARGEST = 64 * 1024  # bytes of a side
LONGEST = 160  # characters of a line
LINES = 20
CONTEXT = 1
MOST = 400  # lines that differ on a side: finding the shortest difference of more may take very long

OTHERS = 0o007
SECRET = (
    "/etc/shadow*",
    "/etc/gshadow*",
    "*.key",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.kdbx",
    "*.jks",
    "*secret*",
    "*token*",
    "*passw*",
    "*credential*",
    "*/.ssh/*",
    "*/.env",
    "*/.netrc",
    "*/.pgpass",
    "*/.htpasswd",
    "*/ssh_host_*",
    "*/id_rsa*",
    "*/id_ed25519*",
)
"""Paths, in lower case, of what may hold secrets. /etc/passwd holds none."""


def text_diff(before: bytes, after: bytes, limit_lines: int = LINES) -> list[str]:
    """Return the lines of a unified difference, fit to print; none for what is no small text."""
    sides = _texts(before, after)
    if not sides or before == after:
        return []
    import difflib

    head, old, new = _trimmed(*sides)
    if max(len(old), len(new)) > MOST:
        return [_counted(len(old) + len(new))]
    start, stop = max(0, head - CONTEXT), CONTEXT
    above = sides[0][start:head]
    below = sides[0][head + len(old) : head + len(old) + stop]
    told = difflib.unified_diff([*above, *old, *below], [*above, *new, *below], n=CONTEXT, lineterm="")
    lines = [_shown(line) for line in list(told)[2:] if not line.startswith("@@")]
    more = len(lines) - limit_lines
    return [*lines[:limit_lines], f"and {more} more lines"] if more > 0 else lines


def diff_of(place: Place, change: Change) -> list[str]:
    """Return what is different in an edited text, fit to print; of what may hold secrets, only how much.

    Nothing for anything that is no small text, or cannot be read now.
    """
    if change.kind != "file" or change.what not in {EDITED, REPLACED}:
        return []
    parts = change.path.strip("/").split("/")
    try:
        after, mode = _read([place.upper], parts)
        before, mode_before = _read(place.layers, parts)
    except OSError:
        return []
    if may_be_secret(change.path, mode) or may_be_secret(change.path, mode_before):
        return _how_much(before, after)
    return text_diff(before, after)


def may_be_secret(path: str, mode: int) -> bool:
    """Return whether what is in a file is not for everybody: by its name, or as others have no right to it."""
    return not mode & OTHERS or (
        path != "/etc/passwd" and any(fnmatchcase(path.lower(), pattern) for pattern in SECRET)
    )


def _how_much(before: bytes, after: bytes) -> list[str]:
    sides = _texts(before, after)
    if not sides or before == after:
        return []
    _, old, new = _trimmed(*sides)
    return [_counted(max(len(old), len(new)))]


def _counted(lines: int) -> str:
    return f"{lines} line{'s differ' if lines != 1 else ' differs'}"


def _texts(before: bytes, after: bytes) -> tuple[list[str], list[str]] | None:
    if max(len(before), len(after)) > LARGEST or b"\0" in before or b"\0" in after:
        return None
    try:
        return before.decode().split("\n"), after.decode().split("\n")
    except UnicodeDecodeError:
        return None


def _trimmed(before: Sequence[str], after: Sequence[str]) -> tuple[int, list[str], list[str]]:
    """Return how many lines are the same at the beginning, and what is between them and those at the end."""
    shortest = min(len(before), len(after))
    head = next((number for number in range(shortest) if before[number] != after[number]), shortest)
    most = shortest - head
    tail = next((number for number in range(most) if before[-1 - number] != after[-1 - number]), most)
    return head, list(before[head : len(before) - tail]), list(after[head : len(after) - tail])


def _shown(line: str) -> str:
    text = escaped(line)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


# ------------------------------------------------------------------------------------------------------------ reading
def _read(layers: Sequence[str], parts: Sequence[str]) -> tuple[bytes, int]:
    """Return the bytes and the mode of a small regular file in the uppermost of some layers that has it.

    Raises OSError.
    """
    *above, name = parts
    marks = namespaces()
    with ExitStack() as stack:
        here = [stack.enter_context(opened(_top(layer))) for layer in layers]
        for part in above:
            here = directories(here, part, marks, stack)
        under = found(here, name, marks)
        if not under:
            raise FileNotFoundError
        return _small_file(stack.enter_context(opened(pin(name, under.layer))), stack)


def _top(layer: str) -> int:
    return os.open(layer, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _small_file(pinned: int, stack: ExitStack) -> tuple[bytes, int]:
    status = os.fstat(pinned)
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
        raise FileNotFoundError
    descriptor = stack.enter_context(opened(readable(pinned)))
    if any(name.endswith((".overlay.metacopy", ".overlay.whiteout")) for name in os.listxattr(descriptor)):
        raise FileNotFoundError
    data = bytearray()
    while len(data) <= LARGEST and (chunk := os.read(descriptor, LARGEST + 1 - len(data))):
        data += chunk
    return bytes(data), status.st_mode
