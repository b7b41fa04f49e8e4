"""The types of values: each reads a YAML node into a value, or reports what it expected instead."""

import ipaddress
import re
import shlex
from typing import Generic, NoReturn, TypeVar

from dockyard.settings import json_schema
from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence
from dockyard.settings.values import BuildSecret, HealthCheck, LogDriver, Port, Variable, Wave

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LAST_PORT = 65535
_PROTOCOLS = "[tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP]"


class UnfitError(Exception):
    """A node does not fit its key: `faults` are (place, what was expected, what was found)."""

    def __init__(self, faults: list[tuple[str, str, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


def unfit(node: Node, expected: str) -> NoReturn:
    """Raise UnfitError for one node."""
    raise UnfitError([(node.where, expected, _shown(node))])


def _shown(node: Node) -> str:
    if isinstance(node, Scalar):
        return f"`{node.text}`" if node.text else "empty"
    if isinstance(node, Sequence):
        return "a list" if node.items else "an empty list"
    return "a map" if node.pairs else "an empty map"


class Type(Generic[T_co]):
    """A kind of value. `expected` completes the sentence "must be …"."""

    expected: str
    nothing: object = None  # the value of a key that has none in the file

    def read(self, node: Node) -> T_co:
        """Return the node's value, or raise UnfitError; SettingsError if there are hints."""
        raise NotImplementedError

    def schema(self) -> Schema:
        """Return the JSON Schema of the node, which accepts everything that `read` accepts."""
        raise NotImplementedError

    def text(self, node: Node) -> str:
        """Return a scalar's text, or raise UnfitError."""
        if not isinstance(node, Scalar) or node.empty:
            unfit(node, self.expected)
        return node.text


class Text(Type[str]):
    """Text that matches a pattern as a whole."""

    def __init__(self, expected: str = "text", pattern: str = r"(?s)[^\0]*") -> None:
        self.expected = expected
        self._pattern = pattern

    def read(self, node: Node) -> str:
        text = self.text(node)
        if not re.fullmatch(self._pattern, text, re.ASCII):
            unfit(node, self.expected)
        return text

    def schema(self) -> Schema:
        return json_schema.scalar(self._pattern)


class Boolean(Type[bool]):
    expected = "true or false"

    def read(self, node: Node) -> bool:
        words = {"true": True, "1": True, "false": False, "0": False}
        text = self.text(node).lower()
        if text not in words:
            unfit(node, self.expected)
        return words[text]

    def schema(self) -> Schema:
        return json_schema.BOOLEAN


class Integer(Type[int]):
    def __init__(self, least: int = 0, most: int = 2**31 - 1) -> None:
        self.expected = f"a whole number from {least} to {most}"
        self._allowed = range(least, most + 1)

    def read(self, node: Node) -> int:
        text = self.text(node)
        if not re.fullmatch(r"-?[0-9]{1,10}", text) or int(text) not in self._allowed:
            unfit(node, self.expected)
        return int(text)

    def schema(self) -> Schema:
        number = {"type": "integer", "minimum": self._allowed[0], "maximum": self._allowed[-1]}
        return json_schema.either(number, json_schema.string("-?[0-9]{1,10}"))


class OrWord(Type[int | str]):
    """A number, or one special word."""

    def __init__(self, number: Integer, word: str) -> None:
        self.expected = f"{number.expected}, or `{word}`"
        self._number = number
        self._word = word

    def read(self, node: Node) -> int | str:
        if self.text(node) == self._word:
            return self._word
        try:
            return self._number.read(node)
        except UnfitError:
            unfit(node, self.expected)

    def schema(self) -> Schema:
        return json_schema.either({"const": self._word}, self._number.schema())


class Words(Type[tuple[str, ...]]):
    """A command line: one string with shell quoting, or a list of words."""

    expected = "a string with balanced quotes, or a list of words"
    nothing = ()

    def read(self, node: Node) -> tuple[str, ...]:
        if isinstance(node, Sequence):
            return tuple(self.text(item) for item in node.items)
        try:
            return tuple(shlex.split(self.text(node)))
        except ValueError:
            unfit(node, self.expected)

    def schema(self) -> Schema:
        return json_schema.one_or_list(json_schema.SCALAR)


class ListOf(Type[tuple[T, ...]]):
    """A list of items of one type; a single item needs no list."""

    nothing = ()

    def __init__(self, item: Type[T]) -> None:
        self.expected = item.expected
        self._item = item

    def read(self, node: Node) -> tuple[T, ...]:
        values: list[T] = []
        faults: list[tuple[str, str, str]] = []
        for part in node.items if isinstance(node, Sequence) else (node,):
            try:
                values.append(self._item.read(part))
            except UnfitError as error:
                faults += error.faults
        if faults:
            raise UnfitError(faults)
        return tuple(values)

    def schema(self) -> Schema:
        return json_schema.one_or_list(self._item.schema())


class Flattened(Type[tuple[T, ...]]):
    """A list whose items may each yield several values; one map may contain them all."""

    nothing = ()

    def __init__(self, item: Type[tuple[T, ...]]) -> None:
        self.expected = item.expected
        self._items = ListOf(item)

    def read(self, node: Node) -> tuple[T, ...]:
        return tuple(value for group in self._items.read(node) for value in group)

    def schema(self) -> Schema:
        return self._items.schema()


def repeated(node: Mapping) -> list[tuple[str, str, str]]:
    """Return a fault for each duplicate name of a map, because one of its values would be lost."""
    names = [key.text for key, _ in node.pairs]
    again = [key for number, (key, _) in enumerate(node.pairs) if key.text in names[:number]]
    return [(key.where, "a map without duplicate names", f"`{key.text}` twice") for key in again]


def scalar_pairs(node: Node, expected: str) -> list[tuple[Scalar, Scalar]]:
    """Return the pairs of a map; a missing value is an empty scalar."""
    if not isinstance(node, Mapping) or not node.pairs:
        unfit(node, expected)
    if faults := repeated(node):
        raise UnfitError(faults)
    pairs = []
    for key, value in node.pairs:
        if not isinstance(value, Scalar):
            unfit(value, "a single value for each name")
        pairs.append((key, Scalar("", value.where) if value.empty else value))
    return pairs


class Assignments(Type[tuple[tuple[str, str], ...]]):
    """`NAME=VALUE`, or a map of names and values."""

    expected = "`NAME=VALUE`, or a map"
    nothing = ()
    _own = ""  # a lookahead that excludes reserved names

    def read(self, node: Node) -> tuple[tuple[str, str], ...]:
        if isinstance(node, Scalar):
            name, equals, value = self.text(node).partition("=")
            if not equals:
                unfit(node, self.expected)
            pairs = [(Scalar(name, node.where), Scalar(value, node.where))]
        else:
            pairs = scalar_pairs(node, self.expected)
        for key, _ in pairs:
            if not re.fullmatch(r"[^=\s\0]+", key.text):
                unfit(node if isinstance(node, Scalar) else key, "`NAME=VALUE` without spaces in NAME")
        return tuple((key.text, value.text) for key, value in pairs)

    def schema(self) -> Schema:
        name = rf"{self._own}[^=\s\0]+"
        return json_schema.either(json_schema.string(rf"{name}=[\s\S]*"), json_schema.pairs(name))


class Labels(Assignments):
    """Assignments; names that begin with `dockyard.` are reserved."""

    _own = r"(?!dockyard\.)"

    def read(self, node: Node) -> tuple[tuple[str, str], ...]:
        pairs = super().read(node)
        if any(name.startswith("dockyard.") for name, _ in pairs):
            unfit(node, "a label that does not begin with `dockyard.` (reserved for dockyard)")
        return pairs


class Environment(Type[tuple[Variable, ...]]):
    r"""Environment variables: `*NAME` as a value names a secret, `\*` writes a literal star."""

    expected = "`NAME=VALUE`, or a map"
    nothing = ()

    # A secret is passed through the environment of the engine's client, so it must not be one of these.
    _of_the_client = re.compile(r"PATH|HOME|LD_.*|DOCKER_(HOST|CONFIG|CONTEXT|TLS.*|CERT_PATH)|CONTAINERS?_.*")

    def read(self, node: Node) -> tuple[Variable, ...]:
        variables = tuple(self._variable(name, value) for name, value in Assignments().read(node))
        if any(variable.secret and self._of_the_client.fullmatch(variable.name) for variable in variables):
            unfit(node, "a secret under another name (the engine's client itself reads this variable)")
        return variables

    def schema(self) -> Schema:
        return Assignments().schema()

    @staticmethod
    def _variable(name: str, value: str) -> Variable:
        if re.fullmatch(r"\*\S+", value):
            return Variable(name, "", secret=value[1:])
        return Variable(name, value[1:] if value.startswith(r"\*") else value)


class BuildSecrets(Type[tuple[BuildSecret, ...]]):
    """`ID` or `ID=NAME`, or a map of IDs and names; the default name is the ID."""

    expected = "`ID`, `ID=NAME` or a map, with IDs of letters, digits, `_`, `.` and `-`"
    nothing = ()
    _id, _name = r"[A-Za-z0-9_.-]+", r"\S*"

    def read(self, node: Node) -> tuple[BuildSecret, ...]:
        if isinstance(node, Scalar):
            id_, _, name_ = self.text(node).partition("=")
            pairs = [(Scalar(id_, node.where), Scalar(name_, node.where))]
        else:
            pairs = scalar_pairs(node, self.expected)
        for key, name in pairs:
            if not re.fullmatch(self._id, key.text) or not re.fullmatch(self._name, name.text):
                unfit(node if isinstance(node, Scalar) else key, self.expected)
        return tuple(BuildSecret(key.text, name.text or key.text) for key, name in pairs)

    def schema(self) -> Schema:
        return json_schema.either(
            json_schema.string(f"{self._id}(?:={self._name})?"), json_schema.pairs(self._id, self._name)
        )


class Ports(Type[tuple[Port, ...]]):
    """`host:container`, `ip:host:container`, with `/udp`; ranges of the same length are paired."""

    expected = "`host:container` or `ip:host:container`, optionally with `/udp`, with ports from 1 to 65535"
    nothing = ()

    _pattern = re.compile(
        r"(?:(?P<ip>[0-9.]+|\[[0-9a-fA-F:.]+\]):)?(?P<host>\d{1,5}(?:-\d{1,5})?):(?P<container>\d{1,5}(?:-\d{1,5})?)"
        r"(?:/(?P<protocol>\w+))?",
        re.ASCII,
    )

    def read(self, node: Node) -> tuple[Port, ...]:
        if isinstance(node, Mapping):
            texts = [Scalar(f"{key.text}:{value.text}", key.where) for key, value in scalar_pairs(node, self.expected)]
        else:
            texts = [Scalar(self.text(node), node.where)]
        return tuple(port for text in texts for port in self._ports(text))

    def _ports(self, node: Scalar) -> list[Port]:
        match = self._pattern.fullmatch(re.sub(r"\s*[:,]\s*", ":", node.text.strip()))
        if not match:
            unfit(node, self.expected)
        ip = (match["ip"] or "").strip("[]")
        host, container = self._range(match["host"]), self._range(match["container"])
        protocol = (match["protocol"] or "tcp").lower()
        if protocol not in {"tcp", "udp", "sctp"} or not host or not container or not _is_address(ip):
            unfit(node, self.expected)
        if len(host) != len(container):
            unfit(node, "two ranges of the same length")
        return [Port(ip, *pair, protocol) for pair in zip(host, container, strict=True)]

    @staticmethod
    def _range(text: str) -> list[int]:
        """Return the ports of `80` or `80-82`; none if one is not a port."""
        first, _, last = text.partition("-")
        ports = range(int(first), int(last or first) + 1)
        return list(ports) if ports and ports[0] >= 1 and ports[-1] <= LAST_PORT else []

    def schema(self) -> Schema:
        port = r"0*[1-9]\d{0,4}(?:-\d{1,5})?"
        pair = rf"\s*(?:(?:[0-9.]+|\[[0-9a-fA-F:.]+\])\s*[:,]\s*)?{port}\s*[:,]\s*{port}"
        return json_schema.either(json_schema.string(rf"{pair}(?:/(?:{_PROTOCOLS}))?\s*"), json_schema.pairs())


def _is_address(text: str) -> bool:
    try:
        return not text or bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def has_glob(path: str) -> bool:
    """Return whether the path contains wildcards."""
    return any(character in path for character in "*?[")


class Log(Type[LogDriver]):
    expected = "`none`, `syslog`, `s:URL`, `json`, `journald`, `passthrough` or a driver's name"

    _short = {  # noqa: RUF012
        "n": "none",
        "no": "none",
        "none": "none",
        "s": "syslog",
        "syslog": "syslog",
        "j": "json",
        "json": "json",
        "journald": "journald",
        "p": "passthrough",
        "passthrough": "passthrough",
    }

    def read(self, node: Node) -> LogDriver:
        text = self.text(node)
        name, colon, address = text.partition(":")
        if colon and self._short.get(name.lower()) == "syslog":
            return LogDriver("syslog", address)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_./:-]*", text):
            unfit(node, self.expected)
        return LogDriver(self._short.get(text.lower(), text))

    def schema(self) -> Schema:
        words = {"enum": sorted(set(self._short.values()))}
        return json_schema.either(words, json_schema.string(r"[sS](?:[yY][sS][lL][oO][gG])?:.*|[A-Za-z0-9][\w./:-]*"))


class Autostart(Type[Wave]):
    expected = "a wave number, optionally with a host: `4` or `4,host=NAME`"
    _pattern = r"\s*(\d{1,6})\s*(?:[,;]\s*host\s*=\s*([\w.-]+)\s*)?"

    def read(self, node: Node) -> Wave:
        match = re.fullmatch(self._pattern, self.text(node), re.ASCII)
        if not match:
            unfit(node, self.expected)
        return Wave(int(match[1]), match[2] or "")

    def schema(self) -> Schema:
        return json_schema.scalar(self._pattern)


class Address(Type[str]):
    r"""`-` (look the name up), a name, an address; empty if the engine chooses."""

    expected = "`-`, an IPv4 or IPv6 address, a host name, or `0`"

    def read(self, node: Node) -> str:
        text = self.text(node).removeprefix("\\")
        if text == "0":
            return ""
        if not re.fullmatch(r"-|[0-9a-fA-F:.]+|[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", text):
            unfit(node, self.expected)
        if re.fullmatch(r"[0-9.]+|[0-9a-fA-F]*:[0-9a-fA-F:.]*", text) and not _is_address(text):
            unfit(node, self.expected)
        return text

    def schema(self) -> Schema:
        octet = "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
        name = r"(?![0-9.]+$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
        address = rf"{octet}(?:\.{octet}){{3}}|[0-9a-fA-F]*:[0-9a-fA-F:.]*"
        return json_schema.either({"const": 0}, json_schema.string(rf"\\?(?:-|0|{address}|{name})"))


class Health(Type[HealthCheck]):
    """A map of `cmd`, `interval`, `timeout`, `retries`, `start_period`; a string is a `cmd`; `none` disables it."""

    expected = "a map of cmd, interval, timeout, retries and start_period, a command, or `none`"
    _options = {  # noqa: RUF012
        "interval": Text("a duration such as `10s`", r"(\d+(\.\d+)?(ms|s|m|h))+"),
        "timeout": Text("a duration such as `10s`", r"(\d+(\.\d+)?(ms|s|m|h))+"),
        "start_period": Text("a duration such as `10s`", r"(\d+(\.\d+)?(ms|s|m|h))+"),
        "retries": Text("a whole number", r"\d{1,6}"),
    }

    def read(self, node: Node) -> HealthCheck:
        if isinstance(node, Scalar):
            text = self.text(node)
            return HealthCheck(disabled=True) if text in {"none", "NONE", "false"} else HealthCheck(text)
        if not isinstance(node, Mapping):
            unfit(node, self.expected)
        command, options, faults = None, {}, []
        for key, value in node.pairs:
            try:
                if key.text == "cmd":
                    command = shlex.join(Words().read(value)) if isinstance(value, Sequence) else self.text(value)
                elif key.text in self._options:
                    options[key.text] = self._options[key.text].read(value)
                else:
                    unfit(key, "one of cmd, interval, timeout, retries and start_period")
            except UnfitError as error:
                faults += error.faults
        faults += repeated(node)
        if faults:
            raise UnfitError(faults)
        return HealthCheck(command, options=options)

    def schema(self) -> Schema:
        options = {name: type_.schema() for name, type_ in self._options.items()}
        map_ = json_schema.closed({"cmd": Words().schema(), **options})
        return json_schema.either({"enum": ["none"]}, json_schema.SCALAR, map_)
