"""What d-cowscan does: each action is a function of the same name as its flag, and returns what is printed."""

import time
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.cli.output import Result, say, warn
from dockyard.errors import CANNOT_JUDGE, WORK_FAILED, DockyardError, UsageError
from dockyard.scan.report import ALL_OK, DRIFT, INCOMPLETE, OK, Scanned
from dockyard.service import select
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.engine.models import Container
    from dockyard.scan.observed import Observed
    from dockyard.scan.rules import Rule
    from dockyard.scan.scan import Options
    from dockyard.scan.where import Place
    from dockyard.service import Service

CODES = {OK: 0, DRIFT: WORK_FAILED, INCOMPLETE: CANNOT_JUDGE}


# ------------------------------------------------------------------------------------------------------------ scanning
def report(yard: Yard, given: Namespace) -> Result:
    """Scan, store the findings as alerts, and report new ones."""
    result = _observed(yard, given)
    return Result(result.lines() or [ALL_OK], result.data(), CODES[result.verdict])


def _observed(yard: Yard, given: Namespace) -> "Observed":
    """Scan, store the findings as alerts and report new ones; every action that acts on findings does this first."""
    from dockyard.scan.observed import observed, tell

    began = time.time()
    options = _options(yard, given)
    result = observed(_scanned(yard, given, options), options.names, began)
    _mark_gone(yard, given, began)
    tell(yard.settings, result)
    return result


def _scanned(yard: Yard, given: Namespace, options: "Options") -> list[Scanned]:
    from dockyard.scan.scan import scan_all

    scanned = scan_all(yard, options)
    if given.debug:
        say(f"{len(options.rules)} rules")
        for one in scanned:
            told = f"{one.entries} entries in {one.seconds * 1000:.1f} ms, {one.how}, paused {one.paused * 1000:.1f} ms"
            say(
                f"{one.name}: {one.verdict}, {told}{', found the canary ' if one.proven else ''}{', '.join(one.proven)}"
            )
            for note in one.notes:
                say(f"{one.name}: note: {note}")
    return scanned


def _mark_gone(yard: Yard, given: Namespace, began: float) -> None:
    """Mark the alerts of containers that no longer exist, if all containers were scanned."""
    if not given.names:
        from dockyard.plan.switch import base_name
        from dockyard.scan.alerts import mark_gone

        mark_gone([name for row in yard.rows for name in (row.name, base_name(row.name))], began)


def _options(yard: Yard, given: Namespace) -> "Options":
    from dockyard.scan.difference import diff_of
    from dockyard.scan.reading import Proof
    from dockyard.scan.scan import Options

    there = [row.name for row in yard.rows if given.all or row.is_up]
    names = frozenset(select(name, there, "container") for name in given.names)
    token = select(given.token_container, there, "container") if given.token_container else ""
    proof = Proof(not given.no_token, given.prove, token, given.token_file)
    rules = tuple(_rules(yard, given))
    return Options(
        rules,
        names,
        given.all,
        given.touched,
        not given.no_freeze,
        proof=proof,
        difference=diff_of,
        entries=yard.engine.dialect.entries,
    )


def _rules(yard: Yard, given: Namespace) -> "list[Rule]":
    """Return the rules of the host, of -i, and of the services that have containers."""
    from dockyard.scan.rule_file import default_file, known_rules, load_all, service_rules

    own = default_file()
    rules = load_all([*([own] if own.exists() else []), *(Path(name) for name in given.ignore)])
    rules += known_rules(yard.host)
    present = {row.service for row in yard.rows}
    try:
        services = [service for service in yard.services if service.name in present]
    except DockyardError:  # each container is reported as not compared with its source
        services = []
    for service in services:
        if _may_have_rules(service):
            rules += service_rules(service, yard.host)
    return rules


def _may_have_rules(service: "Service") -> bool:
    """Return whether it is worth while to read all settings: most services have no rules."""
    path = service.file("settings.yaml")
    return bool(path) and b"cowscan" in Path(str(path)).read_bytes()


