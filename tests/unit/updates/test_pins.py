"""Pins: a digest is written beside each tag, and nothing else of a file changes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.dockerfile import base_images
from dockyard.dockerfile_places import image_places
from dockyard.updates.pins import change_image, change_reference, pin_text, substitute_references, with_digest

A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
DIGESTS = {"debian:12": A, "debian": A, "alpine:3.20": A, "host:5000/team/app:1.2": A, "host:5000/team/app": A}


def _pinned(text: str, digests: dict[str, str] = DIGESTS, arguments: dict[str, str] | None = None) -> str:
    """Return a text after pinning, with `PIN` for the digest."""
    edit = pin_text(text, digests, arguments or {})
    assert edit.refusals == ()
    return edit.text.replace(f"@{A}", "PIN")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("FROM debian:12", "FROM debian:12PIN"),
        ("FROM debian\n", "FROM debian:latestPIN\n"),
        ("FROM host:5000/team/app AS x\r\n", "FROM host:5000/team/app:latestPIN AS x\r\n"),
        ("\ufefffrom --platform=linux/amd64 debian:12 as x", "\ufefffrom --platform=linux/amd64 debian:12PIN as x"),
        ("# FROM debian:12\nFROM debian:12 ", "# FROM debian:12\nFROM debian:12PIN "),
        ("FROM \\\n# why\n  debian:12 \\\n AS x", "FROM \\\n# why\n  debian:12PIN \\\n AS x"),
        ("# escape=`\nFROM `\n debian:12", "# escape=`\nFROM `\n debian:12PIN"),
        ('FROM "debian:12"', 'FROM "debian:12PIN"'),
        ("FROM 'debian:12'", "FROM 'debian:12PIN'"),
        ("FROM scratch\nCOPY --from=alpine:3.20 / /", "FROM scratch\nCOPY --from=alpine:3.20PIN / /"),
        ("FROM scratch AS debian\nFROM debian\nCOPY --from=debian / /", None),
        ("FROM scratch\nCOPY --from=0 / /", None),
        (f"FROM debian:12@{B}", None),
        ("FROM debian:13", None),
        (
            "FROM scratch\nRUN --mount=type=bind,from=alpine:3.20,target=/x --mount=type=cache,target=/y ls",
            "FROM scratch\nRUN --mount=type=bind,from=alpine:3.20PIN,target=/x --mount=type=cache,target=/y ls",
        ),
        ('FROM scratch\nRUN --mount="from=alpine:3.20" ls', 'FROM scratch\nRUN --mount="from=alpine:3.20PIN" ls'),
        (
            "FROM debian:12\nRUN <<EOF\nFROM debian:12\nCOPY --from=alpine:3.20 a b\nEOF\nRUN x --from=alpine:3.20",
            "FROM debian:12PIN\nRUN <<EOF\nFROM debian:12\nCOPY --from=alpine:3.20 a b\nEOF\nRUN x --from=alpine:3.20",
        ),
        ("ARG V=12\nFROM debian:${V}", "ARG V=12PIN\nFROM debian:${V}"),
        ('ARG V="12" W=1\nFROM debian:$V', 'ARG V="12PIN" W=1\nFROM debian:$V'),
        (
            "ARG IMAGE=debian:12\nFROM ${IMAGE} AS a\nFROM $IMAGE",
            "ARG IMAGE=debian:12PIN\nFROM ${IMAGE} AS a\nFROM $IMAGE",
        ),
        ("ARG IMAGE=debian\nFROM ${IMAGE}:12", "ARG IMAGE=debian\nFROM ${IMAGE}:12PIN"),
        ("ARG IMAGE=debian\nFROM $IMAGE", "ARG IMAGE=debian:latestPIN\nFROM $IMAGE"),
        ("ARG HOST=host:5000\nFROM ${HOST}/team/app:1.2", "ARG HOST=host:5000\nFROM ${HOST}/team/app:1.2PIN"),
    ],
)
def test_a_digest_is_written_where_an_image_is_named(text: str, after: str | None):
    assert _pinned(text) == (text if after is None else after)


@pytest.mark.parametrize(
    ("text", "arguments", "line", "reason"),
    [
        ("ARG V=12\nFROM debian:$V", {"V": "12"}, 2, "build argument `V`"),
        ("ARG V=12\nFROM debian:$V\nARG V", {}, 2, "line 3 also uses ARG V"),
        ("ARG V=12\nARG W=$V\nFROM debian:$V", {}, 3, "line 2 also uses ARG V"),
        ("ARG V=12\nFROM debian:$V\nFROM alpine:3.$V", {}, 2, "line 3 also uses ARG V"),
        ("ARG V=1\nFROM debian:${V}2", {}, 2, "its tag contains a variable"),
        ("ARG V\nFROM debian:${V:-12}", {}, 2, "its tag contains a variable"),
        ("ARG V=1\nARG V=12\nFROM debian:$V", {}, 3, "must occur once, with a default"),
        ("ARG V=12\nARG W=$V\nFROM debian:$W", {}, 3, "is not a plain text"),
        ("FROM deb\\\nian:12", {}, 1, "it spans two lines"),
        ('FROM deb"ian:12"', {}, 1, "it has quotes or escapes"),
    ],
)
def test_what_cannot_be_pinned_stays_and_says_why(text: str, arguments: dict[str, str], line: int, reason: str):
    edit = pin_text(text, {"debian:12": A}, arguments)
    assert (edit.text, edit.changes) == (text, ())
    assert [(one.line, one.reference) for one in edit.refusals] == [(line, "debian:12")]
    assert reason in edit.refusals[0].reason


def test_changes_name_their_lines():
    edit = pin_text("FROM debian:12\n\nFROM alpine:3.20\n", {"debian:12": A, "alpine:3.20": B}, {})
    assert [tuple(one) for one in edit.changes] == [
        (1, "debian:12", f"debian:12@{A}"),
        (3, "alpine:3.20", f"alpine:3.20@{B}"),
    ]


@pytest.mark.parametrize(
    ("text", "old", "new", "after"),
    [
        (f"FROM debian:12@{A}", f"debian:12@{A}", f"debian:12@{B}", f"FROM debian:12@{B}"),
        ("FROM postgres:16.4 AS x", "postgres:16.4", "postgres:16.5", "FROM postgres:16.5 AS x"),
        ("ARG V=16.4\nFROM postgres:$V", "postgres:16.4", f"postgres:16.5@{A}", f"ARG V=16.5@{A}\nFROM postgres:$V"),
        ("FROM debian:12", "debian:11", "debian:13", "FROM debian:12"),
    ],
)
def test_a_reference_is_changed_wherever_it_is(text: str, old: str, new: str, after: str):
    edit = change_reference(text, old, new, {})
    assert (edit.text, edit.refusals) == (after, ())


def test_a_name_from_a_variable_cannot_become_another():
    edit = change_reference("ARG V=16\nFROM postgres:$V", "postgres:16", "mariadb:11", {})
    assert (edit.changes, edit.refusals[0].reason) == ((), "`postgres:` in it comes from a variable")


# ---------------------------------------------------------------------------------------------------------- properties
_IMAGES = st.sampled_from([*DIGESTS, "scratch", f"busybox:1@{B}", "quay.io/a/b:c", "Web", "base"])
_BREAK = st.sampled_from([" ", "  ", " \\\n  ", " \\\n# a comment: FROM debian:12\n\n\t"])
_QUOTED = st.sampled_from(["{}", "{}", '"{}"', "'{}'"])
_NAME = st.sampled_from(["", " AS base", " as Web", " aS build"])
_PLATFORM = st.sampled_from(["", "--platform=linux/amd64 ", "--platform=$TARGETPLATFORM "])
_VARIABLES = st.sampled_from(
    ["debian:$V", "debian:${V}", "$IMAGE", "${IMAGE}", "${NAME}:3.20", "debian:${V}-slim", "$NONE"]
)
_FROM = st.builds(
    "{}{}{}{}{}\n".format,
    st.sampled_from(["FROM", "from", "  From"]),
    _BREAK,
    _PLATFORM,
    st.builds(lambda form, image: form.format(image), _QUOTED, _IMAGES) | _VARIABLES,
    _NAME,
)
_ABOVE = st.lists(
    st.sampled_from(
        ["ARG V=12\n", "ARG IMAGE='debian:12'\n", "ARG NAME=alpine W=1\n", "# FROM debian\n", "ARG X=$V\n"]
    ),
    max_size=4,
).map("".join)
_BODY = st.lists(
    st.builds("COPY --from={}{}/a /b\n".format, _IMAGES, _BREAK)
    | st.builds("COPY --chown=1 --from={} <<EOF /b\nFROM debian:12\nEOF\n".format, _IMAGES)
    | st.builds("RUN --mount=type=bind,target=/x,from={}{}ls\n".format, _IMAGES, _BREAK)
    | st.builds("RUN cat <<-EOF\n\tFROM {}\n\tEOF\n".format, _IMAGES)
    | st.builds("RUN echo \\\n FROM {}\n".format, _IMAGES)
    | st.sampled_from(
        ["ARG V\n", "ENV X=debian:12\n", "# COPY --from=debian:12 a b\n", "\n", "LABEL from=alpine:3.20\n"]
    ),
    max_size=4,
).map("".join)
_DOCKERFILES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "\ufeff", "# syntax=docker/dockerfile:1\n", "# escape=\\\n", "#!/bin/x\n"]),
    _ABOVE,
    st.lists(st.builds("{}{}".format, _FROM, _BODY), min_size=1, max_size=3).map("".join),
    st.sampled_from(["", "FROM debian:12", "\n\n"]),
)
_ENDS = st.sampled_from(["\n", "\r\n"])


def _outside(text: str) -> list[str]:
    """Return what of a text is not the reference of an image."""
    spans = sorted({(place.begin, place.end) for place in image_places(text, {}) if not place.reason})
    begins, ends = [0, *(end for _, end in spans)], [*(begin for begin, _ in spans), len(text)]
    return [text[begin:end] for begin, end in zip(begins, ends, strict=True)]


@given(_DOCKERFILES, _ENDS, st.sets(st.sampled_from(list(DIGESTS))))
def test_pins_are_all_that_changes(text: str, end: str, names: set[str]):
    """What is built on differs in exactly the digests, and no other character does; pinned twice is pinned once."""
    before = text.replace("\n", end)
    digests = {name: DIGESTS[name] for name in names}
    edit = pin_text(before, digests, {})
    refused = {(one.line, one.reference) for one in edit.refusals}
    places, after = image_places(before, {}), image_places(edit.text, {})
    assert [
        with_digest(one.reference, A)
        if one.reference in digests and (one.line, one.reference) not in refused
        else one.reference
        for one in places
    ] == [one.reference for one in after]
    assert _outside(edit.text) == _outside(before)
    assert re.sub(f"(:latest)?@{A}", "", edit.text) == before
    assert pin_text(edit.text, digests, {}).text == edit.text


@given(_DOCKERFILES, _ENDS, st.sets(st.sampled_from([*DIGESTS, "debian:12-slim"])))
def test_a_copy_to_build_from_can_name_any_digest(text: str, end: str, names: set[str]):
    """Also where the owner's file cannot: what is built on differs in exactly the digests."""
    before = text.replace("\n", end)
    wanted = {name: with_digest(name, A) for name in names}
    after = substitute_references(before, wanted, {})
    references = [wanted.get(one.reference, one.reference) for one in image_places(before, {})]
    assert [one.reference for one in image_places(after, {})] == references


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("ARG V=12\nFROM debian:${V}-slim\nARG V\n", "ARG V=12\nFROM debian:12-slimPIN\nARG V\n"),
        ('FROM "debian:12-slim" AS x', "FROM debian:12-slimPIN AS x"),
        ("FROM debian:\\\n12-slim", "FROM debian:12-slimPIN"),
        (
            "ARG I=debian:12-slim\nFROM $I\nFROM ${I} AS b",
            "ARG I=debian:12-slim\nFROM debian:12-slimPIN\nFROM debian:12-slimPIN AS b",
        ),
    ],
)
def test_variables_give_way_in_a_copy_to_build_from(text: str, after: str):
    copy = substitute_references(text, {"debian:12-slim": f"debian:12-slim@{A}"}, {})
    assert copy.replace(f"@{A}", "PIN") == after


