"""Which newer versions there are, and in words why one is not applied."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.registry.reference import parse_reference
from dockyard.updates.base import DOCKERFILE, Base
from dockyard.updates.pending import Gate, Pending, find_pending
from dockyard.updates.policy import DAY_SECONDS, Hold, Policy
from dockyard.updates.sightings import Memory, Sighting, TagHistory, TagList, observe
from dockyard.updates.track import parse_track
from dockyard.updates.window import parse_window

DAY = float(DAY_SECONDS)
SUNDAYS = (parse_window("Sun 03:00-05:00"),)
NOW = datetime.fromtimestamp(100 * DAY, UTC)


def digest(letter: str) -> str:
    """Return the digest of an image that tests call by a letter."""
    return f"sha256:{letter * 64}"


def base(name: str = "debian:12", *known_as: str) -> Base:
    """Return what a service is built on: the version `a`, unless others are given."""
    known = frozenset(known_as or (digest("a"),))
    return Base("web", name, parse_reference(name), DOCKERFILE, known, min(known))


def seen(**days: float) -> TagHistory:
    """Return the history of a tag that named these versions, each since so many days ago."""
    history = TagHistory()
    for letter, ago in days.items():
        history = observe(history, Sighting(digest(letter), NOW.timestamp() - ago * DAY))
    return history


def memory(history: TagHistory, tag: str = "docker.io/library/debian:12", **lists: Mapping[str, float]) -> Memory:
    """Return a memory of one tag, and of the tags of a repository since so many days ago."""
    tags = {name: NOW.timestamp() - ago * DAY for name, ago in lists.get("tags", {}).items()}
    return Memory({tag: history}, {tag.rpartition(":")[0]: TagList(0.0, tags)} if tags else {})


def found(one: Base, known: Memory, gate: Gate | None = None) -> list[tuple[str, str]]:
    """Return what is pending: from what to what, and why it is not applied."""
    updates = find_pending(one, gate or Gate(Policy()), known, NOW)
    return [(letter(update), "; ".join(blocker.text for blocker in update.blockers)) for update in updates]


def letter(update: Pending) -> str:
    """Return the tag of a version, or the letter of a digest."""
    return update.tag if update.kind != "digest" else update.sighting.digest[-1]


def test_nothing_is_pending_where_the_tag_names_what_runs() -> None:
    """By any of its digests; and nothing is known of a service that is not built, or of a tag never asked for."""
    assert found(base(), memory(seen(a=9))) == []
    config = observe(TagHistory(), Sighting(digest("b"), 1.0, config=digest("a")))
    assert found(base(), memory(config)) == [], "only attestations or other platforms have changed"
    assert found(base("debian:12")._replace(known_as=frozenset()), memory(seen(b=9))) == []
    assert found(base(), Memory()) == []


def test_a_newer_digest_waits_for_its_cooldown_and_is_then_applied() -> None:
    """It counts from when this host first saw it."""
    assert found(base(), memory(seen(a=9, b=1))) == [("b", "in cooldown until 1970-04-13 00:00")]
    assert found(base(), memory(seen(a=9, b=3))) == [("b", "")]


def test_of_several_digests_the_newest_counts_that_may_be_applied() -> None:
    """An image that is published every night would otherwise never be old enough."""
    assert found(base(), memory(seen(a=9, b=5, c=4, d=1))) == [("c", "")]
    assert found(base(), memory(seen(a=9, b=2, c=1))) == [("c", "in cooldown until 1970-04-13 00:00")]


def test_a_version_that_is_not_known_counts_for_older_than_the_newest_alone() -> None:
    """One that was pulled by hand may be newer than all that this host has seen, but not than what the tag names."""
    assert found(base("debian:12", digest("z")), memory(seen(a=9, b=5, c=1))) == [
        ("c", "in cooldown until 1970-04-13 00:00")
    ]


def test_a_tag_that_is_moved_back_takes_services_back() -> None:
    """What was withdrawn is left as soon as possible, for an image that is known for long."""
    history = seen(a=9, b=4)
    history = observe(history, Sighting(digest("a"), NOW.timestamp()))
    assert found(base("debian:12", digest("b")), memory(history)) == [("a", "")]
    assert found(base(), memory(history)) == []


@pytest.mark.parametrize(
    ("gate", "why"),
    [
        (Gate(Policy(), untested="web"), "no Test"),
        (Gate(Policy(), untested="app"), "no Test: app is built from it, and has no Test"),
        (Gate(Policy(), is_built=False), "not built here: write `FROM` in a Dockerfile instead of `image`"),
        (Gate(Policy(), held="held until 2027-01-01"), "held until 2027-01-01"),
        (Gate(Policy(hold=Hold("all"))), "held: all"),
        (Gate(Policy(), failed={digest("b"): "failed its Test on 1970-04-10"}), "failed its Test on 1970-04-10"),
        (
            Gate(Policy(windows=(parse_window("Sun 03:00-05:00"),))),
            "outside its window, which opens Sun 1970-04-12 03:00",
        ),
    ],
)
def test_why_an_update_is_not_applied(gate: Gate, why: str) -> None:
    """In words, one for each."""
    assert found(base(), memory(seen(a=9, b=5)), gate) == [("b", why)]


def test_a_registry_that_limits_requests_is_a_reason() -> None:
    """It names the registry, and until when."""
    limited = memory(seen(a=9, b=5))._replace(limited={"docker.io": NOW.timestamp() + 3600})
    assert found(base(), limited) == [("b", "rate-limited by docker.io until 1970-04-11 01:00")]


def postgres(tags: Mapping[str, float], **digests: float) -> Memory:
    """Return a memory of the tags of postgres, each listed so many days ago, and of when digests of tags were seen."""
    listed = {name: NOW.timestamp() - ago * DAY for name, ago in tags.items()}
    repository = "docker.io/library/postgres"
    histories = {
        f"{repository}:{tag[1:].replace('_', '.')}": observe(
            TagHistory(), Sighting(digest(str(number)), NOW.timestamp() - ago * DAY)
        )
        for number, (tag, ago) in enumerate(digests.items())
    }
    return Memory({f"{repository}:16.3": seen(a=9), **histories}, {repository: TagList(0.0, listed)})


FOLLOWS = Gate(Policy(track=parse_track("^16")))


def test_versions_that_are_followed_and_those_beyond() -> None:
    """The newest of each; `-alpine` is another family, and without `track` only the tag itself is followed."""
    tags = {"16.3": 50, "16.4": 9, "16.5": 5, "16.5-alpine": 9, "17.0": 9, "latest": 9}
    one = base("postgres:16.3")
    known = postgres(tags, v16_5=5, v17_0=5)
    assert found(one, known, FOLLOWS) == [("16.5", ""), ("17.0", "beyond `track: ^16`")]
    assert found(one, known, Gate(Policy())) == []
    (update, _) = find_pending(one, FOLLOWS, known, NOW)
    assert (update.kind, update.summary, update.text) == ("minor", "postgres 16.3 → 16.5", "postgres:16.5")


def test_a_version_whose_digest_is_not_known_is_asked_for_and_not_applied() -> None:
    """The registry has listed its tag, and not answered what it names."""
    ((tag, why),) = found(base("postgres:16.3"), postgres({"16.4": 9}), FOLLOWS)
    assert (tag, why) == ("16.4", "its registry has not reported its digest yet")


def test_a_version_in_its_cooldown_holds_no_older_one_back() -> None:
    """A repository with a release every day would otherwise never be followed."""
    known = postgres({"16.4": 6, "16.5": 5, "16.6": 2, "16.7": 1}, v16_4=6, v16_5=5, v16_6=2, v16_7=1)
    updates = found(base("postgres:16.3"), known, FOLLOWS)
    assert updates == [("16.7", "in cooldown until 1970-04-13 00:00"), ("16.5", "")]


def test_a_version_that_failed_holds_no_older_one_back() -> None:
    known = postgres({"16.4": 6, "16.5": 5}, v16_4=6, v16_5=5)
    gate = FOLLOWS._replace(failed={digest("1"): "failed its Test on 1970-04-10"})
    assert found(base("postgres:16.3"), known, gate) == [("16.5", "failed its Test on 1970-04-10"), ("16.4", "")]


@pytest.mark.parametrize("hold", [Hold("major"), Hold("17", (17,))])
def test_a_version_that_is_held_holds_no_other_back(hold: Hold) -> None:
    """All versions are followed, and the next major one is held: what is below it is asked for, and applied."""
    gate = Gate(Policy(track=parse_track("any"), hold=hold))
    reason = f"held: {hold.text}{' and later' if hold.since else ''}"
    tags = {"16.4": 6, "16.5": 5, "17.0": 5, "17.1": 4}
    unasked = "; its registry has not reported its digest yet"
    assert found(base("postgres:16.3"), postgres(tags), gate) == [("17.1", reason + unasked), ("16.5", unasked[2:])]
    known = postgres(tags, v16_5=5, v17_1=4)
    assert found(base("postgres:16.3"), known, gate) == [("17.1", reason), ("16.5", "")]


def test_what_the_source_is_to_say() -> None:
    """A pin stays one, with the tag for people and the digest for builds; a name stays as it is written."""
    pinned = base(f"registry.example:5000/x/debian:12@{digest('a')}")
    known = memory(seen(a=9, b=5), "registry.example:5000/x/debian:12")
    (update,) = find_pending(pinned, Gate(Policy()), known, NOW)
    assert update.is_edit
    assert update.text == f"registry.example:5000/x/debian:12@{digest('b')}"
    (update,) = find_pending(base(), Gate(Policy()), memory(seen(a=9, b=5)), NOW)
    assert not update.is_edit
    assert update.reference == f"debian:12@{digest('b')}"
    assert update.summary == f"debian:12 {'a' * 12} → {'b' * 12}"


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 10)), min_size=1, max_size=30),
    st.sampled_from("abcdef"),
    st.integers(0, 6),
)
def test_whatever_the_registry_did(moves: list[tuple[str, float]], runs: str, cooldown: int) -> None:
    """What is applied was seen for as long as the cooldown, and the tag named it after what runs, or names it now."""
    history = TagHistory()
    now = NOW.timestamp() - 20 * DAY
    for name, days in moves:
        now += days * DAY / 30
        history = observe(history, Sighting(digest(name), now))
    updates = find_pending(
        base("debian:12", digest(runs)), Gate(Policy(cooldown=cooldown * DAY_SECONDS)), memory(history), NOW
    )
    assert len(updates) == (moves[-1][0] != runs)
    for update in updates:
        order = [one.digest for one in history.sightings]
        if not update.blockers:
            assert update.sighting.first_seen + cooldown * DAY <= NOW.timestamp()
        if digest(runs) in order:
            assert order.index(update.sighting.digest) > order.index(digest(runs))
        else:
            assert update.sighting == history.newest