# ---------------------------------------------------------------------------------------------------------------- rules
def lint(yard: Yard, given: Namespace) -> Result:
    """Scan, and report what is wrong with the rules that a person wrote."""
    import datetime as dt
    from collections import Counter

    from dockyard.scan.known import ORIGIN
    from dockyard.scan.lint import lines, rows
    from dockyard.scan.lint import lint as linted

    options = _options(yard, given)
    used: Counter[Any] = Counter()
    for one in _scanned(yard, given, options):
        used.update(one.used)
    rules = [rule for rule in options.rules if rule.where != ORIGIN]
    problems = linted(rules, used, dt.datetime.now(tz=dt.UTC).date())
    code = WORK_FAILED if problems else 0
    return Result(lines(problems) or [f"{len(rules)} rules: {ALL_OK}"], rows(problems), code)


def suggest(yard: Yard, given: Namespace) -> Result:
    """Scan, and print rules that would expect what is found."""
    from dockyard.layers.store import store_of
    from dockyard.scan.content import Layers
    from dockyard.scan.suggest import suggest as suggested
    from dockyard.scan.where import placed

    options = _options(yard, given)
    found = {one.id: one for one in _scanned(yard, given, options) if one.findings}
    texts: list[str] = []
    for container in yard.engine.containers(found):
        changes = [finding.change for finding in found[container.id].findings]
        with placed(container, store_of(yard.engine)) as place, Layers(place.upper, place.layers) as content:
            texts += suggested(container.name, changes, None, content)
    return Result([line for text in texts for line in text.splitlines()] or ["# no rules to suggest"], texts)


# --------------------------------------------------------------------------------------------------------------- alerts
def alerts(_yard: Yard, given: Namespace) -> Result:
    """List what is raised: of all containers in summaries, of those that are named, and for machines, each alert."""
    from dockyard.scan.acknowledging import raised
    from dockyard.scan.summaries import earlier

    if not given.names and not given.json:
        every = earlier(())
        return Result(every.lines() or ["no alerts"], exit_code=WORK_FAILED if every.total else 0)
    found = raised(given.names)
    lines = [alert.line() for alert in found] or ["no alerts"]
    return Result(lines, [alert.data() for alert in found], WORK_FAILED if found else 0)


def ack(_yard: Yard, given: Namespace) -> Result:
    """Accept alerts."""
    from dockyard.lock import user_name
    from dockyard.scan.acknowledging import acknowledge

    if not given.names:
        raise UsageError(
            "--ack needs the alerts to accept", hint="name fingerprints or containers from `d-cowscan --alerts`"
        )
    done = acknowledge(given.names, user_name(), given.reason)
    return Result([f"accepted: {alert.line()}" for alert in done], [alert.data() for alert in done])


# -------------------------------------------------------------------------------------------------------------- removal
def rm(yard: Yard, given: Namespace) -> Result:
    """Scan, and undo what is unexpected in each container while it runs on."""
    result = _observed(yard, given)
    found = {one.id: one for one in result.scanned if one.findings}
    lines, rows = result.lines(), []
    for container in yard.engine.containers(found):
        row = _removed(yard, container, found[container.id])
        rows.append(row)
        lines += _told(row)
    data = {**result.data(), "removed": rows}
    return Result(lines or [ALL_OK], data, CODES[result.verdict])


