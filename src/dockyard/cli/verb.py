"""The registry of d's verbs.

A verb is one function, registered where it is written. Help, aliases, `--json` and docs/reference/commands.md
all come from here.
"""

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dockyard.cli.command import Option, argument, flag, option
from dockyard.cli.output import Result, say
from dockyard.engine.models import SUFFIXES
from dockyard.errors import NoSuchNameError, UsageError
from dockyard.service import select
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.cli.parser import Parser

Function = TypeVar("Function", bound="Callable[..., Result | int]")


class On(Enum):
    """What a verb's X is the beginning of."""

    NOTHING = ""
    SERVICE = "service"
    RUNNING = "running container"
    CONTAINER = "container"
    EITHER = "service or running container"


class Verb(NamedTuple):
    """One verb of d. `report`: it lists or tells something, and so has `--json`.

    `locks`: it holds a container's lock, and so has `--wait`. `settles`: before it, every switch that was cut short is
    put in order.
    """

    name: str
    aliases: tuple[str, ...]
    on: On
    topic: str
    function: Callable[..., Result | int]
    options: tuple[Option, ...]
    report: bool
    locks: bool
    settles: bool

    @property
    def description(self) -> str:
        """What it does."""
        return (self.function.__doc__ or "").strip()

    @property
    def help(self) -> str:
        """What it does, in one line."""
        return self.description.partition("\n")[0]

    @property
    def usage(self) -> str:
        """Its arguments, as people write them."""
        words = ["X"] if self.on is not On.NOTHING else []
        return " ".join([*words, *(_metavar(entry) for entry in self.options if not entry.names[0].startswith("-"))])

    def parser(self) -> "Parser":
        """Return what reads its arguments."""
        from dockyard.cli.parser import Parser

        target = [argument("target", metavar="X")] if self.on is not On.NOTHING else []
        json = [flag("--json", dest="as_json", help="as JSON")] if self.report else []
        wait = [WAIT] if self.locks else []
        return Parser(f"d {self.name}", self.description, [*target, *self.options, *wait, *json])

    def _read(self, arguments: list[str]) -> dict[str, Any]:
        """Return the options by keyword; where there is nothing to read, argparse is not even imported."""
        may_be_bare = self.on is On.NOTHING and all(entry.is_switch for entry in self.options)
        if may_be_bare and not arguments:
            return {entry.names[-1].lstrip("-").replace("-", "_"): False for entry in self.options}
        return self.parser().read(arguments)

    def run(self, arguments: list[str]) -> Result | int:
        """Do it."""
        given = self._read(arguments)
        as_json = given.pop("as_json", False)
        yard = Yard(wait=given.pop("wait", 0))
        if self.settles and not given.get("dry_run"):
            _settle(yard)
        target = (_resolve(yard, self.on, given.pop("target")),) if self.on is not On.NOTHING else ()
        outcome = self.function(yard, *target, **given)
        return outcome._replace(as_json=as_json) if isinstance(outcome, Result) else outcome


def _metavar(entry: Option) -> str:
    name = entry.more.get("metavar") or entry.names[0].upper()
    nargs = entry.more.get("nargs")
    return f"[{name}]" if nargs == "?" else f"{name}…" if nargs else str(name)


VERBS: dict[str, Verb] = {}
"""Every verb by its name, in the order in which they are written."""

WORDS: dict[str, Verb] = {}
"""Every verb by each word that stands for it."""


WAIT = option("--wait", metavar="SECONDS", type=float, default=0.0, help="wait so long for another run to end")


def _settle(yard: Yard) -> None:
    """Put in order what was cut short."""
    from dockyard.lock import lingering

    if lingering(yard.engine) or any(row.is_left for row in yard.rows):
        from dockyard.recovery import settle_all

        settle_all(yard, say)


def verb(  # noqa: PLR0913 - what there is to say of a verb
    name: str,
    *aliases: str,
    on: On = On.NOTHING,
    report: bool = False,
    options: tuple[Option, ...] = (),
    locks: bool = False,
    settles: bool = True,
) -> Callable[[Function], Function]:
    """Register a function as a verb: it takes the yard, what X resolved to if it is `on` something, its options.

    Raises ValueError for a word that is taken.
    """

    def register(function: Function) -> Function:
        topic = function.__module__.rpartition(".")[2].capitalize()
        VERBS[name] = registered = Verb(name, aliases, on, topic, function, options, report, locks, settles)
        for word in (name, *aliases):
            if word in WORDS:
                raise ValueError(f"{word} stands for {WORDS[word].name} already")
            WORDS[word] = registered
        return function

    return register


def _resolve(yard: Yard, on: On, beginning: str) -> str:
    """Return the one name that begins so. Raises NoSuchNameError, and UsageError for an empty beginning.

    A name that is exactly a service's or a container's means that one, even where the verb needs one that is up. What
    a switch has renamed, or has not named yet, is meant by its whole name alone.
    """
    if not beginning:
        raise UsageError("an empty name", hint="write the beginning of a name")
    services = {service.name for service in yard.services}
    names = services if on in {On.SERVICE, On.EITHER} else set()
    rows = [row for row in yard.rows if not row.name.endswith(SUFFIXES) or row.name == beginning]
    if on in {On.RUNNING, On.EITHER}:
        names = names | {row.name for row in rows if row.is_up}
    if on is On.CONTAINER:
        names = names | {row.name for row in rows}
    if on is On.RUNNING and beginning not in names:
        stopped = {row.name for row in yard.rows}
        if beginning in services | stopped:
            hint = f"`d up {beginning}` starts it" if beginning in services else "`d list-up` shows what is up"
            raise NoSuchNameError(f"`{beginning}` is not up", hint)
    return select(beginning, names, on.value)
