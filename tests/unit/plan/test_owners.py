"""Owners in settings, translated to IDs of the host."""

import pytest

from dockyard.engine.dialect import DOCKER
from dockyard.engine.models import IdMap, IdRange, Image
from dockyard.errors import DockyardError, SettingsError
from dockyard.plan.facts import Accounts, Facts, HostFacts, Owner
from dockyard.plan.owners import Owners, Ownership, host_names, id_map, user_inside
from dockyard.settings.keys import VOLS
from dockyard.settings.values import Volume
from tests.unit.making import settings_of

OWN = Accounts({"www": Owner(33, 34, (50, 51)), "33": Owner(33, 34, (50, 51)), "root": Owner()}, {"www": 34, "db": 60})
HOST = Accounts({"backup": Owner(500, 501)}, {"staff": 502})
SAME = IdMap()
REMAPPED = IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 200000, 65536),))
ROOTLESS = IdMap((IdRange(0, 1000, 1), IdRange(1, 100000, 65536)), (IdRange(0, 1000, 1), IdRange(1, 100000, 65536)))


def _facts(ids: IdMap = SAME) -> Facts:
    return Facts(DOCKER, HostFacts("harbour"), ids=ids, accounts=OWN, host_accounts=HOST)


def _owned(written: str, ids: IdMap = SAME, *, user: str = "", more: str = "") -> Ownership:
    """Return the owner of the single volume of these settings."""
    settings = settings_of(f"vols:\n  - {{path: data{written and ', ' + written}}}\n{more}")
    return Owners(settings, _facts(ids), user).of(settings[VOLS][0])


@pytest.mark.parametrize(
    ("written", "user", "more", "owned", "remapped"),
    [
        ("", "", "", (0, 0, None), (100000, 200000, None)),
        ("", "www", "", (33, 34, None), (100033, 200034, None)),
        ("", "33:db", "", (33, 60, None), (100033, 200060, None)),
        ("", "nobody-knows", "", (0, 0, None), (100000, 200000, None)),
        ("owner: user/www", "", "", (33, 34, None), (100033, 200034, None)),
        ("owner: user/33", "", "", (33, 34, None), (100033, 200034, None)),
        ("owner: user/77", "", "", (77, 77, None), (100077, 200077, None)),
        ("owner: user/root", "www", "", (0, 0, None), (100000, 200000, None)),
        ("owner: backup", "", "", (500, 501, None), (500, 501, None)),
        ("owner: 77", "", "", (77, 77, None), (77, 77, None)),
        ("group: group/db", "www", "", (33, 60, None), (100033, 200060, None)),
        ("group: group/61", "www", "", (33, 61, None), (100033, 200061, None)),
        ("group: staff", "www", "", (33, 502, None), (100033, 502, None)),
        ("group: 62", "www", "", (33, 62, None), (100033, 62, None)),
        ("owner: backup, group: group/db, perm: 0750", "www", "", (500, 60, 0o750), (500, 200060, 0o750)),
        ("perm: 2770", "", "", (0, 0, 0o2770), (100000, 200000, 0o2770)),
        # vol_defaults, where the volume itself says nothing
        ("", "", "vol_defaults: {owner: user/www, perm: 0700}", (33, 34, 0o700), (100033, 200034, 0o700)),
        ("owner: 5", "", "vol_defaults: {owner: user/www, group: group/db}", (5, 60, None), (5, 200060, None)),
        ("perm: 0755, group: 7", "", "vol_defaults: {owner: 6, perm: 0700}", (6, 7, 0o755), (6, 7, 0o755)),
        # shifts of the user's, which count before the engine's
        ("owner: user/www", "", "shift_uids: 5000", (5033, 34, None), (5033, 200034, None)),
        ("owner: user/www", "", "{shift}", (33, 5034, None), (100033, 5034, None)),
        ("owner: user/www", "", "shift_uids: 0\nshift_gids: 0", (33, 34, None), (33, 34, None)),
        ("owner: backup", "", "shift_uids: 5000", (500, 501, None), (500, 501, None)),
        # raw flags of the engine
        ("owner: user/www", "", "extra_docker: --userns=host", (33, 34, None), (33, 34, None)),
        ("owner: user/www", "", "extra_docker: --userns host", (33, 34, None), (33, 34, None)),
        ("owner: user/www", "", "extra_docker: --uidmap 0:7000:1000", (7033, 7034, None), (7033, 7034, None)),
        (
            "owner: user/www",
            "",
            "extra_docker: --uidmap=0:7000:1 --uidmap=1:8000:99 --gidmap 0:9000:99",
            (8032, 9034, None),
            (8032, 9034, None),
        ),
    ],
)
def test_an_owner_is_told_in_the_hosts_ids(
    written: str, user: str, more: str, owned: tuple[object, ...], remapped: tuple[object, ...]
):
    more = more.replace("{shift}", "shift_gids: 5000")
    assert _owned(written, user=user, more=more) == owned
    assert _owned(written, REMAPPED, user=user, more=more) == remapped


def test_a_rootless_engines_root_is_the_user_who_runs_it():
    assert _owned("", ROOTLESS)[:2] == (1000, 1000)
    assert _owned("owner: user/www", ROOTLESS)[:2] == (100032, 100033)


