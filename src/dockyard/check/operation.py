"""Checks of a service over time: whether its base image is updated, and how it stops."""

from collections.abc import Iterator

from dockyard.check.dockerfile import is_made_here
from dockyard.check.point import Concern, Found, Severity
from dockyard.check.registry import check
from dockyard.check.subject import Subject
from dockyard.dockerfile import is_reference
from dockyard.plan.build import is_pull_flag
from dockyard.settings.keys import BUILD_PARAMS, OFFLINE, STOP_TIMEOUT

USUAL_TIMEOUT = 10
"""Seconds between SIGTERM and SIGKILL by default."""
_LEAST_STOPS = 2  # one may have been slow by chance


@check("base-never-updated", Severity.WARNING, "A base image that is never updated", concern=Concern.SECURITY)
def base_never_updated(subject: Subject) -> Iterator[Found]:
    """An image such as `nginx:1` gets fixes in its registry; they are deployed only if a Test passes with them."""
    dockerfile = subject.dockerfile
    if not dockerfile or not subject.settings or not (reason := _why_not_updated(subject)):
        return
    bases = {stage.base: stage for stage in dockerfile.stages if stage.is_from_image and is_reference(stage.base)}
    for base, stage in bases.items():
        if not is_made_here(subject, base):
            yield Found(f"base image `{base}` is never updated: {reason[0]}", dockerfile.at(stage), hint=reason[1])


def _why_not_updated(subject: Subject) -> tuple[str, str] | None:
    """Return why base images are never updated automatically, and what to do about it."""
    if subject.settings and subject.settings[OFFLINE]:
        return "`offline: true` forbids asking registries", "remove it from the host file"
    if not subject.service.is_testable:
        return "the service has no Test", "write ./Test"
    return None


@check("pull-flag", Severity.WARNING, "`--pull` among the build parameters")
def pull_flag(subject: Subject) -> Iterator[Found]:
    """It would pull base images that `updates` does not allow, so builds ignore it."""
    if subject.settings and any(is_pull_flag(word) for word in subject.settings[BUILD_PARAMS]):
        hint = "remove it: `d upgrade-all` takes newer base images, as `updates` allows"
        yield Found("`--pull` in `build_params` has no effect", subject.said(BUILD_PARAMS), hint=hint)


@check("killed-at-stop", Severity.WARNING, "A container that is killed at every stop", concern=Concern.DATA)
def killed_at_stop(subject: Subject) -> Iterator[Found]:
    """Unwritten data is lost, a database must recover, and each stop takes the full timeout."""
    if not subject.settings or len(subject.stops) < _LEAST_STOPS:
        return
    said = subject.settings[STOP_TIMEOUT]
    limit = USUAL_TIMEOUT if said is None else said
    if limit and all(stop.is_killed or stop.seconds >= limit for stop in subject.stops):
        message = f"the container was killed at its last {len(subject.stops)} stops: it did not end within {limit} s"
        hint = "make its program end on SIGTERM, or set STOPSIGNAL in its Dockerfile to the signal that ends it"
        more = "; if it needs longer, raise `stop_timeout`"
        yield Found(message, subject.said(STOP_TIMEOUT, "stop-timeout"), hint=f"{hint}{more}")
