"""d-run: settings.yaml → a running container."""

import argparse
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from typing import Any

from dockyard import launch, secrets
from dockyard.cli.command import VERSION, Option, flag, option
from dockyard.cli.explain import Row, explained, explained_copies, explained_open_files, explanation
from dockyard.cli.main import program
from dockyard.cli.output import Result, announce, say
from dockyard.cli.parser import Parser
from dockyard.directives import RUN, directive
from dockyard.errors import EngineUnreachableError, UsageError
from dockyard.lock import held
from dockyard.plan.copies import ChosenCopy
from dockyard.plan.launch import LaunchOptions, LaunchPlan, container_name
from dockyard.plan.values import Step
from dockyard.settings.key import Key
from dockyard.settings.keys import ENGINE, KEYS, TAG
from dockyard.settings.load import Flags
from dockyard.settings.resolve import Settings
from dockyard.settings.types import Boolean, Words
from dockyard.settings.values import Mode
from dockyard.yard import Yard


def _key_option(key: Key[Any]) -> Option:
    """Return the option of a key of the table that has flags."""
    keywords: dict[str, Any] = {"dest": f"key_{key.name}", "default": None}
    if isinstance(key.type, Boolean):
        keywords["action"] = argparse.BooleanOptionalAction if key.default is False else "store_true"
        return Option(key.flags, key.help, keywords)
    if key.type.nothing == () and not isinstance(key.type, Words):
        keywords |= {"action": "append", "metavar": "TEXT"}
        return Option(key.flags, f"{key.help} Replaces the list in settings.yaml; repeatable.", keywords)
    return Option(key.flags, key.help, {**keywords, "metavar": "TEXT"}, takes_flags=isinstance(key.type, Words))


OPTIONS = (
    flag("-D", "--dev", help="development mode: the latest image, in the foreground, with test data"),
    flag("-DT", "--dev-test", dest="test", help="test mode: as Test scripts launch it"),
    flag("-P", "--test-in-place", dest="in_place", help="run the latest image instead of production"),
    flag("-S", "--shell", help="run a root shell instead of the entrypoint"),
    flag("-t", "--test", dest="dry", help="show the commands, ready to paste, and change nothing"),
    flag("--explain", help="show every key, its value and its source"),
    flag("--json", dest="as_json", help="with --test or --explain: print JSON"),
    option("--cd", dest="place", metavar="NAME|DIR", help="service name or directory (default: the current directory)"),
    option("-s", "--settings", dest="file", metavar="FILE", help="read this file instead of settings.yaml"),
    flag("-l", "--latest", help="use the image tagged `latest`"),
    flag("-v", "--vol-alt", help="use test data, without the rest of development mode"),
    flag("--fail-on-exists", help="fail if a stopped container has that name"),
    flag("--print-cmd", help="print each command before it runs"),
    option("--reveal", help=argparse.SUPPRESS),  # prints one secret; the commands that --test prints use it
    *(_key_option(key) for key in KEYS.values() if key.flags),
    VERSION,
)

DESCRIPTION = "Launch a service's container from its settings.yaml; in production mode unless a flag selects another."


def _mode(**chosen: bool) -> Mode:
    """Return the one mode that was asked for; raises UsageError for several."""
    modes = [Mode(name.replace("_", "-")) for name, wanted in chosen.items() if wanted]
    if len(modes) > 1:
        raise UsageError("--dev, --dev-test and --test-in-place exclude each other", hint="choose one")
    return modes[0] if modes else Mode.PROD


