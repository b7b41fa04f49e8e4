"""d-cowscan: unexpected changes in the copy-on-write layers of containers."""

import argparse

from dockyard.cli.command import VERSION, argument, flag, option
from dockyard.cli.main import program
from dockyard.cli.output import Result
from dockyard.cli.parser import Parser
from dockyard.errors import UsageError
from dockyard.yard import Yard

ACTIONS = ("rm", "restart", "restore", "quarantined", "alerts", "ack", "lint", "suggest", "watch")
"""Flags that replace the scan, or act on its findings; at most one is allowed."""

OPTIONS = (
    argument("names", nargs="*", metavar="X"),
    option(
        "-i",
        "--ignore",
        action="append",
        default=[],
        metavar="FILE",
        help="read further rules for expected changes from FILE",
    ),
    flag("-a", "--all", help="also scan stopped containers"),
    flag("--touched", help="also report files that were touched but are identical to the image's"),
    flag("-R", "--rm", help="revert unexpected changes in running containers; the originals go to the quarantine"),
    flag("--restart", help="recreate the containers that have unexpected changes"),
    flag("--quarantined", help="list the contents of the quarantine"),
    option("--restore", metavar="TAR", help="restore what -R reverted, from TAR in the quarantine"),
    flag("--alerts", help="list the open alerts, without a scan"),
    flag("--ack", help="accept alerts: X are fingerprints or containers; needs --reason"),
    option("--reason", metavar="TEXT", help="why the alerts are accepted"),
    flag("--suggest", help="print the narrowest rules that would cover the findings"),
    flag("--lint", help="report rules that are too wide, unused or out of date"),
    flag("--watch", help="watch for changes continuously, until SIGTERM"),
    option(
        "--every", metavar="SECONDS", type=float, default=3600.0, help="with --watch: time between full scans (3600)"
    ),
    flag("--no-freeze", help="do not freeze containers during the scan; files that change are read again"),
    flag("--no-token", help="do not plant a canary file that the scan must find"),
    flag("--prove", help="self-test: plant one change of each kind in each container, check that all are found, undo"),
    option("--token_container", metavar="NAME", help="plant the canary in this container only"),
    option("--token_file", metavar="PATH", help="plant the canary at this path (default: a random name in the root)"),
    flag("-d", "--debug", help="print what is read, and how long it takes"),
    flag("--json", help="print everything as JSON"),
    VERSION,
)
DESCRIPTION = "Report unexpected changes in the copy-on-write layers of running containers; `all ok` if there are none."
PARSER = Parser("d-cowscan", DESCRIPTION, OPTIONS)


def d_cowscan(arguments: list[str]) -> Result:
    """Scan, or run the action that was requested instead."""
    given = argparse.Namespace(**PARSER.read(arguments))
    _refuse(given)
    from dockyard.cli import scanning

    yard = Yard()
    wanted = [name for name in ACTIONS if getattr(given, name)]
    act = getattr(scanning, wanted[0]) if wanted else scanning.report
    result: Result = act(yard, given)
    return result._replace(as_json=given.json)


def _refuse(given: argparse.Namespace) -> None:
    """Raise UsageError for flags that contradict each other."""
    wanted = [f"--{name}" for name in ACTIONS if getattr(given, name)]
    if len(wanted) > 1:
        raise UsageError(f"{' and '.join(wanted)} exclude each other", hint="choose one")
    if given.no_token and (given.prove or given.token_container or given.token_file):
        raise UsageError("--no-token excludes the other canary flags", hint="leave out one or the other")
    if given.token_file and not given.token_file.startswith("/"):
        raise UsageError(f"--token_file {given.token_file}: not a path in a container", hint="begin the path with `/`")
    if not given.every > 0:  # also refuses nan
        raise UsageError(
            f"--every {given.every:g}: not a number of seconds", hint="give a positive number, such as 3600"
        )
    if given.reason and not given.ack:
        raise UsageError("--reason needs --ack", hint="d-cowscan --ack X --reason TEXT")


main = program("d-cowscan", d_cowscan)
