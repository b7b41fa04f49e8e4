"""The ownership doctor: setups that are known to work or to fail, each with the command that fixes it."""

import shlex

import pytest

from dockyard.engine.models import IdMap, IdRange
from dockyard.plan.facts import AclEntry, Owner, PathFact
from dockyard.plan.mounts import Access
from dockyard.plan.ownership import Finding, Process, findings, overrides_permissions

SAME = IdMap()
REMAPPED = IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 100000, 65536),))

ROOT = Process("root", Owner(), SAME, overrides=True)
WEAK_ROOT = ROOT._replace(overrides=False, lacks=("CHOWN", "DAC_OVERRIDE"))
WWW = Process("www", Owner(33, 34, (50,)), SAME, overrides=False)
NUMBER = Process("77", Owner(77, 0), SAME, overrides=False)
MAPPED_ROOT = Process("root", Owner(), REMAPPED, overrides=True)
MAPPED_WEAK = MAPPED_ROOT._replace(overrides=False, lacks=("DAC_OVERRIDE",))
MAPPED_WWW = Process("www", Owner(33, 34, (50,)), REMAPPED, overrides=False)


def _acl(mode: int, *entries: str) -> dict[str, object]:
    """Return an ACL with these entries, as getfacl writes them; its other entries match the mode."""
    own = {"owner": mode >> 6 & 7, "owning group": mode >> 3 & 7, "other": mode & 7}
    acl = [AclEntry(tag, bits) for tag, bits in own.items()]
    for entry in entries:
        kind, name, letters = entry.split(":")
        bits = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in letters.replace("-", ""))
        if kind == "group" and not name:
            acl = [AclEntry("owning group", bits) if tag == "owning group" else old for old in acl for tag in [old.tag]]
        else:
            acl.append(AclEntry(kind, bits, int(name) if name else None))
    return {"mode": mode, "acl": tuple(acl)}


def _directory(uid: int, gid: int, mode: int = 0o750, **more: object) -> PathFact:
    return PathFact("directory", **{"uid": uid, "gid": gid, "mode": mode, "real": "/rw/dv/web/data", **more})  # type: ignore[arg-type]


def _file(uid: int, gid: int, mode: int = 0o640, **more: object) -> PathFact:
    return _directory(uid, gid, mode, **more)._replace(kind="file")


WELL = [
    # owner, group, others
    (WWW, _directory(33, 34), True),
    (WWW, _directory(33, 99, 0o700), True),
    (WWW, _directory(33, 99, 0o500), False),
    (WWW, _directory(99, 34, 0o770), True),
    (WWW, _directory(99, 34, 0o750), False),
    (WWW, _directory(99, 99, 0o755), False),
    (WWW, _directory(99, 99, 0o1777), True),
    (WWW, _file(33, 99, 0o600), True),
    (WWW, _file(33, 99, 0o400), False),
    (WWW, _file(99, 34, 0o040), False),
    (WWW, _file(99, 99, 0o006), True),
    (WWW, _file(99, 99, 0o644), False),
    # groups besides the first
    (WWW, _directory(99, 50, 0o770), True),
    (WWW, _file(99, 50, 0o640), False),
    (NUMBER, _directory(99, 0, 0o770), True),  # a uid that nobody knows has the group of root
    # root
    (ROOT, _directory(33, 34, 0o000), True),
    (ROOT, _file(33, 34, 0o000), True),
    (WEAK_ROOT, _directory(0, 0, 0o700), True),
    (WEAK_ROOT, _directory(33, 0, 0o770), True),
    # users of the host that are mapped
    (MAPPED_ROOT, _directory(100033, 100034, 0o000), True),
    (MAPPED_WWW, _directory(100033, 100034), True),
    (MAPPED_WWW, _directory(0, 100050, 0o770), True),
    (MAPPED_WWW, _directory(0, 0, 0o755), False),
    (MAPPED_ROOT, _directory(0, 0, 0o755), False),
    (MAPPED_WEAK, _directory(100000, 0, 0o700), True),
    # access control lists
    (WWW, _directory(0, 0, **_acl(0o770, "user:33:rwx", "mask::rwx")), True),
    (WWW, _directory(0, 0, **_acl(0o750, "user:33:rwx", "mask::r-x")), False),
    (WWW, _directory(0, 0, **_acl(0o770, "group:50:rwx", "mask::rwx")), True),
    (WWW, _directory(0, 34, **_acl(0o770, "group::rwx", "user:5:r--", "mask::rwx")), True),
    (WWW, _file(0, 34, **_acl(0o670, "group::-wx", "group:50:r--", "mask::rwx")), False),
    (MAPPED_WWW, _directory(0, 0, **_acl(0o770, "user:100033:rwx", "mask::rwx")), True),
    (WWW, _directory(33, 0, **_acl(0o750, "user:5:---", "mask::r-x")), True),
    # what is closed above counts only where users are mapped
    (WWW, _directory(33, 34, closed="/rw"), True),
]


