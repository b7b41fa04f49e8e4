"""d-cowscan: what changed in the copy-on-write layers of containers, and nobody expects."""

import argparse
from pathlib import Path

from dockyard.cli.command import VERSION, flag, option
from dockyard.cli.main import program
from dockyard.cli.output import Result, say
from dockyard.cli.parser import Parser
from dockyard.errors import CANNOT_JUDGE, WORK_FAILED
from dockyard.yard import Yard

OPTIONS = (
    option("-i", "--ignore", action="append", default=[], metavar="FILE", help="further rules of what is expected"),
    flag("-a", "--all", help="stopped containers too"),
    flag("--touched", help="what is as in the image, and yet was touched, too"),
    flag("-d", "--debug", help="say what is read, and how long it takes"),
    flag("--json", help="the whole report, for machines"),
    VERSION,
)
DESCRIPTION = "Report each unexpected change in the copy-on-write layers of the running containers; `all ok` for none."
PARSER = Parser("d-cowscan", DESCRIPTION, OPTIONS)


def d_cowscan(arguments: list[str]) -> Result:
    """Scan, and return the report."""
    given = argparse.Namespace(**PARSER.read(arguments))
    from dockyard.scan.report import ALL_OK, DRIFT, INCOMPLETE, verdict
    from dockyard.scan.rules import default_file, load
    from dockyard.scan.scan import scan_all

    own = default_file()
    files = [*([own] if own.exists() else []), *(Path(name) for name in given.ignore)]
    rules = [rule for file in files for rule in load(file)]
    scanned = scan_all(Yard().engine, rules, stopped=given.all, touched=given.touched)
    if given.debug:
        say(f"{len(rules)} rules, from {', '.join(map(str, files)) or 'no file'}")
        for one in scanned:
            say(f"{one.name}: {one.verdict}, {one.entries} entries in {one.seconds * 1000:.1f} ms")
    told = verdict(scanned)
    lines = [line for one in scanned for line in one.lines()]
    data = {"verdict": told, "containers": [one.row() for one in scanned]}
    code = {DRIFT: WORK_FAILED, INCOMPLETE: CANNOT_JUDGE}.get(told, 0)
    return Result(lines or [ALL_OK], data, code, given.json)


main = program("d-cowscan", d_cowscan)
