"""d-run: settings.yaml → a running container."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import click

from dockyard import launch, secrets
from dockyard.cli import complete
from dockyard.cli.explain import explained, explanation
from dockyard.cli.main import CONTEXT, program, version_option
from dockyard.cli.output import Result, say, warn
from dockyard.errors import UsageError
from dockyard.plan.launch import LaunchOptions, LaunchPlan
from dockyard.plan.values import Step
from dockyard.settings.keys import KEYS, TAG, Key
from dockyard.settings.load import Flags
from dockyard.settings.types import Boolean, Words
from dockyard.settings.values import Mode
from dockyard.yard import Yard


def _key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every key of the table that has flags."""
    for key in reversed([key for key in KEYS.values() if key.flags]):
        command = click.option(*key.flags, f"key_{key.name}", default=None, help=_help(key), **_kind(key))(command)
    return command


def _kind(key: Key[Any]) -> dict[str, Any]:
    if isinstance(key.type, Boolean):
        return {"is_flag": True}
    is_list = key.type.nothing == () and not isinstance(key.type, Words)
    return {"multiple": is_list, "metavar": "TEXT"}


def _help(key: Key[Any]) -> str:
    is_list = key.type.nothing == () and not isinstance(key.type, Words)
    return key.help + (" Takes the place of settings.yaml's list." if is_list else "")


def _mode(**chosen: bool) -> Mode:
    """Return the one mode that was asked for; raises UsageError for several."""
    modes = [Mode(name.replace("_", "-")) for name, wanted in chosen.items() if wanted]
    if len(modes) > 1:
        raise UsageError("--dev, --dev-test and --test-in-place exclude each other", hint="choose one")
    return modes[0] if modes else Mode.PROD


@click.command("d-run", context_settings=CONTEXT)
@click.option("-D", "--dev", is_flag=True, help="Development: the latest image, in the foreground, with test data.")
@click.option("-DT", "--dev-test", "test_mode", is_flag=True, help="Test: as Test scripts launch it.")
@click.option("-P", "--test-in-place", "in_place", is_flag=True, help="The latest image in production's place.")
@click.option("-S", "--shell", is_flag=True, help="A root shell in place of the entrypoint.")
@click.option("-t", "--test", "dry", is_flag=True, help="Show the commands, ready to paste, and change nothing.")
@click.option("--explain", is_flag=True, help="Show every key, its value and where it comes from.")
@click.option("--json", "as_json", is_flag=True, help="With --test or --explain: as JSON.")
@click.option("--cd", "place", default="", metavar="NAME|DIR", shell_complete=complete.services, help="The service.")
@click.option("-s", "--settings", "file", default="", metavar="FILE", help="Another file than settings.yaml.")
@click.option("-l", "--latest", is_flag=True, help="The image tagged `latest`.")
@click.option("-v", "--vol-alt", is_flag=True, help="Test data, without the rest of development mode.")
@click.option("--fail-on-exists", is_flag=True, help="A stopped container of that name is an error too.")
@click.option("--print-cmd", is_flag=True, help="Show the commands while they are carried out.")
@click.option("--reveal", default="", hidden=True, help="Print one secret; what --test prints uses it.")
@_key_options
@version_option
def d_run(  # noqa: PLR0913 - the flags of a program
    *,
    dev: bool,
    test_mode: bool,
    in_place: bool,
    shell: bool,
    dry: bool,
    explain: bool,
    as_json: bool,
    place: str,
    file: str,
    latest: bool,
    vol_alt: bool,
    fail_on_exists: bool,
    print_cmd: bool,
    reveal: str,
    **given: Any,  # noqa: ANN401 - a value for each key that has flags
) -> Result | int:
    """Launch a service's container from its settings.yaml; production, unless a flag says otherwise."""
    yard = Yard()
    mode = _mode(dev=dev, test=test_mode, in_place=in_place)
    if reveal.startswith(("puid:", "secret:")):
        return Result([secrets.reveal(reveal, yard.settings)])
    service = yard.service(place)
    settings = yard.load(service, mode, flags=_flags(given, latest=latest), file=file)
    if reveal:
        return Result([secrets.reveal(reveal, settings)])
    if explain and not dry:
        rows = explained(settings)
        return Result(explanation(rows), rows, as_json=as_json)
    options = LaunchOptions(
        directory=str(service.directory),
        shell=shell,
        test_data=vol_alt,
        fail_on_exists=fail_on_exists,
        terminal=_is_terminal(),
    )
    plan = launch.plan(yard.engine, service, settings, options)
    for note in plan.notes:
        warn(note) if settings.mode is Mode.PROD else say(f"note: {note}")
    if dry:
        return _shown(plan, yard.engine.program, explain=explain, as_json=as_json)
    if print_cmd:
        for line in plan.shell(yard.engine.program):
            say(line)
    exit_code = launch.carry_out(yard.engine, plan)
    return exit_code if plan.foreground else Result([f"{plan.name} is up, from {plan.image}"])


def _flags(given: Mapping[str, Any], *, latest: bool) -> Flags:
    """Return the flags of keys that were given, by key name."""
    flags = {name.removeprefix("key_"): value for name, value in given.items() if value not in {None, ()}}
    if latest and TAG.name in flags:
        raise UsageError("--latest and --tag exclude each other", hint="choose one")
    return {**flags, TAG.name: "latest"} if latest else flags


def _is_terminal() -> bool:
    import sys

    return sys.stdin.isatty() and sys.stdout.isatty()


def _shown(plan: LaunchPlan, engine: str, *, explain: bool, as_json: bool) -> Result:
    """Return the plan as a result; its settings, where asked for, go to stderr: stdout is to be pasted."""
    for secret in plan.secrets:
        say(f"note: {secret.variable}=*** is looked up when the command runs")
    settings = explained(plan.settings) if explain else []
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
    return {"step": type(step).__name__, **asdict(step), "shell": step.shell(engine)}


main = program(d_run)
