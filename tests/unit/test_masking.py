"""Secrets in texts are masked, however they are encoded and however the text is divided."""

import base64
import html
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard import masking
from dockyard.masking import MASK, Masker

SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, categories=("L", "N", "P", "S")), min_size=6)


def _bytes(encode: Callable[[bytes], bytes]) -> Callable[[str], str]:
    return lambda text: encode(text.encode()).decode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "in a URL": lambda text: f"postgresql://notes:{quote(text, safe='')}@db:5432/notes",
    "percent": quote,
    "percent, of a form": quote_plus,
    "percent, in lower case": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "percent, twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": _bytes(base64.b64encode),
    "base64, one byte later": _bytes(lambda data: base64.b64encode(b":" + data)),
    "base64, two bytes later": _bytes(lambda data: base64.b64encode(b"a:" + data + b"!")),
    "base64, for URLs": _bytes(lambda data: base64.urlsafe_b64encode(b"user:" + data)),
    "base64, in lines": _bytes(lambda data: base64.encodebytes(b"x" * 50 + data + b"y" * 50)),
    "JSON": json.dumps,
    "JSON, not only ASCII": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"a": text})),
    "Python": repr,
    "shell": shlex.quote,
    "HTML": html.escape,
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, with colons": lambda text: text.encode().hex(":").upper(),
}


def decodings(text: str) -> str:
    """Return a text and what can be read out of it by those who look for base64 in it."""
    found = [text]
    for digits in text.replace("\n", "").replace("-", "+").replace("_", "/").split():
        for begin in range(min(4, len(digits))):
            part = digits[begin:].rstrip("=")
            part = part[: len(part) // 4 * 4]
            try:
                found.append(base64.b64decode(part).decode("utf-8", "replace"))
            except ValueError:
                continue
    return "\n".join(found)


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=20)
@given(secret=SECRET, words=st.text("ab \n", max_size=20))
def test_a_value_is_masked_in_each_encoding(encoding: str, secret: str, words: str) -> None:
    """Neither it nor its encoded form is left, and what is around it is."""
    encoded = ENCODINGS[encoding](secret)
    shown = Masker([secret]).hide(f"{words}|{encoded}|{words}")
    assert shown.startswith(f"{words}|")
    assert shown.endswith(f"|{words}")
    if masking.is_masked(secret):
        assert MASK in shown
        inner = shown[len(words) : len(shown) - len(words)]
        assert encoded.strip("'\"\n") not in inner
        assert secret not in decodings(inner).replace(MASK, "") or secret in MASK


@given(secret=SECRET, words=st.text("ab \r\n", max_size=30), part=st.integers(1, 9), data=st.data())
def test_a_stream_masks_what_is_divided(secret: str, words: str, part: int, data: st.DataObject) -> None:
    """A text in parts comes out as the whole one does."""
    encoded = ENCODINGS[data.draw(st.sampled_from(sorted(ENCODINGS)))](secret)
    text = f"{words} {encoded} {words}\n{encoded}"
    masker = Masker([secret])
    stream = masker.stream()
    shown = "".join(stream.write(text[begin : begin + part]) for begin in range(0, len(text), part)) + stream.end()
    assert shown == masker.hide(text)


@given(st.text("abc%+/= \r\n", max_size=60), st.integers(1, 9))
def test_other_texts_pass_unchanged(text: str, part: int) -> None:
    """Whatever their lines end with."""
    stream = Masker(["not in there"]).stream()
    assert "".join(stream.write(text[at : at + part]) for at in range(0, len(text), part)) + stream.end() == text


def test_a_stream_passes_lines_on_as_they_end() -> None:
    """A line is not held until the next one comes."""
    stream = Masker(["s3cr3t-value"]).stream()
    assert stream.write("ready\nnext") == "ready\n"
    assert stream.write(" s3cr3t-") == ""
    assert stream.write("value\n") == f"next {MASK}\n"
    assert stream.end() == ""


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    """Half of it is passed on, and a value in its middle is masked."""
    stream = Masker(["s3cr3t-value"]).stream()
    half = "." * (masking.MAX_HELD // 2 - 5)
    passed = stream.write(f"{half}s3cr3t-value{half}")
    assert passed
    assert passed + stream.end() == f"{half}{MASK}{half}"


@pytest.mark.parametrize("value", ["", "abc", "true", "False", "5432", "12345", "localhost", "  \n"])
def test_what_is_short_or_common_is_not_masked(value: str) -> None:
    """Logs are full of such words, and are to be read."""
    masker = Masker([value])
    assert not masker
    assert masker.hide(f"it is {value}!") == f"it is {value}!"


@pytest.mark.parametrize("value", ["abcd", "123456", "hunter2", "ключ-от-базы"])
def test_what_is_long_enough_is_masked(value: str) -> None:
    """The shortest ones, and other alphabets."""
    assert Masker([value]).hide(f"it is {value}!") == f"it is {MASK}!"


def test_each_line_of_a_value_is_masked() -> None:
    """A program may print a key line by line, with something before each."""
    shown = Masker(["-----BEGIN KEY\nfirst-line\nx\n"]).hide("1: -----BEGIN KEY\n2: first-line\n3: x")
    assert shown == f"1: {MASK}\n2: {MASK}\n3: x"


def test_values_within_each_other() -> None:
    """The longer one is masked as a whole."""
    assert Masker(["secret-1", "secret-12"]).hide("secret-12 secret-1") == f"{MASK} {MASK}"


PRINTING = """
import os, subprocess, sys
from dockyard import masking
from dockyard.masked_output import masked_output
masking.known.learn(["s3cr3t-value"])
with masked_output():
    print("out s3cr3t-value")
    os.write(2, b"err s3cr3t-")
    subprocess.run(["sh", "-c", "printf value >&2; echo child s3cr3t-value"])
    os.write(1, b"\\xff bytes")
print("after s3cr3t-value")
"""


def test_all_that_a_process_and_its_children_write_is_masked() -> None:
    """By whatever way it is written, while the block lasts; other bytes are not touched."""
    done = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, env=os.environ, check=True)
    assert done.stdout == b"out ***\nchild ***\n\xff bytesafter s3cr3t-value\n"
    assert done.stderr == b"err ***"
