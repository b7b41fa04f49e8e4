from typing import Any

import pytest

from dockyard.settings import types
from dockyard.settings.nodes import parse
from dockyard.settings.types import UnfitError
from dockyard.settings.values import Volume, VolumeDefaults
from dockyard.settings.volume_types import Defaults, Volumes

VOLS = types.Flattened(Volumes())


def _read(written: str, type_: types.Type[Any] = VOLS) -> Any:  # noqa: ANN401
    return type_.read(parse(f"key: {written}", "f").pairs[0][1])


def _faults(written: str, type_: types.Type[Any] = VOLS) -> list[tuple[str, str, str]]:
    with pytest.raises(UnfitError) as error:
        _read(written, type_)
    return error.value.faults


@pytest.mark.parametrize(
    ("written", "volumes"),
    [
        ("[]", []),
        ("data", [{"path": "data"}]),
        ("[data, /srv/a]", [{"path": "data"}, {"path": "/srv/a"}]),
        ("['a b', ..a]", [{"path": "a b"}, {"path": "..a"}]),
        # a map with its path, by any of its names
        ("[{path: data}]", [{"path": "data"}]),
        ("{path: data, perm: 0750}", [{"path": "data", "perm": 0o750}]),
        (
            "[{path: data, owner: user/www, group: group/db}]",
            [{"path": "data", "owner": "user/www", "group": "group/db"}],
        ),
        ("[{data: }]", [{"path": "data"}]),
        ("[{data: ''}]", [{"path": "data"}]),
        ("[{data: ~}]", [{"path": "data"}]),
        ("\n  - data:\n    owner: user/x", [{"path": "data", "owner": "user/x"}]),
        ("\n  - data:\n      owner: user/x\n      perm: '2770'", [{"path": "data", "owner": "user/x", "perm": 0o2770}]),
        ("\n  - data:\n      owner: x\n    perm: 700", [{"path": "data", "owner": "x", "perm": 0o700}]),
        ("\n  - owner: x\n    data:", [{"path": "data", "owner": "x"}]),
        ("[{owner: {}, perm: 700}]", None),
        # owners and groups
        *(
            (f"[{{path: a, owner: {owner}}}]", [{"path": "a", "owner": owner}])
            for owner in ("www", "user/www", "33", "user/33", "a-b.c_d", "machine$")
        ),
        *((f"[{{path: a, group: {group}}}]", [{"path": "a", "group": group}]) for group in ("db", "group/db", "33")),
        # permissions are octal, however long
        *(
            (f"[{{path: a, perm: {perm}}}]", [{"path": "a", "perm": value}])
            for perm, value in (("755", 0o755), ("0755", 0o755), ("'0700'", 0o700), ("02755", 0o2755), ("000", 0))
        ),
        # kinds; contents make a file
        ("[{path: a, type: dir}]", [{"path": "a", "kind": "directory"}]),
        ("[{path: a, type: directory}]", [{"path": "a", "kind": "directory"}]),
        ("[{path: a, type: file}]", [{"path": "a", "kind": "file"}]),
        ("[{path: a, contents: x}]", [{"path": "a", "kind": "file", "contents": "x"}]),
        ("[{path: a, contents: ''}]", [{"path": "a", "kind": "file", "contents": ""}]),
        ("[{path: a, contents: }]", [{"path": "a"}]),
        (
            "[{path: a, type: file, contents: 'file:conf/a'}]",
            [{"path": "a", "kind": "file", "contents": "file:conf/a"}],
        ),
        ("[{path: a, contents: 'command: date'}]", [{"path": "a", "kind": "file", "contents": "command: date"}]),
        ("[{path: a, contents: 'file: x'}]", [{"path": "a", "kind": "file", "contents": "file: x"}]),
        ("\n  - path: a\n    contents: |\n      b\n      c\n", [{"path": "a", "kind": "file", "contents": "b\nc\n"}]),
        # an empty option is not set
        ("[{path: a, owner: , group: ~, perm: , type: }]", [{"path": "a"}]),
    ],
)
def test_what_is_accepted_is_read_as(written: str, volumes: list[dict[str, Any]] | None):
    if volumes is None:
        assert _faults(written)
    else:
        assert [volume._replace(where="") for volume in _read(written)] == [Volume(where="", **v) for v in volumes]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        *((path, "a path without `..`") for path in ("../a", "[a/../b]", "[{path: ..}]", "[{../a: }]")),
        *((path, "a path without wildcards") for path in ("a*", "[{path: 'a?'}]", "['a[b]']")),
        *((path, "a path below `/`") for path in ("/", ".", "//", "[{path: /}]")),
        *((path, Volumes.expected) for path in ('"a\\nb"', '"a\\u0007"', "[[a]]", "[' ']", "[{path: [a]}]")),
        *((node, Volumes.expected) for node in ("[{}]", "[{owner: x}]", "[{a: , b: }]", "[{path: a, b: }]")),
        ("[{path: a, owner: 'x y'}]", "`user/NAME`, a user of this host, or a UID"),
        ("[{path: a, owner: group/x}]", "`user/NAME`, a user of this host, or a UID"),
        ("[{path: a, owner: user/}]", "`user/NAME`, a user of this host, or a UID"),
        ("[{path: a, owner: x:y}]", "`user/NAME`, a user of this host, or a UID"),
        ("[{path: a, owner: [x]}]", "`user/NAME`, a user of this host, or a UID"),
        ("[{path: a, owner: -x}]", "`user/NAME`, a user of this host, or a UID"),
        ("[{path: a, group: user/x}]", "`group/NAME`, a group of this host, or a GID"),
        ("[{path: a, group: ٣}]", "`group/NAME`, a group of this host, or a GID"),
        *(
            (f"[{{path: a, perm: {perm}}}]", "permissions such as `0750`")
            for perm in ("99", "7", "0888", "77777", "rwx", "0o755")
        ),
        ("[{path: a, type: socket}]", "`dir` or `file`"),
        ("[{path: a, contents: [x]}]", "a text, `file:PATH` or `command:…`"),
        ("[{path: a, contents: 'file:'}]", "`file:PATH`, a path below the service's directory"),
        ("[{path: a, contents: 'file:/etc/shadow'}]", "`file:PATH`, a path below the service's directory"),
        ("[{path: a, contents: 'file:../other/x'}]", "`file:PATH`, a path below the service's directory"),
        ("[{path: a, contents: x, type: dir}]", "a map without `contents`, or with `type: file`"),
        ("[{path: a, contents: '', type: dir}]", "a map without `contents`, or with `type: file`"),
        ("[{path: a, onwer: x}]", "one of path, owner, group, perm, type and contents"),
        ("[{path: a, path: b}]", "a map without duplicate names"),
        ("[{a: , a: }]", "a map without duplicate names"),
        ("[{a: {owner: x, owner: y}}]", "a map without duplicate names"),
    ],
)
def test_what_is_refused_is_told_with_its_place_and_what_was_expected(written: str, expected: str):
    faults = _faults(written)
    assert expected in [fault[1] for fault in faults] or faults[0][1] == expected.replace("path, owner", "owner")
    assert all(where.startswith("f:1:") and found for where, _, found in faults)


