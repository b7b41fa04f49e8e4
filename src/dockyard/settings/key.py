"""One setting, and how the settings that only are a flag of the engine become that flag."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Generic, NamedTuple, TypeVar

from dockyard.settings import types
from dockyard.settings.values import HealthCheck, Mode

T = TypeVar("T")

OVERRIDES = ("test_", "dev_")


class Scope(Enum):
    """The files in which a key is allowed, in addition to flags and the environment."""

    ANYWHERE = "settings.yaml, host file"
    SERVICE = "settings.yaml"
    HOST = "host file"


class Key(NamedTuple, Generic[T]):
    """One setting.

    `help` is one line of at most 40 words; `details` are paragraphs or lists in Markdown that continue it. `example`
    contains lines of a file that set the key; a key whose default is not a scalar has one.

    `by_mode` contains the defaults that differ from `default`. `read_as` lists, for modes that differ from the rule,
    the prefixes that count (`dev_` for `dev_K`, an empty string for `K` itself), the strongest first; `shared` are
    values of `K` that count in any case. `in_environment`: whether there is a variable `DOCKYARD_K`. `combine` merges
    the values of two sources, the stronger first; without it, only the strongest source counts.
    """

    name: str
    type: types.Type[T]
    help: str
    section: str
    default: T
    by_mode: Mapping[Mode, T] = {}
    shown_default: str = ""
    aliases: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    scope: Scope = Scope.ANYWHERE
    required: bool = False
    read_as: Mapping[Mode, tuple[str, ...]] = {}
    shared: frozenset[str] = frozenset()
    emit: Callable[[T], tuple[str, ...]] | None = None
    in_environment: bool = True
    combine: Callable[[T, T], T] | None = None
    details: str = ""
    example: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the key in a file."""
        return (self.name, *self.aliases)

    def default_in(self, mode: Mode) -> T:
        """Return the built-in value in a mode."""
        return self.by_mode.get(mode, self.default)

    def spellings(self, mode: Mode) -> tuple[str, ...]:
        """Return the prefixes with which a file or the environment sets the key in a mode, the strongest first."""
        return self.read_as.get(mode, (*mode.override_prefixes, ""))

    def variables(self, prefix: str = "") -> tuple[str, ...]:
        """Return the environment variables that set the key, or its override `prefix`, the strongest first."""
        if not self.in_environment:
            return ()
        old = tuple(name.replace("KTOOLS_DRUN_", f"KTOOLS_DRUN_{prefix.upper()}") for name in self.environment)
        usable = tuple(name for name in old if not prefix or name not in self.environment)
        return (*usable, *(f"DOCKYARD_{prefix}{name}".upper() for name in self.names))


def option(flag: str) -> Callable[[Any], tuple[str, ...]]:
    """Return a function that turns a value into `flag value`."""
    return lambda value: (flag, str(value))


def each(flag: str) -> Callable[[Iterable[Any]], tuple[str, ...]]:
    """Return a function that turns each value of a list into `flag value`."""
    return lambda values: tuple(word for value in values for word in (flag, str(value)))


def each_pair(flag: str) -> Callable[[Iterable[tuple[str, str]]], tuple[str, ...]]:
    """Return a function that turns each pair of a list into `flag name=value`."""
    return lambda pairs: tuple(word for name, value in pairs for word in (flag, f"{name}={value}"))


def switch(*argv: str) -> Callable[[bool], tuple[str, ...]]:
    """Return a function that turns true into these words, and false into none."""
    return lambda value: argv if value else ()


def health_argv(check: HealthCheck | None) -> tuple[str, ...]:
    """Return the flags of a health check."""
    if not check:
        return ()
    if check.disabled:
        return ("--no-healthcheck",)
    command = () if check.command is None else ("--health-cmd", check.command)
    options = (word for name, value in check.options.items() for word in (f"--health-{name.replace('_', '-')}", value))
    return (*command, *options)
