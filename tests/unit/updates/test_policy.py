"""Update policies: what settings and host file say together, and what is in the way of an update."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from dockyard.cli.explain import written
from dockyard.settings.key import Scope
from dockyard.settings.keys import UPDATES
from dockyard.settings.load import read_file
from dockyard.settings.resolve import Settings, resolve
from dockyard.settings.update_type import Updates
from dockyard.settings.values import Mode
from dockyard.updates.policy import DAY_SECONDS, Hold, Policy, find_blockers, load_policy
from dockyard.updates.track import parse_track
from dockyard.updates.version import parse_version
from dockyard.updates.window import parse_window

NOW = datetime(2026, 11, 29, 10, 14, tzinfo=ZoneInfo("Europe/Vienna"))  # a Sunday


def _settings(own: str = "", host: str = "") -> Settings:
    layers = [
        {},
        read_file(f"updates: {own}", "settings.yaml", Scope.SERVICE),
        read_file(f"updates: {host}", "host.yaml", Scope.HOST),
    ]
    return resolve(layers, Mode.PROD, {})


def _texts(policy: Policy, kind: str = "digest", version: str = "", days: float = 10) -> list[str]:
    seen = NOW.timestamp() - days * DAY_SECONDS
    return [
        one.text for one in find_blockers(policy, now=NOW, first_seen=seen, kind=kind, version=parse_version(version))
    ]


def test_without_a_word_the_same_tag_is_followed_and_new_digests_wait_three_days():
    policy = load_policy(_settings())
    assert policy == Policy()
    assert policy.track.is_same_tag
    assert policy.cooldown == 3 * DAY_SECONDS
    assert policy.remind == 14 * DAY_SECONDS


def test_fields_are_merged_one_by_one():
    settings = _settings("{track: ^16, cooldown: 0}", "{cooldown: 7d, hold: major, window: Sun 03:00-05:00}")
    policy = load_policy(settings)
    assert policy.track.text == "^16"
    assert policy.cooldown == 0
    assert policy.hold == Hold("major")
    assert policy.windows == (parse_window("Sun 03:00-05:00"),)
    assert settings.value(UPDATES).source == "settings.yaml:1 and host.yaml:1"


def test_what_holds_on_the_host_can_be_lifted_again():
    policy = load_policy(
        _settings("{hold: none, window: always, track: tag}", "{hold: all, window: 03:00-05:00, track: any}")
    )
    assert (policy.hold, policy.windows, policy.track.is_same_tag) == (Hold("none"), (), True)


@pytest.mark.parametrize(
    ("image", "track", "hold"),
    [
        ("postgres", "^16", "major"),
        ("postgres:16.4", "^16", "major"),
        ("docker.io/library/postgres:16.4@sha256:" + "a" * 64, "^16", "major"),
        ("debian", "any", "none"),
        ("ghcr.io/org/postgres", "any", "major"),
        ("redis", "~7.2", "major"),
        ("nginx", "any", "major"),
    ],
)
def test_images_may_differ(image: str, track: str, hold: str):
    own = "{track: any, images: {postgres: {track: ^16}, debian: {hold: none}}}"
    host = "{hold: major, images: {nginx: {track: ^1}, redis: {hold: major}}}"
    if image == "redis":  # what settings.yaml says of all is stronger than what the host file says of one
        own = "{images: {redis: {track: ~7.2}}}"
    policy = load_policy(_settings(own, host), image)
    assert (policy.track.text, policy.hold.text) == (track, hold)


def test_what_the_host_says_of_an_image_holds_unless_the_service_says_otherwise():
    host = "{track: any, images: {nginx: {track: ^1, cooldown: 1w}}}"
    assert load_policy(_settings("", host), "nginx:1.27").track.text == "^1"
    policy = load_policy(_settings("{track: tag}", host), "nginx:1.27")
    assert policy.track.is_same_tag
    assert policy.cooldown == 7 * DAY_SECONDS


def test_an_empty_value_says_nothing():
    assert load_policy(_settings("", "{cooldown: 7d}")).cooldown == 7 * DAY_SECONDS
    assert _settings("").value(UPDATES).value == Updates()


@pytest.mark.parametrize(
    "text",
    ["{track: ^16, hold: major}", "{window: [Sun 03:00-05:00, Wed 03:00-05:00]}", "{images: {nginx: {track: ^1}}}"],
)
def test_a_policy_is_shown_as_it_is_written(text: str):
    assert written(_settings(text)[UPDATES]) == text


def test_notes_name_the_version():
    policy = load_policy(_settings("{notes: 'https://example.org/{version}/notes'}"))
    assert policy.notes_of("16.5") == "https://example.org/16.5/notes"


@pytest.mark.parametrize(
    ("policy", "kind", "version", "days", "texts"),
    [
        (Policy(), "digest", "", 3, []),
        (Policy(), "digest", "", 1, ["in cooldown until 2026-12-01 10:14"]),
        (Policy(cooldown=0), "digest", "", 0, []),
        (Policy(hold=Hold("major")), "major", "17.0", 9, ["held: major"]),
        (Policy(hold=Hold("major")), "minor", "16.5", 9, []),
        (Policy(hold=Hold("all")), "digest", "", 9, ["held: all"]),
        (Policy(hold=Hold("17", (17,))), "minor", "16.5", 9, []),
        (Policy(hold=Hold("17", (17,))), "major", "17", 9, ["held: 17 and later"]),
        (Policy(hold=Hold("17.0", (17, 0))), "major", "17", 9, ["held: 17.0 and later"]),
        (Policy(hold=Hold("17", (17,))), "digest", "", 9, []),
        (Policy(windows=(parse_window("Sun 10:00-11:00"),)), "digest", "", 9, []),
        (
            Policy(windows=(parse_window("Sun 03:00-05:00"), parse_window("Wed 03:00-05:00"))),
            "digest",
            "",
            9,
            ["outside its window, which opens Wed 2026-12-02 03:00"],
        ),
        (
            Policy(hold=Hold("major"), windows=(parse_window("Sun 03:00-05:00"),)),
            "major",
            "17.0",
            1,
            [
                "held: major",
                "in cooldown until 2026-12-01 10:14",
                "outside its window, which opens Sun 2026-12-06 03:00",
            ],
        ),
    ],
)
def test_what_is_in_the_way_is_said_in_words(policy: Policy, kind: str, version: str, days: float, texts: list[str]):
    assert _texts(policy, kind, version, days) == texts


def test_a_cooldown_ends_to_the_second():
    seen = NOW.timestamp() - 3 * DAY_SECONDS
    assert find_blockers(Policy(), now=NOW, first_seen=seen, kind="digest") == ()
    (blocker,) = find_blockers(Policy(), now=NOW, first_seen=seen + 1, kind="digest")
    assert (blocker.kind, blocker.until) == ("cooldown", NOW.timestamp() + 1)


def test_a_hold_has_no_end_and_a_window_has():
    policy = Policy(parse_track("^16"), Hold("all"), 0, (parse_window("Mon 03:00-05:00"),))
    held, window = find_blockers(policy, now=NOW, first_seen=0, kind="minor")
    assert (held.kind, held.until) == ("held", None)
    assert (window.kind, window.until) == ("window", datetime(2026, 11, 30, 3, tzinfo=NOW.tzinfo).timestamp())


def test_what_was_first_seen_by_a_clock_that_was_ahead_cools_down_from_now():
    (blocker,) = find_blockers(Policy(), now=NOW, first_seen=NOW.timestamp() + 400 * DAY_SECONDS, kind="digest")
    assert blocker.until == NOW.timestamp() + 3 * DAY_SECONDS
