"""Verbs that set up a host, a service or an editor."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.cli.command import argument, flag, option
from dockyard.cli.output import Result, say
from dockyard.cli.verb import verb
from dockyard.errors import UsageError
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.init import NetworkWanted, Outline

DRY_RUN = flag("-n", "--dry-run", help="show what would be created, and create nothing")
QUESTIONS = {
    "engine": "Which engine, docker or podman?",
    "d_src_dir": "Which directory has the services, each in its own directory?",
    "vol_base": "Which directory has the services' data, each below its own name?",
    "network": "On which network do services run? It is created if it does not exist.",
}


@verb(
    "init",
    report=True,
    settles=False,
    options=(
        option("--engine", help="docker or podman, as a name or a path"),
        option("--src-dir", dest="d_src_dir", metavar="DIR", help="the directory with all services"),
        option("--src-dir2", dest="d_src_dir2", metavar="DIR", help="a second directory, for private services"),
        option("--vol-base", dest="vol_base", metavar="DIR", help="the directory with the services' data"),
        option("--network", metavar="NAME[=SUBNET]", help="the network of services, such as `fleet=172.20.0.0/16`"),
        option("--test-network", dest="test_network", metavar="NAME[=SUBNET]", help="the network of tests"),
        option("--file", metavar="FILE", help="the host file to write (default: the one that is read)"),
        flag("--force", help="replace existing values in the host file"),
        DRY_RUN,
    ),
)
def init(_yard: Yard, *, file: str, force: bool, dry_run: bool, **given: str) -> Result:
    """Set up this host: write the host file, and create missing directories and networks.

    On a terminal, it asks for values that are not given. Existing values in the host file stay, unless forced. Root
    writes /etc/dockyard/host.yaml, other users ~/.config/dockyard/host.yaml.
    """
    from dockyard import host_file
    from dockyard.init import carry_out, outline

    path = Path(file).absolute() if file else host_file.path_to_write(os.environ)
    networks = [_network(given[key]) for key in ("network", "test_network") if given[key]]
    wanted = {key: value.partition("=")[0] if "network" in key else value for key, value in given.items() if value}
    if not wanted:
        wanted = _asked(path)
    plan = outline(path, wanted, networks or _networks_of(wanted), os.environ, force=force)
    for note in plan.notes:
        say(f"note: {note}")
    if not dry_run:
        carry_out(plan)
    return _set_up(plan, dry_run=dry_run)


def _network(text: str) -> "NetworkWanted":
    from dockyard.init import NetworkWanted

    name, _, subnet = text.partition("=")
    return NetworkWanted(name, subnet)


def _networks_of(wanted: dict[str, str]) -> "list[NetworkWanted]":
    """Return the network that an answer names, except for those that every engine has."""
    name = wanted.get("network", "")
    return [_network(name)] if name and name not in {"bridge", "host", "none"} else []


def _asked(path: Path) -> dict[str, str]:
    """Return the user's answers; nothing without a terminal."""
    from dockyard import host_file
    from dockyard.cli.asking import ask, can_ask
    from dockyard.init import check_answer

    if not can_ask():
        return {}
    settings = host_file.layers(host_file.read(path), path, os.environ).settings()
    current = {key: settings.values[key] for key in QUESTIONS}
    defaults = {"engine": _engine_there(), "d_src_dir": "/srv/services", "vol_base": "/srv/data", "network": "bridge"}
    answers = {}
    for key, question in QUESTIONS.items():
        known = current[key].value if current[key].source != "default" else None
        answer = ask(question, str(known or defaults[key]), partial(check_answer, key))
        if answer != str(known):
            answers[key] = answer
    return answers


def _engine_there() -> str:
    from dockyard import process

    return next((name for name in ("docker", "podman") if process.find(name)), "docker")


def _set_up(plan: "Outline", *, dry_run: bool) -> Result:
    rows = [{"what": step.what, "name": step.name, "state": step.state} for step in plan.steps]
    data = {"file": str(plan.path), "values": plan.values, "steps": rows, "notes": plan.notes, "done": not dry_run}
    would = "would be " if dry_run else ""
    lines = [f"{step.name}: {would if step.action else ''}{step.state}" for step in plan.steps]
    return Result(lines, data)


@verb(
    "new",
    report=True,
    settles=False,
    options=(
        argument("name", metavar="NAME"),
        option("--from", dest="template", default="static", metavar="TEMPLATE", help="`static`, `python`, `worker`"),
        option("--base", metavar="IMAGE", help="base image (default: `base_image` of the host file)"),
        DRY_RUN,
    ),
)
def new(yard: Yard, name: str, *, template: str, base: str, dry_run: bool) -> Result:
    """Create a service from a template; it builds and passes its Test without changes.

    `static` serves pages, `python` answers HTTP requests, `worker` is a shell script with a volume and no network.
    Nothing is ever overwritten.
    """
    from dockyard import template as templates
    from dockyard.text import did_you_mean, listed

    if template not in (known := templates.names()):
        raise UsageError(
            f"there is no template `{template}`", did_you_mean(template, known) or f"choose one of {listed(known)}"
        )
    place = templates.directory_for(yard, name)
    words = templates.words(yard, name, base)
    contents = templates.files(template, words)
    if not dry_run:
        templates.write(place, contents)
    data: dict[str, Any] = {"directory": str(place), "template": template, "base": words["BASE"]}
    data |= {"files": [file.path for file in contents], "done": not dry_run}
    lines = [f"{place / file.path}" for file in contents]
    return Result(lines if dry_run else [*lines, f"next: d upgrade {name}"], data)


@verb(
    "schema",
    settles=False,
    options=(
        flag("--host", help="print the schema of the host file instead"),
        flag("--sample", help="print a commented sample file with every key instead"),
    ),
)
def schema(_yard: Yard, *, host: bool, sample: bool) -> Result:
    """Print the JSON Schema of settings.yaml, with which editors complete and check it.

    See docs/how-to/use-an-editor.md.
    """
    from dockyard.settings.key import Scope

    scope = Scope.HOST if host else Scope.SERVICE
    if sample:
        from dockyard.settings.sample import render_sample

        return Result(render_sample(scope))
    from dockyard.settings.schema import text

    return Result(text(scope).splitlines())
