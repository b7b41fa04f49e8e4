"""Launches → podman's quadlet units: a `.container` each, a `.network` for each network. Pure.

THE table of the quadlet keys for the engine's flags; a flag without a key is passed to podman.
"""

import shlex
from collections.abc import Callable, Sequence
from typing import NamedTuple

from dockyard.moving.launched import Launched, UnsayableError, earlier
from dockyard.plan.flags import Word, mount_fields
from dockyard.plan.values import Secret

Sections = dict[str, list[str]]
Add = Callable[[Sections, str], None]
MOST_STARTING = 900  # seconds that systemd waits for a container to become healthy
STOP_SLACK = 10  # seconds that systemd waits for podman, after podman has waited for the container


class Quadlet(NamedTuple):
    """A unit: the name of its file, and its text."""

    name: str
    text: str


def literal(text: str) -> str:
    """Return a text with systemd's specifiers and variables escaped."""
    return text.replace("%", "%%").replace("$", "$$")


def quoted(text: str) -> str:
    """Return one word of a list that systemd splits at blanks."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{literal(escaped)}"' if escaped != text or not text or set(" '#;") & set(text) else literal(text)


def _key(name: str, section: str = "Container") -> Add:
    return lambda sections, value: sections[section].append(f"{name}={literal(value)}")


def _word(name: str) -> Add:
    return lambda sections, value: sections["Container"].append(f"{name}={quoted(value)}")


def _argument(flag: str) -> Add:
    return lambda sections, value: sections["Container"].append(f"PodmanArgs={quoted(Word(flag, value).text)}")


def _switch(name: str) -> Add:
    return lambda sections, value: sections["Container"].append(f"{name}={str(value.lower() in {'true', '1'}).lower()}")


def _unsayable(why: str) -> Add:
    def add(_: Sections, __: str) -> None:
        raise UnsayableError(why)

    return add


_WITHOUT_UNIT = {"none", "host", "podman", "bridge", "container", "ns", "pasta", "slirp4netns"}


def network_unit(value: str) -> str:
    """Return the unit's name for a network that needs one; empty for podman's predefined networks."""
    return "" if value.partition(":")[0] in _WITHOUT_UNIT else f"{value}.network"


def _network(sections: Sections, value: str) -> None:
    if value not in {"bridge", "podman"}:  # where containers are anyway
        sections["Container"].append(f"Network={network_unit(value) or literal(value)}")


def _mount(sections: Sections, value: str) -> None:
    fields = mount_fields(value)
    read_only = fields.pop("readonly", "false") == "true"
    source, target, kind = (fields.pop(name, "") for name in ("source", "target", "type"))
    if kind != "bind" or fields or set(":\n") & set(source + target):
        raise UnsayableError("quadlet has no key for such a mount")
    sections["Container"].append(f"Volume={literal(':'.join([source, target, *(['ro'] if read_only else [])]))}")


def _security(sections: Sections, value: str) -> None:
    if value.removesuffix(":true").removesuffix("=true") == "no-new-privileges":
        sections["Container"].append("NoNewPrivileges=true")
    else:
        _argument("security-opt")(sections, value)


def _user(sections: Sections, value: str) -> None:
    user, _, group = value.partition(":")
    sections["Container"] += [f"User={literal(user)}", *([f"Group={literal(group)}"] if group else [])]


def _restart(sections: Sections, value: str) -> None:
    policy, _, attempts = value.partition(":")
    sections["Service"].append(f"Restart={'always' if policy == 'unless-stopped' else policy}")
    if attempts:
        sections["Unit"] += [f"StartLimitBurst={attempts}", "StartLimitIntervalSec=1h"]


def _stop(sections: Sections, value: str) -> None:
    sections["Container"].append(f"StopTimeout={value}")
    sections["Service"].append(f"TimeoutStopSec={int(value) + STOP_SLACK}")


def _no_health(sections: Sections, _: str) -> None:
    sections["Container"].append("HealthCmd=none")


FLAGS: dict[str, Add] = {
    "add-host": _key("AddHost"),
    "annotation": _word("Annotation"),
    "cap-add": _key("AddCapability"),
    "cap-drop": _key("DropCapability"),
    "device": _key("AddDevice"),
    "dns": _key("DNS"),
    "dns-option": _key("DNSOption"),
    "dns-search": _key("DNSSearch"),
    "entrypoint": _key("Entrypoint"),
    "env": _word("Environment"),
    "expose": _key("ExposeHostPort"),
    "group-add": _key("GroupAdd"),
    "health-cmd": _key("HealthCmd"),
    "health-interval": _key("HealthInterval"),
    "health-retries": _key("HealthRetries"),
    "health-start-period": _key("HealthStartPeriod"),
    "health-timeout": _key("HealthTimeout"),
    "hostname": _key("HostName"),
    "init": _switch("RunInit"),
    "ip": _key("IP"),
    "ip6": _key("IP6"),
    "label": _word("Label"),
    "log-driver": _key("LogDriver"),
    "log-opt": _key("LogOpt"),
    "mount": _mount,
    "network": _network,
    "network-alias": _key("NetworkAlias"),
    "no-healthcheck": _no_health,
    "pids-limit": _key("PidsLimit"),
    "publish": _key("PublishPort"),
    "read-only": _switch("ReadOnly"),
    "restart": _restart,
    "rm": _unsayable("quadlet removes all containers that have ended"),
    "security-opt": _security,
    "shm-size": _key("ShmSize"),
    "stop-timeout": _stop,
    "sysctl": _word("Sysctl"),
    "tmpfs": _key("Tmpfs"),
    "ulimit": _key("Ulimit"),
    "user": _user,
    "userns": _key("UserNS"),
    "volume": _key("Volume"),
    "workdir": _key("WorkingDir"),
}
_LISTED = {"env", "label", "annotation", "sysctl", "mount"}
"""Flags whose keys take quoted words."""
NOT_PODMANS = {"runtime", "domainname", "storage-opt", "link-local-ip"}
"""Flags of docker's `run` that podman does not have, or interprets differently."""


