"""Resources of the host that a command line uses, and conflicts between two command lines."""

import pytest

from dockyard.plan.facts import Location
from dockyard.plan.isolation import (
    HINTS,
    Claim,
    Kind,
    Locations,
    Production,
    claims_of,
    conflicts,
    unprovable,
    where_said,
)
from dockyard.settings.values import Mode
from tests.unit.making import settings_of

NAME, ADDRESS, PORT, PATH, VOLUME, DEVICE, CONTAINER = Kind
AREAS = "/rw/dv/TMP"


# ------------------------------------------------------------------------------------------------------------- claims
@pytest.mark.parametrize(
    ("words", "claims"),
    [
        ("--name web", [(NAME, "web")]),
        ("--name=web --name mail", [(NAME, "web"), (NAME, "mail")]),
        ("--hostname web -h web", []),
        # addresses, in one spelling each
        ("--ip 10.0.0.1", [(ADDRESS, "10.0.0.1")]),
        ("--ip=10.0.0.1", [(ADDRESS, "10.0.0.1")]),
        ("--ip6 2001:DB8:0:0::7", [(ADDRESS, "2001:db8::7")]),
        ("--network net:ip=10.0.0.1", [(ADDRESS, "10.0.0.1")]),
        ("--network name=net,alias=a,ip=10.0.0.1,ip6=2001:db8:0::7", [(ADDRESS, "10.0.0.1"), (ADDRESS, "2001:db8::7")]),
        ("--ip nonsense", [(ADDRESS, "nonsense")]),
        # ports
        ("--publish 80:80", [(PORT, "80:80")]),
        ("--publish=80:80/udp", [(PORT, "80:80/udp")]),
        ("-p 127.0.0.1:80:80", [(PORT, "127.0.0.1:80:80")]),
        ("-p80:80", [(PORT, "80:80")]),
        ("-p=80:80", [(PORT, "80:80")]),
        ("-dp 80:80", [(PORT, "80:80")]),
        ("-ditp80:80", [(PORT, "80:80")]),
        ("-p 80:80,81:81", [(PORT, "80:80"), (PORT, "81:81")]),
        ("-P --publish-all --expose 80", []),
        # devices
        ("--device /dev/a", [(DEVICE, "/dev/a")]),
        ("--device=/dev/a:/dev/b:rwm", [(DEVICE, "/dev/a")]),
        ("--device /dev/a,/dev/b:/dev/c", [(DEVICE, "/dev/a"), (DEVICE, "/dev/b")]),
        ("--device-cgroup-rule 'c 1:1 r'", []),
        # paths and volumes
        ("-v /a:/b", [(PATH, "/a")]),
        ("-v/a:/b", [(PATH, "/a")]),
        ("-v=/a:/b", [(PATH, "/a")]),
        ("-itv /a:/b:rw,z", [(PATH, "/a")]),
        ("--volume=/a:/b:ro", [(PATH, "/a", False)]),
        ("--volume /a:/b:z,ro", [(PATH, "/a", False)]),
        ("-v ./a:/b", [(PATH, "./a")]),
        ("-v ~/a:/b", [(PATH, "~/a")]),
        ("-v data:/b", [(VOLUME, "data")]),
        ("-v data:/b:ro", [(VOLUME, "data", False)]),
        ("-v /b", []),
        ("--mount type=bind,source=/a,target=/b", [(PATH, "/a")]),
        ("--mount=type=bind,src=/a,dst=/b,readonly", [(PATH, "/a", False)]),
        ("--mount type=bind,src=/a,dst=/b,ro=true", [(PATH, "/a", False)]),
        ("--mount type=bind,src=/a,dst=/b,readonly=1", [(PATH, "/a", False)]),
        ("--mount type=bind,src=/a,dst=/b,readonly=false", [(PATH, "/a")]),
        ("--mount TYPE=BIND,SRC=/a,DST=/b", [(PATH, "/a")]),
        ('--mount type=bind,"src=/a,b",dst=/c', [(PATH, "/a,b")]),
        ("--mount type=glob,src=/srv/a/b*/c,dst=/d", [(PATH, "/srv/a")]),
        ("--mount type=glob,src=/*,dst=/d,ro", [(PATH, "/", False)]),
        ("--mount source=data,target=/b", [(VOLUME, "data")]),
        ("--mount type=volume,source=data,target=/b,readonly", [(VOLUME, "data", False)]),
        ("--mount type=volume,target=/b", []),
        ("--mount type=tmpfs,target=/b --tmpfs /c", []),
        # other containers
        ("--network container:web", [(CONTAINER, "web")]),
        ("--net=container:web", [(CONTAINER, "web")]),
        ("--pid container:web", [(CONTAINER, "web")]),
        ("--ipc=container:web", [(CONTAINER, "web")]),
        ("--uts container:web --userns container:mail", [(CONTAINER, "web"), (CONTAINER, "mail")]),
        ("--volumes-from web", [(CONTAINER, "web")]),
        ("--volumes-from=web:ro", [(CONTAINER, "web")]),
        ("--pod crew", [(CONTAINER, "crew")]),
        ("--network bridge --pid host --ipc private", []),
        # what else stands there
        ("--name web --name web", [(NAME, "web")]),
        ("--env A=/a:/b --label x --rm -d -e -v", []),
    ],
)
def test_a_command_line_tells_what_it_takes(words: str, claims: list[tuple[Kind, str]]):
    assert set(claims_of(words.split())) == {Claim(*claim) for claim in claims}