@pytest.mark.parametrize(("process", "fact", "writes"), WELL)
def test_what_works_is_not_complained_of(process: Process, fact: PathFact, writes: bool):
    assert findings([Access("/rw/dv/web/data", fact, writes, "settings.yaml:3:5")], process) == ()


PATH = "/rw/dv/web/data"
CHOWN_WWW = "chown -R 33:34 {path}"
ILL = [
    # owner, group, others
    (WWW, _directory(0, 0, 0o755), True, "user `www` (33) cannot write to it", CHOWN_WWW),
    (WWW, _directory(0, 0, 0o700), False, "user `www` (33) cannot read it", "setfacl -R -m u:33:rX {path}"),
    (WWW, _directory(0, 34, 0o750), True, "user `www` (33) cannot write to it", CHOWN_WWW),
    (WWW, _directory(0, 50, 0o750), True, "user `www` (33) cannot write to it", CHOWN_WWW),
    (WWW, _directory(33, 34, 0o577), True, "user `www` (33) cannot write to it", "chmod -R u+rwX {path}"),
    (WWW, _directory(33, 34, 0o077), False, "user `www` (33) cannot read it", "chmod -R u+rX {path}"),
    (WWW, _directory(0, 34, 0o707), False, "user `www` (33) cannot read it", "setfacl -R -m u:33:rX {path}"),
    (WWW, _directory(0, 0, 0o754), False, "user `www` (33) cannot read it", "setfacl -R -m u:33:rX {path}"),
    (WWW, _directory(0, 34, 0o720), True, "user `www` (33) cannot write to it", CHOWN_WWW),
    (WWW, _file(0, 0, 0o644), True, "user `www` (33) cannot write to it", CHOWN_WWW),
    (WWW, _file(0, 0, 0o600), False, "user `www` (33) cannot read it", "setfacl -R -m u:33:rX {path}"),
    (WWW, _file(33, 0, 0o277), True, "user `www` (33) cannot write to it", "chmod -R u+rwX {path}"),
    (WWW, _file(0, 0, 0o602), True, "user `www` (33) cannot write to it", CHOWN_WWW),
    (NUMBER, _directory(33, 34, 0o755), True, "user `77` cannot write to it", "chown -R 77:0 {path}"),
    # mapped users: root's power ends where ids are not mapped
    (
        *(MAPPED_ROOT, _directory(0, 0, 0o755), True),
        *("user `root` (0), on this host 100000, cannot write to it", "chown -R 100000:100000 {path}"),
    ),
    (
        *(MAPPED_ROOT, _directory(0, 100000, 0o700), False),
        *("user `root` (0), on this host 100000, cannot read it", "setfacl -R -m u:100000:rX {path}"),
    ),
    (
        *(MAPPED_ROOT, _directory(100033, 0, 0o700), True),
        *("user `root` (0), on this host 100000, cannot write to it", "chown -R 100000:100000 {path}"),
    ),
    (
        *(MAPPED_ROOT, _directory(165536, 165536, 0o700), True),
        *("user `root` (0), on this host 100000, cannot write to it", "chown -R 100000:100000 {path}"),
    ),
    (
        *(MAPPED_WWW, _directory(33, 34, 0o750), True),
        *("user `www` (33), on this host 100033, cannot write to it", "chown -R 100033:100034 {path}"),
    ),
    (
        *(MAPPED_WWW, _directory(100033, 100034, 0o500), True),
        *("user `www` (33), on this host 100033, cannot write to it", "chmod -R u+rwX {path}"),
    ),
    # access control lists: the mask limits all but the owner; of several groups one must allow it all
    (
        *(WWW, _directory(0, 0, **_acl(0o750, "user:33:rwx", "mask::r-x")), True),
        *("user `www` (33) cannot write to it", CHOWN_WWW),
    ),
    (
        *(WWW, _directory(0, 0, **_acl(0o777, "user:33:---", "mask::rwx")), False),
        *("user `www` (33) cannot read it", "setfacl -R -m u:33:rX {path}"),
    ),
    (
        *(WWW, _directory(0, 34, **_acl(0o777, "group::---", "user:5:rwx", "mask::rwx")), False),
        *("user `www` (33) cannot read it", "setfacl -R -m u:33:rX {path}"),
    ),
    (
        *(WWW, _file(0, 34, **_acl(0o660, "group::r--", "group:50:-w-", "mask::rw-")), True),
        *("user `www` (33) cannot write to it", CHOWN_WWW),
    ),
    (
        *(WWW, _directory(0, 34, **_acl(0o777, "group:50:---", "group::---", "mask::rwx")), False),
        *("user `www` (33) cannot read it", "setfacl -R -m u:33:rX {path}"),
    ),
    (
        *(MAPPED_WWW, _directory(0, 0, **_acl(0o770, "user:33:rwx", "mask::rwx")), True),
        *("user `www` (33), on this host 100033, cannot write to it", "chown -R 100033:100034 {path}"),
    ),
]


