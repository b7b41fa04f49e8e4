"""The type of `updates`: which versions of an image may be applied, and when."""

import re
from typing import NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.settings import json_schema
from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Mapping, Node, Scalar
from dockyard.settings.record_type import Field, Form, read_record
from dockyard.settings.types import ListOf, Text, Type, UnfitError, repeated, unfit

ALWAYS = "always"
"""The window that is always open."""


class Updates(NamedTuple):
    """The fields of one file, as text; None for a missing field. `images` has fields for single images by name."""

    track: str | None = None
    hold: str | None = None
    cooldown: str | None = None
    window: tuple[str, ...] | None = None
    notes: str | None = None
    remind: str | None = None
    rebuild: str | None = None
    images: "tuple[tuple[str, Updates], ...]" = ()

    def of_image(self, name: str) -> "Updates":
        """Return the policy of one image; fields that it does not set are those of all images."""
        return complete(dict(self.images).get(name, Updates()), self._replace(images=()))


def complete(stronger: Updates, weaker: Updates) -> Updates:
    """Merge the policies of two files: the stronger file wins, for a single image before all images."""
    said = {
        name: value if value is not None else getattr(weaker, name)
        for name, value in stronger._asdict().items()
        if name != "images"
    }
    names = dict.fromkeys(name for name, _ in (*stronger.images, *weaker.images))
    own, others = dict(stronger.images), dict(weaker.images)
    images = tuple(
        (name, complete(stronger.of_image(name), others[name]) if name in others else own[name]) for name in names
    )
    return Updates(**said, images=images)


class Track(Type[str]):
    expected = r"`^16`, `~3.12`, `'>=1.2 <2'`, `any`, `tag` or a pattern such as `/16\.\d+-alpine3\.\d+/`"

    def read(self, node: Node) -> str:
        from dockyard.updates.track import TrackError, parse_track

        text = self.text(node)
        try:
            return parse_track(text).text
        except TrackError as error:
            raise SettingsError([Problem(node.where, f"`track`: {error}", f"write {self.expected}")]) from None

    def schema(self) -> Schema:
        from dockyard.updates.track import PATTERN

        return json_schema.string(PATTERN)


class TimeOfWeek(Type[str]):
    expected = f"`Sun 03:00-05:00`, `Mon-Fri 22:00-02:00`, `03:00-05:00` or `{ALWAYS}`"

    def read(self, node: Node) -> str:
        from dockyard.updates.window import WindowError, parse_window

        text = self.text(node)
        if text == ALWAYS:
            return text
        try:
            parse_window(text)
        except WindowError:
            unfit(node, self.expected)
        return text

    def schema(self) -> Schema:
        from dockyard.updates.window import PATTERN

        return json_schema.string(rf"{ALWAYS}|\s*{PATTERN}\s*")


class Duration(Text):
    """Hours, days or weeks; 0 is written without a unit."""

    def __init__(self) -> None:
        super().__init__("a duration such as `3d`, `12h`, `2w` or `0`", r"0|[1-9][0-9]{0,4}[hdw]")

    def schema(self) -> Schema:
        return json_schema.either({"const": 0}, super().schema())


_HELD = Text(
    "`major`, `all`, `none`, or the first version that is held, such as `17`",
    r"major|all|none|v?[0-9]{1,9}(\.[0-9]{1,9}){0,4}",
)
_FIELDS: dict[str, Field] = {
    "track": Field(Track(), "the versions to follow; by default, only the tag itself"),
    "hold": Field(_HELD, "versions that are not applied"),
    "cooldown": Field(Duration(), "how long a new digest waits"),
    "window": Field(ListOf(TimeOfWeek()), "when updates are applied"),
    "notes": Field(
        Text("an address that begins with `http://` or `https://`", r"https?://[^\s/]+\S*"),
        "the address of release notes; `{version}` in it is replaced",
    ),
    "remind": Field(Duration(), "time after which a pending update is reported again"),
    "rebuild": Field(Duration(), "how often packages are fetched again; 0 for never"),
}
_EXAMPLE = "write it like `{track: ^16, hold: major, window: Sun 03:00-05:00}`"
_OF_IMAGE = Form("update policy", _FIELDS, _EXAMPLE)


class _Images(Type[tuple[tuple[str, Updates], ...]]):
    """A map of image names and their policies."""

    expected = "a map of image names and their policies"
    nothing = ()
    _name = r"[a-zA-Z0-9][a-zA-Z0-9_.-]*((:[0-9]+)?(/[a-zA-Z0-9_.-]+)+)?"

    def read(self, node: Node) -> tuple[tuple[str, Updates], ...]:
        if not isinstance(node, Mapping):
            unfit(node, self.expected)
        if faults := repeated(node):
            raise UnfitError(faults)
        found: list[tuple[str, Updates]] = []
        problems: list[Problem] = []
        for key, value in node.pairs:
            try:
                self._check_name(key)
                found.append((key.text, Updates(**read_record(value, _OF_IMAGE))))
            except SettingsError as error:
                problems += error.problems
        if problems:
            raise SettingsError(problems)
        return tuple(found)

    def _check_name(self, key: Scalar) -> None:
        """Raise SettingsError if it is not the name of an image."""
        if not re.fullmatch(self._name, key.text, re.ASCII):
            problem = f"`{key.text}` is not an image name without a tag"
            raise SettingsError([Problem(key.where, problem, "write it as `postgres` or `host:5000/web`")])

    def schema(self) -> Schema:
        names = {"pattern": f"^(?:{self._name})$"}
        return {"type": "object", "propertyNames": names, "additionalProperties": _OF_IMAGE.schema_of_one()}


_OF_ALL = _OF_IMAGE._replace(
    fields={**_FIELDS, "images": Field(_Images(), "the same fields for single images, by name")}
)


class UpdatePolicy(Type[Updates]):
    """A map. Raises SettingsError, with all errors and hints, instead of UnfitError."""

    expected = "a map of track, hold, cooldown, window, notes, remind, rebuild and images"
    nothing = Updates()

    def read(self, node: Node) -> Updates:
        return Updates(**read_record(node, _OF_ALL))

    def schema(self) -> Schema:
        return _OF_ALL.schema_of_one()