@pytest.mark.parametrize(
    ("words", "doubt"),
    [
        ("--privileged", "it is privileged"),
        ("--privileged=true", "it is privileged"),
        ("--network host", "it shares the host's network"),
        ("--net=host", "it shares the host's network"),
        ("--pid host", "it shares the host's pid"),
        ("--ipc=host", "it shares the host's ipc"),
        ("-v /var/run/docker.sock:/x", "it can control the engine through `/var/run/docker.sock`"),
        ("-v /run/podman/podman.sock:/x:ro", "it can control the engine through `/run/podman/podman.sock`"),
        (
            "--mount type=bind,src=/docker.sock,dst=/x",
            "it can control the engine through `/docker.sock`",
        ),
    ],
)
def test_what_reaches_everything_on_the_host_is_told(words: str, doubt: str):
    assert list(unprovable(words.split())) == [doubt]


@pytest.mark.parametrize("words", ["--privileged=false", "--network bridge", "--uts host", "-v /srv/docker.sock.d:/x"])
def test_what_does_not_reach_everything_raises_no_doubt(words: str):
    assert list(unprovable(words.split())) == []


# ---------------------------------------------------------------------------------------------------------- conflicts
def _locations(*paths: str, **aliases: str) -> Locations:
    """Return the real locations of paths: at their names, or at an alias."""
    return {path: (Location("8:1", aliases.get(path.strip("/"), path)),) for path in (*paths, AREAS)}


def _meet(ours: str, theirs: str, locations: Locations | None = None, allowed: set[str] | None = None) -> list[str]:
    """Return the conflicts of two command lines: our value, and theirs."""
    mine, other = claims_of(ours.split()), claims_of(theirs.split())
    paths = [claim.value for claim in (*mine, *other) if claim.kind in {PATH, DEVICE}]
    production = Production("web", other, {claim: f"line of {claim.value}" for claim in other})
    found = conflicts(mine, [production], {**_locations(*paths), **(locations or {})}, AREAS, allowed or set())
    assert all(conflict.service == "web" and conflict.where == f"line of {conflict.theirs.value}" for conflict in found)
    return [f"{conflict.ours.kind.value} {conflict.ours.value} {conflict.theirs.value}" for conflict in found]


