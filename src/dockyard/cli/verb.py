"""The registry of d's verbs.

A verb is one function, registered where it is defined. Help, aliases, `--json` and docs/reference/commands.md are
generated from this registry.
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
    """What a verb's X names."""

    NOTHING = ""
    SERVICE = "service"
    RUNNING = "running container"
    CONTAINER = "container"
    EITHER = "service or running container"


class Verb(NamedTuple):
    """One verb of d. `report`: it lists or reports something, and so has `--json`.

    `locks`: it holds a container's lock, and so has `--wait`. `settles`: every interrupted switch is recovered before
    it runs.
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
        """Return the options by keyword; argparse is imported only if there are arguments to read."""
        may_be_bare = self.on is On.NOTHING and all(entry.is_switch for entry in self.options)
        if may_be_bare and not arguments:
            return {entry.names[-1].lstrip("-").replace("-", "_"): False for entry in self.options}
        return self.parser().read(arguments)

    def run(self, arguments: list[str]) -> Result | int:
        """Run the verb."""
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
"""Every verb by its name, in the order of registration."""

WORDS: dict[str, Verb] = {}
"""Every verb by its name and each of its aliases."""

TOPICS = {
    "build": "Build and upgrade",
    "check": "Check",
    "fleet": "All services",
    "host": "Host",
    "inside": "Exec and logs",
    "lifecycle": "Start and stop",
    "lists": "List",
    "moving": "Import and export",
    "one": "Inspect",
    "orphans": "Orphans",
    "others": "Help",
    "records": "History",
    "setup": "Setup",
    "surface": "Attack surface",
    "updates": "Image updates",
    "userns": "User namespaces",
}
"""The headings of `d help`, by the module that holds the verbs."""


WAIT = option("--wait", metavar="SECONDS", type=float, default=0.0, help="wait up to SECONDS for the lock")


def _settle(yard: Yard) -> None:
    """Recover interrupted switches."""
    from dockyard.lock import lingering

    if lingering(yard.engine) or any(row.is_left for row in yard.rows):
        from dockyard.recovery import settle_all

        settle_all(yard, say)


def verb(  # noqa: PLR0913 - the attributes of a verb
    name: str,
    *aliases: str,
    on: On = On.NOTHING,
    report: bool = False,
    options: tuple[Option, ...] = (),
    locks: bool = False,
    settles: bool = True,
) -> Callable[[Function], Function]:
    """Register a function as a verb: it takes the yard, the name of X if it is `on` something, and its options.

    Raises ValueError if a word is already in use.
    """

    def register(function: Function) -> Function:
        module = function.__module__.rpartition(".")[2]
        topic = TOPICS.get(module, module.capitalize())
        VERBS[name] = registered = Verb(name, aliases, on, topic, function, options, report, locks, settles)
        for word in (name, *aliases):
            if word in WORDS:
                raise ValueError(f"{word} is already a word for {WORDS[word].name}")
            WORDS[word] = registered
        return function

    return register


def _resolve(yard: Yard, on: On, beginning: str) -> str:
    """Return the one name with this prefix. Raises NoSuchNameError, and UsageError for an empty prefix.

    An exact name of a service or container wins, even if the verb needs a running one. Containers with a switch's
    temporary names are matched by their full name only.
    """
    if not beginning:
        raise UsageError("the name is empty", hint="write a name or a unique prefix")
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