def test_an_option_that_is_said_both_beneath_the_path_and_beside_it_is_an_error():
    assert _faults("\n  - data:\n      owner: x\n    owner: y")


def test_all_that_is_wrong_is_told_at_its_place():
    faults = _faults(
        "\n  - path: a\n    owner: x y\n    perm: 9\n    kind: dir\n  - b*\n  - ok\n  - c:\n      type: pipe\n"
    )
    assert [where for where, _, _ in faults] == ["f:3:12", "f:4:11", "f:5:5", "f:6:5", "f:9:13"]


def test_a_volume_knows_its_line():
    assert [volume.where for volume in _read("\n  - a\n  - b:\n    owner: x\n  - {path: c}")] == [
        "f:2:5",
        "f:3:5",
        "f:5:5",
    ]


# ------------------------------------------------------------------------------------------------------- vol_defaults
@pytest.mark.parametrize(
    ("written", "defaults"),
    [
        ("{}", VolumeDefaults()),
        ("{owner: user/x}", VolumeDefaults("user/x")),
        ("{owner: 33, group: group/db, perm: 0750}", VolumeDefaults("33", "group/db", 0o750)),
        ("{owner: , perm: 700}", VolumeDefaults(perm=0o700)),
    ],
)
def test_defaults_are_read_as(written: str, defaults: VolumeDefaults):
    assert _read(written, Defaults()) == defaults


@pytest.mark.parametrize(
    "written", ["x", "[owner]", "{owner: x y}", "{type: dir}", "{contents: x}", "{perm: 1, perm: 2}"]
)
def test_what_defaults_cannot_be_is_told(written: str):
    assert all(where.startswith("f:1:") and expected for where, expected, _ in _faults(written, Defaults()))
