"""Compare twenty upstream events with `podman auto-update` and watchtower's steps: what is live, and the downtime.

    scripts/world enter trixie:updates --init systemd -- .venv/bin/python bench/auto_update.py [EVENTS [SEED]]

Run as root, in a world whose process 1 is systemd, with podman, and docker-registry on PATH. One service runs three
times: with dockyard; as a Quadlet unit with `AutoUpdate=registry`, `Notify=healthy` and podman's rollback; and as a
container that is stopped, removed and created again from the tag's image, as watchtower and its forks do (no package of
Debian, PyPI or npm contains them, so their steps are repeated here). Each event publishes an image under the tag that
all of them follow; then each updates in turn, while a client fetches a page every 20 ms. Downtime is counted until
SETTLE seconds after the command.
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.engines.upstream import Upstream, serving
from tests.engines.world import World, fetch, free_port, wait_for

NAME, SETTLE, REPOSITORY = "dyt-beside", 8.0, "app"
QUADLETS = Path("/etc/containers/systemd")
INSECURE = Path("/etc/containers/registries.conf.d/dockyard-bench.conf")
KINDS = [
    *["good"] * 5,
    *["packages", "same", "back", "slow"],
    *["wrong"] * 3,
    *["crashing"] * 2,
    *["hanging"] * 2,
    *["unhealthy"] * 2,
    *["data"] * 2,
]
BAD = frozenset({"wrong", "crashing", "hanging", "unhealthy", "data"})
HEALTH = "wget -q -O /dev/null http://127.0.0.1:8080/ && test ! -e /unhealthy"
SERVE = """#!/bin/sh
trap "exit 0" TERM INT
mkdir -p /www
{extra}
echo "{page}" >/www/index.html
httpd -f -p 8080 -h /www & wait
"""
EXTRA = {
    "crashing": "exit 3",
    "hanging": "sleep 100000 & wait",
    "slow": "sleep 1",
    "unhealthy": "(sleep 1; touch /unhealthy) &",
    "data": "[ ! -e /data/populated ] || exit 4",
}
TEST = """#!/bin/sh
[ "${DOCKYARD_TESTER-}" = "process $PPID" ] || exec dockyard-python -m dockyard.testing "$0" "$@"
tries=0
until "$CONTAINER_ENGINE" exec "$CONTAINER_NAME" wget -q -O - http://127.0.0.1:8080/ | grep version; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || { echo "no page says its version"; exit 1; }
    sleep 0.2
done
"""


class Version(NamedTuple):
    """A published image."""

    number: int
    kind: str
    digest: str


class Peer(NamedTuple):
    """One way to update a service: its container, its port, and a function that updates it and returns its output."""

    title: str
    container: str
    port: int
    update: Callable[[], str]


class Outcome(NamedTuple):
    """The result of an event for a peer: the page that is served now, and how long no correct page was served."""

    page: str
    down: float
    is_replaced: bool
    said: str


def publish(upstream: Upstream, number: int, kind: str) -> Version:
    """Publish a version of the service's image under the tag that all peers follow."""
    page = "an error" if kind == "wrong" else f"version {number}"
    files = {"bin/serve": SERVE.format(extra=EXTRA.get(kind, ""), page=page)}
    return Version(number, kind, upstream.publish(REPOSITORY, "1", files))


@contextmanager
def polling(port: int) -> Iterator[list[tuple[float, str]]]:
    """Fetch the page every 20 ms; yields the time and the page."""
    found: list[tuple[float, str]] = []
    over = threading.Event()

    def poll() -> None:
        while not over.wait(0.02):
            found.append((time.monotonic(), fetch(port, timeout=1).strip()))

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def time_down(found: list[tuple[float, str]]) -> float:
    """Return for how many seconds no page contained its version."""
    return sum(end - begin for (begin, page), (end, _) in pairwise(found) if "version" not in page)


def watch_update(world: World, peer: Peer) -> Outcome:
    """Let a peer update its service, and watch the page."""
    before = world.container_id(peer.container)
    with polling(peer.port) as found:
        said = peer.update()
        time.sleep(SETTLE)
    is_replaced = world.container_id(peer.container) != before
    return Outcome(found[-1][1], time_down(found), is_replaced, said)


# ---- the three peers
def make_dockyard_service(world: World, image: str) -> Peer:
    """Create a service, and launch it."""
    port = free_port()
    settings = {
        "ports": [f"{port}:8080"],
        "autostart": 1,
        "cmd": ["/bin/serve"],
        "mount_rw": "data:/data",
        "healthcheck": {"cmd": HEALTH, "interval": "1s", "retries": 3, "timeout": "2s"},
        "updates": {"cooldown": 0, "rebuild": "0"},
    }
    world.service(settings, name=NAME, dockerfile=f"FROM {image}\nLABEL dytest=1\n", scripts={"Test": TEST})
    world.d("upgrade", NAME)
    (world.volumes / NAME / "data/populated").touch()

    def update() -> str:
        done = world.d("upgrade-all", expect=None, timeout=600)
        return f"{done.stdout}{done.stderr}"

    return Peer("dockyard", NAME, port, update)


def make_data(world: World, name: str) -> Path:
    """Create a directory with the data of a service that has been in use."""
    data = world.root / f"data-of-{name}"
    data.mkdir()
    (data / "populated").touch()
    return data


