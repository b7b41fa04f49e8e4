"""What programs need to start, read from the programs of this machine and from what is none."""

import os
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.surface.elf import Needs, needs_of


def needs(data: bytes) -> Needs:
    return needs_of(lambda size, place: data[place : place + size])


def test_a_program_of_this_machine():
    """The interpreter that runs this is linked as its package says: with a loader that exists, and the C library."""
    found = needs(Path(os.path.realpath(sys.executable)).read_bytes())
    assert Path(found.loader).is_file()
    assert any(name.startswith("libc.so") for name in found.libraries)


def test_what_is_no_program_needs_nothing():
    for data in (b"", b"\x7fELF", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(100), b"\x7fELF\x02\x01" + bytes(100)):
        assert needs(data) == Needs()


@given(st.binary(max_size=400), st.integers(0, 2**64 - 1), st.integers(0, 65535), st.integers(0, 65535))
def test_whatever_an_image_has_in_its_place_is_no_crash(rest: bytes, offset: int, size: int, count: int):
    """Offsets that lead anywhere, and tables that overlap themselves, are just no answer."""
    head = bytearray(b"\x7fELF\x02\x01" + bytes(58))
    struct.pack_into("<Q", head, 32, offset % 500)
    struct.pack_into("<HH", head, 54, size, count)
    assert isinstance(needs(bytes(head) + rest), Needs)


@pytest.mark.parametrize("cut", [64, 100, 200, 1000])
def test_a_program_that_is_cut_short_is_no_crash(cut: int):
    data = Path(os.path.realpath(sys.executable)).read_bytes()[:cut]
    assert isinstance(needs(data), Needs)