@pytest.mark.parametrize(("process", "fact", "writes", "complaint", "fix"), ILL)
def test_what_does_not_work_is_told_with_what_mends_it(
    process: Process, fact: PathFact, writes: bool, complaint: str, fix: str
):
    (finding,) = findings([Access(PATH, fact, writes, "settings.yaml:3:5")], process)
    stands = f"`{PATH}` belongs to {fact.uid}:{fact.gid}, mode {fact.mode:04o}"
    assert finding[:3] == ("settings.yaml:3:5", f"{stands}: {complaint}", fix.replace("{path}", PATH))
    assert (finding.path, finding.hint) == (PATH, finding.fix)


@pytest.mark.parametrize(
    ("process", "fact"),
    [
        (WEAK_ROOT, _directory(33, 34, 0o750)),
        (WEAK_ROOT, _directory(0, 0, 0o500)),
        (WEAK_ROOT, _file(100, 102, 0o600)),
        (MAPPED_WEAK, _directory(100100, 100102, 0o700)),
    ],
)
def test_root_without_its_capabilities_is_given_them_and_not_the_data(process: Process, fact: PathFact):
    """The owner of a database's files is correct; the problem is that root lacks the capability to bypass it."""
    (finding,) = findings([Access(PATH, fact, writes=True, where="f:1")], process)
    assert finding.fix == ""
    assert "DAC_OVERRIDE" in finding.hint
    assert f"`cap_add: [{', '.join(process.lacks)}]`" in finding.hint
    assert not {"chown", "chmod", "setfacl"} & set(finding.hint.split())


def test_capabilities_do_not_help_where_ids_are_not_mapped():
    """A mapped root cannot access a directory of the host's root, whatever its capabilities."""
    (finding,) = findings([Access(PATH, _directory(0, 0, 0o700), writes=True, where="f:1")], MAPPED_WEAK)
    assert finding.fix == f"chown -R 100000:100000 {PATH}"