def quadlets(launches: Sequence[Launched]) -> tuple[list[Quadlet], list[str]]:
    """Return the units for some launches, and what they cannot express."""
    left: list[str] = []
    units: list[Quadlet] = []
    for one in launches:
        text, unsaid = _container(one, launches)
        units.append(Quadlet(f"{one.service}.container", text))
        left += [f"{one.service}: {line}" for line in unsaid]
    for network in dict.fromkeys(one.last("network") for one in launches):
        if network and network_unit(network):
            units += [Quadlet(network_unit(network), f"[Network]\nNetworkName={literal(network)}\n")]
    return units, left


def _container(one: Launched, others: Sequence[Launched]) -> tuple[str, list[str]]:
    sections: Sections = {
        "Unit": [f"Description={literal(one.service)}"],
        "Container": [],
        "Service": [],
        "Install": [],
    }
    sections["Container"] += [f"ContainerName={one.name}", f"Image={literal(_qualified(one.image))}"]
    left: list[str] = []
    secrets = {secret.variable: secret for secret in one.secrets}
    for word in one.words:
        if word.flag == "env" and word.value in secrets:
            sections["Container"].append(f"Secret={_secret_name(one, word.value)},type=env,target={word.value}")
        else:
            left += _added(sections, word)
    if "" in one.command:
        left.append(f"left behind: {shlex.join(one.command)}: quadlet ends a command at an empty word")
    elif one.command:
        sections["Container"].append(f"Exec={' '.join(quoted(text) for text in one.command)}")
    if one.has_health_check:  # a wave is up when it is healthy
        sections["Container"].append("Notify=healthy")
        sections["Service"].append(f"TimeoutStartSec={MOST_STARTING}")
    for other in earlier(one, others):
        sections["Unit"] += [f"Wants={other.service}.service", f"After={other.service}.service"]
    if one.wave is not None:
        sections["Install"].append("WantedBy=multi-user.target default.target")
    left += [f"run before the launch: {text}" for text in one.before]
    left += [_command(one, secret) for secret in one.secrets]
    remarks = [f"# {line}" for text in left for line in text.splitlines()]
    parts = ["\n".join([f"[{name}]", *lines]) for name, lines in sections.items() if lines]
    return "\n".join(remarks + [""] * bool(remarks)) + "\n\n".join(parts) + "\n", left


def _added(sections: Sections, word: Word) -> list[str]:
    """Add a flag; return what cannot be expressed."""
    try:
        unknown = _unsayable("podman has no flag for it") if word.flag in NOT_PODMANS else _argument(word.flag)
        has_key = word.flag in FLAGS and (word.flag in _LISTED or _fits_line(word.value))
        (FLAGS[word.flag] if has_key else unknown)(sections, word.value)
    except UnsayableError as error:
        return [f"left behind: {word.text}: {error}"]
    return []


def _qualified(image: str) -> str:
    """Return an image's name, with `localhost/` if it has no registry: podman would ask for one."""
    first, slash, _ = image.partition("/")
    return image if slash and (set(".:") & set(first) or first == "localhost") else f"localhost/{image}"


def _fits_line(value: str) -> bool:
    """Return whether a value can follow a key: quadlet strips quotes and blanks."""
    return bool(value) and value.strip("\"' \t\\") == value and "\n" not in value


def _secret_name(one: Launched, variable: str) -> str:
    return f"{one.name}-{variable}"


def _command(one: Launched, secret: Secret) -> str:
    value = secret.shell().partition("=")[2]
    name = _secret_name(one, secret.variable)
    return f"{secret.variable} is a secret: printf %s {value} | podman secret create {name} -"
