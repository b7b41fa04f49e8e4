"""Capabilities at start-up: which ones a launch lacks, and how that shows in a log."""

import pytest

from dockyard.plan.capabilities import AT_START, explain_failure, has_capability, lacking


@pytest.mark.parametrize(
    ("flags", "lacks"),
    [
        ("", ()),
        ("--cap-drop NET_RAW", ()),
        ("--cap-drop ALL", AT_START),
        ("--cap-drop all --cap-add cap_chown", ("DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")),
        ("--cap-drop CHOWN,SETUID", ("CHOWN", "SETUID")),
        ("--cap-drop ALL --cap-add ALL", ()),
        ("--cap-drop ALL --privileged", ()),
    ],
)
def test_flags_take_capabilities_and_give_them(flags: str, lacks: tuple[str, ...]):
    argv = ("run", *flags.split())
    assert lacking(argv) == lacks
    assert all(has_capability(name, argv) != (name in lacks) for name in AT_START)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("chown: changing ownership of '/var/lib/postgresql/data': Operation not permitted", "CHOWN"),
        ("chmod: changing permissions of '/var/run/postgresql': Operation not permitted", "FOWNER"),
        ("error: failed switching to 'postgres': operation not permitted", "SETGID, SETUID"),
        ("setpriv: setgroups failed: Operation not permitted", "SETGID, SETUID"),
        ('nginx: [emerg] chown("/var/cache/nginx", 101) failed (1: Operation not permitted)', "CHOWN"),
        ("nginx: [emerg] setgid(101) failed (1: Operation not permitted)", "SETGID, SETUID"),
        ("find: '/data/pg_wal': Permission denied", "DAC_OVERRIDE"),
    ],
)
def test_a_log_names_the_capability_that_is_missing(line: str, names: str):
    (said,) = explain_failure(AT_START, ["starting", line, "bye"])
    assert said.endswith(f"write `cap_add: [{names}]` beside `cap_drop`")
    assert explain_failure((), [line]) == []  # the launch lacks nothing: it is something else


def test_other_logs_say_nothing_of_capabilities():
    assert explain_failure(AT_START, ["FATAL: password authentication failed", "exit 1"]) == []
