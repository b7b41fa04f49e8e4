"""Disables the mapping of users: undoes what enabling did, and nothing else."""

from dockyard.engine.engine import Engine
from dockyard.errors import DockyardError, EngineUnreachableError
from dockyard.lock import held
from dockyard.plan.daemon_json import KEY, setting_in
from dockyard.plan.dockerd import Daemon
from dockyard.plan.userns import Texts, changes, consequences_of_disabling, left_behind, system_files
from dockyard.userns import files, record
from dockyard.userns.daemon import find, running_as
from dockyard.userns.outline import (
    ETC,
    LOCK,
    Outline,
    Tell,
    Wanted,
    config_of,
    put_back,
    refuse_impossible,
    refuse_orphans,
    without,
)
from dockyard.userns.record import Record
from dockyard.userns.restart import Restart, start_of


def outline_disabling(engine: Engine, wanted: Wanted) -> Outline:
    """Return what disabling would do. Raises DockyardError if `d userns enable` did not write the settings."""
    refuse_impossible(engine)
    known = record.load()
    daemon, answers = _daemon_or_recorded(engine, known)
    places = system_files(ETC, known.config if known else config_of(daemon, wanted.config))
    now = files.read_all(places)
    after = {path: without(known, path, text, places) for path, text in now.items()}
    stays = setting_in(after[places.config], places.config)
    maps = start_of(engine.id_map) is not None if answers else None
    if not known and stays:
        raise DockyardError(
            f'{places.config}: "{KEY}" is "{stays}", but `d userns enable` did not write it',
            hint="remove it by hand, and restart the engine, which stops all containers",
        )
    if not known and daemon and daemon.flag(f"--{KEY}"):
        raise DockyardError(f"the engine was started with --{KEY}", hint="remove the flag from its start command")
    running = len(engine.running()) if answers else 0
    pending = not stays and maps is not False
    if wanted.restart and pending and answers:
        refuse_orphans(engine, running)
    notes = [*_lines_left(known, after), *(consequences_of_disabling(running) if maps and not stays else ())]
    if stays:
        notes.append(f'{places.config}: "{KEY}" remains "{stays}", as before')
    return Outline(places, changes(now, after), None, pending, tuple(notes), daemon, known)


def _lines_left(known: Record | None, after: Texts) -> list[str]:
    """Return notes about entries of ours that were changed since."""
    entries = [change for change in known.changes if change.path != known.config] if known else []
    return [
        f"{change.path}: `{line}` remains: it was changed"
        for change in entries
        for line in left_behind(change, after[change.path])
    ]


def _daemon_or_recorded(engine: Engine, known: Record | None) -> tuple[Daemon | None, bool]:
    """Return the daemon, and whether it answers; if not, it is taken from the record. Raises DockyardError."""
    try:
        return find(engine), True
    except EngineUnreachableError:
        if not known or not known.daemon:
            raise
        return known.daemon._replace(pid=running_as(known.daemon) or 0), False


def disable(engine: Engine, wanted: Wanted, tell: Tell) -> Outline:
    """Undo what enabling did, and restart the engine if requested. Raises DockyardError."""
    with held(engine, LOCK):
        with files.locked(ETC):
            outline = outline_disabling(engine, wanted)
            if outline.record:
                put_back(outline.record, outline.places)
        if wanted.restart and outline.pending and outline.daemon:
            tell("restarting the engine")
            Restart(outline.daemon, engine).carry_out(None)
    return outline
