"""When containers are scanned: the times here are given, nothing waits."""

from dockyard.scan.schedule import EVERYTHING, LONGEST, LONGEST_REST, MOST, PAUSE, SHARE, Moved, Schedule


def scanned(schedule: Schedule, now: float, *, told: bool = False, took: float = 0.0) -> Moved:
    """Have what is due scanned, which is one container."""
    (container,) = schedule.due(now)
    moved = schedule.take(container)
    schedule.done(container, moved, now=now + took, took=took, told=told)
    return moved


def test_first_event_is_for_now_and_the_next_a_pause_later() -> None:
    """Nothing is due before anything happened, nor once it has been scanned."""
    schedule = Schedule()
    assert schedule.until() == float("inf")
    schedule.note("a", "/x", {"created"})
    assert scanned(schedule, 100) == Moved({"/x": frozenset({"created"})})
    assert schedule.due(200) == []
    schedule.note("a", "/y", {"created"})
    assert schedule.until() == 100 + PAUSE
    assert schedule.due(100 + PAUSE - 0.1) == []
    assert scanned(schedule, 100 + PAUSE).kinds.keys() == {"/y"}


def test_what_tells_nothing_waits_longer_and_longer() -> None:
    """A log that is written all the time is read every ten seconds in the end."""
    schedule, now, gaps = Schedule(), 100.0, list[float]()
    for _ in range(8):
        schedule.note("a", "/log", {"modified"})
        gaps.append(max(schedule.until(), now) - now)
        now = max(schedule.until(), now)
        scanned(schedule, now)
    assert gaps[:4] == [0.0, 2 * PAUSE, 4 * PAUSE, 8 * PAUSE]
    assert set(gaps[4:]) == {LONGEST}


def test_noise_does_not_hide_anything_else() -> None:
    """Whoever writes a log without end delays nothing but that log; and news ends the waiting."""
    schedule, now = Schedule(), 100.0
    for _ in range(6):
        schedule.note("a", "/log", {"modified"})
        now = max(schedule.until(), now)
        scanned(schedule, now)
    schedule.note("a", "/log", {"modified"})
    assert schedule.until() == now + LONGEST
    schedule.note("a", "/etc/passwd", {"modified"})
    assert schedule.until() == now + PAUSE
    scanned(schedule, now + PAUSE, told=True)
    schedule.note("a", "/log", {"modified"})
    assert schedule.until() == now + 2 * PAUSE


def test_long_scan_rests_in_proportion() -> None:
    """Scanning takes no more than a part of the time, and yet comes back."""
    schedule = Schedule()
    schedule.note("a", "/x")
    scanned(schedule, 100, told=True, took=3)
    schedule.note("a", "/x")
    assert schedule.until() == 103 + 3 * SHARE
    scanned(schedule, 200, told=True, took=1000)
    schedule.note("a", "/x")
    assert schedule.until() == 1200 + LONGEST_REST


def test_containers_do_not_wait_for_each_other() -> None:
    """Each has its own pauses, and all together theirs."""
    schedule = Schedule()
    schedule.note("a", "/x")
    scanned(schedule, 100)
    schedule.note("a", "/x")
    schedule.note("b", "/x")
    schedule.note(EVERYTHING)
    assert set(schedule.due(100)) == {"b", EVERYTHING}
    schedule.forget("b")
    assert schedule.due(100) == [EVERYTHING]
    scanned(schedule, 100)
    schedule.note(EVERYTHING)
    assert schedule.until() == 102


def test_what_moved_is_remembered_up_to_a_limit() -> None:
    """An attacker's names do not fill the memory; how many more there were is known."""
    schedule = Schedule()
    for number in range(MOST + 5):
        schedule.note("a", f"/{number}", {"created"})
    schedule.note("a", "/0", {"deleted"})
    moved = scanned(schedule, 100)
    assert (len(moved.kinds), moved.more) == (MOST, 5)
    assert moved.kinds["/0"] == {"created", "deleted"}
    schedule.note("a", "/other")
    scanned(schedule, 200)
    schedule.note("a", "/0")
    assert schedule.until() == 200 + PAUSE  # forgotten, and so scanned sooner, not later


def test_what_began_before_a_scan_and_ended_after() -> None:
    """A program made before a scan begins, and run and gone before it is read, is told whole; once, and no longer."""
    schedule = Schedule()
    schedule.note("a", "/payload", {"created"})
    scanned(schedule, 100)
    schedule.note("a", "/payload", {"executed", "deleted"})
    schedule.note("a", "/other", {"executed"})
    assert scanned(schedule, 200).kinds == {"/payload": {"created", "executed", "deleted"}, "/other": {"executed"}}
    schedule.note("a", "/payload", {"executed"})
    schedule.note("a", "/other", {"modified"})
    assert scanned(schedule, 300).kinds == {"/payload": {"executed", "deleted"}, "/other": {"executed", "modified"}}


def test_flood_before_a_scan_is_remembered_after_it() -> None:
    """What a flood of names hid may be run while the scan is still at it."""
    schedule = Schedule()
    for number in range(MOST + 5):
        schedule.note("a", f"/{number}", {"created"})
    scanned(schedule, 100)
    schedule.note("a", "/payload", {"executed"})
    assert scanned(schedule, 200) == Moved({"/payload": frozenset({"executed"})}, 5)
    schedule.note("a", "/payload", {"executed"})
    assert scanned(schedule, 300).more == 0


def test_what_a_failed_scan_was_to_read_is_for_the_next_one() -> None:
    """Nothing that moved is forgotten."""
    schedule = Schedule()
    moved = Moved({"/payload": frozenset({"created", "executed"})}, 3)
    schedule.put_back("a", moved)
    assert schedule.due(100) == []
    schedule.note("a")
    assert scanned(schedule, 100) == moved


def test_a_scan_that_fails_again_counts_nothing_twice() -> None:
    """Taken and put back as often as it may be, it is what moved."""
    schedule = Schedule()
    for number in range(MOST + 5):
        schedule.note("a", f"/{number}", {"created"})
    for _ in range(3):
        schedule.put_back("a", schedule.take("a"))
    assert schedule.take("a").more == 5
