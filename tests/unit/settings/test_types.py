from collections.abc import Iterable
from typing import Any

import pytest

from dockyard.errors import SettingsError
from dockyard.settings import types
from dockyard.settings.keys import KEYS
from dockyard.settings.mount_type import Mounts
from dockyard.settings.nodes import parse
from dockyard.settings.types import Type, UnfitError
from dockyard.settings.values import HealthCheck, LogDriver, Mount, Port, Variable, Wave


def _read(type_: Type[Any], written: str) -> Any:  # noqa: ANN401
    return type_.read(parse(f"key: {written}", "f").pairs[0][1])


def _faults(type_: Type[Any], written: str) -> list[tuple[str, str, str]]:
    with pytest.raises(UnfitError) as error:
        _read(type_, written)
    return error.value.faults


def _tcp(*ports: tuple[int, int]) -> tuple[Port, ...]:
    return tuple(Port("", host, container, "tcp") for host, container in ports)


def _mounts(*pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return pairs


def _check(command: str | None = None, **options: str) -> HealthCheck:
    return HealthCheck(command, options=options)


PORTS = types.Flattened(types.Ports())
MOUNTS = types.Flattened(Mounts())
ENVIRONMENT = types.Flattened(types.Environment())
PAIRS = types.Flattened(types.Assignments())

ACCEPTED: list[tuple[Type[Any], str, Any]] = [
    # a boolean is true, false, 1 or 0, with or without quotes
    *((types.Boolean(), word, True) for word in ("true", "True", "TRUE", "1", '"1"', "'true'")),
    *((types.Boolean(), word, False) for word in ("false", "False", "0", '"0"', '"false"')),
    (types.Integer(), "0", 0),
    (types.Integer(), '"7"', 7),
    (types.Integer(), "0755", 755),
    (types.Integer(-1), "-1", -1),
    (types.Integer(0, 255), "255", 255),
    (types.OrWord(types.Integer(1, 9), "auto"), "auto", "auto"),
    (types.OrWord(types.Integer(1, 9), "auto"), "9", 9),
    # a command: shell quoting, or a list
    (types.Words(), """sh -c 'a "b"' c\\ d""", ("sh", "-c", 'a "b"', "c d")),
    (types.Words(), "[sh, -c, 'a b', '']", ("sh", "-c", "a b", "")),
    (types.Words(), "[]", ()),
    (types.Words(), "1", ("1",)),
    # a list key accepts a scalar
    (types.ListOf(types.Text()), "8.8.8.8", ("8.8.8.8",)),
    (types.ListOf(types.Text()), "[8.8.8.8, 1.1.1.1]", ("8.8.8.8", "1.1.1.1")),
    (types.ListOf(types.Text()), "[]", ()),
    # ports, in each of their spellings
    (PORTS, "[2222:22]", _tcp((2222, 22))),
    (PORTS, "[25:2525]", _tcp((25, 2525))),
    (PORTS, "[80: 8080]", _tcp((80, 8080))),
    (PORTS, '["80:8080"]', _tcp((80, 8080))),
    (PORTS, '["80, 8080"]', _tcp((80, 8080))),
    (PORTS, '["80,8080"]', _tcp((80, 8080))),
    (PORTS, '[" 80 : 8080 "]', _tcp((80, 8080))),
    (PORTS, "80:8080", _tcp((80, 8080))),
    (PORTS, "{80: 8080, 81: 8081}", _tcp((80, 8080), (81, 8081))),
    (PORTS, "[1:65535]", _tcp((1, 65535))),
    (PORTS, "[80-82:90-92]", _tcp((80, 90), (81, 91), (82, 92))),
    (PORTS, "[53:53, 53:53/udp]", (Port("", 53, 53, "tcp"), Port("", 53, 53, "udp"))),
    (PORTS, "[53: 53/UDP]", (Port("", 53, 53, "udp"),)),
    (PORTS, "[9:9/sctp]", (Port("", 9, 9, "sctp"),)),
    (PORTS, "[192.0.2.1:80:8080]", (Port("192.0.2.1", 80, 8080, "tcp"),)),
    (PORTS, '["192.0.2.1, 80, 8080"]', (Port("192.0.2.1", 80, 8080, "tcp"),)),
    (PORTS, "[192.0.2.1: 80:8080/udp]", (Port("192.0.2.1", 80, 8080, "udp"),)),
    (PORTS, '["[2001:db8::1]:80:8080"]', (Port("2001:db8::1", 80, 8080, "tcp"),)),
    (PORTS, "[]", ()),
    # mounts, in each of their spellings
    *(
        (MOUNTS, written, _mounts(("data", "/data")))
        for written in (
            *("[data: /data]", '["data:/data"]', '["data, /data"]', '["data,/data"]', "data:/data", "{data: /data}"),
        )
    ),
    (MOUNTS, "[data]", _mounts(("data", ""))),
    (MOUNTS, "[data: ]", _mounts(("data", ""))),
    (MOUNTS, "[/etc/ssl: ]", _mounts(("/etc/ssl", ""))),
    (MOUNTS, "[/dev/log]", _mounts(("/dev/log", ""))),
    (MOUNTS, '["a b: /c d"]', _mounts(("a b", "/c d"))),
    (MOUNTS, "{a: /a, b: /b}", _mounts(("a", "/a"), ("b", "/b"))),
    (MOUNTS, "['/etc/*.pem: /certs/']", _mounts(("/etc/*.pem", "/certs/"))),
    (MOUNTS, "['/srv/*']", _mounts(("/srv/*", ""))),
    (MOUNTS, "['/srv/*: /']", _mounts(("/srv/*", "/"))),
    (MOUNTS, "[.: /all]", _mounts((".", "/all"))),
    (MOUNTS, "[..data: /data]", _mounts(("..data", "/data"))),
    (MOUNTS, "[data: {target: /data}]", _mounts(("data", "/data"))),
    (MOUNTS, "[data: {shared: true, reason: both only append}]", _mounts(("data", ""))),
    (MOUNTS, "{a: /a, b: {target: /b, shared: false}}", _mounts(("a", "/a"), ("b", "/b"))),
    # the environment
    (ENVIRONMENT, "A=b", (Variable("A", "b"),)),
    (ENVIRONMENT, "[A=b=c, B=]", (Variable("A", "b=c"), Variable("B", ""))),
    (ENVIRONMENT, "[A: b, B: ]", (Variable("A", "b"), Variable("B", ""))),
    (ENVIRONMENT, "{A: 1, B: NO}", (Variable("A", "1"), Variable("B", "NO"))),
    (ENVIRONMENT, """[REALM="x"]""", (Variable("REALM", '"x"'),)),
    (ENVIRONMENT, "['TOKEN=*db/pass']", (Variable("TOKEN", "", "db/pass"),)),
    (ENVIRONMENT, "[TOKEN: '*db']", (Variable("TOKEN", "", "db"),)),
    (ENVIRONMENT, r"['GLOB=\*']", (Variable("GLOB", "*"),)),
    (ENVIRONMENT, r"['GLOB=\*.txt', 'A=a*']", (Variable("GLOB", "*.txt"), Variable("A", "a*"))),
    (ENVIRONMENT, "['CRON=* * *', 'STAR=*']", (Variable("CRON", "* * *"), Variable("STAR", "*"))),
    (PAIRS, "[nofile=1024:4096]", (("nofile", "1024:4096"),)),
    (PAIRS, "{a: b, c: }", (("a", "b"), ("c", ""))),
    # log: the case of short names does not matter
    *((types.Log(), word, LogDriver("none")) for word in ("n", "N", "none", "NONE", "no", "NO")),
    *((types.Log(), word, LogDriver("syslog")) for word in ("s", "S", "syslog", "Syslog")),
    *((types.Log(), word, LogDriver("json")) for word in ("j", "json", "JSON")),
    *((types.Log(), word, LogDriver("passthrough")) for word in ("p", "passthrough")),
    (types.Log(), "journald", LogDriver("journald")),
    (types.Log(), "s:udp://192.0.2.1:514", LogDriver("syslog", "udp://192.0.2.1:514")),
    (types.Log(), "syslog:unix:///dev/log", LogDriver("syslog", "unix:///dev/log")),
    (types.Log(), "gelf", LogDriver("gelf")),
    (types.Log(), "Vendor/Plugin:1.0", LogDriver("Vendor/Plugin:1.0")),
    # waves
    (types.Autostart(), "4", Wave(4)),
    (types.Autostart(), '"4,host=x"', Wave(4, "x")),
    (types.Autostart(), '"4;host=x.example.org"', Wave(4, "x.example.org")),
    (types.Autostart(), '" 4 , host = x "', Wave(4, "x")),
    (types.Autostart(), "0", Wave(0)),
    # addresses: "\\-" and "-" are the same
    *((types.Address(), word, "-") for word in ('"-"', r'"\\-"', r"'\-'", r"\-")),
    *((types.Address(), word, "") for word in ("0", '"0"')),
    *((types.Address(), word, word) for word in ("192.0.2.7", "2001:db8::7", "web", "a-1.b.c", "registry_rw")),
    # health checks
    (types.Health(), "curl -f localhost", _check("curl -f localhost")),
    (types.Health(), "none", HealthCheck(disabled=True)),
    (types.Health(), "{cmd: x, interval: 10s, retries: 3}", _check("x", interval="10s", retries="3")),
    (types.Health(), "{cmd: [test, -e, 'a b']}", _check("test -e 'a b'")),
    (types.Health(), "{timeout: 1m30s, start_period: 0.5s}", _check(timeout="1m30s", start_period="0.5s")),
    (types.Health(), "{interval: 500ms}", _check(interval="500ms")),
]

REFUSED: list[tuple[Type[Any], Iterable[str]]] = [
    (types.Boolean(), ("yes", "on", "2", "", "[]", "{}", "'t'")),
    (types.Integer(0, 255), ("256", "-1", "1.5", "x", "''", "0x1", "[1]", "٣", "1" * 5000, "1_0")),
    (types.OrWord(types.Integer(1, 9), "auto"), ("0", "10", "Auto", "''")),
    (types.Words(), ('"it\'s"', "'a \"b'", "{a: b}", "[[a]]", "[a: b]")),
    (types.Text("a b", "[ab]+"), ("c", "'ab '", "[a]", '"a\\n"')),
    (types.ListOf(types.Text("a b", "[ab]+")), ("c", "[a, c]", "{a: b}", "[[a]]")),
    (
        PORTS,
        (
            *("80", "[80]", "[80:]", "[:80]", "[80: ]", "[0:80]", "[80:0]", "[65536:80]", "[80:65536]", "['80:80:80']"),
            *("[80-82:90]", "[82-80:90-92]", "[80:80/icmp]", "[80:80/]", "[a:80]", "[-1:80]", "['80 80:80']"),
            *("[300.0.0.1:80:80]", "[2001:db8::1:80:80]", "[localhost:80:80]", "[[80, 80]]", "[{80: [80]}]", "[{}]"),
            *(f"[{'9' * 5000}:80]", "[1-99999999999:80]", "['٣:80']", "{80: 80, 80: 81}", "[80:80:tcp]"),
        ),
    ),
    (
        MOUNTS,
        (
            *("[a: b]", "['a:/b:ro']", "['']", "[{}]", "['../a: /b']", "['a/../../b: /b']", "[a: /b/../..]"),
            *("['/srv/*: /target']", "[[a, /b]]", "[{a: [/b]}]", '["a\\nb: /c"]', '["a: /b\\u0007"]', "[a: /]"),
            *("[a: //]", "[a: /.]", "{a: /b, a: /c}"),
            *("[a: {shared: true}]", "[a: {shared: true, reason: ' '}]", "[a: {shared: maybe, reason: x}]"),
            *("[a: {target: b}]", "[a: {to: /b}]", "[a: {target: /a, target: /b}]", "[a: {target: [/a]}]"),
        ),
    ),
    (ENVIRONMENT, ("A", "[A]", "['=b']", "['A B=c']", "[A: [b]]", "[[A=b]]", "{A: {b: c}}", "{A: 1, A: 2}", "['']")),
    (PAIRS, ("a", "['=a']", "{a: b, a: b}")),
    (types.Log(), ("''", "' '", "a b", "[none]", "'--log'", '"a\\nb"')),
    (types.Autostart(), ("four", "-1", "4,x", "4,host=", "4,host=a b", "'4,host=a,host=b'", "1.5", "1" * 5000, "٣")),
    (types.Address(), ("300.1.1.1", "1.2.3", "1.2.3.4.5", "1::2::3", "-a", "a-", "a b", "[a]", "--", "fe80::1%a")),
    (
        types.Health(),
        (
            *("[a]", "{interval: 10}", "{interval: ten}", "{retries: x}", "{retries: 1.5}", "{every: 1s}"),
            *("{cmd: {a: b}}", "{cmd: }", "{interval: }", "{cmd: a, cmd: b}", "{retries: ٣}"),
        ),
    ),
]


def _comparable(value: object) -> object:
    """Return mounts without their line numbers."""
    if isinstance(value, tuple) and value and isinstance(value[0], Mount):
        return tuple((mount.source, mount.target) for mount in value)
    return value


@pytest.mark.parametrize(
    ("type_", "written", "value"), ACCEPTED, ids=[f"{type(case[0]).__name__} {case[1]}" for case in ACCEPTED]
)
def test_what_is_accepted_is_read_as(type_: Type[Any], written: str, value: object):
    assert _comparable(_read(type_, written)) == value


_REFUSED = [(type_, text) for type_, texts in REFUSED for text in texts]


@pytest.mark.parametrize(
    ("type_", "written"), _REFUSED, ids=[f"{type(case[0]).__name__} {case[1][:30]}" for case in _REFUSED]
)
def test_what_is_refused_is_told_with_its_place_and_what_was_expected(type_: Type[Any], written: str):
    for where, expected, found in _faults(type_, written):
        assert where.startswith("f:1:")
        assert expected
        assert found


def test_all_faulty_items_of_a_list_are_told():
    faults = _faults(PORTS, "\n - 80\n - 80:80\n - 0:1\n")
    assert [(where, found) for where, _, found in faults] == [("f:2:4", "`80`"), ("f:4:4", "`0:1`")]


def test_all_faulty_parts_of_a_healthcheck_are_told():
    faults = _faults(types.Health(), "\n  interval: 10\n  every: 1s\n  cmd: x\n")
    assert [where for where, _, _ in faults] == ["f:2:13", "f:3:3"]


def test_a_name_that_a_map_holds_twice_is_told_at_its_second_place():
    found = _faults(ENVIRONMENT, "\n  A: 1\n  B: 2\n  A: 3\n")
    assert found == [("f:4:3", "a map without duplicate names", "`A` twice")]


def test_a_mount_knows_its_line():
    assert _read(MOUNTS, "\n - a: /a\n - b\n")[1].where == "f:3:4"


def test_a_mount_is_shared_for_its_reason():
    written = "{a: {target: /a, shared: true, reason: both only append}, b: {reason: x}, c: /c}"
    assert [mount.shared for mount in _read(MOUNTS, written)] == ["both only append", "", ""]


@pytest.mark.parametrize("name", list(KEYS))
@pytest.mark.parametrize("written", ["{a: {b: c}}", "[[[a]]]", "'\u0663'", '"\\a"'])
def test_every_key_refuses_what_it_cannot_be(name: str, written: str):
    """Or accepts it, if any text is valid; only with UnfitError, or SettingsError if there are hints."""
    try:
        _read(KEYS[name].type, written)
    except UnfitError as error:
        assert error.faults  # noqa: PT017 - both ways are right
    except SettingsError as error:
        assert all(problem.hint for problem in error.problems)  # noqa: PT017 - as above
