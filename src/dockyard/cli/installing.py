"""The Python part of scripts/install: `python -m dockyard.cli.installing install|uninstall`."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dockyard import share
from dockyard.cli.command import argument, flag, option
from dockyard.cli.main import program
from dockyard.cli.output import Result, say, warn
from dockyard.cli.parser import Parser
from dockyard.errors import DockyardError
from dockyard.host import has_systemd
from dockyard.installation.item import Item
from dockyard.installation.place import Layout
from dockyard.installation.placing import Done, Installation

PROGRAMS = ("d", "d-build", "d-cowscan", "d-run")
COMPLETED = (*PROGRAMS, "d-map")
INTERPRETER = "/usr/bin/python3"
FRAGMENT = "/etc/sudoers.d/dockyard-d-map"
PARTS = ("units", "sudoers", "man", "completions")

OPTIONS = (
    argument("action", choices=("install", "uninstall")),
    option("--prefix", default="/usr/local", help="prefix of programs, man pages and completions (/usr/local)"),
    option("--home", default="/opt/dockyard", help="directory of the environment (/opt/dockyard)"),
    option("--root", metavar="DIR", help="prefix for every path, like DESTDIR"),
    option("--environment", metavar="NAME", help="the environment to make current"),
    option(
        "--made", metavar="DIR", action="append", default=[], help="a directory that was created for this installation"
    ),
    option("--without", metavar="PARTS", help=f"parts to leave out: {', '.join(PARTS)}"),
    flag("--force", help="also replace or remove files that were changed since, or that dockyard did not install"),
)


def installing(arguments: list[str]) -> Result:
    """Install or uninstall."""
    given = Parser("installing", "Install dockyard on this host, or uninstall it.", OPTIONS).read(arguments)
    os.umask(0o022)
    layout = Layout(given["prefix"], given["home"])
    installation = Installation(given["root"].rstrip("/"), given["home"], given["force"])
    return _install(layout, installation, given) if given["action"] == "install" else _uninstall(layout, installation)


def _install(layout: Layout, installation: Installation, given: dict[str, Any]) -> Result:
    items = list(_items(layout, installation, set(given["without"].split()), given["environment"]))
    done = installation.install(items, given["made"])
    return Result([*_told(done, "written"), *_next(layout, items)])


def _uninstall(layout: Layout, installation: Installation) -> Result:
    _tell_enabled(layout, installation)
    return Result(_told(installation.uninstall([f"{layout.home}/environments"]), "removed"))


def _told(done: list[Done], verb: str) -> list[str]:
    kept = [one for one in done if one.what not in {"written", "unchanged", "removed"}]
    for one in kept:
        warn(f"{one.path}: {one.what}")
    return [f"{sum(one.what == verb for one in done)} files {verb}"]


# ---------------------------------------------------------------------------------------------------- what there is
def _items(layout: Layout, installation: Installation, without: set[str], environment: str) -> Iterator[Item]:
    """Yield everything to install, the swap of environments first: programs are links through it."""
    yield Item(layout.current, target=f"environments/{environment}")
    for name in (*PROGRAMS, "dockyard-python"):
        yield Item(f"{layout.programs}/{name}", target=f"{layout.current}/bin/{name}")
    yield Item(f"{layout.programs}/d-map", _d_map(installation), mode=0o755)
    yield Item(f"{layout.share}/dockyard/{share.MAKEFILE.name}", share.MAKEFILE.read_text(encoding="utf-8"))
    yield Item(f"{layout.share}/dockyard/{share.SCHEMA.name}", share.SCHEMA.read_text(encoding="utf-8"))
    parts = {"man": _manual, "completions": _completions, **({"units": _units} if layout.is_hosts else {})}
    for name, part in parts.items():
        if name not in without:
            yield from part(layout)
    if layout.is_hosts and "sudoers" not in without:
        yield from _sudoers(layout, installation)


def _d_map(installation: Installation) -> str:
    """Return the program by itself, with an interpreter that only root can replace."""
    from dockyard.standalone import d_map

    text = Path(d_map.__file__).read_text(encoding="utf-8")
    if installation.at(INTERPRETER).exists() or Path(INTERPRETER).exists():
        return text
    return text.replace(INTERPRETER, os.path.realpath(sys.executable), 1)


def _manual(layout: Layout) -> Iterator[Item]:
    from importlib.metadata import version

    from dockyard.cli.manual import pages

    for name, text in pages(version("dockyard")).items():
        yield Item(f"{layout.share}/man/man{name[-1]}/{name}", text)


def _completions(layout: Layout) -> Iterator[Item]:
    """Yield what shells load by the name of the command that is completed."""
    bash, zsh, fish = (share.COMPLETIONS[shell].read_text(encoding="utf-8") for shell in ("bash", "zsh", "fish"))
    yield Item(f"{layout.share}/zsh/site-functions/_dockyard", zsh)
    places = ((f"{layout.share}/bash-completion/completions", "", bash), (_fish(layout), ".fish", fish))
    for directory, suffix, text in places:
        yield Item(f"{directory}/d{suffix}", text)
        yield from (Item(f"{directory}/{name}{suffix}", target=f"d{suffix}") for name in COMPLETED if name != "d")


def _fish(layout: Layout) -> str:
    """Return the directory in which fish looks by default, which is not below /usr/local."""
    return "/etc/fish/completions" if layout.prefix == "/usr/local" else f"{layout.share}/fish/vendor_completions.d"


def _units(layout: Layout) -> Iterator[Item]:
    from dockyard.units import hosts_units

    for name, text in hosts_units(layout.programs).items():
        yield Item(f"{_unit_directory(layout)}/{name}", text)


def _unit_directory(layout: Layout) -> str:
    return f"{layout.prefix}/lib/systemd/system"


# --------------------------------------------------------------------------------------------------------- sudo
def _sudoers(layout: Layout, installation: Installation) -> Iterator[Item]:
    """Yield the fragment that lets every user run d-map, if sudo is installed and accepts it, and it is safe."""
    import shutil

    checker = shutil.which("visudo", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if not checker:
        say("sudo is not installed: its fragment is left out; install again once sudo is there")
        return
    program = f"{layout.programs}/d-map"
    if others := list(_writable_by_others(installation, program)):
        warn(f"{', '.join(others)}: others than root can write there: no sudo rule for {program} is installed")
        return
    text = share.SUDOERS.read_text(encoding="utf-8").replace("/usr/local/bin/d-map", program)
    _check(checker, text)
    yield Item(FRAGMENT, text, mode=0o440)


def _check(checker: str, text: str) -> None:
    """Raise DockyardError if sudo refuses the fragment."""
    import tempfile

    from dockyard import process

    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="dockyard-sudoers-") as draft:
        draft.write(text)
        draft.flush()
        done = process.capture((checker, "--check", "--quiet", f"--file={draft.name}"))
    if done.exit_code:
        raise DockyardError(f"visudo refuses the sudoers fragment: {done.stderr.strip()}", hint="WITHOUT=sudoers")


def _writable_by_others(installation: Installation, program: str) -> Iterator[str]:
    """Yield existing directories above a program that others than root can write to; memberless groups are safe."""
    for above in (Path(program).parent, *Path(program).parent.parents):
        place = installation.at(str(above))
        if not place.exists() or (installation.root and os.geteuid()):
            continue
        found = place.stat()
        by_group = found.st_mode & stat.S_IWGRP and found.st_gid and _has_members(found.st_gid)
        if found.st_uid or found.st_mode & stat.S_IWOTH or by_group:
            yield str(above)


def _has_members(group: int) -> bool:
    import grp
    import pwd

    try:
        named = grp.getgrgid(group).gr_mem
    except KeyError:
        return True
    return bool(named) or any(user.pw_gid == group for user in pwd.getpwall())


# ---------------------------------------------------------------------------------------------------- what is next
def _next(layout: Layout, items: Iterable[Item]) -> list[str]:
    """Return the next steps for the user."""
    lines = [f"dockyard is in {layout.programs}; next: d init, d new NAME, man d"]
    if any(item.path.endswith(".service") for item in items):
        how = "systemctl daemon-reload && systemctl enable dockyard.service"
        lines.append(f"to start everything at boot: {how if has_systemd() else 'run `d up-all` at boot'}")
    return lines


def _tell_enabled(layout: Layout, installation: Installation) -> None:
    """Warn of units that are still enabled: only systemd may remove its links to them."""
    directory = installation.at(_unit_directory(layout))
    names = [path.name for path in directory.glob("dockyard*")] if directory.is_dir() else []
    enabled = [name for name in names if list(installation.at("/etc/systemd/system").glob(f"*.wants/{name}"))]
    if enabled:
        warn(f"still enabled: systemctl disable --now {' '.join(sorted(enabled))}")


main = program("installing", installing)

if __name__ == "__main__":
    main()
