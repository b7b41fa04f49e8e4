"""Checks of mounts: whether the source exists, who owns it, and what it gives access to."""

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

_SOURCE_HINT = "if it should hold data, mount its disk or correct the path; create a directory only for new data"
_SOCKET = re.compile(r"/(docker|podman|containerd|crio)\.sock$")
_ENGINE_DATA = ("/var/lib/docker", "/var/lib/containers", "/var/lib/containerd")
_WRITABLE = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/proc", "/root", "/sbin", "/sys", "/usr", "/var/spool/cron")
_WHOLE = ("/", "/dev", "/home", "/run", "/var", "/var/lib", "/var/run")
_SEEN = ("/boot", "/etc", "/proc", "/root", "/sys")
"""Directories that disclose much even if mounted read-only."""


@check(
    "mount-source-missing", Severity.ERROR, "A mount source that does not exist", concern=Concern.SERVICE, stops=True
)
def mount_source_missing(subject: Subject) -> Iterator[Found | Unknown]:
    """Sources with an absolute path are never created: the launch is refused."""
    launch = subject.production
    if not launch:
        return
    if launch.unreadable:
        yield Unknown(f"its mounts: {launch.unreadable}")
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
        yield Unknown("whether its user can use the mounts: its user is not known until it is built")
        return
    launches = [launch for launch in (subject.production, subject.test) if launch and launch.plan]
    for launch in launches:
        yield from (Found(one.message, one.where, hint=one.hint) for one in (launch.plan.unfit if launch.plan else ()))


@check("mount-nested", Severity.NOTE, "A mount inside another writable mount")
def mount_nested(subject: Subject) -> Iterator[Found]:
    """An attacker who breaks in can make the engine mount something else there at the next start."""
    plan = subject.production.plan if subject.production else None
    for inner, outer in plan.nested if plan else ():
        message = f"the container can write to `{outer}`, and replace `{inner}` with a link for the next start"
        yield Found(message, _at(subject, inner), hint="put the two directories side by side")


@check("mount-shared-with-tests", Severity.WARNING, "Production's data in tests", concern=Concern.DATA)
def mount_shared_with_tests(subject: Subject) -> Iterator[Found]:
    """A test that goes wrong can damage production."""
    plan = subject.test.plan if subject.test else None
    for path in plan.shared if plan else ():
        yield Found(
            f"`{path}` is production's directory, and test instances can write to it",
            _at(subject, path),
            write="mount_persistent_test_copy_files, or another mount that copies",
        )


@check("mount-world-writable", Severity.WARNING, "A mount that every user of the host can write to")
def mount_world_writable(subject: Subject) -> Iterator[Found]:
    """Every user of the host can change what the service reads there."""
    for claim in _claims(subject):
        fact = _fact(subject, claim)
        if fact and fact.kind != "other" and fact.mode & stat.S_IWOTH and not fact.mode & stat.S_ISVTX:
            message = f"every user of the host can write to `{claim.value}`, mode {fact.mode:04o}"
            hint = "stop the service, make its user or group the owner, then remove the permission of others"
            yield Found(message, _said(subject, claim), hint=hint)


@check("mount-engine-socket", Severity.ERROR, "A mount of the engine's socket", cis="5.32")
def mount_engine_socket(subject: Subject) -> Iterator[Found]:
    """Anyone who can reach the engine's socket is root on the host, even if it is mounted read-only."""
    for claim in _claims(subject):
        if _SOCKET.search(claim.value):
            message = f"the container controls the engine through `{claim.value}`"
            yield Found(message, _said(subject, claim), hint="remove the mount, or use a filtering proxy")


@check("mount-system-path", Severity.ERROR, "A mount of a system directory", cis="5.6")
def mount_system_path(subject: Subject) -> Iterator[Found]:
    """It holds the host's configuration, programs, devices or containers: writing there gives root on the host."""
    for claim in _claims(subject):
        fact = _fact(subject, claim)
        path = normal(fact.real if fact and fact.real else claim.value)
        if claim.writable and (path in _WHOLE or any(is_within(path, top) for top in (*_WRITABLE, *_ENGINE_DATA))):
            message = f"the container can write to `{claim.value}`"
            yield Found(message, _said(subject, claim), write=f"mount_ro, with only what it needs of {claim.value}")
        elif path in {*_WHOLE, *_SEEN, *_ENGINE_DATA}:
            why = "Keys, passwords and the data of other services can be read there."
            hint = "mount only what it needs"
            message = f"the container can read all of `{claim.value}`"
            yield Found(message, _said(subject, claim), hint=hint, severity=Severity.WARNING, why=why)


@check("mount-propagation", Severity.WARNING, "A mount that propagates to the host", cis="5.20")
def mount_propagation(subject: Subject) -> Iterator[Found]:
    """Mounts made inside appear on the host and in other containers."""
    fields = [mount_fields(value).get("bind-propagation", "") for value in subject.values("mount")]
    options = [word for value in subject.values("volume") for word in value.rpartition(":")[2].split(",")]
    for word in dict.fromkeys([*fields, *options]):
        if word in {"shared", "rshared"}:
            yield Found(f"a mount is `{word}`", subject.said(EXTRA_DOCKER), hint="remove the option")


def _claims(subject: Subject) -> list[Claim]:
    """Return the paths of the host that production mounts."""
    return [claim for claim in claims_of(subject.flags) if claim.kind is Kind.PATH]


def _fact(subject: Subject, claim: Claim) -> PathFact | None:
    """Return what exists at a path, if anything."""
    launch = subject.production
    return launch.facts.paths.get(claim.value) if launch and claim.value not in launch.missing else None


def _said(subject: Subject, claim: Claim) -> str:
    return where_said(claim, subject.settings, subject.service.name) if subject.settings else ""


def _at(subject: Subject, path: str) -> str:
    return mounted_at(path, subject.settings, subject.service.name) if subject.settings else ""
