"""Settings as people read them: each value as it would be written, with its source; secrets as `***`."""

import shlex
from collections.abc import Iterable, Sequence

from dockyard.plan.copies import ChosenCopy
from dockyard.plan.flags import flag_values
from dockyard.settings.acceptance_type import Acceptance
from dockyard.settings.keys import EXTRA_DOCKER, NOTIFY, PUID, ULIMITS
from dockyard.settings.resolve import Settings
from dockyard.settings.rule_type import Rule
from dockyard.settings.update_type import Updates
from dockyard.settings.values import HealthCheck, LogDriver, Mount, Port, Variable, Volume, VolumeDefaults, Wave

Row = dict[str, str]


def explained(settings: Settings) -> list[Row]:
    """Return a row for each key: `key`, `value`, `source`."""
    return [
        {"key": name, "value": _shown(settings, name, value), "source": source}
        for name, value, source in settings.explain()
    ]


def explained_copies(copies: Iterable[ChosenCopy]) -> list[Row]:
    """Return a row for each production directory that a test instance gets a copy of: how it is copied, and why so."""
    return [
        {"key": f"copy of {chosen.step.source}", "value": chosen.step.method.value, "source": chosen.reason}
        for chosen in copies
    ]


def explained_open_files(settings: Settings, default: int | None) -> list[Row]:
    """Return a row with the limit of open files that a container inherits, if its settings set none."""
    flags: tuple[str, ...] = settings[EXTRA_DOCKER]
    raw = (value.partition("=")[0] for value in flag_values(flags, "ulimit"))
    if default is None or "nofile" in {*(name for name, _ in settings[ULIMITS]), *raw}:
        return []
    return [
        {"key": "open files", "value": str(default), "source": "default of the engine; `ulimits: nofile=…` sets it"}
    ]


def explanation(rows: Sequence[Row]) -> list[str]:
    """Return the rows as lines."""
    width = max((len(row["key"]) for row in rows), default=0)
    return [f"{row['key']:{width}}  {row['value'] or '-'}  ({row['source']})" for row in rows]


def _map(value: Volume | VolumeDefaults) -> str:
    """Return what was said of a volume, as a map on one line."""
    said = {name: text for name, text in value._asdict().items() if text not in {None, ""} and name != "where"}
    words = (f"{name}: {text:04o}" if isinstance(text, int) else f"{name}: {text}" for name, text in said.items())
    return f"{{{', '.join(words)}}}" if said else ""


def _policy(value: Updates) -> str:
    """Return an update policy as a map on one line."""
    said = {name: field for name, field in value._asdict().items() if field is not None and name != "images"}
    words = [f"{name}: {field if isinstance(field, str) else _listed(field)}" for name, field in said.items()]
    words += (
        [f"images: {{{', '.join(f'{name}: {_policy(own)}' for name, own in value.images)}}}"] if value.images else []
    )
    return f"{{{', '.join(words)}}}" if words else ""


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _shown(settings: Settings, name: str, value: object) -> str:
    if name == NOTIFY.name and value:
        return "***"  # addresses hold passwords
    hidden = name == PUID.name and settings[PUID] not in {None, "auto"}
    return "***" if hidden else written(value)


def written(value: object) -> str:  # noqa: C901, PLR0911, PLR0912 - one line a kind
    """Return a key's value as a settings file would have it, on one line."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Port():
            return f"{value.ip and value.ip + ':'}{value.host}:{value.container}/{value.protocol}"
        case Mount():
            return f"{value.source}:{value.target or value.source}"
        case Volume() | VolumeDefaults():
            return _map(value)
        case Variable():
            return f"{value.name}=*{value.secret}" if value.secret else f"{value.name}={value.value}"
        case Updates():
            return _policy(value)
        case Rule():
            return value.path
        case Acceptance():
            return value.id
        case Wave():
            return f"{value.number},host={value.host}" if value.host else str(value.number)
        case LogDriver():
            return f"{value.name}:{value.address}" if value.address else value.name
        case HealthCheck():
            return "none" if value.disabled else f"cmd={value.command} {value.options or ''}".strip()
        case tuple() if all(isinstance(item, str) for item in value):
            return shlex.join(value)
        case tuple():
            return " ".join("=".join(item) if type(item) is tuple else written(item) for item in value)
    return str(value)
