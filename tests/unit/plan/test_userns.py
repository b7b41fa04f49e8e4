"""Changes of the host's files by enabling, and that disabling reverts them."""

from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import DockyardError, UsageError
from dockyard.plan.account_files import (
    SIZE,
    AccountFiles,
    free_start,
    groups_in,
    in_the_way,
    ranges_of,
    subordinates_in,
    users_in,
    with_lines,
)
from dockyard.plan.daemon_json import setting_in
from dockyard.plan.dockerd import Daemon
from dockyard.plan.mapped_names import ServiceAccounts
from dockyard.plan.mapping_problems import asked_for, problems
from dockyard.plan.userns import (
    EnablePlan,
    FileChange,
    changes,
    consequences,
    left_behind,
    plan_enable,
    system_files,
    undone,
)
from tests.unit.plan.test_daemon_json import texts as configurations

FILES = system_files("/etc", "/etc/docker/daemon.json")
USERS = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/:\nnobody:x:65534:65534::/:\nann:x:1000:1000::/home/ann:\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\nann:x:1000:\n"
REDIS = ServiceAccounts("redis", "root:x:0:0::/:\nredis:x:6379:6380::/:\n", "root:x:0:\nredis:x:6380:\n")


def host(
    passwd: str | None = USERS,
    group: str | None = GROUPS,
    subuid: str | None = None,
    subgid: str | None = None,
    config: str | None = None,
) -> dict[str, str | None]:
    """Return the files of a host."""
    return dict(zip(FILES, (passwd, group, subuid, subgid, config), strict=True))


def enabled(
    texts: Mapping[str, str | None], *services: ServiceAccounts, user: str = "dockremap", start: int | None = None
) -> EnablePlan:
    """Return the plan for a host."""
    return plan_enable(FILES, texts, user, start, services)


# ------------------------------------------------------------------------------------------------------- what is made
def test_a_user_its_ranges_names_and_the_setting_are_made():
    plan = enabled(host(), REDIS)
    added = {
        change.path: (change.after or "").removeprefix(change.before or "") for change in changes(host(), plan.texts)
    }
    assert added == {
        "/etc/passwd": (
            "dockremap:*:999:999::/nonexistent:/usr/sbin/nologin\n"
            "d-root:*:100000:100000::/nonexistent:/usr/sbin/nologin\n"
            "d-redis:*:106379:106380::/nonexistent:/usr/sbin/nologin\n"
        ),
        "/etc/group": "dockremap:*:999:\nd-root:*:100000:\nd-redis:*:106380:\n",
        "/etc/subuid": "dockremap:100000:65536\n",
        "/etc/subgid": "dockremap:100000:65536\n",
        "/etc/docker/daemon.json": '{\n    "userns-remap": "dockremap"\n}\n',
    }
    assert plan.ids == IdMap((IdRange(0, 100000, SIZE),), (IdRange(0, 100000, SIZE),))
    assert plan.notes == ()


def test_enabling_twice_changes_nothing_the_second_time():
    once = enabled(host(), REDIS).texts
    assert changes(once, enabled(once, REDIS).texts) == ()


def test_a_new_service_gets_names_and_nothing_else():
    once = enabled(host()).texts
    assert [change.path for change in changes(once, enabled(once, REDIS).texts)] == ["/etc/passwd", "/etc/group"]


@pytest.mark.parametrize(
    ("texts", "start"),
    [
        (host(subuid="ann:100000:65536\n"), 165536),
        (host(subgid="ann:100000:65536\n"), 165536),
        (host(subuid="ann:165535:2\n"), 231072),
        (host(passwd=f"{USERS}far:x:100005:5::/:\n"), 165536),
        (host(passwd=f"{USERS}far:x:5:165535::/:\n"), 165536),
        (host(group=f"{GROUPS}far:x:165535:\n"), 165536),
        (host(subuid="ann:0:4000000000\n", subgid=None), None),
    ],
)
def test_the_first_range_is_taken_that_nobody_has(texts: dict[str, str | None], start: int | None):
    if start is None:
        with pytest.raises(DockyardError, match="no range of 65536 ids is free"):
            enabled(texts)
    else:
        plan = enabled(texts)
        assert (plan.ids.uids[0].outside, plan.ids.gids[0].outside) == (start, start)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (65535, "a range cannot start at 65535"),
        (2**31, "a range cannot start at"),
        (-1, "a range cannot start at -1"),
        (120000, "subuid gives 100000 to 165535 to `ann`"),
        (1000000, "user `far` is 1000001"),
    ],
)
def test_a_start_that_cannot_be_is_an_error_with_one_that_can(start: int, message: str):
    texts = host(passwd=f"{USERS}far:x:1000001:5::/:\n", subuid="ann:100000:65536\n")
    with pytest.raises(UsageError) as error:
        enabled(texts, start=start)
    assert message in str(error.value)
    assert "165536" in error.value.hint


