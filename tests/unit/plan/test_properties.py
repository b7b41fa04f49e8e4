"""Properties that hold for all settings."""

import csv
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.errors import DockyardError, SettingsError
from dockyard.plan.launch import LaunchOptions, LaunchPlan
from dockyard.plan.mounts import RULES
from dockyard.plan.values import Command, EmptyTestArea
from dockyard.settings.key import OVERRIDES, Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.values import Mode
from tests.unit.making import plan_of, settings_of

MODES = st.sampled_from(list(Mode))
ISOLATED = st.sampled_from([mode for mode in Mode if mode.isolated])

SERVICE_KEYS = [name for name, key in KEYS.items() if key.scope is not Scope.HOST]
PORT = st.sampled_from([1, 22, 80, 10022, 10080, 20080, 55535, 55536, 65535]) | st.integers(1, 65535)
PORTS = st.lists(
    st.builds("{}{}:{}{}".format, st.sampled_from(["", "192.0.2.1:"]), PORT, PORT, st.sampled_from(["", "/udp"]))
)
SOURCES = st.sampled_from(
    [
        *("data", "data/sub", ".", "a/../b", "./data/", "log", "TMP", "TMP/web", "a b,c"),
        *("/", "/rw", "/rw/dv", "/rw/dv/", "/rw/dv/web", "/rw/dv/web/data", "//rw//dv/./web/data", "/rw/dv/webmail"),
        *(
            "/rw/dv/mail/data",
            "/rw/dv/TMP/mail",
            "/rw/dv/TMP/web@prod",
            "/rw/dv/TMP/web/data",
            "/srv/data",
            "/etc/passwd",
        ),
    ]
)
MOUNTS = st.lists(st.tuples(SOURCES, st.integers(0, 99)).map(lambda pair: f"{pair[0]}:/mnt/{pair[1]}"), max_size=4)
MOUNT_KEYS = [rule.key.name for rule in RULES]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
LIKELY = st.sampled_from(
    [
        *(
            "none",
            "NONE",
            "host",
            "container:x",
            "bridge",
            "net",
            "-",
            "0",
            "192.0.2.7",
            "2001:db8::7",
            "web.example.org",
        ),
        *("sh -c 'a b'", "1.5", "512m", 1, 0, True, False, "auto", "s:udp://192.0.2.1:5", "4,host=x", "*name", "a=b"),
        *("data: /data", "/srv/*: /x/", "80:80", "[::1]:80:80", "sha256:" + "a" * 64, "abcdef012345", "a/b:c"),
    ]
)
VALUES = ANYTHING | LIKELY | st.lists(LIKELY, max_size=3) | PORTS | MOUNTS
TEXTS = st.dictionaries(
    st.sampled_from([f"{prefix}{name}" for name in SERVICE_KEYS for prefix in ("", *OVERRIDES)]), VALUES, max_size=5
).map(lambda entries: "".join(f"{key}: {json.dumps(value)}\n" for key, value in entries.items()))


def _written(**keys: Any) -> str:  # noqa: ANN401
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())


def _argv(plan: LaunchPlan) -> tuple[str, ...]:
    command = plan.steps[-1]
    assert isinstance(command, Command)
    return command.argv


def _after(flag: str, argv: Sequence[str]) -> list[str]:
    return [value for word, value in pairwise(argv) if word == flag]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("key", SERVICE_KEYS)
def test_every_key_may_be_left_empty_unless_it_is_refused(key: str, mode: Mode):
    try:
        loaded = settings_of(f"{key}:", mode)
    except SettingsError as error:
        assert "needs a value" in str(error)  # noqa: PT017 - one of two right ways
    else:
        assert _argv(plan_of(loaded))


@given(TEXTS, MODES, st.sampled_from([DOCKER, PODMAN]), st.booleans())
def test_settings_of_any_kind_lead_to_a_launch_or_to_a_clear_error(text: str, mode: Mode, dialect: Any, shell: bool):  # noqa: ANN401
    try:
        plan = plan_of(settings_of(text, mode), dialect=dialect, options=LaunchOptions(shell=shell))
    except DockyardError as error:
        assert error.lines()[0]  # noqa: PT017 - both ways are right
    else:
        assert {type(word) for word in _argv(plan)} == {str}
        assert not any("\0" in word for word in _argv(plan))


