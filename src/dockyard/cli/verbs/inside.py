"""Verbs that work inside a container."""

import sys

from dockyard.cli.command import REST, argument, flag, option
from dockyard.cli.output import Result, announce, say
from dockyard.cli.verb import On, verb
from dockyard.errors import UsageError
from dockyard.yard import Yard


def _terminal() -> list[str]:
    """Return the engine's flags for an interactive command: with a terminal if stdin and stdout are one."""
    return ["--interactive", *(["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else [])]


@verb("enter", "e", on=On.RUNNING)
def enter(yard: Yard, name: str) -> int:
    """Open a root shell in the container: bash if it has one, else sh."""
    from dockyard.plan.launch import SHELL

    return yard.engine.attach("exec", *_terminal(), "--user", "0", name, "sh", *SHELL)


@verb("run", on=On.RUNNING, options=(argument("command", nargs=REST),))
def run(yard: Yard, name: str, command: list[str]) -> int:
    """Run a command in the container as root; exit with its exit code."""
    if not command:
        raise UsageError("the command is missing", hint=f"d run {name} COMMAND…")
    return yard.engine.attach("exec", *_terminal(), "--user", "0", name, *command)


@verb("shell", on=On.SERVICE)
def shell(yard: Yard, name: str) -> int:
    """Open a root shell in a new container of the latest image, with test data; it is removed afterwards."""
    from dockyard import launch
    from dockyard.lock import held
    from dockyard.plan.launch import LaunchOptions, container_name
    from dockyard.settings.values import Mode

    service = yard.named(name)
    terminal = "--tty" in _terminal()
    options = LaunchOptions(directory=str(service.directory), shell=True, terminal=terminal)  # noqa: S604 - ours
    settings = yard.load(service, Mode.DEV)
    with held(yard.engine, container_name(settings)):
        plan = launch.plan(yard, service, settings, options)
        announce(plan)
        return launch.carry_out(yard.engine, plan, say)


@verb("console", "C", on=On.RUNNING)
def console(yard: Yard, name: str) -> int:
    """Attach to process 1: show its output, and send input if it reads any. Ctrl-C detaches."""
    return yard.engine.attach("attach", "--sig-proxy=false", name)


@verb("add-su", on=On.RUNNING)
def add_su(yard: Yard, name: str) -> Result:
    """Copy a `su` into a container that has none: the host's static busybox, as /bin/su.

    It is written to the container's copy-on-write layer, where d-cowscan reports it, and is removed with the container.
    """
    from dockyard import tools

    tools.add_su(yard.engine, name)
    return Result([f"{name} has /bin/su now; `d restart {name}` removes it"])


@verb("debug", on=On.RUNNING)
def debug(yard: Yard, name: str) -> int:
    """Unpack debugging tools in the container and open a root shell with them; they are removed when the shell ends.

    The tools are the directory `debug_tools` of the host file, or else the host's static busybox with all its applets.
    """
    from dockyard import tools

    with tools.debugging_tools(yard.engine, yard.settings, name) as place:
        script = f'PATH="$PATH:{place}"; export PATH; command -v bash >/dev/null && exec bash; exec sh'
        shell = "sh"
        if yard.engine.attach("exec", "--user", "0", name, "sh", "-c", "true", quiet=True):
            shell = f"{place}/sh"
        return yard.engine.attach("exec", *_terminal(), "--user", "0", name, shell, "-c", script)


@verb(
    "logs",
    "log",
    "L",
    on=On.CONTAINER,
    options=(
        flag("-f", "--follow", help="follow the log"),
        option("-n", "--tail", metavar="N", type=int, default=None, help="show only the last N lines"),
        flag("--raw", help="do not mask secrets; for root only"),
    ),
)
def logs(yard: Yard, name: str, *, follow: bool, tail: int | None, raw: bool) -> int:
    """Show a container's log, with `***` instead of its secrets."""
    from contextlib import nullcontext

    from dockyard.masked_output import masked_output
    from dockyard.privilege import is_hosts_root

    if raw and not is_hosts_root():
        raise UsageError("only root may read a log with unmasked secrets", hint="leave out --raw")
    options = [*(["--follow"] if follow else []), *(["--tail", str(tail)] if tail is not None else [])]
    yard.engine.containers([name])  # its secrets are known from now on
    with nullcontext() if raw else masked_output():
        return yard.engine.attach("logs", *options, name)
