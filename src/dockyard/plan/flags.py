"""Parse the words of an engine's command line."""

import csv
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dockyard.plan.run_flags import OTHER_NAMES, SHORT, SWITCHES, VALUED

_ON = {"true", "t", "1"}


class Word(NamedTuple):
    """A flag of the engine, by its long name, with its value; `true` for a switch that is on."""

    flag: str
    value: str

    @property
    def text(self) -> str:
        """The flag as one word."""
        return f"--{self.flag}" if self.flag in SWITCHES and self.value == "true" else f"--{self.flag}={self.value}"


def words_of(argv: Sequence[str]) -> Iterator[Word]:
    """Yield the flags of a `run`, in any spelling that the engine takes; words that are not flags are skipped."""
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = OTHER_NAMES.get(name, name)
            yield Word(name, value if equals else "true" if name in SWITCHES else _next(name, rest))
        elif word.startswith("-"):
            yield from _words_of_cluster(word[1:], rest)


def _words_of_cluster(letters: str, rest: list[str]) -> Iterator[Word]:
    """Yield the flags of one word with a single dash, as in `-dp 80:80`; the last may have its value in the next."""
    while letters:
        name, letters = SHORT.get(letters[0], letters[0]), letters[1:]
        if name in SWITCHES and not letters.startswith("="):
            yield Word(name, "true")
        else:
            yield Word(name, letters.removeprefix("=") or _next(name, rest))
            return


def _next(name: str, rest: list[str]) -> str:
    """Take a flag's value from the words that follow it.

    A flag that is not in the table takes none that looks like a flag: it may be a switch of a newer engine, and what
    follows it may claim something of the host.
    """
    if not rest or (name not in VALUED and rest[0].startswith("-")):
        return ""
    return rest.pop(0)


def flag_values(argv: Sequence[str], long: str) -> Iterator[str]:
    """Yield the values of a flag, however it is written: `--long v`, `--long=v`, and `-s v`, `-sv`, `-s=v`."""
    return (word.value for word in words_of(argv) if word.flag == long)


def is_set(argv: Sequence[str], long: str) -> bool:
    """Return whether a switch is on."""
    return any(word.flag == long and word.value.lower() in _ON for word in words_of(argv))


def mount_fields(value: str) -> dict[str, str]:
    """Return the fields of a value of `--mount`, by the first of their names; a field without a value is `true`.

    The engine does not tell small letters from capital ones, and refuses what is no line of CSV.
    """
    names = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
    try:
        fields = [field.partition("=") for row in csv.reader([value]) for field in row]
    except csv.Error:
        return {}
    words = ((name.strip().lower(), text if equals else "true") for name, equals, text in fields)
    return {names.get(name, name): text for name, text in words}


def mount_targets(argv: Sequence[str]) -> frozenset[str]:
    """Return where a `run` command mounts something in the container."""
    mounts = (mount_fields(value).get("target", "") for value in flag_values(argv, "mount"))
    volumes = (value.split(":")[:2][-1] for value in flag_values(argv, "volume"))
    passing = (value.partition(":")[0] for value in flag_values(argv, "tmpfs"))
    return frozenset(f"/{path.strip('/')}" for path in (*mounts, *volumes, *passing) if path)
