"""What may follow on a command line: asked by the shells, answered from the same tables that the programs read."""

import argparse
from collections.abc import Iterable, Sequence
from contextlib import suppress

from dockyard.cli.parser import Parser
from dockyard.cli.verb import VERBS, WORDS, On, Verb
from dockyard.errors import DockyardError
from dockyard.yard import Yard

PLACE = "place"
"""The keyword of options whose value is a service."""

SERVICES = ("names",)
"""The argument of verbs that take any number of services."""


def complete(program: str, words: Sequence[str]) -> list[str]:
    """Return what the last word, perhaps empty, may become; nothing if that is for the shell to say: a file."""
    *before, last = words or [""]
    with suppress(DockyardError, OSError):
        return sorted({word for word in _candidates(program, before, last) if word.startswith(last)})
    return []


def _candidates(program: str, before: list[str], last: str) -> Iterable[str]:
    if program != "d":
        return _of_parser(_parser(program), before, last, positional=())
    if not before:
        return [*WORDS, "--help", "--version"] if last.startswith("-") or last in WORDS else [*VERBS, *_short(last)]
    verb = WORDS.get(before[0])
    if not verb:
        return []
    taken = [word for word in before[1:] if not word.startswith("-")]
    wanted = _names(verb) if not taken or _takes_services(verb) else ()
    return _of_parser(verb.parser(), before[1:], last, positional=wanted)


def _short(last: str) -> list[str]:
    """Return the short words for verbs that match what was typed; a list of all of them would be of no help."""
    return [word for word in WORDS if word not in VERBS] if last else []


def _parser(program: str) -> Parser:
    from importlib import import_module

    module = import_module(f"dockyard.cli.{program.replace('-', '_')}")
    return Parser(program, "", module.OPTIONS)


def _of_parser(parser: Parser, before: list[str], last: str, positional: Iterable[str]) -> Iterable[str]:
    """Return the values of an option that waits for one, else options or what stands by itself."""
    options = {name: action for action in parser._actions for name in action.option_strings}  # noqa: SLF001 - its table
    waiting = options.get(before[-1]) if before else None
    if waiting and not isinstance(waiting, argparse._StoreTrueAction) and waiting.nargs != 0:  # noqa: SLF001
        return _services() if waiting.dest == PLACE else ()
    if last.startswith("-"):
        return options
    choices = (choice for action in parser._actions if not action.option_strings for choice in action.choices or ())  # noqa: SLF001
    return [*positional, *choices]


def _services() -> list[str]:
    return [service.name for service in Yard().services]


def _takes_services(verb: Verb) -> bool:
    """Return whether a verb takes any number of services."""
    return any(entry.names == SERVICES for entry in verb.options)


def _names(verb: Verb) -> Iterable[str]:
    """Return what a verb's X may be."""
    names: list[str] = []
    yard = Yard()
    if verb.on in {On.SERVICE, On.EITHER}:
        names += [service.name for service in yard.services]
    if verb.on in {On.RUNNING, On.EITHER, On.CONTAINER}:
        with suppress(DockyardError):
            names += [row.name for row in yard.rows if row.is_up or verb.on is On.CONTAINER]
    optional = _takes_services(verb) or any(entry.names == ("x",) for entry in verb.options)
    return [*names, *(_services() if optional else ()), *(list(VERBS) if verb.name == "help" else ())]
