"""d-cowscan: what changed in the copy-on-write layers of containers, and nobody expects."""

import argparse
from pathlib import Path

from dockyard.cli.command import VERSION, argument, flag, option
from dockyard.cli.main import program
from dockyard.cli.output import Result, say
from dockyard.cli.parser import Parser
from dockyard.errors import CANNOT_JUDGE, WORK_FAILED
from dockyard.yard import Yard

OPTIONS = (
    argument("names", nargs="*", metavar="X"),
    option("-i", "--ignore", action="append", default=[], metavar="FILE", help="further rules of what is expected"),
    flag("-a", "--all", help="stopped containers too"),
    flag("--touched", help="what is as in the image, and yet was touched, too"),
    flag("--no-freeze", help="do not hold containers still: what moves meanwhile is read again"),
    flag("--no-token", help="make no changes that the scan has to find"),
    flag("--prove", help="make one change of each kind in each container, and undo it: all have to be found"),
    option("--token_container", metavar="NAME", help="make the scan's own change in this container alone"),
    option("--token_file", metavar="PATH", help="make it at this path, in place of a random name in the root"),
    flag("-d", "--debug", help="say what is read, and how long it takes"),
    flag("--json", help="the whole report, for machines"),
    VERSION,
)
DESCRIPTION = "Report each unexpected change in the copy-on-write layers of the running containers; `all ok` for none."
PARSER = Parser("d-cowscan", DESCRIPTION, OPTIONS)


def d_cowscan(arguments: list[str]) -> Result:
    """Scan, and return the report."""
    given = argparse.Namespace(**PARSER.read(arguments))
    from dockyard.scan.reading import Proof
    from dockyard.scan.report import ALL_OK, DRIFT, INCOMPLETE, verdict
    from dockyard.scan.rules import default_file, load
    from dockyard.scan.scan import Options, scan_all

    own = default_file()
    files = [*([own] if own.exists() else []), *(Path(name) for name in given.ignore)]
    rules = tuple(rule for file in files for rule in load(file))
    proof = Proof(not given.no_token, given.prove, given.token_container, given.token_file)
    names = frozenset(given.names)
    options = Options(rules, names, given.all, given.touched, not given.no_freeze, proof)
    scanned = scan_all(Yard(), options)
    if given.debug:
        say(f"{len(rules)} rules, from {', '.join(map(str, files)) or 'no file'}")
        for one in scanned:
            say(f"{one.name}: {one.verdict}, {one.entries} entries in {one.seconds * 1000:.1f} ms, {one.how}")
    told = verdict(scanned)
    lines = [line for one in scanned for line in one.lines()]
    data = {"verdict": told, "containers": [one.row() for one in scanned]}
    code = {DRIFT: WORK_FAILED, INCOMPLETE: CANNOT_JUDGE}.get(told, 0)
    return Result(lines or [ALL_OK], data, code, given.json)


main = program("d-cowscan", d_cowscan)
