"""The output of this process, and of the children that it starts, without secrets."""

import codecs
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dockyard import masking

CHUNK = 64 * 1024
LINGER = 1.0  # seconds in which something that a child left behind may still write


@contextmanager
def masked_output() -> Iterator[None]:
    """Mask what is written to stdout and stderr while the block lasts; without known values nothing changes."""
    if not masking.known:
        yield
        return
    with ExitStack() as stack:
        for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
            stream.flush()
            stack.enter_context(_mask_descriptor(descriptor))
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


@contextmanager
def _mask_descriptor(descriptor: int) -> Iterator[None]:
    """Have a thread pass on what is written to a descriptor."""
    original = os.dup(descriptor)
    reading, writing = os.pipe()
    os.dup2(writing, descriptor)
    os.close(writing)
    thread = threading.Thread(target=_pass_on, args=(reading, original), daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(original, descriptor)
        thread.join(LINGER)
        if not thread.is_alive():
            os.close(original)


def _pass_on(reading: int, original: int) -> None:
    stream = masking.known.stream()
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    try:
        while chunk := os.read(reading, CHUNK):
            _write(original, stream.write(decoder.decode(chunk)))
        _write(original, stream.write(decoder.decode(b"", final=True)) + stream.end())
    except OSError:
        return  # the reader has gone: the next one who writes gets the same error
    finally:
        os.close(reading)


def _write(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(descriptor, data) :]
