"""Enables the mapping of users: changes the files first, then restarts the daemon. A failure is rolled back."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard import process
from dockyard.engine.engine import Engine
from dockyard.errors import DockyardError
from dockyard.lock import held
from dockyard.plan.daemon_json import KEY
from dockyard.plan.dockerd import Daemon
from dockyard.plan.userns import FileChange, SystemFiles, Texts, changes, consequences, plan_enable, system_files
from dockyard.service import Service
from dockyard.userns import files, record
from dockyard.userns.daemon import find
from dockyard.userns.outline import (
    ETC,
    LOCK,
    Outline,
    Tell,
    Wanted,
    accounts_of,
    config_of,
    put_back,
    refuse_containerd_store,
    refuse_impossible,
    refuse_orphans,
    remove_directory,
    without,
)
from dockyard.userns.record import Record
from dockyard.userns.restart import Restart, start_of


def outline_enabling(engine: Engine, services: Iterable[Service], wanted: Wanted) -> Outline:
    """Return what enabling would do. Raises DockyardError if it is impossible."""
    refuse_impossible(engine)
    daemon = find(engine)
    if flag := daemon.flag(f"--{KEY}"):
        raise DockyardError(
            f"the engine was started with --{KEY} {flag}, which conflicts with a setting in its configuration",
            hint="remove the flag from the engine's start command, or keep everything as it is",
        )
    known = record.load()
    places = system_files(ETC, config_of(daemon, wanted.config or (known.config if known else "")))
    if known and known.config != places.config:
        raise DockyardError(f"{known.config} already enables the mapping of users", hint="run `d userns disable` first")
    now = files.read_all(places)
    refuse_containerd_store(engine, places, now)
    plan = plan_enable(places, _finished(places, now, known), wanted.user, wanted.start, accounts_of(services))
    start = plan.ids.uids[0].outside
    pending = start_of(engine.id_map) != start
    running = len(engine.running())
    if wanted.restart and pending:
        refuse_orphans(engine, running)
    notes = (*plan.notes, *(consequences(running) if pending else ()))
    after = {path: plan.texts[path] for path in places}
    merged = _merged(places, now, after, known)
    whole = Record(wanted.user, places.config, merged, known.directory if known else "", daemon) if merged else None
    return Outline(places, changes(now, after), start, pending, notes, daemon, whole)


def _finished(places: SystemFiles, now: Texts, known: Record | None) -> Texts:
    """Return the texts to start from: the original ones if enabling was interrupted."""
    if not known or known.complete:
        return now
    return {path: without(known, path, text, places) for path, text in now.items()}


def _merged(places: SystemFiles, now: Texts, after: Texts, known: Record | None) -> tuple[FileChange, ...]:
    """Return the changes of this run and earlier ones together: reversing them undoes everything."""
    before = {path: without(known, path, now[path], places) for path in places}
    return changes(before, after)


def enable(engine: Engine, services: Iterable[Service], wanted: Wanted, tell: Tell) -> Outline:
    """Have the engine map users: change the files, and restart it if requested.

    Raises DockyardError if that fails; then everything is as before.
    """
    with held(engine, LOCK):
        with files.locked(ETC):
            outline = outline_enabling(engine, services, wanted)
            change_files(outline, tell)
        if wanted.restart and outline.pending and outline.daemon:
            tell("restarting the engine")
            with _taken_back(engine, outline, tell) as restart:
                restart.carry_out(outline.start)
    return outline


def change_files(outline: Outline, tell: Tell) -> None:
    """Write the record, then the files. If that fails, both are rolled back.

    The daemon's program validates its configuration after the user was created, as it looks the user up.
    """
    former = record.load()
    if not outline.record:
        return
    directory = str(Path(outline.places.config).parent)
    made = outline.record.directory or ("" if Path(directory).is_dir() else directory)
    whole = outline.record._replace(directory=made)
    record.save(whole)
    done: list[FileChange] = []
    try:
        if made:
            files.make_directory(made)
        for change in outline.changes:
            if change.path == outline.places.config:
                check_configuration(change, outline.daemon, tell)
            files.carry_out(change)
            done.append(change)
        record.save(whole._replace(complete=True))
    except BaseException:
        for change in reversed(done):
            files.carry_out(FileChange(change.path, change.after, change.before))
        if former:
            record.save(former)
        else:
            remove_directory(made)
            record.discard()
        raise


@contextmanager
def _taken_back(engine: Engine, outline: Outline, tell: Tell) -> Iterator[Restart]:
    """Roll back the files, then the daemon, if the block fails. Raises DockyardError that says so."""
    daemon = outline.daemon
    if not daemon:
        raise DockyardError("there is no daemon to restart")
    restart = Restart(daemon, engine)
    try:
        yield restart
    except BaseException as error:
        tell(f"{error}; rolling back" if isinstance(error, DockyardError) else "interrupted; rolling back")
        with files.locked(ETC):
            known = record.load()
            if known:
                put_back(known, outline.places)
        _bring_up_again(restart, error)
        if isinstance(error, DockyardError):
            raise DockyardError(f"{error}; everything was rolled back", error.hint) from None
        raise


def _bring_up_again(restart: Restart, reason: BaseException) -> None:
    """Start the daemon as before. Raises DockyardError, with the first failure, if that fails too."""
    try:
        restart.carry_out(None)
    except DockyardError as error:
        message = f"{reason}; the files were rolled back, but {error}"
        raise DockyardError(message, hint=restart.daemon.start()) from None


def check_configuration(change: FileChange, daemon: Daemon | None, tell: Tell) -> None:
    """Have the daemon's program validate its new configuration. Raises DockyardError if it refuses it."""
    if not daemon:
        return
    descriptor = os.memfd_create("daemon.json")
    argv = daemon.validation(f"/proc/{os.getpid()}/fd/{descriptor}")
    try:
        os.write(descriptor, (change.after or "").encode())
        done = process.capture(argv, extra_environment=daemon.environment)
    except OSError as error:
        tell(f"note: {argv[0]} cannot validate the configuration: {error.strerror}")
        return
    finally:
        os.close(descriptor)
    if "unknown flag: --validate" in done.stderr:
        tell("note: this engine is too old to validate its configuration (--validate needs 23.0)")
    elif done.exit_code:
        reason = re.sub(r"^unable to configure the Docker daemon with file \S+: ", "", done.stderr.strip())
        raise DockyardError(f"{change.path}: the engine would not start: {reason}", hint="nothing was changed")
