"""What tags named, and since when this host knows: the order counts, a tag that moves back withdraws the rest."""

from hypothesis import given
from hypothesis import strategies as st

from dockyard.updates.sightings import (
    MAX_SIGHTINGS,
    Memory,
    Sighting,
    TagHistory,
    TagList,
    from_json,
    observe,
    observe_tags,
    to_json,
)


def history_of(*digests: str) -> TagHistory:
    """Return a tag's history in which these digests were seen, a second after each other, from 1 on."""
    history = TagHistory()
    for second, digest in enumerate(digests, 1):
        history = observe(history, Sighting(digest, float(second)))
    return history


def test_a_digest_keeps_the_moment_at_which_it_was_first_seen() -> None:
    """Seeing it again changes when the registry was asked, and nothing else."""
    history = history_of("a", "b", "b", "b")
    assert [(one.digest, one.first_seen) for one in history.sightings] == [("a", 1.0), ("b", 2.0)]
    assert history.asked == 4.0


def test_a_tag_that_is_moved_back_withdraws_what_came_after() -> None:
    """What was withdrawn has to be seen, and to age, again."""
    back = history_of("a", "b", "a")
    assert [one.digest for one in back.sightings] == ["a"]
    again = observe(back, Sighting("b", 9.0))
    assert again.newest == Sighting("b", 9.0)


def test_details_are_filled_in_later() -> None:
    """A registry that did not tell them at first may do so the next time."""
    history = observe(history_of("a"), Sighting("a", 5.0, platform="p", config="c", version="1.2"))
    assert history.newest == Sighting("a", 1.0, "p", "c", "1.2")


def test_what_came_after_a_version_is_found_by_each_of_its_digests() -> None:
    """An engine knows an image by the digest of its index, its manifest or its configuration."""
    history = TagHistory()
    for second, name in enumerate("abc", 1):
        history = observe(history, Sighting(name, float(second), f"{name}-platform", f"{name}-config"))
    for digest in ("a", "a-platform", "a-config"):
        assert [one.digest for one in history.after([digest])] == ["b", "c"]
    assert [one.digest for one in history.after(["unknown"])] == ["c"], "anything else may be older than what runs"


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60))
def test_the_last_sighting_is_what_the_tag_names(digests: list[str]) -> None:
    """Whatever the order: no digest is there twice, and the moments only grow."""
    history = history_of(*digests)
    assert history.newest
    assert history.newest.digest == digests[-1]
    named = [one.digest for one in history.sightings]
    assert len(named) == len(set(named)) <= MAX_SIGHTINGS
    assert [one.first_seen for one in history.sightings] == sorted(one.first_seen for one in history.sightings)


def test_a_list_of_tags_keeps_when_each_was_first_seen() -> None:
    """Those that are gone are forgotten."""
    first = observe_tags(TagList(), ["16.1", "16.2"], 1.0)
    second = observe_tags(first, ["16.2", "16.3"], 5.0)
    assert second == TagList(5.0, {"16.2": 1.0, "16.3": 5.0})


def test_memory_survives_being_stored() -> None:
    """What is read is what was written."""
    memory = Memory({"h/r:1": history_of("a", "b")}, {"h/r": TagList(3.0, {"1": 1.0})}, {"h": 9.0})
    assert from_json(to_json(memory)) == memory