def test_ranges_that_are_there_already_are_used():
    """A host whose user already existed, created by dockerd or by hand."""
    texts = host(subuid="dockremap:500000:65536\n", subgid="dockremap:600000:65536\n")
    plan = enabled(texts, REDIS)
    assert (plan.ids.uids[0].outside, plan.ids.gids[0].outside) == (500000, 600000)
    assert "d-redis:*:506379:606380:" in (plan.texts["/etc/passwd"] or "")
    assert "/etc/subuid" not in {change.path for change in changes(texts, plan.texts)}


def test_a_range_that_is_missing_is_made_like_its_twin():
    plan = enabled(host(subuid="dockremap:500000:65536\n"))
    assert plan.texts["/etc/subgid"] == "dockremap:500000:65536\n"


def test_another_start_than_that_of_a_range_that_is_there_is_an_error():
    with pytest.raises(UsageError, match="from 500000 on, not from 165536"):
        enabled(host(subuid="dockremap:500000:65536\n"), start=165536)


def test_a_range_that_is_too_small_is_told():
    plan = enabled(host(subuid="dockremap:500000:1000\n", subgid="dockremap:500000:1000\n"), REDIS)
    assert plan.notes[0].startswith("`dockremap` has 1000 ids")
    assert any("redis" in note and "above 999" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("passwd", "group", "uid", "gid"),
    [
        ("dockremap:x:120:121::/:\n", "dockremap:x:121:\n", 120, 121),
        ("dockremap:x:120:121::/:\n", "", 120, None),
        ("", "dockremap:x:121:\n", 999, 121),
        ("a:x:999:999::/:\nb:x:998:998::/:\n", "c:x:997:\n", 996, 996),
    ],
)
def test_a_user_and_a_group_that_are_there_are_used(passwd: str, group: str, uid: int, gid: int | None):
    plan = enabled(host(passwd=USERS + passwd, group=GROUPS + group))
    user = next(account for account in users_in(plan.texts["/etc/passwd"] or "") if account.name == "dockremap")
    owners = [account for account in groups_in(plan.texts["/etc/group"] or "") if account.name == "dockremap"]
    assert user.uid == uid
    assert [account.gid for account in owners] == [999 if gid is None else gid]


@pytest.mark.parametrize("user", ["", "Root", "a:b", "a\nb", "-a", "a" * 33, "ü"])
def test_what_is_no_name_of_a_user_is_refused(user: str):
    with pytest.raises(UsageError, match="not a valid user name"):
        enabled(host(), user=user)


def test_no_system_id_left_is_an_error():
    everyone = "".join(f"u{number}:x:{number}:{number}::/:\n" for number in range(100, 1000))
    with pytest.raises(DockyardError, match="no system user id is free"):
        enabled(host(passwd=USERS + everyone))


# -------------------------------------------------------------------------------------------------------------- names
def names(plan: EnablePlan) -> list[tuple[str, int | None]]:
    """Return the mapped users by name."""
    return [(user.name, user.uid) for user in users_in(plan.texts["/etc/passwd"] or "") if user.name.startswith("d-")]


def service(name: str, *users: tuple[str, int]) -> ServiceAccounts:
    """Return the accounts of a service."""
    return ServiceAccounts(name, "".join(f"{user}:x:{uid}:{uid}::/:\n" for user, uid in users), "")


def test_of_one_id_the_first_name_counts_and_the_other_is_told():
    plan = enabled(host(), service("a", ("cache", 7)), service("b", ("store", 7)))
    assert names(plan) == [("d-root", 100000), ("d-cache", 100007)]
    assert plan.notes == ("b: user `store` gets no name: 100007 is `d-cache`",)


def test_of_one_name_the_first_id_counts_and_the_other_is_told():
    plan = enabled(host(), service("a", ("redis", 7)), service("b", ("redis", 8)))
    assert names(plan) == [("d-root", 100000), ("d-redis", 100007)]
    assert plan.notes == ("b: user `redis` gets no name: `d-redis` already has id 100007",)