def d_run(arguments: list[str]) -> Result | int:
    """Launch, or show what would be launched."""
    given = argparse.Namespace(**Parser("d-run", DESCRIPTION, OPTIONS).read(arguments))
    _refuse(given)
    yard = Yard()
    mode = _mode(dev=given.dev, test=given.test, in_place=given.in_place)
    if given.reveal.startswith(("puid:", "secret:")):
        return Result([secrets.reveal(given.reveal, yard.settings)])
    service = yard.service(given.place)
    settings = yard.load(service, mode, flags=_flags(vars(given)), file=given.file)
    if given.reveal:
        return Result([secrets.reveal(given.reveal, settings)])
    if given.explain and not given.dry:
        rows = _explained(yard, settings, launch.copies(service, settings))
        return Result(explanation(rows), rows, as_json=given.as_json)
    options = LaunchOptions(
        directory=str(service.directory),
        file=given.file,
        shell=given.shell,
        test_data=given.vol_alt,
        fail_on_exists=given.fail_on_exists,
        terminal=_is_terminal(),
        run=directive(RUN),
    )
    if given.dry:
        plan = launch.plan(yard, service, settings, options)
        if not mode.isolated:
            yard.neighbours.refuse(plan)
        announce(plan)
        rows = _explained(yard, plan.settings, plan.copies) if given.explain else []
        return _shown(plan, yard.engine.program, rows, as_json=given.as_json)
    with held(yard.engine, container_name(settings)) if mode.isolated else nullcontext():
        plan = launch.plan(yard, service, settings, options)
        announce(plan)
        return _launched(yard, plan, given.print_cmd)


def _launched(yard: Yard, plan: LaunchPlan, print_cmd: bool) -> Result | int:
    if print_cmd:
        for line in plan.shell(yard.engine.program):
            say(line)
    with nullcontext() if plan.settings.mode.isolated else yard.neighbours.launching(plan):
        exit_code = launch.carry_out(yard.engine, plan, say)
    return exit_code if plan.foreground else Result([f"{plan.name} is up, from {plan.image}, {plan.image_id[:12]}"])


def _refuse(given: argparse.Namespace) -> None:
    """Raise UsageError for a secret on the command line that the shown command could not look up."""
    if given.dry and given.key_puid not in {None, "", "auto"}:
        raise UsageError("--puid is a secret, which --test cannot show", hint="set `puid` in settings.yaml")


def _flags(given: Mapping[str, Any]) -> Flags:
    """Return the flags of keys that were given, by key name. Raises UsageError."""
    keys = {name.removeprefix("key_"): value for name, value in given.items() if name.startswith("key_")}
    flags: Flags = {
        name: tuple(value) if isinstance(value, list) else value for name, value in keys.items() if value is not None
    }
    if given["latest"] and TAG.name in flags:
        raise UsageError("--latest and --tag exclude each other", hint="choose one")
    return {**flags, TAG.name: "latest"} if given["latest"] else flags


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty() and sys.stdout.isatty()


def _explained(yard: Yard, settings: Settings, copies: Iterable[ChosenCopy]) -> list[Row]:
    """Return where each value of a launch comes from."""
    from dockyard.engine.engine import find_engine
    from dockyard.engine.limits import default_open_files

    limits: list[Row] = []
    with suppress(EngineUnreachableError):  # settings can be explained without an engine
        limits = explained_open_files(settings, default_open_files(find_engine(yard.settings[ENGINE]).dialect))
    return [*explained(settings), *explained_copies(copies), *limits]


def _shown(plan: LaunchPlan, engine: str, settings: list[Row], *, as_json: bool) -> Result:
    """Return the plan as a result; its settings, if requested, go to stderr, so that stdout can be pasted."""
    for secret in plan.secrets:
        say(f"note: {secret.variable}=*** is looked up when the command runs")
    if not as_json:
        for line in explanation(settings):
            say(line)
    data = {
        "service": plan.service,
        "mode": plan.settings.mode.value,
        "name": plan.name,
        "image": plan.image,
        "image_id": plan.image_id,
        "steps": [_step_data(step, engine) for step in plan.steps],
        "notes": plan.notes,
        "settings": settings,
    }
    return Result(plan.shell(engine), data, as_json=as_json)


def _step_data(step: Step, engine: str) -> dict[str, Any]:
    return {"step": type(step).__name__, **step._asdict(), "shell": step.shell(engine)}


main = program("d-run", d_run)
