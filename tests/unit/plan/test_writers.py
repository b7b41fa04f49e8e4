"""Which containers count as a second writer, and how they are reported."""

import pytest

from dockyard.plan.facts import Location
from dockyard.plan.isolation import Kind
from dockyard.plan.writers import Conflict, Holder, Use, advise, conflicts, describe, volume_sources, written


def path(value: str, at: str = "", device: str = "8:1") -> Use:
    return Use(Kind.PATH, value, (Location(device, at or value),))


def box(name: str, *uses: Use, service: str = "", engine: str = "docker", is_under_test: bool = False) -> Holder:
    return Holder(engine, name, uses, service, is_under_test)


OURS = box("db", path("/srv/db"), service="db")


def blocking(*holders: Holder, ours: Holder = OURS, **how: object) -> list[str]:
    return [one.holder.name for one in conflicts(ours, holders, **how)]  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [path("/srv/db"), path("/srv/db/base"), path("/srv"), path("/link", at="/srv/db")])
def test_whoever_writes_there_above_or_below_is_in_the_way(other: Use):
    assert blocking(box("db-x", other)) == ["db-x"]


@pytest.mark.parametrize("other", [path("/srv/db2"), path("/srv/db", device="8:2"), path("/srv/dbs/db")])
def test_another_place_is_not(other: Use):
    assert blocking(box("db-x", other)) == []


def test_a_container_of_the_same_service_under_another_name_is_in_the_way():
    """So is a container that was renamed while it ran."""
    assert blocking(box("db-x", path("/srv/db"), service="db")) == ["db-x"]


@pytest.mark.parametrize("name", ["db", "db.old", "db.next", "db.replaced"])
def test_the_container_that_the_launch_replaces_is_not(name: str):
    assert blocking(box(name, path("/srv/db"), service="db")) == []
    assert blocking(box(name, path("/srv/db"), service="mail")) == [name]
    assert blocking(box(name, path("/srv/db"), service="db", engine="podman")) == [name]


def test_instances_under_test_are_in_the_way_of_other_services_alone():
    """They share `mount_persistent` with production of their own service on purpose."""
    assert blocking(box("dev-db", path("/srv/db"), service="db", is_under_test=True)) == []
    assert blocking(box("dev-mail", path("/srv/db"), service="mail", is_under_test=True)) == ["dev-mail"]


def test_what_settings_declare_shared_is_not():
    ours = box("db", path("/srv/db"), path("/srv/media"), service="db")
    other = box("other", path("/srv/media"))
    assert blocking(other, ours=ours, permitted={"/srv/media"}) == []
    assert blocking(box("other", path("/srv")), ours=ours, permitted={"/srv/media"}) == ["other"]


def test_a_volume_is_the_same_on_one_engine_alone():
    ours = box("db", Use(Kind.VOLUME, "pg"), service="db")
    assert blocking(box("db-x", Use(Kind.VOLUME, "pg")), ours=ours) == ["db-x"]
    assert blocking(box("db-x", Use(Kind.VOLUME, "pg"), engine="podman"), ours=ours) == []


def test_a_volume_is_where_it_is():
    ours = box("db", Use(Kind.VOLUME, "pg", (Location("8:1", "/srv/pg"),)), service="db")
    assert blocking(box("db-x", path("/srv/pg"), engine="podman"), ours=ours) == ["db-x"]


def test_containers_whose_mounts_are_taken_over_are_not_in_the_way():
    assert blocking(box("data", path("/srv/db")), partners=frozenset({"data"})) == []
    assert blocking(box("data", path("/srv/db"), engine="podman"), partners=frozenset({"data"})) == ["data"]
    assert volume_sources(("run", "--volumes-from", "data:ro", "--volumes-from=more")) == {"data", "more"}


WRITTEN = [
    ("-v /srv/a:/a -v /srv/b:/b:ro", {"/srv/a"}),
    ("--mount type=bind,src=/srv/a,dst=/a,readonly --mount source=spool,target=/s", {"spool"}),
    ("-v /etc/localtime:/etc/localtime -v /lib/modules:/lib/modules -v /dev/shm:/dev/shm", set()),
    ("-v /:/host -v /var/run:/run -v /var/lib/docker/volumes:/volumes", set()),
    (
        "--device /dev/ttyUSB0 --device /dev/dri/renderD128 --device /dev/snd --device /dev/sda:/dev/x:r",
        {"/dev/ttyUSB0"},
    ),
    ("--ip 10.0.0.9 --publish 80:80 --name web --network container:vpn", {"10.0.0.9"}),
]


@pytest.mark.parametrize(("flags", "expected"), WRITTEN)
def test_what_only_one_may_have(flags: str, expected: set[str]):
    assert {claim.value for claim in written(("run", *flags.split()))} == expected


def test_the_message_names_both_paths_and_the_container_and_the_hint_harms_nothing():
    found = [
        Conflict(path("/data/link"), path("/srv/pg"), box("db-x")),
        Conflict(Use(Kind.ADDRESS, "10.0.0.9"), Use(Kind.ADDRESS, "10.0.0.9"), box("old", engine="podman")),
    ]
    assert describe("db", found) == (
        "db would write to `/data/link`, and container `db-x` of docker writes to it as well, there `/srv/pg`; "
        "db would have address `10.0.0.9`, and container `old` of podman has it as well"
    )
    assert advise(found) == (
        "stop the other container: `docker stop db-x`, `podman stop old`; if both may write there, say so with "
        "`shared: true` and a `reason` on the mount"
    )
    assert "shared" not in advise(found[1:])


def test_a_launch_under_way_is_named():
    holder = box("db-x")._replace(launch="`d up db-x`, pid 7,")
    found = [Conflict(path("/srv/pg"), path("/srv/pg"), holder)]
    assert describe("db", found).endswith("writes to it as well, which `d up db-x`, pid 7, is launching")
    assert advise(found).startswith("wait until the other launch has ended; ")
