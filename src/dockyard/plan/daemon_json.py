"""daemon.json as a text: one setting is put in or taken out, and every other byte stays as it is."""

import json
import re
from typing import NamedTuple, NoReturn

from dockyard.errors import DockyardError

KEY = "userns-remap"
CONTAINERD_STORE = "containerd-snapshotter"
"""A feature in daemon.json. Docker 29 does not map users with such a store: it does not start with both."""

_MARK = "\ufeff"  # newer engines pass over a byte order mark
_SPACE = re.compile(r"[ \t\n\r]*")


class Member(NamedTuple):
    """One setting, and where its text is: its name from `key` to `colon`, its value from `value` to `end`."""

    name: str
    content: object
    key: int
    colon: int
    value: int
    end: int


def settings_in(text: str | None, path: str) -> dict[str, object]:
    """Return the settings; of one that is there twice the last counts, as it does for the engine.

    No file and an empty one set nothing. Raises DockyardError if the text is no JSON object.
    """
    return {member.name: member.content for member in _members(text or "", path)}


def setting_in(text: str | None, path: str) -> str:
    """Return the user whose ids the engine is configured to map to; empty if none. Raises DockyardError."""
    value = settings_in(text, path).get(KEY, "")
    if not isinstance(value, str):
        raise DockyardError(f"{path}: {KEY} is not a text", hint=f'write it as "{KEY}": "dockremap"')
    return value


def asks_for_containerd_store(text: str | None, path: str) -> bool:
    """Return whether the engine is configured to keep images in containerd's store. Raises DockyardError."""
    features = settings_in(text, path).get("features")
    return isinstance(features, dict) and features.get(CONTAINERD_STORE) is True


def with_setting(text: str | None, path: str, value: str) -> str:
    """Return the text with the setting, written as its neighbours are. Raises DockyardError."""
    members = _members(text or "", path)
    if _is_blank(text or ""):
        return f'{{\n    "{KEY}": {json.dumps(value)}\n}}\n'
    known = text or ""
    if mine := [member for member in members if member.name == KEY]:
        return known[: mine[-1].value] + json.dumps(value) + known[mine[-1].end :]
    brace = known.index("{") + 1
    if not members:
        close = known.rindex("}")
        rest = known[brace:close] if "\n" in known[brace:close] else "\n"
        return f'{known[:brace]}\n    "{KEY}": {json.dumps(value)}{rest}{known[close:]}'
    first = members[0]
    space, colon = known[brace : first.key], known[first.colon : first.value]
    return f'{known[:brace]}{space}"{KEY}"{colon}{json.dumps(value)},{known[brace:]}'


def without_setting(text: str, path: str) -> str:
    """Return the text without the setting, wherever it stands. Raises DockyardError."""
    members = _members(text, path)
    for number in reversed([number for number, member in enumerate(members) if member.name == KEY]):
        mine = members.pop(number)
        if number < len(members):  # another one follows
            following = members[number].key
            text = text[: mine.key] + text[following:]
            members[number:] = [_moved(member, mine.key - following) for member in members[number:]]
        else:
            begin = members[-1].end if members else text.index("{") + 1
            text = text[:begin] + text[mine.end :]
    return text


def _moved(member: Member, by: int) -> Member:
    return Member(*member[:2], *(position + by for position in member[2:]))


def _is_blank(text: str) -> bool:
    return not text.strip(f"{_MARK} \t\r\n")


def _members(text: str, path: str) -> list[Member]:
    """Return the settings in their order. Raises DockyardError, with line and column."""
    try:
        return [] if _is_blank(text) else _parsed(text)
    except json.JSONDecodeError as error:
        where, reason = f"{path}:{error.lineno}:{error.colno}", error.msg
    except UnicodeEncodeError:
        where, reason = path, "not UTF-8"
    except (ValueError, RecursionError) as error:
        where, reason = path, str(error)
    raise DockyardError(
        f"{where}: the engine cannot read it: {reason}", hint="fix the file; the engine does not start with it"
    )


def _parsed(text: str) -> list[Member]:
    """Return the settings. Raises ValueError of one kind or other, RecursionError."""
    text.encode()  # invalid UTF-8 was read as surrogates
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    begin = _skip(text, len(_MARK) if text.startswith(_MARK) else 0)
    content, end = decoder.raw_decode(text, begin)
    if not isinstance(content, dict):
        raise json.JSONDecodeError("not an object", text, begin)
    if _skip(text, end) != len(text):
        raise json.JSONDecodeError("there is text after the settings", text, _skip(text, end))
    return _walk(text, begin, decoder)


def _walk(text: str, position: int, decoder: json.JSONDecoder) -> list[Member]:
    """Return the members of the object at a position of a text that is known to be JSON."""
    found: list[Member] = []
    while True:
        key = _skip(text, position + 1)  # past the brace, or past a comma
        if text[key] == "}":
            return found
        name, colon = decoder.raw_decode(text, key)
        value = _skip(text, _skip(text, colon) + 1)
        content, end = decoder.raw_decode(text, value)
        found.append(Member(name, content, key, colon, value, end))
        position = _skip(text, end)
        if text[position] == "}":
            return found


def _skip(text: str, position: int) -> int:
    """Return the position of the next character that is not whitespace."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