MEET = [
    ("--name web", "--name web", "container name web web"),
    ("--ip 10.0.0.1", "--ip 10.0.0.1", "address 10.0.0.1 10.0.0.1"),
    ("--ip6 2001:DB8::1", "--ip6 2001:db8:0::1", "address 2001:db8::1 2001:db8::1"),
    # ports: one protocol, one number, and addresses that meet
    ("-p 80:80", "-p 80:81", "host port 80:80 80:81"),
    ("-p 127.0.0.1:80:1", "-p 80:1", "host port 127.0.0.1:80:1 80:1"),
    ("-p 80:1", "-p 127.0.0.1:80:1", "host port 80:1 127.0.0.1:80:1"),
    ("-p 0.0.0.0:80:1", "-p 192.0.2.1:80:1", "host port 0.0.0.0:80:1 192.0.2.1:80:1"),
    ("-p 127.0.0.1:80:1", "-p 127.0.0.1:80:1", "host port 127.0.0.1:80:1 127.0.0.1:80:1"),
    ("-p [::1]:80:1", "-p [0:0:0:0:0:0:0:1]:80:1", "host port [::1]:80:1 [0:0:0:0:0:0:0:1]:80:1"),
    ("-p [::]:80:1", "-p 127.0.0.1:80:1", "host port [::]:80:1 127.0.0.1:80:1"),
    ("-p 80-82:80-82", "-p 82:1", "host port 80-82:80-82 82:1"),
    ("-p 82:1", "-p 80-82:80-82", "host port 82:1 80-82:80-82"),
    ("-p 53:53/udp", "-p 53:53/UDP", "host port 53:53/udp 53:53/UDP"),
    ("-p 53:53", "-p 53:53/tcp", "host port 53:53 53:53/tcp"),
    ("-p 080:80", "-p 80:80", "host port 080:80 80:80"),
    # volumes and containers
    ("-v data:/a", "-v data:/b", "volume data data"),
    ("-v data:/a", "-v data:/b:ro", "volume data data"),
    ("--volumes-from web", "--name web", "container web web"),
    ("--network container:web", "--name web", "container web web"),
    ("--network container:vpn", "--network container:vpn", "container vpn vpn"),
    ("--pod crew", "--pod=crew", "container crew crew"),
    # devices, whatever is asked of them
    ("--device /dev/ttyUSB0:/dev/a:r", "--device /dev/ttyUSB0", "device /dev/ttyUSB0 /dev/ttyUSB0"),
    ("--device /dev/snd", "--device /dev/snd/seq", "device /dev/snd /dev/snd/seq"),
    ("--device /dev/snd/seq", "--device /dev/snd", "device /dev/snd/seq /dev/snd"),
    # paths, nested either way, wherever we write
    ("-v /srv/a:/x", "-v /srv/a:/y", "path /srv/a /srv/a"),
    ("-v /srv/a:/x", "-v /srv/a:/y:ro", "path /srv/a /srv/a"),
    ("-v /srv/a/b:/x", "-v /srv/a:/y", "path /srv/a/b /srv/a"),
    ("-v /srv:/x", "-v /srv/a:/y", "path /srv /srv/a"),
    ("-v /:/x", "-v /srv/a:/y:ro", "path / /srv/a"),
    # a test area is production's too where production writes to all areas, or we write to more than one
    ("-v /rw/dv/TMP/web/data:/x", "-v /rw/dv:/y", "path /rw/dv/TMP/web/data /rw/dv"),
    ("-v /rw/dv:/x", "-v /rw/dv/web:/y:ro", "path /rw/dv /rw/dv/web"),
]


@pytest.mark.parametrize(("ours", "theirs", "met"), MEET)
def test_what_both_take_is_told_with_both_sides(ours: str, theirs: str, met: str):
    assert _meet(ours, theirs) == [met]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("--name test-web", "--name web"),
        ("--name web", "--hostname web"),
        ("--ip 10.0.0.1", "--ip 10.0.0.2"),
        ("-p 10080:80", "-p 80:80"),
        ("-p 80:80/udp", "-p 80:80"),
        ("-p 127.0.0.1:80:1", "-p 192.0.2.1:80:1"),
        ("-p 80", "-p 80:80"),
        ("-p 127.0.0.1::80", "-p 127.0.0.1:80:80"),
        ("-p 80-82:1-3", "-p 83-85:1-3"),
        ("-v data:/a:ro", "-v data:/b"),
        ("-v data:/a", "-v data2:/b"),
        ("-v data:/a", "-v /data:/b"),
        ("--device /dev/null", "--device /dev/null"),
        ("--device /dev/dri/renderD128", "--device /dev/dri/renderD128"),
        ("--device /dev/ttyUSB0", "--device /dev/ttyUSB1"),
        ("-v /srv/a:/x:ro", "-v /srv/a:/y"),
        ("-v /srv/ab:/x", "-v /srv/a:/y"),
        ("--network container:web", "--network container:mail"),
        # who reads all areas, as a backup does, has nothing of its own there
        ("-v /rw/dv/TMP/web/data:/x", "-v /rw/dv:/y:ro"),
        ("-v /rw/dv/TMP/web/data:/x", "-v /:/y:ro"),
        ("-v /rw/dv/TMP/web/data:/x", "-v /rw/dv/TMP:/y:ro"),
        ("-v /rw/dv/TMP/web/data:/x", "-v /rw/dv/web/data:/y"),
    ],
)
def test_what_is_apart_is_no_conflict(ours: str, theirs: str):
    assert _meet(ours, theirs) == []


@pytest.mark.parametrize(
    ("mine", "other", "met"),
    [
        ([("8:1", "/disk/a")], [("8:1", "/disk/a")], True),
        ([("8:1", "/disk/a/b")], [("8:1", "/disk/a")], True),
        ([("8:1", "/disk/a")], [("8:2", "/disk/a")], False),
        ([("8:1", "/disk/ab")], [("8:1", "/disk/a")], False),
        # what is mounted below counts, on either side
        ([("8:1", "/a"), ("8:2", "/")], [("8:2", "/b")], True),
        ([("8:2", "/b")], [("8:1", "/a"), ("8:2", "/")], True),
        ([("8:1", "/a"), ("8:3", "/")], [("8:1", "/b"), ("8:3", "/c")], True),
        ([("8:1", "/a"), ("8:3", "/")], [("8:1", "/b"), ("8:4", "/")], False),
    ],
)
def test_places_count_and_not_names(mine: list[tuple[str, str]], other: list[tuple[str, str]], met: bool):
    locations = {"/links/a": [Location(*place) for place in mine], "/mnt/b": [Location(*place) for place in other]}
    assert _meet("-v /links/a:/x", "-v /mnt/b:/y", locations) == (["path /links/a /mnt/b"] if met else [])
    assert _meet("--device /links/a", "--device /mnt/b", locations) == (["device /links/a /mnt/b"] if met else [])