def test_what_a_running_container_uses_is_not_changed():
    """The advice is then a setting, with the owner's IDs inside the container."""
    (finding,) = findings([Access(PATH, _directory(100100, 100102, 0o700), writes=True, where="f:1")], MAPPED_WWW)
    assert finding.in_use(["db"]).hint == "`db` is running with it: run as its owner (`user: 100:102`)"
    (of_root,) = findings([Access(PATH, _directory(0, 0, 0o700), writes=True, where="f:1")], WWW)
    assert of_root.in_use(["a", "b"]).hint == "`a` and `b` are running with it: run as the user that it belongs to"


@pytest.mark.parametrize(("process", "fact", "writes", "complaint", "fix"), ILL[::5])
def test_what_mends_it_can_be_pasted_whatever_the_path(
    process: Process, fact: PathFact, writes: bool, complaint: str, fix: str
):
    path = "/rw/dv/web/it's my data; :"
    (finding,) = findings([Access(path, fact, writes, "f:1")], process)
    assert shlex.split(finding.fix) == [*fix.split()[:-1], path]
    assert finding.message.endswith(complaint)


def test_there_are_enough_setups():
    assert len(WELL) >= 30
    assert len(ILL) >= 25


@pytest.mark.parametrize("process", [MAPPED_ROOT, MAPPED_WWW])
def test_mapped_users_have_to_get_there(process: Process):
    """Mounts are checked in the user namespace, in which no user is the host's root."""
    fact = _directory(100000, 100000, 0o777, closed="/rw/dv of ours")
    assert findings([Access(PATH, fact, writes=False, where="f:1")], process) == (
        Finding(
            "f:1",
            f"`{PATH}` cannot be reached: mapped users cannot pass `/rw/dv of ours`",
            "chmod o+x '/rw/dv of ours'",
        ),
    )


def test_a_path_is_told_once_and_the_others_too():
    access = Access("/a", _directory(0, 0, 0o700), writes=True, where="f:1")
    found = findings([access, access._replace(path="/b"), access], WWW)
    assert [finding.fix for finding in found] == ["chown -R 33:34 /a", "chown -R 33:34 /b"]


@pytest.mark.parametrize(
    ("flags", "of_root"),
    [
        ("", True),
        ("--cap-drop ALL", False),
        ("--cap-drop=all", False),
        ("--cap-drop DAC_OVERRIDE", False),
        ("--cap-drop CAP_DAC_OVERRIDE", False),
        ("--cap-drop NET_RAW,DAC_OVERRIDE", False),
        ("--cap-drop NET_RAW", True),
        ("--cap-drop ALL --cap-add DAC_OVERRIDE", True),
        ("--cap-drop ALL --cap-add=cap_dac_override", True),
        ("--cap-drop ALL --cap-add CHOWN", False),
        ("--cap-drop DAC_OVERRIDE --cap-add ALL", True),
        ("--privileged", True),
        ("--privileged --cap-drop ALL", True),
        ("--privileged=false --cap-drop ALL", False),
    ],
)
def test_root_passes_over_permissions_unless_that_is_dropped(flags: str, of_root: bool):
    assert overrides_permissions(Owner(), flags.split()) == of_root
    assert not overrides_permissions(Owner(33, 0), flags.split())


def test_what_is_not_the_services_own_keeps_its_owner():
    """Others may need it: a directory is not taken from them just because a user must write there."""
    access = Access("/srv/media", _directory(1000, 1000, 0o755), writes=True, where="f:1")
    (finding,) = findings([access], WWW)
    assert finding.fix == "chown -R 33:34 /srv/media"
    expected = "run as its owner (`user: 1000:1000`), or mount a directory below the service's data: other services may"
    assert finding.of_others().hint == f"{expected} use this one"