def test_a_name_that_the_host_has_for_something_else_is_left_alone():
    plan = enabled(host(passwd=f"{USERS}d-redis:x:1234:1234::/:\n"), REDIS)
    assert plan.notes == ("redis: user `redis` gets no name: `d-redis` already has id 1234",)
    assert ("d-redis", 1234) in names(plan)


@pytest.mark.parametrize("name", ["Redis", "a.b", "a b", "x" * 31, "ü", "a$"])
def test_what_the_host_cannot_have_as_a_name_is_left_out(name: str):
    plan = enabled(host(), service("a", (name, 7)))
    assert names(plan) == [("d-root", 100000)]
    assert plan.notes == (f"a: user `{name}` gets no name: `d-{name}` is not allowed on the host",)


def test_an_id_past_the_range_is_left_out():
    plan = enabled(host(), service("a", ("high", 65536)))
    assert plan.notes == ("a: user `high` gets no name: its id is above 65535",)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_account_of_a_service_can_become_anything_but_a_mapped_one(passwd: str, group: str):
    """Whatever a service's passwd contains: no user gets a password, a shell, or an ID of the host."""
    plan = enabled(host(), ServiceAccounts("a", f"{passwd}\nok:x:5:5::/:\n", f"{group}\nok:x:5:\n"))
    added = (plan.texts["/etc/passwd"] or "").removeprefix(USERS).splitlines()
    for line in added[1:]:
        name, password, uid, gid, _, home, shell = line.split(":")
        assert (name[:2], password, home, shell) == ("d-", "*", "/nonexistent", "/usr/sbin/nologin")
        assert 100000 <= int(uid) < 165536
        assert 100000 <= int(gid) < 165536


# --------------------------------------------------------------------------------------------------- somebody else's
@pytest.mark.parametrize("value", ["somebody", "dockremap:other", "1000"])
def test_a_mapping_of_somebody_else_is_refused(value: str):
    with pytest.raises(DockyardError, match=f'"{value}" already'):
        enabled(host(config=f'{{"userns-remap": "{value}"}}'))


@pytest.mark.parametrize("value", ["dockremap", "default"])
def test_a_setting_that_is_right_stays_as_it_is(value: str):
    config = f'{{"userns-remap": "{value}"}}'
    assert enabled(host(config=config)).texts["/etc/docker/daemon.json"] == config


# --------------------------------------------------------------------------------------------------- there and back
LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20)
ENTRIES = st.builds(
    lambda name, numbers: ":".join([name, *map(str, numbers)]),
    st.sampled_from(["ann", "dockremap", "d-root", ""]),
    st.lists(st.integers(0, 400000), max_size=3),
)
TEXTS = st.none() | st.builds(
    lambda lines, end: "\n".join(lines) + end, st.lists(LINES | ENTRIES, max_size=4), st.sampled_from(["", "\n"])
)
HOSTS = st.builds(host, TEXTS, TEXTS, TEXTS, TEXTS, st.none() | st.just("") | configurations())


def _plan_or_none(texts: dict[str, str | None]) -> EnablePlan | None:
    try:
        return enabled(texts, REDIS)
    except DockyardError:
        return None  # ranges that contradict each other


@given(HOSTS)
def test_enabling_and_undoing_leaves_every_byte(texts: dict[str, str | None]):
    plan = _plan_or_none(texts)
    assume(plan)
    assert plan
    for change in changes(texts, plan.texts):
        assert undone(change, change.after, FILES) == change.before
        assert undone(change, change.before, FILES) == change.before


@given(HOSTS, LINES)
def test_what_somebody_adds_later_stays_and_ours_goes(texts: dict[str, str | None], line: str):
    plan = _plan_or_none(texts)
    assume(plan)
    assert plan
    for change in changes(texts, plan.texts)[:-1]:
        later = f"{change.after}{line}\n"
        assume(line not in (change.after or "").split("\n"))
        rest = undone(change, later, FILES) or ""
        before = change.before or ""
        apart = "\n" if before and not before.endswith("\n") else ""
        assert rest == f"{before}{apart}{line}\n" or not (before + line).strip()


