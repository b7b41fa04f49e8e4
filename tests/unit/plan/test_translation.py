"""IDs and names, inside and on the host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import NoSuchNameError
from dockyard.plan.mapped_names import ServiceAccounts
from dockyard.plan.translation import described, inside_of, translations

MAPPED = IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 200000, 65536),))
ROOTLESS = IdMap((IdRange(0, 1001, 1), IdRange(1, 100000, 65536)), (IdRange(0, 1001, 1), IdRange(1, 100000, 65536)))
REDIS = ServiceAccounts("redis", "root:x:0:0::/:\nredis:x:6379:6380::/:\n", "redis:x:6380:\nstaff:x:50:\n")
CACHE = ServiceAccounts("cache", "redis:x:7:8::/:\n", "")
HOST = {
    "passwd": "root:x:0:0::/:\nd-redis:x:106379:206380::/:\nann:x:1000:1000::/:\n",
    "group": "d-staff:x:200050:\n",
}


def lines(word: str, ids: IdMap) -> list[str]:
    """Return the text that users read."""
    return [row.line for row in translations(word, ids, [REDIS, CACHE], HOST)]


@pytest.mark.parametrize(
    ("word", "ids", "expected"),
    [
        (
            "redis",
            MAPPED,
            [
                "redis of redis: 6379:6380 inside, 106379:206380 on the host (d-redis)",
                "redis of cache: 7:8 inside, 100007:200008 on the host",
            ],
        ),
        (
            "redis",
            IdMap(),
            ["redis of redis: 6379:6380 inside, 6379:6380 on the host", "redis of cache: 7:8 inside, 7:8 on the host"],
        ),
        ("staff", MAPPED, ["staff of redis: :50 inside, :200050 on the host"]),
        ("d-redis", MAPPED, ["d-redis: 6379:6380 inside, 106379:206380 on the host (d-redis)"]),
        ("d-staff", MAPPED, ["d-staff: :50 inside, :200050 on the host (d-staff)"]),
        ("6379", MAPPED, ["redis of redis: 6379:6379 inside, 106379:206379 on the host (d-redis)"]),
        ("106379", MAPPED, ["redis of redis: 6379: inside, 106379: on the host (d-redis)"]),
        ("206380", MAPPED, ["id: :6380 inside, :206380 on the host"]),
        ("0", ROOTLESS, ["root of redis: 0:0 inside, 1001:1001 on the host"]),
        (
            "1001",
            ROOTLESS,
            ["id: 1001:1001 inside, 101000:101000 on the host", "root of redis: 0:0 inside, 1001:1001 on the host"],
        ),
        ("1000", IdMap(), ["id: 1000:1000 inside, 1000:1000 on the host (ann)"]),
    ],
)
def test_each_means_the_other(word: str, ids: IdMap, expected: list[str]):
    assert lines(word, ids) == expected


@pytest.mark.parametrize(
    ("word", "ids", "message"),
    [
        ("70000", MAPPED, "70000 is neither an id in containers nor one of their ids"),
        ("rediss", MAPPED, "no service has a user or group `rediss`"),
        ("d-redis", IdMap(), "no service has a user or group `d-redis`"),
        ("ann", MAPPED, "no service has a user or group `ann`"),
        ("٣", MAPPED, "no service has a user"),
    ],
)
def test_what_means_nothing_is_an_error(word: str, ids: IdMap, message: str):
    with pytest.raises(NoSuchNameError) as error:
        lines(word, ids)
    assert message in str(error.value)
    assert error.value.hint


def test_an_id_of_a_service_that_is_mapped_to_none_is_told():
    small = IdMap((IdRange(0, 100000, 100),), (IdRange(0, 100000, 100),))
    found = translations("redis", small, [REDIS], HOST)
    assert [row.line for row in found] == ["redis of redis: 6379:6380 inside, no id on the host"]


@given(st.integers(0, 70000), st.sampled_from([MAPPED, ROOTLESS, IdMap()]))
def test_there_and_back_is_the_same(inside: int, ids: IdMap):
    outside = ids.uid(inside)
    assert outside is None or inside_of(ids.uids, outside) == inside


def test_ranges_read_well():
    assert described(ROOTLESS.uids) == "1001, 100000-165535"
    assert described(ROOTLESS.uids, inside=True) == "0, 1-65536"
