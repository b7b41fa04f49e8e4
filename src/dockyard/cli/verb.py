"""The registry of d's verbs.

A verb is one function, registered where it is written. Help, aliases, `--json`, completion and
docs/reference/commands.md all come from here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import click

from dockyard.cli import complete
from dockyard.cli.output import Result
from dockyard.service import select
from dockyard.yard import Yard


class On(Enum):
    """What a verb's X is the beginning of."""

    NOTHING = ""
    SERVICE = "service"
    RUNNING = "running container"
    CONTAINER = "container"
    EITHER = "service or running container"


@dataclass(frozen=True)
class Verb:
    """One verb of d."""

    name: str
    aliases: tuple[str, ...]
    on: On
    topic: str
    command: click.Command

    @property
    def help(self) -> str:
        """What it does, in one line."""
        return (self.command.help or "").strip().splitlines()[0]

    @property
    def usage(self) -> str:
        """Its arguments, as people write them."""
        return " ".join(parameter.make_metavar(click.Context(self.command)) for parameter in _arguments(self.command))


def _arguments(command: click.Command) -> Iterable[click.Parameter]:
    return (parameter for parameter in command.params if isinstance(parameter, click.Argument))


VERBS: dict[str, Verb] = {}
"""Every verb by its name, in the order in which they are written."""

WORDS: dict[str, Verb] = {}
"""Every verb by each word that stands for it."""


def verb(
    name: str, *aliases: str, on: On = On.NOTHING, report: bool = False
) -> Callable[[Callable[..., Result | int]], Callable[..., Result | int]]:
    """Register a function as a verb: it takes the yard, the name that X resolved to if it is `on` something, options.

    `report`: it lists or tells something, and so has `--json`. Raises ValueError for a word that is taken.
    """

    def register(function: Callable[..., Result | int]) -> Callable[..., Result | int]:
        command = _command(name, function, on, report=report)
        topic = (function.__module__.rpartition(".")[2]).capitalize()
        VERBS[name] = registered = Verb(name, aliases, on, topic, command)
        for word in (name, *aliases):
            if word in WORDS:
                raise ValueError(f"{word} stands for {WORDS[word].name} already")
            WORDS[word] = registered
        return function

    return register


def _command(name: str, function: Callable[..., Result | int], on: On, *, report: bool) -> click.Command:
    parameters: list[click.Parameter] = list(reversed(getattr(function, "__click_params__", [])))
    if on is not On.NOTHING:
        completion = complete.services if on is On.SERVICE else complete.running
        parameters.insert(0, click.Argument(["target"], metavar="X", shell_complete=completion))
    if report:
        parameters.append(click.Option(["--json", "as_json"], is_flag=True, help="As JSON."))

    def callback(*, target: str = "", as_json: bool = False, **options: Any) -> Result | int:  # noqa: ANN401 - a verb's own
        yard = Yard()
        resolved = (_resolve(yard, on, target),) if on is not On.NOTHING else ()
        outcome = function(yard, *resolved, **options)
        return replace(outcome, as_json=as_json) if isinstance(outcome, Result) else outcome

    passes_on = any(parameter.nargs == -1 for parameter in parameters)
    context = {"ignore_unknown_options": True, "allow_interspersed_args": False} if passes_on else {}
    return click.Command(name, callback=callback, params=parameters, help=function.__doc__, context_settings=context)


def _resolve(yard: Yard, on: On, beginning: str) -> str:
    """Return the one name that begins so. Raises NoSuchNameError."""
    names: set[str] = set()
    if on in {On.SERVICE, On.EITHER}:
        names |= {service.name for service in yard.services}
    if on in {On.RUNNING, On.EITHER}:
        names |= {name for _, name in yard.engine.running()}
    if on is On.CONTAINER:
        names |= {name for _, name in yard.engine.running(stopped=True)}
    return select(beginning, names, on.value)