@given(HOSTS)
def test_the_same_is_made_again_after_it_was_undone(texts: dict[str, str | None]):
    plan = _plan_or_none(texts)
    assume(plan)
    assert plan
    undo = {change.path: undone(change, change.after, FILES) for change in changes(texts, plan.texts)}
    assert enabled({**texts, **undo}, REDIS).texts == plan.texts


@given(configurations(), configurations())
def test_a_configuration_that_was_rewritten_loses_only_the_setting(before: str, other: str):
    plan = enabled(host(config=before))
    change = FileChange(FILES.config, before, plan.texts[FILES.config])
    rewritten = enabled(host(config=other)).texts[FILES.config]
    assume(rewritten != change.after)
    assert setting_in(undone(change, rewritten, FILES), FILES.config) == ""


def test_a_configuration_that_somebody_else_set_meanwhile_stays():
    change = FileChange(FILES.config, None, '{\n    "userns-remap": "dockremap"\n}\n')
    assert undone(change, '{"userns-remap": "other"}', FILES) == '{"userns-remap": "other"}'


def test_a_configuration_that_was_made_and_holds_more_by_now_stays_without_the_setting():
    change = FileChange(FILES.config, None, '{\n    "userns-remap": "dockremap"\n}\n')
    assert undone(change, '{"userns-remap": "dockremap", "debug": true}', FILES) == '{"debug": true}'
    assert undone(change, '{"userns-remap": "dockremap" }', FILES) is None


def test_an_empty_setting_from_before_comes_back():
    change = FileChange(FILES.config, '{"userns-remap": ""}', '{"userns-remap": "dockremap"}')
    assert undone(change, '{"userns-remap": "dockremap", "a": 1}', FILES) == '{"userns-remap": "", "a": 1}'


def test_a_file_that_somebody_removed_stays_removed():
    assert undone(FileChange(FILES.subuid, "", "dockremap:100000:65536\n"), None, FILES) is None


def test_an_entry_of_ours_that_somebody_changed_is_told():
    change = FileChange(FILES.passwd, USERS, f"{USERS}dockremap:*:999:999::/nonexistent:/usr/sbin/nologin\n")
    now = f"{USERS}dockremap:*:999:999::/nonexistent:/bin/sh\n"
    assert undone(change, now, FILES) == now
    assert left_behind(change, now) == ("dockremap:*:999:999::/nonexistent:/bin/sh",)
    assert left_behind(change, USERS) == ()


# ------------------------------------------------------------------------------------------------------------- ranges
SUBORDINATES = st.lists(
    st.builds(lambda start, size: f"ann:{start}:{size}", st.integers(0, 600000), st.integers(0, 200000)), max_size=6
).map("\n".join)
IDS = st.lists(st.integers(0, 600000), max_size=6)


@given(SUBORDINATES, SUBORDINATES, IDS, IDS)
def test_a_free_range_overlaps_nothing(subuid: str, subgid: str, uids: list[int], gids: list[int]):
    passwd = "\n".join(f"u{uid}:x:{uid}:{uid}::/:" for uid in uids)
    group = "\n".join(f"g{gid}:x:{gid}:" for gid in gids)
    start = free_start(AccountFiles(passwd, group, subuid, subgid))
    range_ = set(range(start, start + SIZE))
    assert not range_ & {*uids, *gids}
    for entry in (*subordinates_in(subuid), *subordinates_in(subgid)):
        assert not range_ & set(range(entry.start, entry.start + entry.size))
    assert (start - 100000) % SIZE == 0


@pytest.mark.parametrize("line", ["", "a", "a:b:c", "a:1", "a:1:2:3", "a:-1:5", "a:1:", "a:٣:5", f"a:{'9' * 5000}:1"])
def test_lines_that_are_no_ranges_are_passed_over(line: str):
    assert [entry.owner for entry in subordinates_in(f"{line}\nok:1:2\n")] == ["ok"]


def test_ranges_of_one_owner_follow_each_other():
    """As the engine writes it."""
    ranges = ranges_of("u:100:10\nv:1:1\nu:500:5\nu:600:0\n", "u")
    assert ranges == (IdRange(0, 100, 10), IdRange(10, 500, 5))


def test_lines_are_put_after_a_last_one_without_its_newline():
    assert with_lines("a", ["b"]) == "a\nb\n"
    assert with_lines("a", []) == "a"


# ----------------------------------------------------------------------------------------------------------- problems
def files_of(texts: Mapping[str, str | None]) -> AccountFiles:
    """Return the account files of a host."""
    return AccountFiles(*(texts[path] or "" for path in FILES[:4]))