def make_quadlet_unit(world: World, image: str) -> Peer:
    """Create a Quadlet unit as podman's documentation recommends, and start it."""
    name, port = f"{NAME}-podman", free_port()
    data = make_data(world, name)
    unit = f"""[Container]
ContainerName={name}
Image={image}
Exec=/bin/serve
AutoUpdate=registry
PublishPort={port}:8080
Volume={data}:/data
HealthCmd={HEALTH}
HealthInterval=1s
HealthRetries=3
HealthTimeout=2s
Notify=healthy
[Service]
Restart=always
TimeoutStartSec=30
"""
    QUADLETS.mkdir(parents=True, exist_ok=True)
    (QUADLETS / f"{name}.container").write_text(unit)
    world.run("systemctl", "daemon-reload")
    world.run("systemctl", "start", f"{name}.service")

    def update() -> str:
        done = world.run("podman", "auto-update", expect=None, timeout=600)
        return f"{done.stderr}{done.stdout}"

    return Peer("podman auto-update", name, port, update)


def make_plain_container(world: World, image: str) -> Peer:
    """Run a container, and replace it when the tag points to another image."""
    name, port = f"{NAME}-watchtower", free_port()
    data = make_data(world, name)
    options = ("--publish", f"{port}:8080", "--volume", f"{data}:/data", "--restart", "always")

    def create() -> str:
        return world.call("run", "--detach", "--name", name, *options, image, "/bin/serve", expect=None)

    def update() -> str:
        world.call("pull", "--quiet", image)
        running = world.inspect(name).get("Image", "")
        if running.removeprefix("sha256:") == world.image_id(image):
            return "nothing to update"
        world.call("stop", "--time", "10", name, expect=None)
        world.call("rm", "--force", name)
        create()
        return "updated"

    world.call("pull", "--quiet", image)
    create()
    return Peer("stop, remove, create", name, port, update)


def remove(world: World) -> None:
    """Remove the containers, units and images of the bench."""
    for unit in QUADLETS.glob(f"{NAME}*.container"):
        world.run("systemctl", "stop", f"{unit.stem}.service", expect=None)
        unit.unlink()
    world.run("systemctl", "daemon-reload")
    INSECURE.unlink(missing_ok=True)
    world.remove()


def publish_event(upstream: Upstream, kind: str, named: list[Version]) -> None:
    """Publish the image of an event; `named` is the tag's former image."""
    if kind == "back":
        upstream.move(REPOSITORY, "1", named[-2].digest)
        del named[-1]
    elif kind == "same":
        digest = upstream.republish(REPOSITORY, "1")
        named.append(named[-1]._replace(digest=digest))
    else:
        named.append(publish(upstream, named[-1].number + 100, kind))


def describe(expected: str, outcome: Outcome) -> str:
    """Return one cell of the table."""
    is_live = "as it should be" if outcome.page == expected else repr(outcome.page or "nothing")
    replaced = "replaced" if outcome.is_replaced else "same container"
    return f"{is_live}, {replaced}, {1000 * outcome.down:.0f} ms down"


def shorten_output(outcome: Outcome) -> str:
    """Return the last lines of a peer's output."""
    lines = [line for line in outcome.said.strip().splitlines() if line.strip()]
    return " | ".join(lines[-3:])[:300]


def main(events: int = 20, seed: int = 1) -> None:
    """Run the events, and print a table."""
    kinds = KINDS[:]
    random.Random(seed).shuffle(kinds)  # noqa: S311 - an order
    with tempfile.TemporaryDirectory(prefix="dybench-") as place:
        world = World("podman", Path(place))
        world.make()
        try:
            with serving(world) as upstream:
                compare(world, upstream, kinds[:events])
        finally:
            remove(world)


def compare(world: World, upstream: Upstream, kinds: list[str]) -> None:
    """Run all events against all peers."""
    INSECURE.parent.mkdir(parents=True, exist_ok=True)
    INSECURE.write_text(f'[[registry]]\nlocation = "{upstream.address}"\ninsecure = true\n')
    image = f"{upstream.name(REPOSITORY)}:1"
    named = [publish(upstream, 100, "good"), publish(upstream, 200, "good")]
    makers = (make_dockyard_service, make_quadlet_unit, make_plain_container)
    peers = [make(world, image) for make in makers]
    for peer in peers:
        wait_for(lambda peer=peer: "version" in fetch(peer.port), peer.title)  # type: ignore[misc]
    good = named[-1]
    totals: dict[str, list[Outcome]] = {peer.title: [] for peer in peers}
    wrong = dict.fromkeys(totals, 0)
    for number, kind in enumerate(kinds, 1):
        publish_event(upstream, kind, named)
        good = named[-1] if named[-1].kind not in BAD else good
        print(f"{number} {kind}", flush=True)
        for peer in peers:
            outcome = watch_update(world, peer)
            totals[peer.title].append(outcome)
            wrong[peer.title] += outcome.page != f"version {good.number}"
            told = f"{describe(f'version {good.number}', outcome)}; said: {shorten_output(outcome)}"
            print(f"  {peer.title}: {told}", flush=True)
    for title, outcomes in totals.items():
        down = sum(outcome.down for outcome in outcomes)
        same = sum(outcome.is_replaced for kind, outcome in zip(kinds, outcomes, strict=True) if kind == "same")
        print(
            f"{title}: after {wrong[title]} of {len(kinds)} events not what should be live; "
            f"{down:.1f} s down; replaced for the same content {same} times"
        )


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:]))
    except (KeyboardInterrupt, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