def _removed(yard: Yard, container: "Container", one: Scanned) -> dict[str, Any]:
    from dockyard.layers.store import store_of
    from dockyard.scan.quarantine import default_directory
    from dockyard.scan.removal import UNDONE, remove
    from dockyard.scan.where import place_of

    changes = [finding.change for finding in one.findings if finding.change.what in UNDONE]
    left = [
        {"path": f.change.path, "reason": f"{f.group}: not in the layer"} for f in one.findings if f.group != "changed"
    ]
    row: dict[str, Any] = {"container": container.name, "undone": [], "refused": left, "tar": None}
    if not changes:
        return row
    try:
        place = place_of(container, store_of(yard.engine))
        with _held_still(container):
            done = remove(
                container.name, container.id, container.pid, place, changes, default_directory(), container.image_id
            )
    except DockyardError as error:
        return {**row, "refused": [*left, {"path": "/", "reason": str(error)}]}
    refused = [{"path": each.path, "reason": each.reason} for each in done.refused]
    return {
        **row,
        "undone": list(done.undone),
        "refused": [*left, *refused],
        "tar": str(done.tar) if done.tar else None,
    }


def _held_still(container: "Container") -> ExitStack:
    """Return what holds a container still, as far as that can be had: what is done in it is safe without."""
    from dockyard.scan.freeze import Freezer, group_of

    stack = ExitStack()
    try:
        freezer = stack.enter_context(Freezer())
        if container.status != "paused":
            stack.enter_context(freezer.frozen(group_of(container.id, container.pid)))
    except DockyardError as error:
        warn(f"{container.name}: {error}")
    return stack


def _told(row: dict[str, Any]) -> list[str]:
    from dockyard.text import escaped

    name = escaped(row["container"])
    lines = [f"{name}: {len(row['undone'])} reverted"] + ([f"  saved in {row['tar']}"] if row["tar"] else [])
    return [*lines, *(f"  left: {escaped(each['path'])}: {each['reason']}" for each in row["refused"])]


def quarantined(_yard: Yard, _given: Namespace) -> Result:
    """List the quarantine."""
    from dockyard.scan.quarantine import quarantined as kept

    found = kept()
    lines = [
        f"{each.tar}  {each.container}  {each.when}  {each.entries} entries, {each.size} bytes {each.fault}".rstrip()
        for each in found
    ]
    return Result(lines or ["nothing"], [each.row() for each in found])


def restore(yard: Yard, given: Namespace) -> Result:
    """Put back what a removal has undone, into the container that it is of, or the one that is named."""
    from dockyard.layers.store import store_of
    from dockyard.scan.quarantine import quarantined as kept
    from dockyard.scan.restoring import restore as restored
    from dockyard.scan.where import place_of
    from dockyard.text import escaped

    tar = Path(given.restore)
    known = next((each for each in kept(tar.absolute().parent) if each.tar.name == tar.name), None)
    if known is None or known.fault:
        reason = known.fault if known else "not a tar of the quarantine"
        raise DockyardError(f"{tar}: {reason}", hint="`d-cowscan --quarantined` lists them")
    name = given.names[0] if given.names else known.container
    container = next((one for one in yard.engine.containers([name]) if one.pid), None)
    if not container:
        raise DockyardError(f"`{name}` is not up", hint="name the container to restore into")
    with _held_still(container):
        done = restored(tar, container.pid, place_of(container, store_of(yard.engine)))
    refused = [{"path": each.path, "reason": each.reason} for each in done.refused]
    lines = [f"{escaped(container.name)}: {len(done.restored)} restored"]
    lines += [f"  left: {escaped(each['path'])}: {each['reason']}" for each in refused]
    data = {"container": container.name, "restored": list(done.restored), "refused": refused}
    return Result(lines, data, WORK_FAILED if refused else 0)


def restart(yard: Yard, given: Namespace) -> Result:
    """Scan, and recreate each container that has unexpected changes; alerts stay."""
    from dockyard.cli.verbs.lifecycle import restart as restarted

    result = _observed(yard, given)
    lines, done = result.lines(), []
    services = {service.name for service in yard.services}
    for one in result.scanned:
        if not any(finding.group != "undeclared" for finding in one.findings):
            continue
        if one.name not in services:
            lines.append(f"{one.name}: skipped: it is not a service's production container, so it cannot be recreated")
            continue
        lines += restarted(yard, one.name, dry_run=False).lines
        done.append(one.name)
    return Result(lines or [ALL_OK], {**result.data(), "restarted": done}, CODES[result.verdict])