@pytest.mark.parametrize(
    ("written", "more", "where", "message", "hint"),
    [
        (
            "owner: user/wwww",
            "",
            "settings.yaml:2:5",
            "no user `wwww` in files/etc/passwd, nor in the image",
            "did you mean `www`?",
        ),
        ("owner: user/nobody-knows", "", "settings.yaml:2:5", "no user `nobody-knows` in files/etc/passwd, nor in", ""),
        ("owner: www", "", "settings.yaml:2:5", "no user `www` on this host", "use `user/www` for a user of the"),
        ("owner: back-up", "", "settings.yaml:2:5", "no user `back-up` on this host", "did you mean `backup`?"),
        ("group: db", "", "settings.yaml:2:5", "no group `db` on this host", "use `group/db` for a group of the"),
        ("group: group/bd", "", "settings.yaml:2:5", "no group `bd` in files/etc/group, nor in the image", ""),
        ("perm: 0700", "vol_defaults: {owner: user/x}", "settings.yaml:3", "no user `x` in files/etc/passwd", ""),
        (
            "",
            "vol_defaults: {group: group/70000}",
            "settings.yaml:3",
            "`group/70000`: the engine does not map this gid",
            "",
        ),
        ("owner: user/70000", "", "settings.yaml:2:5", "`user/70000`: the engine does not map this uid", "d userns"),
        ("group: group/70000", "", "settings.yaml:2:5", "`group/70000`: the engine does not map this gid", "d userns"),
    ],
)
def test_an_owner_that_nobody_knows_or_maps_is_an_error_at_its_place(
    written: str, more: str, where: str, message: str, hint: str
):
    with pytest.raises(SettingsError) as error:
        _owned(written, REMAPPED, more=more)
    (problem,) = error.value.problems
    assert (problem.where, problem.message[: len(message)]) == (where, message)
    assert hint in problem.hint


def test_a_user_whom_the_engine_maps_to_nobody_is_told_where_it_would_own_something():
    with pytest.raises(SettingsError) as error:
        _owned("", REMAPPED, user="70000")
    assert error.value.lines() == [
        "settings.yaml:2:5: `70000`: the engine does not map this uid",
        "  hint: see `d userns status`",
    ]


def test_what_a_mount_needs_has_the_defaults():
    settings = settings_of("vol_defaults: {owner: user/www, perm: 0700}")
    assert Owners(settings, _facts(), "").default() == Ownership(33, 34, 0o700)


@pytest.mark.parametrize(
    ("user", "more", "told"),
    [
        ("", "", False),
        ("www", "", False),
        ("77", "", False),
        ("ghost", "", True),
        ("ghost", "vol_defaults: {owner: 1}", False),
    ],
)
def test_a_user_that_nobody_knows_is_told_where_it_would_own_something(user: str, more: str, told: bool):
    notes = Owners(settings_of(more), _facts(), user).notes
    expected = (
        "user `ghost` is not in files/etc/passwd, and there is no image yet: what is created for it belongs to root"
    )
    assert notes == ((expected,) if told else ())


def test_an_image_that_was_read_is_named_where_a_user_is_missing():
    facts = _facts()._replace(images={"ktools/web:live": Image("1" * 64)})
    expected = "user `ghost` is neither in files/etc/passwd nor in the image: what is created for it belongs to root"
    assert Owners(settings_of(""), facts, "ghost").notes == (expected,)


@pytest.mark.parametrize(
    ("user", "owner"),
    [
        ("", Owner()),
        ("root", Owner()),
        ("0", Owner()),
        ("www", Owner(33, 34, (50, 51))),
        ("33", Owner(33, 34, (50, 51))),
        ("77", Owner(77, 0)),
        ("www:db", Owner(33, 60)),
        ("www:61", Owner(33, 61)),
        ("www:ghosts", Owner(33, 34)),
        ("ghost", None),
        ("ghost:db", None),
    ],
)
def test_a_user_as_an_image_names_it(user: str, owner: Owner | None):
    """As in the engine, a user with an explicit group has no supplementary groups."""
    assert user_inside(user, _facts()) == owner


@pytest.mark.parametrize("user", ["2147483648", "33:2147483648"])
def test_an_id_that_no_user_can_have_is_an_error(user: str):
    with pytest.raises(DockyardError, match="2147483648 is not a valid user id"):
        user_inside(user, _facts())


@pytest.mark.parametrize("flags", ["--uidmap 0", "--uidmap a:b:c", "--gidmap 1:2:3:4", "--uidmap="])
def test_flags_that_map_no_ids_are_an_error(flags: str):
    with pytest.raises(DockyardError, match="maps no ids") as error:
        id_map(settings_of(f"extra_docker: {flags}"), _facts())
    assert error.value.hint == "INSIDE:OUTSIDE:SIZE"


def test_the_hosts_names_are_those_that_are_neither_the_services_nor_numbers():
    settings = settings_of(
        "vols: [{path: a, owner: x, group: g}, {path: b, owner: user/y}, {path: c, owner: 5}, d]\n"
        "vol_defaults: {owner: z, group: group/h}\n"
    )
    assert host_names(settings, "owner") == ("x", "z")
    assert host_names(settings, "group") == ("g",)


@pytest.mark.parametrize(("inside", "outside"), [(0, 1000), (1, 100000), (65536, 165535), (65537, None), (-1, None)])
def test_an_id_is_mapped_by_the_range_that_has_it(inside: int, outside: int | None):
    assert (ROOTLESS.uid(inside), ROOTLESS.gid(inside), IdMap().uid(inside)) == (outside, outside, inside)


def test_a_volume_without_a_path_is_what_a_mount_needs():
    """Owners.default requires one; it must not depend on a path."""
    assert Owners(settings_of(), _facts(), "www").of(Volume("", "")) == Owners(settings_of(), _facts(), "www").default()
