"""Simple rules for keys of a service, to write the table with."""

from collections.abc import Callable, Iterable, Iterator

from dockyard.moving.context import Context
from dockyard.moving.outcome import Carried, Left, Outcome, flag, pair, setting
from dockyard.moving.tree import Part, size

Rule = Callable[[Part, Context], Iterable[Outcome]]

FLAG = "if the engine has a flag for it, use `extra_docker`"
SWARM = "only swarm uses it, compose does not"


def one(key: str, read: Callable[[str], str] = str) -> Rule:
    """Return a rule: the value becomes a setting."""
    return lambda part, _: [setting(key, read(part.text), part)] if part.text else []


def each(key: str) -> Rule:
    """Return a rule: each value of a list becomes an item of a setting."""
    return lambda part, _: [setting(key, item.text, item) for item in part.items() if item.text]


def pairs(key: str) -> Rule:
    """Return a rule: each pair of a map becomes a pair of a setting."""
    return lambda part, _: [pair(key, name, value.text, value) for name, value in part.pairs().items()]


def switch(key: str) -> Rule:
    """Return a rule: a switch becomes a setting."""
    return lambda part, _: [setting(key, str(part.is_set).lower(), part)] if part.text else []


def as_flag(name: str, read: Callable[[str], str] = str) -> Rule:
    """Return a rule: the value becomes a flag of the engine."""
    return lambda part, _: [flag(name, read(part.text), part)] if part.text else []


def as_size(name: str) -> Rule:
    """Return a rule: the value is a size and becomes a flag of the engine."""
    return as_flag(name, size)


def as_flags(name: str) -> Rule:
    """Return a rule: each value of a list becomes a flag of the engine."""
    return lambda part, _: [flag(name, item.text, item) for item in part.items() if item.text]


def as_pair_flags(name: str) -> Rule:
    """Return a rule: each pair of a map becomes a flag of the engine."""
    return lambda part, _: [flag(name, f"{key}={value.text}", value) for key, value in part.pairs().items()]


def as_switch(name: str) -> Rule:
    """Return a rule: a switch that is on becomes a flag of the engine."""

    def rule(part: Part, _: Context) -> Iterator[Outcome]:
        if part.is_set:
            yield setting("extra_docker", name, part)
        elif part.text:
            yield Carried((part,), how="off by default")

    return rule


def left(why: str, instead: str = "") -> Rule:
    """Return a rule: it is left behind."""
    return lambda part, _: [Left(part.leaves(), why, instead)]


def told(how: str) -> Rule:
    """Return a rule: it is carried over by something other than a setting."""
    return lambda part, _: [Carried(part.leaves(), how=how)]


def of_map(rules: dict[str, Rule], otherwise: Rule) -> Rule:
    """Return a rule: each key of a map has its own."""

    def rule(part: Part, context: Context) -> Iterator[Outcome]:
        for key, value in part.pairs().items():
            yield from rules.get(key, otherwise)(value, context)

    return rule