def test_what_enabling_makes_has_no_problems():
    files = files_of(enabled(host(), REDIS).texts)
    assert problems("dockremap", files) == []
    assert problems("default", files) == []
    assert problems("dockremap:dockremap", files) == []
    assert problems("999", files) == []
    assert asked_for("999:999", files).uids[0].outside == 100000


def test_nothing_asked_for_is_no_problem():
    assert problems("", files_of(host())) == []
    assert asked_for("", files_of(host())) == IdMap()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"/etc/subuid": ""}, "subuid has no range of `dockremap`"),
        ({"/etc/subgid": None}, "subgid has no range of `dockremap`"),
        ({"/etc/subuid": "dockremap:100000:1000\n"}, "subuid gives `dockremap` 1000 ids"),
        ({"/etc/subuid": "dockremap:100000:65536\nann:165535:9\n"}, "subuid gives 165535 to 165543 to `ann`"),
        ({"/etc/subuid": "dockremap:100000:65536\ndockremap:100009:65536\n"}, "from 100009 on twice"),
        ({"/etc/passwd": USERS}, "there is no user `dockremap`"),
        ({"/etc/group": GROUPS}, "there is no group `dockremap`"),
        ({"/etc/group": f"{GROUPS}dockremap:x:9:\nother:x:100009:\n"}, "group `other` is 100009"),
    ],
)
def test_each_problem_is_told(change: dict[str, str | None], problem: str):
    found = problems("dockremap", files_of({**enabled(host(), REDIS).texts, **change}))
    assert any(problem in line for line in found), found


def test_names_of_mapped_ids_are_in_nobodys_way():
    files = files_of(enabled(host(), REDIS).texts)
    own = next(iter(subordinates_in(files.subuid)))
    assert list(in_the_way(files, own)) == []


# -------------------------------------------------------------------------------------------------------------- shown
def test_a_difference_is_one_that_patch_reads():
    change = FileChange("/etc/subuid", "a:1:2\nlast", "a:1:2\nlast\nb:3:4\n")
    assert change.diff == (
        "--- /etc/subuid\n+++ /etc/subuid\n@@ -1,2 +1,3 @@\n"
        " a:1:2\n-last\n\\ No newline at end of file\n+last\n+b:3:4\n"
    )


def test_a_file_that_is_made_or_removed_is_shown_as_such():
    assert FileChange("/f", None, "a\n").diff.startswith("--- /dev/null\n+++ /f\n")
    assert FileChange("/f", "a\n", None).diff.startswith("--- /f\n+++ /dev/null\n")


@pytest.mark.parametrize(
    ("running", "said"),
    [(0, ""), (1, "ENDS the one running container"), (7, "ENDS the 7 running containers")],
)
def test_what_is_lost_is_said_first(running: int, said: str):
    lines = consequences(running)
    assert "NOT VISIBLE" in lines[0]
    assert bool(said) == any("ENDS" in line for line in lines)
    assert any(said in line for line in lines)


# ------------------------------------------------------------------------------------------------------------- daemon
def test_flags_of_a_daemon_are_read_in_every_spelling():
    daemon = Daemon(7, ("dockerd", "--config-file=/a", "--config-file", "/b", "-p", "/c", "--userns-remap"))
    assert (daemon.flag("--config-file"), daemon.flag("--pidfile", "-p"), daemon.flag("--userns-remap")) == (
        "/b",
        "/c",
        "",
    )
    assert daemon.flag("--data-root") == ""


def test_a_daemon_is_asked_with_its_own_flags_and_another_configuration():
    daemon = Daemon(7, ("/usr/bin/dockerd", "--config-file", "/a", "-H", "fd://", "--config-file=/b"))
    assert daemon.validation("/new") == ("/usr/bin/dockerd", "-H", "fd://", "--validate", "--config-file", "/new")


def test_how_to_restart_depends_on_who_started_it():
    assert Daemon(7, ("dockerd",), unit="docker.service").restart() == ("systemctl restart docker.service",)
    by_hand = Daemon(7, ("dockerd", "--label", "a b"), cwd="/c d", output="/log").restart()
    assert by_hand == (
        "kill 7 && tail --pid=7 -f /dev/null",
        "cd '/c d' && setsid dockerd --label 'a b' </dev/null >>/log 2>&1 &",
    )
    assert len(Daemon(0, ("dockerd",)).restart()) == 1
