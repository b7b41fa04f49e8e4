"""Checks of what is mounted: whether it is there, whose it is, and what it hands over."""

import re
import stat
from collections.abc import Iterator

from dockyard.check.point import Concern, Found, Severity, Unknown
from dockyard.check.registry import check
from dockyard.check.subject import Subject
from dockyard.plan.facts import PathFact
from dockyard.plan.flags import mount_fields
from dockyard.plan.isolation import Claim, Kind, claims_of, where_said
from dockyard.plan.mounts import mounted_at, rules_for
from dockyard.plan.places import is_within, normal, places_of
from dockyard.settings.keys import EXTRA_DOCKER

_SOURCE_HINT = "if data should be there, mount its disk or correct the path; create a directory for new data only"
_SOCKET = re.compile(r"/(docker|podman|containerd|crio)\.sock$")
_ENGINE_DATA = ("/var/lib/docker", "/var/lib/containers", "/var/lib/containerd")
_WRITABLE = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/proc", "/root", "/sbin", "/sys", "/usr", "/var/spool/cron")
_WHOLE = ("/", "/dev", "/home", "/run", "/var", "/var/lib", "/var/run")
_SEEN = ("/boot", "/etc", "/proc", "/root", "/sys")
"""Directories that give much away even where they are mounted read-only."""


@check(
    "mount-source-missing", Severity.ERROR, "A mount source that does not exist", concern=Concern.SERVICE, stops=True
)
def mount_source_missing(subject: Subject) -> Iterator[Found | Unknown]:
    """Sources with an absolute path are never made: the launch is refused."""
    launch = subject.production
    if not launch:
        return
    if launch.unreadable:
        yield Unknown(f"its mounts, as {launch.unreadable}")
        return
    places = places_of(launch.settings, subject.service.name, test_data=False)
    for rule in rules_for(places):
        for mount in launch.settings[rule.key]:
            source = places.source(mount.source)
            if source in launch.missing:
                yield Found(f"mount source `{source}` does not exist", mount.where, hint=_SOURCE_HINT)


@check("mount-unusable", Severity.ERROR, "A mount that the container's user cannot use", concern=Concern.SERVICE)
def mount_unusable(subject: Subject) -> Iterator[Found | Unknown]:
    """The program inside fails as soon as it reads or writes there."""
    if any(_claims(subject)) and not subject.user:
        yield Unknown("whether its user can use what is mounted: nobody knows who that is before it is built")
        return
    launches = [launch for launch in (subject.production, subject.test) if launch and launch.plan]
    for launch in launches:
        yield from (Found(one.message, one.where, hint=one.hint) for one in (launch.plan.unfit if launch.plan else ()))


@check("mount-nested", Severity.NOTE, "A mount within what the container writes to")
def mount_nested(subject: Subject) -> Iterator[Found]:
    """Who breaks into the container can have the engine mount something else there, the next time it is started."""
    plan = subject.production.plan if subject.production else None
    for inner, outer in plan.nested if plan else ():
        message = f"containers write to `{outer}`, and can leave a link in place of `{inner}` for the next start"
        yield Found(message, _at(subject, inner), hint="keep the two side by side")


@check("mount-shared-with-tests", Severity.WARNING, "Production's own data in tests", concern=Concern.DATA)
def mount_shared_with_tests(subject: Subject) -> Iterator[Found]:
    """A test that goes wrong can harm what is live."""
    plan = subject.test.plan if subject.test else None
    for path in plan.shared if plan else ():
        yield Found(
            f"`{path}` is production's own directory, and test instances can write to it",
            _at(subject, path),
            write="mount_persistent_test_copy_files, or another of the copying mounts",
        )


@check("mount-world-writable", Severity.WARNING, "A mount that everybody on the host can write to")
def mount_world_writable(subject: Subject) -> Iterator[Found]:
    """Every user of the host can change what the service reads there."""
    for claim in _claims(subject):
        fact = _fact(subject, claim)
        if fact and fact.kind != "other" and fact.mode & stat.S_IWOTH and not fact.mode & stat.S_ISVTX:
            message = f"everybody can write to `{claim.value}`, mode {fact.mode:04o}"
            hint = "make its user or group the owner, then take the permission from others: with the service stopped"
            yield Found(message, _said(subject, claim), hint=hint)


@check("mount-engine-socket", Severity.ERROR, "The engine's socket is mounted", cis="5.32")
def mount_engine_socket(subject: Subject) -> Iterator[Found]:
    """Whoever reaches the engine's socket is root of the host, read-only or not."""
    for claim in _claims(subject):
        if _SOCKET.search(claim.value):
            message = f"it can tell the engine what to do, through `{claim.value}`"
            yield Found(message, _said(subject, claim), hint="do without, or put a filtering proxy in between")


@check("mount-system-path", Severity.ERROR, "A directory of the host's own is mounted", cis="5.6")
def mount_system_path(subject: Subject) -> Iterator[Found]:
    """What is written there is the host's configuration, programs, devices or containers: it is a way to its root."""
    for claim in _claims(subject):
        fact = _fact(subject, claim)
        path = normal(fact.real if fact and fact.real else claim.value)
        if claim.writable and (path in _WHOLE or any(is_within(path, top) for top in (*_WRITABLE, *_ENGINE_DATA))):
            message = f"it can write to `{claim.value}`"
            yield Found(message, _said(subject, claim), write=f"mount_ro, of no more than it needs of {claim.value}")
        elif path in {*_WHOLE, *_SEEN, *_ENGINE_DATA}:
            why = "Keys, passwords and the data of other services are among what can be read there."
            hint = "mount no more than it needs"
            message = f"it can read all of `{claim.value}`"
            yield Found(message, _said(subject, claim), hint=hint, severity=Severity.WARNING, why=why)


@check("mount-propagation", Severity.WARNING, "Mounts made inside reach the host", cis="5.20")
def mount_propagation(subject: Subject) -> Iterator[Found]:
    """What is mounted inside appears on the host, and in other containers."""
    fields = [mount_fields(value).get("bind-propagation", "") for value in subject.values("mount")]
    options = [word for value in subject.values("volume") for word in value.rpartition(":")[2].split(",")]
    for word in dict.fromkeys([*fields, *options]):
        if word in {"shared", "rshared"}:
            yield Found(f"a mount is `{word}`", subject.said(EXTRA_DOCKER), hint="leave it out")


def _claims(subject: Subject) -> list[Claim]:
    """Return the paths of the host that production mounts."""
    return [claim for claim in claims_of(subject.flags) if claim.kind is Kind.PATH]


def _fact(subject: Subject, claim: Claim) -> PathFact | None:
    """Return what stands at a path, if anything does."""
    launch = subject.production
    return launch.facts.paths.get(claim.value) if launch and claim.value not in launch.missing else None


def _said(subject: Subject, claim: Claim) -> str:
    return where_said(claim, subject.settings, subject.service.name) if subject.settings else ""


def _at(subject: Subject, path: str) -> str:
    return mounted_at(path, subject.settings, subject.service.name) if subject.settings else ""
