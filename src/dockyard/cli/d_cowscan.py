"""d-cowscan: what changed in the copy-on-write layers of containers, and nobody expects."""

import argparse

from dockyard.cli.command import VERSION, argument, flag, option
from dockyard.cli.main import program
from dockyard.cli.output import Result
from dockyard.cli.parser import Parser
from dockyard.errors import UsageError
from dockyard.yard import Yard

ACTIONS = ("rm", "restart", "restore", "quarantined", "alerts", "ack", "lint", "suggest", "watch")
"""What is done in place of a scan, or with what it finds: one of them."""

OPTIONS = (
    argument("names", nargs="*", metavar="X"),
    option("-i", "--ignore", action="append", default=[], metavar="FILE", help="further rules of what is expected"),
    flag("-a", "--all", help="stopped containers too"),
    flag("--touched", help="what is as in the image, and yet was touched, too"),
    flag("-R", "--rm", help="undo what is unexpected while the container runs on; it is kept in the quarantine"),
    flag("--restart", help="put new containers in the place of those that have changed"),
    flag("--quarantined", help="list what the quarantine holds"),
    option("--restore", metavar="TAR", help="put back what -R has undone"),
    flag("--alerts", help="list what is raised, without a scan"),
    flag("--ack", help="accept alerts: X are their fingerprints, or containers; with --reason"),
    option("--reason", metavar="TEXT", help="why alerts are accepted"),
    flag("--suggest", help="print the narrowest rules that would expect what is found"),
    flag("--lint", help="tell which rules are too wide, of no use, or out of date"),
    flag("--watch", help="scan what moves, as it moves, until SIGTERM"),
    option("--every", metavar="SECONDS", type=float, default=3600.0, help="with --watch: a whole scan so often (3600)"),
    flag("--no-freeze", help="do not hold containers still: what moves meanwhile is read again"),
    flag("--no-token", help="make no change that the scan has to find"),
    flag("--prove", help="make one change of each kind in each container, and undo it: all have to be found"),
    option("--token_container", metavar="NAME", help="make the scan's own change in this container alone"),
    option("--token_file", metavar="PATH", help="make it at this path, in place of a random name in the root"),
    flag("-d", "--debug", help="say what is read, and how long it takes"),
    flag("--json", help="everything, for machines"),
    VERSION,
)
DESCRIPTION = "Report each unexpected change in the copy-on-write layers of the running containers; `all ok` for none."
PARSER = Parser("d-cowscan", DESCRIPTION, OPTIONS)


def d_cowscan(arguments: list[str]) -> Result:
    """Scan, or do what was asked for in place of it."""
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
        raise UsageError("--no-token excludes the other flags of tokens", hint="leave it out")
    if given.token_file and not given.token_file.startswith("/"):
        raise UsageError(f"--token_file {given.token_file}: not a path in a container", hint="it begins with `/`")
    if not given.every > 0:  # which is what no number (nan) is, either
        raise UsageError(f"--every {given.every:g}: not a number of seconds", hint="such as 3600")
    if given.reason and not given.ack:
        raise UsageError("--reason is for --ack", hint="d-cowscan --ack X --reason TEXT")


main = program("d-cowscan", d_cowscan)
