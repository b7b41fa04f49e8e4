"""What becomes of a user who pastes the advice: every hint is in tests/golden/advice.yaml, with a verdict.

A hint that is new makes the first test fail. Then ask what happens to production if it is pasted at night, run
`.venv/bin/python -m tests.unit.advice`, and move it in that file from `unreviewed` to the verdict that is true of it.
"""

import re

import pytest

from tests.unit.advice import LIST, UNREVIEWED, all_advice, listed

VERDICTS = {
    "words": "it says what to write, name or wait for: there is nothing to run",
    "reads": "its command only reads",
    "setting": "it changes a setting or a Dockerfile, which is built, tested and rolled back as any change is",
    "new": "it creates something that is not there, and writes over nothing",
    "dockyard": "it changes files of dockyard's own, or its test data, and never a service's",
    "stops": "it stops, restarts or replaces something, and says so or names what it stops",
    "unused": "it changes owners or permissions of the service's own data, and only if no container runs with them: "
    "see test_safe_advice.py and test_ownership.py",
    "host": "it is for the administrator of the host: programs, accounts and the engine, not data",
}
CHANGES = re.compile(
    r"\b(chown|chmod|chgrp|setfacl|rm|rmi|mv|dd|truncate|shred|wipefs|mkfs\S*|prune|kill|pkill|killall|umount|rsync|cp)\b"
)
"""Programs that take data, or access to them, away."""
MAY_CHANGE = {
    "chown -R {…}:{…} {…}": "unused",
    "chmod -R u+{…} {…}": "unused",
    "setfacl -R -m u:{…}:{…} {…}": "unused",
    "chmod o+x {…}": "host",  # lets users pass a directory, and neither list nor read it
    "chmod 600 {…}": "dockyard",  # the file with the secret of dockyard's own
    "chown it to uid {…}, and remove the permissions of others": "dockyard",  # the quarantine
    "chown and chmod the file": "new",  # a secret that an import has just copied
    "chmod +x {…}": "new",  # a script of the service
    "chown it to the user that writes to it": "setting",  # in a Dockerfile
    "… && rm -rf /var/lib/apt/lists/*": "setting",  # in a Dockerfile
    "umount {…}": "dockyard",  # what is mounted in a test area; nothing is lost, and a busy mount stays
}
"""Advice with one of them all the same, with its verdict; why is in the comment."""
STOPS = re.compile(
    r"\bd (down|restart)\b|\b(docker|podman|\{…\}) (stop|restart|kill)\b|systemctl (stop|restart)|--force\b"
)


def verdicts() -> dict[str, str]:
    """Return the verdict of each text."""
    return {text: verdict for verdict, texts in listed().items() for text in texts}


def test_every_hint_has_a_verdict() -> None:
    """None is missing, none is left that is not given, and each verdict is one of these."""
    known = verdicts()
    new, gone = sorted(all_advice() - known.keys()), sorted(known.keys() - all_advice())
    assert (new, gone) == ([], []), f"judge these in {LIST}; .venv/bin/python -m tests.unit.advice adds them"
    assert set(known.values()) - {UNREVIEWED} <= VERDICTS.keys()
    assert [text for text, verdict in known.items() if verdict == UNREVIEWED] == []


def test_what_takes_data_away_is_known_by_name() -> None:
    """A command that changes owners, permissions or files is advised only where it is written down why."""
    assert {text: verdict for text, verdict in verdicts().items() if CHANGES.search(text)} == MAY_CHANGE


def test_what_stops_something_says_so() -> None:
    stopping = {text: verdict for text, verdict in verdicts().items() if STOPS.search(text)}
    assert set(stopping.values()) <= {"stops", "dockyard"}, stopping


@pytest.mark.parametrize(
    "harm", [r"\$\(", r"docker rename", r"\brename (it|the container),", r"mkdir -p", r"moved? aside"]
)
def test_what_did_harm_is_not_advised_again(harm: str) -> None:
    """All containers at once; a container that runs on under another name; a new directory instead of a lost mount."""
    assert [text for text in all_advice() if re.search(harm, text)] == []


def test_reading_the_source_finds_advice() -> None:
    """Of all kinds: of errors, of findings, as constants, as parts of an expression."""
    texts = all_advice()
    assert {
        "choose one",
        "cap_add and mount_devices, with only what it needs",
        "check whether the engine runs",
    } <= texts
    assert "check it with `{…} info`; if it is not running, start it: `{…}`" in texts
    assert len(texts) > 300