@given(_DOCKERFILES, _ENDS)
def test_the_places_are_those_of_the_base_images(text: str, end: str):
    text = text.replace("\n", end)
    assert {place.reference for place in image_places(text, {})} == set(base_images(text, {}))


@given(st.text(st.sampled_from("FROM COPY--from=$V{}'\"\\\n#ARG:<>debian@"), max_size=80))
def test_any_text_can_be_read(text: str):
    edit = pin_text(text, dict.fromkeys(base_images(text, {}), A), {})
    assert re.sub(f"(:latest)?@{A}", "", edit.text) == re.sub(":latest", "", text) or not edit.changes


# ------------------------------------------------------------------------------------------------------- settings.yaml
@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("image: debian:12 # base\nname: web\n", "image: debian:12PIN # base\nname: web\n"),
        ("# c\r\nimage: 'debian:12'\r\n", "# c\r\nimage: 'debian:12PIN'\r\n"),
        ('{image: "debian:12", name: web}', '{image: "debian:12PIN", name: web}'),
        (
            "name: image\ntest_image: debian:12\nimage:   debian:12",
            "name: image\ntest_image: debian:12\nimage:   debian:12PIN",
        ),
        ("name: web\n", None),
        ("", None),
        ("image:\n", None),
    ],
)
def test_the_image_of_settings_is_changed_alone(text: str, after: str | None):
    edit = change_image(text, "debian:12", with_digest("debian:12", A))
    assert edit.refusals == ()
    assert edit.text.replace(f"@{A}", "PIN") == (text if after is None else after)


@pytest.mark.parametrize(
    "text", ["image: &a debian:12\nname: *a\n", "image: |-\n  debian:12\n", 'image: "debian\\x3a12"\n']
)
def test_an_image_that_is_written_in_another_way_is_left_alone(text: str):
    edit = change_image(text, "debian:12", "debian:13")
    assert (edit.text, edit.changes) == (text, ())
    assert edit.refusals[0].reason == "`image` is not written as a plain text"