# ------------------------------------------------------------------------------------------------------------- watching
def watch(yard: Yard, given: Namespace) -> Result:
    """Watch until SIGTERM."""
    from dockyard.scan.watch import watch as watched

    watched(_Watch(yard, given).tasks(), yard.engine.program, every=given.every)
    return Result()


class _Watch:
    """The actions of the watch: scans of changes, and the last scan of a container that has ended."""

    def __init__(self, yard: Yard, given: Namespace) -> None:
        self.yard, self.given = yard, given
        self.containers: dict[str, Container] = {}
        self.places: dict[str, Place] = {}
        self.unread: set[str] = set()

    def tasks(self) -> Any:  # noqa: ANN401 - watch.Tasks, which is not imported where nobody watches
        from dockyard.scan.watch import Tasks

        return Tasks(self.uppers, self.scan, self.capture, self.lost, say)

    def uppers(self) -> dict[str, str]:
        from dockyard.layers.store import store_of
        from dockyard.scan.where import place_of

        self.yard.forget_rows()
        self.containers |= {one.id: one for one in self.yard.engine.all_containers()}
        up = {row.id for row in self.yard.rows if row.is_up}
        for identifier in up & self.containers.keys():
            try:
                self.places[identifier] = place_of(self.containers[identifier], store_of(self.yard.engine))
            except DockyardError as error:
                if identifier not in self.unread:
                    self.unread.add(identifier)
                    self.lost(identifier, self.containers[identifier].name, str(error))
        return {identifier: place.upper for identifier, place in self.places.items() if identifier in up}

    def scan(self, moved: Any, everything: bool) -> set[str]:  # noqa: ANN401 - as watch.Tasks has it
        from dockyard.scan.passing import with_gone

        began = time.time()
        self.yard.forget_rows()
        options = _options(self.yard, self.given)
        names = frozenset() if everything else frozenset(moved)
        scanned = _scanned(self.yard, self.given, options._replace(names=names or options.names))
        scanned = [with_gone(one, moved[one.id], options.rules) if one.id in moved else one for one in scanned]
        result = self._observed(scanned, began)
        if everything and self.given.debug:
            for one in result.scanned:
                say(f"{one.name}: {one.verdict}")
        return {one.id for one, news in zip(result.scanned, result.news, strict=True) if news.new}

    def _observed(self, scanned: list[Scanned], began: float) -> "Observed":
        """Store and report the findings, also in the log of the watch."""
        from dockyard.scan.observed import observed, tell

        result = observed(scanned, frozenset(one.name for one in scanned), began)
        for news in result.news:
            for alert in news.new:
                say(alert.line())
        tell(self.yard.settings, result)
        return result

    def capture(self, identifier: str, upper: str, moved: Any) -> None:  # noqa: ANN401 - watch.Moved
        """Scan a container that has ended, through a descriptor that was opened while it ran."""
        from dockyard.scan.passing import with_gone
        from dockyard.scan.scan import scan

        container, place = self.containers.pop(identifier, None), self.places.pop(identifier, None)
        if not container or not place:  # it was scanned already, and the engine has not answered since
            raise DockyardError("it was removed before it could be scanned")
        began = time.time()
        options = _options(self.yard, self.given)._replace(consistent=False)
        one = scan(container, None, options, place=place._replace(upper=upper))
        self._observed([with_gone(one, moved, options.rules)], began)

    def lost(self, identifier: str, name: str, reason: str) -> None:
        from dockyard.scan.observed import observed, tell

        say(f"{name or identifier[:12]}: INCOMPLETE: {reason}")
        one = Scanned(name or identifier[:12], identifier, unjudged={reason: 1})
        tell(self.yard.settings, observed([one], frozenset((one.name,))))
