"""A simulated year of upstream events, and what has to be live after each: an oracle that knows nothing of dockyard.

Twelve services in four waves are built on five images of others. Each event publishes something; then the clock is put
forward, and the timer's job runs. `DOCKYARD_YEAR=200` is a whole year; the tests run a short one.
"""

import json
import random
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from tests.engines.upstream import Upstream
from tests.engines.world import World

DAY = 86_400.0
COOLDOWN = 1.0  # day, of all services but those that take everything at once
DATA_BREAKS, UNHEALTHY, ALWAYS_BREAK = "data", "unhealthy", frozenset({"bad", "crashing", "hanging"})
CHECK = {"cmd": "test ! -e /unhealthy", "interval": "2s", "retries": 1, "timeout": "2s"}
KINDS = ("good", "bad", "crashing", "hanging", "slow", UNHEALTHY, DATA_BREAKS, "back", "major", "packages", "same")
WEIGHTS = (24, 8, 6, 5, 6, 6, 8, 8, 6, 13, 10)

SERVE = """#!/bin/sh
trap "exit 0" TERM INT
echo version {version}
{extra}
touch /ready
sleep 100000 & wait
"""
EXTRA = {
    "bad": ": BAD",
    "crashing": "exit 3",
    "hanging": "sleep 100000 & wait",
    "slow": "sleep 1",
    UNHEALTHY: "touch /unhealthy",
    DATA_BREAKS: "[ ! -e /data/populated ] || exit 4",
}
TEST = r"""#!/bin/sh
[ "${DOCKYARD_TESTER-}" = "process $PPID" ] || exec dockyard-python -m dockyard.testing "$0" "$@"
inside() { "$CONTAINER_ENGINE" exec "$CONTAINER_NAME" "$@"; }
tries=0
until inside test -e /ready; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || { echo "it is not ready after 4 s"; exit 1; }
    sleep 0.2
done
! inside grep -q BAD /bin/serve
"""


class Version(NamedTuple):
    """What was published: its content by number, what it does, and its digest."""

    number: int
    kind: str
    digest: str

    def is_bad_for(self, service: "Service") -> bool:
        """Return whether a service must never run it."""
        if self.kind == UNHEALTHY:
            return service.is_checked
        return self.kind in ALWAYS_BREAK or (self.kind == DATA_BREAKS and service.has_data)


class Service(NamedTuple):
    """A service of the fleet; `repository` is what it is built on."""

    name: str
    repository: str
    is_pinned: bool
    has_data: bool
    is_checked: bool
    cooldown: float