def test_an_area_is_known_by_its_place():
    """Production's data that a link or a bind mount makes look like a test area is still production's."""
    locations = {"/rw/dv/TMP/web/data": [Location("8:1", "/rw/dv/web/data")]}
    assert _meet("-v /rw/dv/TMP/web/data:/x", "-v /rw/dv:/y:ro", locations) == ["path /rw/dv/TMP/web/data /rw/dv"]
    moved = {AREAS: [Location("8:2", "/areas")], "/rw/dv/TMP/web/data": [Location("8:2", "/areas/web/data")]}
    assert _meet("-v /rw/dv/TMP/web/data:/x", "-v /disk:/y:ro", {**moved, "/disk": [Location("8:2", "/")]}) == []


@pytest.mark.parametrize("spelling", ["/rw/dv/web/mail", "/rw/dv/web//mail/", "/rw/dv/./web/mail"])
def test_what_mount_persistent_names_may_be_shared(spelling: str):
    allowed = {"/rw/dv/web/mail"}
    locations = {spelling: [Location("8:1", "/rw/dv/web/mail")]}
    assert _meet(f"-v {spelling}:/x", "-v /rw/dv/web/mail:/y", locations) == [f"path {spelling} /rw/dv/web/mail"]
    assert _meet(f"-v {spelling}:/x", "-v /rw/dv/web/mail:/y", locations, allowed) == []


def test_what_lies_in_a_path_that_may_be_shared_is_not_shared_by_another_mount():
    met = _meet("-v /rw/dv/web/mail/in:/x", "-v /rw/dv/web/mail:/y", None, {"/rw/dv/web/mail"})
    assert met == ["path /rw/dv/web/mail/in /rw/dv/web/mail"]


def test_everything_that_meets_is_told():
    assert len(_meet("--name a -p 1:1 -v x:/x -v /a:/a", "--name a -p 1:1 -v x:/x -v /a:/a")) == 4


def test_every_kind_has_a_hint():
    assert set(HINTS) == set(Kind)


# --------------------------------------------------------------------------------------------------- who says so, where
SAID = """\
name: web
ip: 10.0.0.1
ports: [80:80]
network: container:vpn
mount_devices: [/dev/ttyUSB0]
extra_docker: -v /raw:/x -v named:/y --name other -p 81:81
mount_rw: [data: /data, "site-*": /sites/]
mount_test_only:
  - /srv/test: /test
test_ports: [82:82]
"""


@pytest.mark.parametrize(
    ("kind", "value", "prod", "test"),
    [
        (NAME, "web", "settings.yaml:1", "settings.yaml:1"),
        (NAME, "other", "settings.yaml:6", "settings.yaml:6"),
        (ADDRESS, "10.0.0.1", "settings.yaml:2", "settings.yaml:2"),
        (PORT, "0.0.0.0:80:80", "settings.yaml:3", "settings.yaml:10"),
        (PORT, "81:81", "settings.yaml:6", "settings.yaml:6"),
        (CONTAINER, "vpn", "settings.yaml:4", "default"),
        (DEVICE, "/dev/ttyUSB0", "settings.yaml:5", "settings.yaml:5"),
        (VOLUME, "named", "settings.yaml:6", "settings.yaml:6"),
        (PATH, "/raw", "settings.yaml:6", "settings.yaml:6"),
        (PATH, "/rw/dv/web/data", "settings.yaml:7:12", "settings.yaml:7:12"),
        (PATH, "/rw/dv/TMP/web/data", "", "settings.yaml:7:12"),
        (PATH, "/rw/dv/web/site-a", "settings.yaml:7:25", "settings.yaml:7:25"),
        (PATH, "/rw/dv/TMP/web/site-b", "", "settings.yaml:7:25"),
        (PATH, "/srv/test", "", "settings.yaml:9:5"),
        (PATH, "/nowhere", "", ""),
    ],
)
def test_a_claim_is_somebodys_line(kind: Kind, value: str, prod: str, test: str):
    found = [where_said(Claim(kind, value), settings_of(SAID, mode), "web") for mode in (Mode.PROD, Mode.TEST)]
    assert found == [prod, test]