@given(PORTS, ISOLATED, st.sampled_from(["auto", 1, 58, 9922, 10000, 65534]) | st.integers(1, 65534))
@settings(max_examples=120)
def test_no_port_of_production_is_published_in_dev_and_test(ports: list[str], mode: Mode, offset: int | str):
    text = _written(ports=ports, port_offset=offset)
    ours, productions = (
        {re.search(r"(\d*):\d+(/\w+)?$", port)[1] for port in _after("--publish", _argv(plan_of(settings_of(text, m))))}
        for m in (mode, Mode.PROD)
    )
    assert ours & productions == set()


@given(PORTS, ISOLATED)
@settings(max_examples=50)
def test_ports_that_name_no_address_are_this_hosts_alone_in_dev_and_test(ports: list[str], mode: Mode):
    published = _after("--publish", _argv(plan_of(settings_of(_written(ports=ports, ipv6_ports=True), mode))))
    assert len(published) == len(ports)
    assert all(port.startswith(("127.0.0.1:", "192.0.2.1:")) for port in published)


@given(
    st.dictionaries(st.sampled_from(MOUNT_KEYS), MOUNTS),
    ISOLATED | st.none(),
    st.sets(SOURCES),
)
def test_nothing_of_production_can_be_written_to_in_dev_and_test(
    mounts: dict[str, list[str]], mode: Mode | None, existing: set[str]
):
    """Except for mount_persistent; mount_test_only may use directories outside VOL_BASE. The same applies with -v."""
    loaded = _settings_or_none(_written(**mounts), mode or Mode.PROD)
    if not loaded:
        return
    there = existing | {f"/rw/dv/web/{source}".rstrip("/.") for source in existing}
    try:
        plan = plan_of(loaded, options=LaunchOptions(test_data=mode is None), existing=there)
    except DockyardError:
        return  # one target twice
    area = f"/rw/dv/TMP/web{'' if mode is Mode.TEST else '@dev' if mode else '@prod'}"
    assert plan.area is None or plan.area.path == area
    for fields in (next(csv.reader([value])) for value in _after("--mount", _argv(plan))):
        source, target = fields[1].removeprefix("source="), fields[2].removeprefix("target=")
        if "readonly" not in fields and not source.startswith(f"{area}/") and source != area:
            key = _key_of(target, mounts)
            assert key in {"mount_persistent", "mount_test_only"}
            assert key == "mount_persistent" or not f"{source}/".startswith("/rw/dv/")
            assert (source in plan.shared) == (key == "mount_persistent")


def _settings_or_none(text: str, mode: Mode) -> Any:  # noqa: ANN401
    try:
        return settings_of(text, mode)
    except DockyardError:
        return None


def _key_of(target: str, mounts: dict[str, list[str]]) -> str:
    return next(key for key, pairs in mounts.items() if any(pair.endswith(f":{target}") for pair in pairs))


@given(st.dictionaries(st.sampled_from(MOUNT_KEYS), MOUNTS), st.lists(SOURCES, max_size=3), ISOLATED, st.sets(SOURCES))
def test_only_the_test_area_is_touched_in_dev_and_test_and_it_is_emptied_first(
    mounts: dict[str, list[str]], vols: list[str], mode: Mode, existing: set[str]
):
    loaded = _settings_or_none(_written(**mounts, vols=vols), mode)
    if not loaded:
        return
    try:
        plan = plan_of(loaded, existing={*existing, *(f"/rw/dv/web/{source}".rstrip("/.") for source in existing)})
    except DockyardError:
        return  # one target twice
    *steps, _ = plan.steps
    assert [step for step in steps if isinstance(step, EmptyTestArea)] == steps[:1]
    assert bool(steps) == bool(plan.area)
    assert all(f"{step.path}/".startswith(f"{plan.area and plan.area.path}/") for step in steps)


@given(st.from_regex(r"[A-Za-z0-9]{12,40}", fullmatch=True), MODES, st.booleans())
@settings(max_examples=50)
def test_a_puid_of_ones_own_is_nowhere_in_a_plan(puid: str, mode: Mode, shell: bool):
    """Neither in the commands that run nor in the printed ones."""
    plan = plan_of(settings_of(_written(puid=puid), mode), options=LaunchOptions(shell=shell))
    assert puid not in repr((plan.steps, plan.notes, plan.secrets, plan.shell("docker")))


@given(TEXTS, MODES)
def test_a_plan_is_the_same_each_time(text: str, mode: Mode):
    loaded = _settings_or_none(text, mode)
    if not loaded:
        return
    try:
        first = plan_of(loaded)
    except DockyardError:
        return
    assert plan_of(loaded).steps == first.steps
