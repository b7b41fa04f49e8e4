"""Manifests, indexes and configurations, from servers that may write anything."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.registry.manifest import (
    MAX_ENTRIES,
    MAX_LABEL,
    UnreadableError,
    choose_platform,
    digest_of,
    has_digest,
    platform_of,
    read_labels,
    read_manifest,
    read_object,
)
from dockyard.registry.reference import is_digest
from tests.unit.registry.content import digest, multi, single

A, B, C = (digest(letter.encode()) for letter in "abc")


def _index(*entries: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": entries}).encode()


def _entry(digest: object, **platform: object) -> dict[str, object]:
    return {"digest": digest, "platform": platform}


def test_an_index_is_read_by_platform():
    body = _index(
        _entry(A, os="linux", architecture="amd64"),
        _entry(B, os="linux", architecture="arm64", variant="v8"),
        _entry(C, os="linux", architecture="arm", variant="v7"),
        _entry(C, os="unknown", architecture="unknown"),
        _entry(C, os="linux", architecture="amd64"),  # the first one counts
        _entry("../../etc", os="linux", architecture="s390x"),
        _entry(None, os="linux", architecture="riscv64"),
        {"digest": A},
        "rubbish",
    )
    assert read_manifest(body).platforms == {"linux/amd64": A, "linux/arm64": B, "linux/arm/v7": C}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("linux/arm/v7", B),
        ("linux/arm/v6", B),
        ("linux/arm/v5", C),
        ("linux/amd64", A),
        ("linux/s390x", ""),
        ("windows/amd64", ""),
    ],
)
def test_an_older_variant_serves_as_well(wanted: str, expected: str):
    platforms = {"linux/amd64": A, "linux/arm/v6": B, "linux/arm/v5": C}
    assert choose_platform(platforms, wanted) == expected


def test_an_arm_without_a_variant_is_the_last_resort():
    assert choose_platform({"linux/arm": A}, "linux/arm/v7") == A


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("armv7l", "linux/arm/v7"), ("riscv64", "linux/riscv64")],
)
def test_a_machine_has_another_name_in_images(machine: str, expected: str):
    assert platform_of("Linux", machine) == expected


def test_labels_are_texts_of_bounded_size():
    labels = {"good": "x", "number": 3, "long": "x" * (MAX_LABEL + 1), "half": "\ud800!"}
    found, created = read_labels(json.dumps({"config": {"Labels": labels}, "created": "now\udfff"}).encode())
    assert found == {"good": "x", "half": "?!"}
    assert created == "now?"
    many = {f"l{number}": "x" for number in range(MAX_ENTRIES * 2)}
    assert len(read_labels(json.dumps({"config": {"Labels": many}}).encode())[0]) == MAX_ENTRIES


@pytest.mark.parametrize("content", [{}, {"config": None}, {"config": []}, {"config": {"Labels": None}}])
def test_an_image_may_have_no_labels(content: object):
    assert read_labels(json.dumps(content).encode()) == ({}, "")


def test_a_digest_is_of_every_byte():
    body = single("one").manifest
    assert has_digest(body, digest(body))
    assert has_digest(body, digest_of(body, "sha512"))
    assert not has_digest(body + b"\n", digest(body))


@pytest.mark.parametrize("body", [b"[" * 100_000, b"9" * 10_000, b'"x"', b"", b"\xff{}"])
def test_a_body_that_is_not_an_object_is_not_read(body: bytes):
    with pytest.raises(UnreadableError):
        read_object(body)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([A, B]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["manifests", "config", "layers", "digest", "platform", "os", "architecture", "Labels"])
            | st.text(),
            inner,
            max_size=5,
        )
    ),
)


@given(_values.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_body_is_read_or_is_an_error(body: bytes):
    try:
        manifest = read_manifest(body)
    except UnreadableError:
        return
    assert manifest.platforms is not None or is_digest(manifest.config_digest)
    assert all(map(is_digest, (manifest.platforms or {}).values()))


@given(_values.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_labels_can_be_stored(body: bytes):
    try:
        labels, created = read_labels(body)
    except UnreadableError:
        return
    for text in (created, *labels, *labels.values()):
        text.encode()


def test_what_is_made_for_tests_is_read():
    image = multi("one")
    assert set(read_manifest(image.index).platforms or {}) == {"linux/amd64", "linux/arm64"}
    assert read_manifest(image.parts["amd64"].manifest).config_digest == digest(image.parts["amd64"].config)
