"""Words of an engine's command line, in all spellings that engines accept."""

import pytest

from dockyard.plan.flags import flag_values, is_set, mount_fields


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("--volume /a:/b", ["/a:/b"]),
        ("--volume=/a:/b", ["/a:/b"]),
        ("--volume=a=b", ["a=b"]),
        ("-v /a:/b", ["/a:/b"]),
        ("-v/a:/b", ["/a:/b"]),
        ("-v=/a:/b", ["/a:/b"]),
        ("-dv /a:/b", ["/a:/b"]),
        ("-itv/a:/b", ["/a:/b"]),
        ("-qPitdv=/a:/b", ["/a:/b"]),
        ("-v /a:/b --volume=/c:/d -v/e:/f", ["/a:/b", "/c:/d", "/e:/f"]),
        ("--volume", [""]),
        ("-v", [""]),
        ("--volumes-from web", []),
        ("--volume-driver=x", []),
        ("-ev /a:/b", []),  # `v` is the value of -e
        ("--env -x", []),
        ("-p 80:80 -d --privileged", []),
        ("-hv /a:/b", []),  # `v` is the value of -h
        ("-it=false -v /a:/b", ["/a:/b"]),
        ("--tls-verify -v /a:/b", ["/a:/b"]),
        ("--a-newer-switch -v /a:/b", ["/a:/b"]),
        ("--entrypoint -v /a:/b", []),  # the engine takes the next word, whatever it is
        ("", []),
    ],
)
def test_a_flags_values_are_found_however_it_is_written(words: str, values: list[str]):
    assert list(flag_values(words.split(), "volume")) == values


@pytest.mark.parametrize("words", ["-hpublic", "-h public", "-h=public", "-dhpublic", "--hostname public"])
def test_host_name_is_not_read_as_a_port(words: str):
    """`-h` takes a value in both engines, which claims nothing on the host."""
    assert list(flag_values(words.split(), "hostname")) == ["public"]
    assert list(flag_values(words.split(), "publish")) == []


def test_a_flag_without_a_short_form_has_none():
    assert list(flag_values(["-n", "web", "--name", "mail"], "name")) == ["mail"]


@pytest.mark.parametrize(
    ("word", "on"),
    [
        *(("--privileged", True), ("--privileged=true", True), ("--privileged=True", True), ("--privileged=1", True)),
        *(("--privileged=t", True), ("--privileged=false", False), ("--privileged=0", False), ("--priv", False)),
    ],
)
def test_a_switch_is_on_or_off(word: str, on: bool):
    assert is_set(["run", word, "image"], "privileged") == on


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ("type=bind,source=/a,target=/b", {"type": "bind", "source": "/a", "target": "/b"}),
        ("type=bind,src=/a,dst=/b,ro", {"type": "bind", "source": "/a", "target": "/b", "readonly": "true"}),
        ("source=/a,destination=/b,readonly=false", {"source": "/a", "target": "/b", "readonly": "false"}),
        ("TYPE=bind,Src=/A", {"type": "bind", "source": "/A"}),
        ('type=bind,"source=/a,b",target=/c', {"type": "bind", "source": "/a,b", "target": "/c"}),
        ("type=bind, src=/a=b", {"type": "bind", "source": "/a=b"}),
        ("", {}),
        ("a\rb", {}),  # no line of CSV: the engine refuses it
    ],
)
def test_the_fields_of_a_mount_have_one_name_each(value: str, fields: dict[str, str]):
    assert mount_fields(value) == fields