class Fleet:
    """The services, what was published, and what ought to be live."""

    def __init__(self, engine: World, upstream: Upstream, seed: int) -> None:
        self.engine, self.upstream = engine, upstream
        self.random = random.Random(seed)  # noqa: S311 - a simulation
        self.now = 0.0
        self.number = 0
        self.moves: dict[str, list[tuple[float, Version]]] = {}
        """What each tag named, one after the other, and when the timer's job first saw it; withdrawn ones are gone."""
        self.live: dict[str, Version] = {}
        self.failed: dict[str, set[str]] = {}
        self.commits: dict[str, int] = {}
        self.told: set[str] = set()
        """Services of whose failure people were notified, until that is resolved."""
        self.services: list[Service] = []
        self.counts: dict[str, int] = dict.fromkeys(("runs", "switches", "updates", "failures", "messages"), 0)

    def build(self) -> None:
        """Publish the first version of each image, and launch all services on them."""
        for repository in ("a", "b", "c", "d", "e"):
            self.moves[repository] = [(0.0, self._publish(repository, "good", "1"))]
        for number in range(12):
            repository = "abcde"[number % 5]
            service = Service(
                "",
                repository,
                is_pinned=repository == "d",
                has_data=number % 3 == 0,
                is_checked=number % 4 == 1,
                cooldown=number % 2 * COOLDOWN,
            )
            self.services.append(service._replace(name=self._create(service, number)))
        self.engine.d("upgrade-all", env=self.clock)
        for service in self.services:
            self.live[service.name] = self.moves[service.repository][-1][1]
            self.failed[service.name] = set()
            if service.has_data:
                (self.engine.volumes / service.name / "data").mkdir(parents=True, exist_ok=True)
                (self.engine.volumes / service.name / "data/populated").touch()

    def _create(self, service: Service, number: int) -> str:
        reference = f"{self.upstream.name(service.repository)}:1"
        pin = f"@{self.moves[service.repository][-1][1].digest}" if service.is_pinned else ""
        settings = {
            "network": "none",
            "autostart": 1 + number % 4,
            "cmd": ["/bin/serve"],
            **({"healthcheck": CHECK} if service.is_checked else {}),
            "updates": {"cooldown": f"{service.cooldown:.0f}d" if service.cooldown else "0", "rebuild": "0"},
            **({"mount_rw": "data:/data"} if service.has_data else {}),
        }
        made = self.engine.service(
            settings, dockerfile=f"FROM {reference}{pin}\nLABEL dytest=1\n", scripts={"Test": TEST}
        )
        if service.is_pinned:
            self.commits[made.name] = 1
            git(made, "init", "-q", "-b", "main")
            git(made, "add", ".")
            git(made, "commit", "-qm", "first")
        return made.name

    @property
    def clock(self) -> dict[str, str]:
        """The environment in which it is as late as the simulation says."""
        return {"PYTHONPATH": str(Path(__file__).with_name("shifted")), "SHIFT_SECONDS": f"{self.now * DAY:.0f}"}

    # ------------------------------------------------------------------------------------------------- events
    def happen(self) -> str:
        """Let one event happen; returns what it is."""
        kind = self.random.choices(KINDS, WEIGHTS)[0]
        repository = self.random.choice(sorted(self.moves))
        named = self.moves[repository]
        if kind == "back" and len(named) > 1:
            self.upstream.move(repository, "1", named[-2][1].digest)
            del named[-1]
        elif kind == "major":
            self._publish(repository, "good", f"2.{self.number}")
        elif kind == "same":
            digest = self.upstream.republish(repository, "1")
            named.append((-1.0, named[-1][1]._replace(digest=digest)))
        else:
            published = {"packages": "good", "back": "good"}.get(kind, kind)
            named.append((-1.0, self._publish(repository, published, "1")))
        return f"{kind} {repository}"

    def _publish(self, repository: str, kind: str, tag: str) -> Version:
        self.number += 1
        status = f"Package: tool\nStatus: install ok installed\nVersion: 1.{self.number}\nArchitecture: amd64\n\n"
        files = {
            "bin/serve": SERVE.format(version=self.number, extra=EXTRA.get(kind, "")),
            "var/lib/dpkg/status": status,
        }
        return Version(self.number, kind, self.upstream.publish(repository, tag, files))

    def run_timer(self, days: float) -> list[str]:
        """Let time pass, run what the timer runs, and return what is not as it has to be."""
        self.now += days
        before = {service.name: self.engine.container_id(service.name) for service in self.services}
        for named in self.moves.values():
            named[:] = [(self.now if seen < 0 else seen, version) for seen, version in named]
        changes = self._expect()
        with listening() as (address, messages):
            notify = {"DOCKYARD_NOTIFY": f"[json://{address}]", **self.clock}
            words = ("upgrade-all", "--quiet", "--notify", "--wait", "60")
            done = self.engine.d(*words, env=notify, expect=None, timeout=600)
        self.counts["runs"] += 1
        self.counts["messages"] += len(messages)
        return [*self._check(before, changes, messages), *(["a traceback"] if "Traceback" in done.text else [])]

    def _expect(self) -> dict[str, list[Version]]:
        """Bring up to date what ought to be live; returns what each service tries on the way, as it ends."""
        changes: dict[str, list[Version]] = {}
        for service in self.services:
            named = self.moves[service.repository]
            known = [place for place, (_, version) in enumerate(named) if version.digest == self._digest(service)]
            later = named[known[-1] + 1 :] if known else named[-1:]
            ready = [
                version
                for seen, version in later
                if seen + service.cooldown <= self.now and version.digest not in self.failed[service.name]
            ]
            if not ready:
                continue
            tried = ready[-1]
            changes[service.name] = [tried]
            if tried.is_bad_for(service):
                self.failed[service.name].add(tried.digest)
                self.counts["failures"] += 1
            else:
                self.live[service.name] = tried
                self.counts["updates"] += 1
                if service.is_pinned:
                    self.commits[service.name] += 1
        return changes

    def _digest(self, service: Service) -> str:
        return self.live[service.name].digest

    def _check(
        self, before: Mapping[str, str], changes: Mapping[str, list[Version]], messages: list[dict[str, Any]]
    ) -> list[str]:
        """Return what is wrong after a run."""
        wrong = []
        failed = set()
        for service in self.services:
            name, version = service.name, self.live[service.name]
            tried = changes.get(name, [])
            log = self.engine.call("logs", name, expect=None).split("\n")[0]
            is_up = self.engine.is_up(name)
            if not is_up or log != f"version {version.number}":
                wrong.append(f"{name} on {service.repository}: {log!r} (up: {is_up}), not {version}; tried {tried}")
            if any(one.is_bad_for(service) for one in tried):
                failed.add(name)
            elif not tried and self.engine.container_id(name) != before[name]:
                wrong.append(f"{name}: it was replaced for nothing")
            self.counts["switches"] += self.engine.container_id(name) != before[name]
            if service.is_pinned:
                count = self._commits(service)
                if count != self.commits[name]:
                    wrong.append(f"{name}: {count} commits, not {self.commits[name]}")
        return [*wrong, *self._check_messages(failed, [str(message["title"]) for message in messages])]

    def _check_messages(self, failed: set[str], titles: list[str]) -> list[str]:
        """Return what is wrong with what people were told: one message when updates begin to fail, one at the end."""
        ended = [title for title in titles if "resolved" in title]
        begun = [title for title in titles if "resolved" not in title]
        stuck = {service.name for service in self.services if self._is_stuck(service)}
        news = (failed | stuck) - self.told
        wrong = [f"unexpected: {title}" for title in begun if not any(name in title for name in news)]
        wrong += [f"unexpected: {title}" for title in ended if not any(name in title for name in self.told)]
        wrong += [f"{name}: nobody was told" for name in failed - self.told if not any(name in one for one in begun)]
        self.told = {name for name in self.told if not any(name in title for title in ended)}
        self.told |= {name for name in news if any(name in title for title in begun)}
        return wrong

    def _is_stuck(self, service: Service) -> bool:
        """Return whether the tag names a version that the service has failed with, as after being moved back."""
        return self.moves[service.repository][-1][1].digest in self.failed[service.name]

    def _commits(self, service: Service) -> int:
        """Return how many commits changed a service for good: one that was taken back counts for nothing."""
        subjects = git(self.engine.source / service.name, "log", "--format=%s").splitlines()
        return len(subjects) - 2 * sum(": revert " in subject for subject in subjects)


def git(directory: Path, *words: str) -> str:
    """Run git as a user."""
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    command = ["/usr/bin/git", "-C", str(directory), *who, *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Receive notifications: yields an address, and what came there."""
    came: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}", came
        finally:
            server.shutdown()
