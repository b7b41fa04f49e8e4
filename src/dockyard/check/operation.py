"""Checks of how a service fares over time: whether its base is renewed, and how it stops."""

from collections.abc import Iterator

from dockyard.check.dockerfile import is_made_here
from dockyard.check.point import Concern, Found, Severity
from dockyard.check.registry import check
from dockyard.check.subject import Subject
from dockyard.dockerfile import is_reference
from dockyard.settings.keys import BUILD_PARAMS, STOP_TIMEOUT

USUAL_TIMEOUT = 10
"""Seconds between SIGTERM and SIGKILL, unless settings say otherwise."""
_LEAST_STOPS = 2  # one may have been slow by chance


@check("base-never-pulled", Severity.WARNING, "A base image that nothing pulls", concern=Concern.SECURITY)
def base_never_pulled(subject: Subject) -> Iterator[Found]:
    """A tag such as `nginx:1` gets fixes in its registry; a build alone never fetches them."""
    dockerfile = subject.dockerfile
    if not dockerfile or not subject.settings or "--pull" in subject.settings[BUILD_PARAMS]:
        return
    engine, service = subject.fleet.answers.dialect.name, subject.service.name
    floating = {stage.base: stage for stage in dockerfile.stages if stage.is_from_image and _is_floating(stage.base)}
    for base, stage in floating.items():
        if not is_made_here(subject, base):
            message = f"base `{base}` stays as it was when it was last pulled"
            hint = f"{engine} pull {base}, then `d upgrade {service}`, at regular times"
            yield Found(message, dockerfile.at(stage), hint=hint)


def _is_floating(base: str) -> bool:
    """Return whether a reference has a tag, which may come to name another image; see also dockerfile_unpinned_base."""
    tag = base.rpartition("/")[2].partition(":")[2]
    return is_reference(base) and "@" not in base and tag not in {"", "latest"}


@check("killed-at-stop", Severity.WARNING, "A container that is killed at every stop", concern=Concern.DATA)
def killed_at_stop(subject: Subject) -> Iterator[Found]:
    """What it had not yet written is lost, a database has to recover, and each stop takes as long as it may."""
    if not subject.settings or len(subject.stops) < _LEAST_STOPS:
        return
    said = subject.settings[STOP_TIMEOUT]
    limit = USUAL_TIMEOUT if said is None else said
    if limit and all(stop.is_killed or stop.seconds >= limit for stop in subject.stops):
        message = f"it did not end within {limit} s at any of its last {len(subject.stops)} stops, and was killed"
        hint = "have its program end at SIGTERM, or STOPSIGNAL in its Dockerfile name the signal that it ends at"
        more = "; if it needs longer: `stop_timeout`"
        yield Found(message, subject.said(STOP_TIMEOUT, "stop-timeout"), hint=f"{hint}{more}")
