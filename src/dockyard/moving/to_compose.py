"""Launches → a compose file. Pure.

THE table of the compose keys for the engine's flags: to support another one, add its entry.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dockyard.moving.launched import Launched, UnsayableError, earlier
from dockyard.plan.flags import Word, mount_fields
from dockyard.plan.values import Secret

Service = dict[str, Any]
Add = Callable[[Service, str], None]
_WORDS = re.compile(r"true|false|yes|no|on|off|y|n|null|~|\.inf|\.nan|[-+.0-9xob_e:]*", re.IGNORECASE)


class Verbatim(str):
    """A text in which compose interprets `$`."""

    __slots__ = ()


def _text(*path: str) -> Add:
    def add(service: Service, value: str) -> None:
        _inner(service, path[:-1])[path[-1]] = value

    return add


def _number(key: str) -> Add:
    def add(service: Service, value: str) -> None:
        service[key] = int(value)

    return add


def _item(key: str) -> Add:
    def add(service: Service, value: str) -> None:
        service.setdefault(key, []).append(value)

    return add


def _pair(*path: str) -> Add:
    def add(service: Service, value: str) -> None:
        name, _, text = value.partition("=")
        _inner(service, path)[name] = text

    return add


def _switch(key: str) -> Add:
    def add(service: Service, value: str) -> None:
        service[key] = value.lower() in {"true", "1", "t"}

    return add


def _inner(service: Service, path: Sequence[str]) -> dict[str, Any]:
    for key in path:
        service = service.setdefault(key, {})
    return service


def _network(service: Service, value: str) -> None:
    kind = value.partition(":")[0]
    if value in {"bridge", "none", "host", "podman"} or kind in {"container", "ns", "pasta", "slirp4netns"}:
        service["network_mode"] = "bridge" if value == "podman" else value
    else:
        service["networks"] = {value: {}}


def _of_network(key: str, *, many: bool = False) -> Add:
    def add(service: Service, value: str) -> None:
        if "networks" not in service:
            raise UnsayableError("it needs a user-defined network")
        network = next(iter(service["networks"].values()))
        if many:
            network.setdefault(key, []).append(value)
        else:
            network[key] = value

    return add


def _mount(service: Service, value: str) -> None:
    fields = mount_fields(value)
    mount: dict[str, Any] = {name: fields.pop(name) for name in ("type", "source", "target") if name in fields}
    mount["read_only"] = fields.pop("readonly", "false") == "true"
    if fields:
        raise UnsayableError(f"a mount cannot have the options {', '.join(sorted(fields))}")
    if mount.get("type") == "bind":
        mount["bind"] = {"create_host_path": False}  # dockyard only creates the service's own sources
    service.setdefault("volumes", []).append(mount)


def _ulimit(service: Service, value: str) -> None:
    name, _, limits = value.partition("=")
    soft, _, hard = limits.partition(":")
    _inner(service, ("ulimits",))[name] = {"soft": int(soft), "hard": int(hard)} if hard else int(soft)


def _no_health(service: Service, _: str) -> None:
    service["healthcheck"] = {"disable": True}


def _health_command(service: Service, value: str) -> None:
    _inner(service, ("healthcheck",))["test"] = ["NONE"] if value == "none" else ["CMD-SHELL", value]


def _retries(service: Service, value: str) -> None:
    _inner(service, ("healthcheck",))["retries"] = int(value)


def _stop(service: Service, value: str) -> None:
    service["stop_grace_period"] = f"{value}s"


def _security(service: Service, value: str) -> None:
    _item("security_opt")(service, "no-new-privileges:true" if value == "no-new-privileges" else value)


def _gpus(service: Service, value: str) -> None:
    ids = value.strip('"').removeprefix("device=")
    device: dict[str, Any] = {"driver": "nvidia", "capabilities": ["gpu"]}
    if ids != value.strip('"'):
        device["device_ids"] = ids.split(",")
    else:
        device["count"] = int(value) if value.isdigit() else value
    _inner(service, ("deploy", "resources", "reservations")).setdefault("devices", []).append(device)


def _entrypoint(service: Service, value: str) -> None:
    service["entrypoint"] = [value] if value else []


def _unsayable(why: str) -> Add:
    def add(_: Service, __: str) -> None:
        raise UnsayableError(why)

    return add


FLAGS: dict[str, Add] = {
    "add-host": _item("extra_hosts"),
    "annotation": _pair("annotations"),
    "cap-add": _item("cap_add"),
    "cap-drop": _item("cap_drop"),
    "cgroup-parent": _text("cgroup_parent"),
    "cgroupns": _text("cgroup"),
    "cpu-period": _number("cpu_period"),
    "cpu-quota": _number("cpu_quota"),
    "cpu-shares": _number("cpu_shares"),
    "cpus": _text("cpus"),
    "cpuset-cpus": _text("cpuset"),
    "device": _item("devices"),
    "device-cgroup-rule": _item("device_cgroup_rules"),
    "dns": _item("dns"),
    "dns-option": _item("dns_opt"),
    "dns-search": _item("dns_search"),
    "domainname": _text("domainname"),
    "entrypoint": _entrypoint,
    "env": _pair("environment"),
    "expose": _item("expose"),
    "gpus": _gpus,
    "group-add": _item("group_add"),
    "health-cmd": _health_command,
    "health-interval": _text("healthcheck", "interval"),
    "health-retries": _retries,
    "health-start-interval": _text("healthcheck", "start_interval"),
    "health-start-period": _text("healthcheck", "start_period"),
    "health-timeout": _text("healthcheck", "timeout"),
    "hostname": _text("hostname"),
    "init": _switch("init"),
    "interactive": _switch("stdin_open"),
    "ip": _of_network("ipv4_address"),
    "ip6": _of_network("ipv6_address"),
    "ipc": _text("ipc"),
    "label": _pair("labels"),
    "link-local-ip": _of_network("link_local_ips", many=True),
    "log-driver": _text("logging", "driver"),
    "log-opt": _pair("logging", "options"),
    "mac-address": _text("mac_address"),
    "memory": _text("mem_limit"),
    "memory-reservation": _text("mem_reservation"),
    "memory-swap": _text("memswap_limit"),
    "memory-swappiness": _number("mem_swappiness"),
    "mount": _mount,
    "network": _network,
    "network-alias": _of_network("aliases", many=True),
    "no-healthcheck": _no_health,
    "oom-kill-disable": _switch("oom_kill_disable"),
    "oom-score-adj": _number("oom_score_adj"),
    "pid": _text("pid"),
    "pids-limit": _number("pids_limit"),
    "platform": _text("platform"),
    "privileged": _switch("privileged"),
    "publish": _item("ports"),
    "read-only": _switch("read_only"),
    "restart": _text("restart"),
    "rm": _unsayable("compose keeps containers that have ended"),
    "runtime": _text("runtime"),
    "security-opt": _security,
    "shm-size": _text("shm_size"),
    "stop-signal": _text("stop_signal"),
    "stop-timeout": _stop,
    "storage-opt": _pair("storage_opt"),
    "sysctl": _pair("sysctls"),
    "tmpfs": _item("tmpfs"),
    "tty": _switch("tty"),
    "ulimit": _ulimit,
    "user": _text("user"),
    "userns": _text("userns_mode"),
    "uts": _text("uts"),
    "volume": _item("volumes"),
    "workdir": _text("working_dir"),
}


def compose_file(launches: Sequence[Launched]) -> tuple[str, list[str]]:
    """Return a compose file for some launches, and what it cannot express."""
    left: list[str] = []
    services: dict[str, Service] = {}
    for one in launches:
        services[one.service], unsaid = _service(one, launches)
        left += [f"{one.service}: {text}" for text in unsaid]
    file: dict[str, Any] = {"services": services}
    networks = {name: {"external": True} for service in services.values() for name in service.get("networks", {})}
    if networks:
        file["networks"] = networks
    remarks = [f"# {line}" for text in left for line in text.splitlines()]
    return "\n".join([*remarks, *_lines(file, 0)]) + "\n", left


def _service(one: Launched, others: Sequence[Launched]) -> tuple[Service, list[str]]:
    service: Service = {"container_name": one.name, "image": one.image}
    left: list[str] = []
    secrets = {secret.variable: secret for secret in one.secrets}
    for word in sorted(one.words, key=lambda word: word.flag != "network"):  # what else is said of it comes after
        if word.flag == "env" and word.value in secrets:
            _inner(service, ("environment",))[word.value] = Verbatim(f"${{{variable(one, word.value)}:?a secret}}")
        else:
            left += _added(service, word)
    if one.command:
        service["command"] = list(one.command)
    dependencies = earlier(one, others)
    if dependencies:
        service["depends_on"] = {other.service: {"condition": _condition(other)} for other in dependencies}
    left += [f"run before the launch: {text}" for text in one.before]
    left += [_command(one, secret) for secret in one.secrets]
    return service, left


def _added(service: Service, word: Word) -> list[str]:
    """Add a flag; return what cannot be expressed."""
    try:
        FLAGS.get(word.flag, _unsayable("compose has no key for it"))(service, word.value)
    except UnsayableError as error:
        return [f"left behind: {word.text}: {error}"]
    except ValueError:
        return [f"left behind: {word.text}: compose requires a number"]
    return []


def _condition(other: Launched) -> str:
    return "service_healthy" if other.has_health_check else "service_started"


def variable(one: Launched, name: str) -> str:
    """Return the variable of compose's environment for a service's secret: compose fails without it."""
    return re.sub(r"[^A-Z0-9_]", "_", f"{one.service}_{name}".upper())


def _command(one: Launched, secret: Secret) -> str:
    value = secret.shell().partition("=")[2]
    return f"{secret.variable} is a secret; before compose: export {variable(one, secret.variable)}={value}"


def _lines(node: Any, depth: int) -> Iterator[str]:  # noqa: ANN401 - what YAML can be
    blank = "  " * depth
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, dict | list) and value:
                yield f"{blank}{_scalar(key, escape=False)}:"
                yield from _lines(value, depth + 1)
            else:
                yield f"{blank}{_scalar(key, escape=False)}: {_scalar(value)}"
        return
    for item in node:
        inner = list(_lines(item, depth + 1)) if isinstance(item, dict) else [f"{blank}  {_scalar(item)}"]
        yield f"{blank}- {inner[0].lstrip()}"
        yield from inner[1:]


def _scalar(value: Any, *, escape: bool = True) -> str:  # noqa: ANN401
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "{}" if isinstance(value, dict) else "[]"
    text = str(value) if isinstance(value, Verbatim) or not escape else str(value).replace("$", "$$")
    is_plain = re.fullmatch(r"[A-Za-z_/][A-Za-z0-9_./-]*", text) and not _WORDS.fullmatch(text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)
