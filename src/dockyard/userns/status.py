"""Whether an engine maps users, whether it is configured to, and what is wrong with it."""

import os
from typing import NamedTuple

from dockyard.engine.engine import Engine
from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError, EngineUnreachableError
from dockyard.plan.daemon_json import KEY, setting_in
from dockyard.plan.dockerd import Daemon
from dockyard.plan.mapping_problems import asked_for, problems
from dockyard.plan.translation import described
from dockyard.plan.userns import account_files, system_files
from dockyard.userns import files, record
from dockyard.userns.daemon import find
from dockyard.userns.outline import ETC, config_of


class Status(NamedTuple):
    """The status of the mapping; `asked` and `config` are None if the engine has no daemon to configure.

    `ids` is None if the engine does not answer.
    """

    engine: str
    ids: IdMap | None
    config: str | None = None
    asked: str | None = None
    by_flag: bool = False
    agrees: bool = True
    ours: bool = False
    restart: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def data(self) -> dict[str, object]:
        """The same for machines."""
        ids = {kind: [one._asdict() for one in ranges] for kind, ranges in (self.ids or IdMap())._asdict().items()}
        answers = self.ids is not None
        return {**self._asdict(), "answers": answers, "maps": bool(self.ids and self.ids.uids), "ids": ids}

    def lines(self) -> list[str]:
        """Return it for a person."""
        found = [self._engine_line()]
        if self.config is not None:
            found.append(self._config_line())
        if not self.agrees:
            found.append("the engine does not use its current configuration: restart it")
            found += [f"  {command}" for command in self.restart]
        return [*found, *(f"problem: {problem}" for problem in self.problems)]

    def _engine_line(self) -> str:
        if self.ids is None:
            return f"{self.engine} does not answer"
        if not self.ids.uids:
            return f"{self.engine} maps no users: ids in containers are the host's"
        kinds = (("uids", self.ids.uids), ("gids", self.ids.gids))
        pairs = (
            f"{kind} {described(ranges, inside=True)} are {described(ranges)} on the host" for kind, ranges in kinds
        )
        return f"{self.engine} maps users: {'; '.join(pairs)}"

    def _config_line(self) -> str:
        if not self.asked:
            return f"{self.config}: no {KEY}"
        if self.by_flag:
            return f"the engine was started with --{KEY} {self.asked}"
        return f'{self.config}: "{KEY}" is "{self.asked}"{" (`d userns enable` wrote it)" if self.ours else ""}'


def status(engine: Engine, given_config: str = "") -> Status:
    """Return the status. Raises DockyardError for invalid files."""
    if not engine.dialect.maps_root:
        return Status(engine.dialect.name, engine.host_id_map)
    try:
        ids, daemon = engine.id_map, find(engine)
    except EngineUnreachableError:
        ids, daemon = None, None
    except DockyardError as error:  # its daemon is elsewhere
        return Status(engine.dialect.name, engine.host_id_map, problems=(str(error),))
    return _of_daemon(engine, ids, daemon, given_config)


def _of_daemon(engine: Engine, ids: IdMap | None, daemon: Daemon | None, given: str) -> Status:
    known = None if os.geteuid() else record.load()
    config = config_of(daemon, given or (known.config if known and not daemon else ""))
    places = system_files(ETC, config)
    texts = files.read_all(places)
    accounts = account_files(places, texts)
    flag = daemon.flag(f"--{KEY}") if daemon else ""
    asked = flag or setting_in(texts[config], config)
    agrees = ids is None or _agree(ids, asked_for(asked, accounts), asked)
    found = [*problems(asked, accounts), *_unfinished(known)]
    return Status(
        engine.dialect.name,
        ids,
        config,
        asked,
        by_flag=bool(flag),
        agrees=agrees,
        ours=bool(known),
        restart=daemon.restart() if daemon and not agrees else (),
        problems=tuple(found),
    )


def _agree(ids: IdMap, wanted: IdMap, asked: str) -> bool:
    """Return whether the engine maps users as configured, judged by root's ids."""
    if not asked or not ids.uids or not wanted.uids or not wanted.gids:
        return bool(asked) == bool(ids.uids)
    return (ids.uids[0].outside, ids.gids[0].outside) == (wanted.uids[0].outside, wanted.gids[0].outside)


def _unfinished(known: record.Record | None) -> list[str]:
    if known and not known.complete:
        return ["`d userns enable` was interrupted: run it again, or run `d userns disable`"]
    return []
