"""THE table of the keys of compose services: each key with the rule for what it becomes here.

To support another key, add its entry. A value without a rule is reported as left behind.
"""

from collections.abc import Iterable, Iterator

from dockyard.moving import build_rules, mount_rules, network_rules, ordering, process_rules
from dockyard.moving.context import Context
from dockyard.moving.outcome import Carried, Left, Outcome, flag, pair, setting
from dockyard.moving.rules import (
    FLAG,
    SWARM,
    Rule,
    as_flag,
    as_flags,
    as_pair_flags,
    as_size,
    as_switch,
    each,
    left,
    of_map,
    one,
    pairs,
    switch,
    told,
)
from dockyard.moving.tree import Part, size


def _ulimits(part: Part, _: Context) -> Iterator[Outcome]:
    for name, value in part.pairs().items():
        fields = value.pairs()
        soft, hard = (fields[key].text if key in fields else "" for key in ("soft", "hard"))
        yield pair("ulimits", name, f"{soft or hard}:{hard or soft}" if fields else value.text, *value.leaves())


def _security(part: Part, _: Context) -> Iterator[Outcome]:
    for item in part.items():
        if item.text in {"no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"}:
            yield setting("no_new_privileges", "true", item)
        else:
            yield flag("--security-opt", item.text, item)


def _logging(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield the driver as a flag: `log` would add its own options, and use others in development."""
    yield setting("log", "passthrough")
    yield from of_map({"driver": as_flag("--log-driver"), "options": as_pair_flags("--log-opt")}, left("", FLAG))(
        part, context
    )


def _replicas(part: Part, context: Context) -> Iterable[Outcome]:
    if part.text == "1":
        return [Carried((part,), how="a service is one container")]
    return [Left((part,), "a service is one container", f"create a directory for each, linked to {context.directory}")]


def _restart_policy(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield compose's reading of swarm's restart policy, unless `restart` is set."""
    fields = part.pairs()
    policy = {"none": "no", "any": "always", "on-failure": "on-failure"}.get(
        fields["condition"].text if "condition" in fields else "any"
    )
    attempts = fields.get("max_attempts")
    used = [fields[name] for name in ("condition", "max_attempts") if name in fields]
    if policy and not context.part.at("restart"):
        yield setting("restart", f"{policy}:{attempts.text}" if attempts and policy == "on-failure" else policy, *used)
    else:
        yield Left(tuple(used), "`restart` overrides it")
    for name, field in fields.items():
        if name in {"delay", "window"}:
            yield Left((field,), "the engine decides how long it waits")


def _gpus(part: Part, _: Context) -> Iterator[Outcome]:
    """Yield `--gpus` for devices of the nvidia driver."""
    for item in part.items():
        fields = item.pairs()
        driver = fields["driver"].text if "driver" in fields else "nvidia"
        ids = [leaf.text for leaf in fields["device_ids"].items()] if "device_ids" in fields else []
        count = fields["count"].text if "count" in fields else "all"
        if not fields:
            yield flag("--gpus", item.text, item)
        elif driver == "nvidia" and "options" not in fields and _capabilities(fields) <= {"gpu"}:
            yield flag("--gpus", f'"device={",".join(ids)}"' if ids else count, *item.leaves())
        else:
            yield Left(item.leaves(), f"devices of driver `{driver}` have no flag", FLAG)


def _capabilities(fields: dict[str, Part]) -> set[str]:
    return {item.text for item in fields["capabilities"].items()} if "capabilities" in fields else set()


_DEPLOY: Rule = of_map(
    {
        "replicas": _replicas,
        "restart_policy": _restart_policy,
        "resources": of_map(
            {
                "limits": of_map(
                    {"cpus": one("cpus"), "memory": one("memory", size), "pids": one("pids_limit")}, left(SWARM)
                ),
                "reservations": of_map({"memory": as_size("--memory-reservation"), "devices": _gpus}, left(SWARM)),
            },
            left(SWARM),
        ),
    },
    left(SWARM),
)

SERVICE_KEYS: dict[str, Rule] = {
    # ------------------------------------------------------------------------------------- the image, and what runs
    "image": build_rules.image,
    "build": build_rules.build,
    "command": process_rules.command,
    "entrypoint": process_rules.entrypoint,
    "environment": process_rules.environment,
    "env_file": process_rules.env_file,
    "working_dir": as_flag("--workdir"),
    "user": one("user"),
    "group_add": as_flags("--group-add"),
    "init": as_switch("--init"),
    "tty": as_switch("--tty"),
    "stdin_open": as_switch("--interactive"),
    "platform": as_flag("--platform"),
    "pull_policy": left("`d build` pulls what a Dockerfile names", "build_params: --pull"),
    "extends": told("its values are merged in"),
    # --------------------------------------------------------------------------------------------- start, stop, health
    "depends_on": ordering.depends_on,
    "healthcheck": process_rules.healthcheck,
    "restart": one("restart"),
    "stop_grace_period": process_rules.stop_grace_period,
    "stop_signal": one("stop_signal"),
    "scale": _replicas,
    "deploy": _DEPLOY,
    "profiles": lambda _part, _: [],  # with the wave
    # ------------------------------------------------------------------------------------------------ names and network
    "container_name": one("name"),
    "hostname": one("hostname"),
    "domainname": as_flag("--domainname"),
    "networks": network_rules.networks,
    "network_mode": network_rules.network_mode,
    "ports": network_rules.ports,
    "expose": as_flags("--expose"),
    "links": network_rules.links,
    "dns": each("dns"),
    "dns_search": as_flags("--dns-search"),
    "dns_opt": as_flags("--dns-option"),
    "extra_hosts": network_rules.extra_hosts,
    "mac_address": as_flag("--mac-address"),
    # ------------------------------------------------------------------------------------------------------------ files
    "volumes": mount_rules.volumes,
    "tmpfs": mount_rules.tmpfs,
    "devices": mount_rules.devices,
    "secrets": mount_rules.secrets,
    "configs": mount_rules.configs,
    "read_only": switch("read_only"),
    "volumes_from": left("a service cannot use the mounts of another", "write the same mounts with absolute paths"),
    # ----------------------------------------------------------------------------------------------- limits and rights
    "mem_limit": one("memory", size),
    "mem_reservation": as_size("--memory-reservation"),
    "memswap_limit": as_size("--memory-swap"),
    "mem_swappiness": as_flag("--memory-swappiness"),
    "cpus": one("cpus"),
    "cpu_shares": as_flag("--cpu-shares"),
    "cpu_quota": as_flag("--cpu-quota"),
    "cpu_period": as_flag("--cpu-period"),
    "cpuset": as_flag("--cpuset-cpus"),
    "pids_limit": one("pids_limit"),
    "shm_size": as_size("--shm-size"),
    "oom_kill_disable": as_switch("--oom-kill-disable"),
    "oom_score_adj": as_flag("--oom-score-adj"),
    "ulimits": _ulimits,
    "sysctls": as_pair_flags("--sysctl"),
    "cap_add": each("cap_add"),
    "cap_drop": each("cap_drop"),
    "privileged": as_switch("--privileged"),
    "security_opt": _security,
    "userns_mode": as_flag("--userns"),
    "pid": network_rules.namespace("--pid"),
    "ipc": network_rules.namespace("--ipc"),
    "uts": as_flag("--uts"),
    "cgroup": as_flag("--cgroupns"),
    "cgroup_parent": as_flag("--cgroup-parent"),
    "device_cgroup_rules": as_flags("--device-cgroup-rule"),
    "storage_opt": as_pair_flags("--storage-opt"),
    "runtime": as_flag("--runtime"),
    "gpus": _gpus,
    # ----------------------------------------------------------------------------------------------- labels and logging
    "labels": pairs("labels"),
    "logging": _logging,
    "annotations": left("docker before 25 does not support it", "if yours does: `extra_docker: --annotation=…`"),
    # ------------------------------------------------------------------------------------------------ compose's options
    "attach": left("`d up` attaches to nothing", "d logs"),
    "develop": left("sources are not watched", "launch a development instance with `d-run -D`"),
    "post_start": left("there are no commands after the start of a container", "put it into the start-up of the image"),
    "pre_stop": left("there are no commands before the stop of a container", "have the program do it"),
}


def rule_for(key: str) -> Rule:
    """Return the rule for a key, also for extensions and unknown keys."""
    if key.startswith("x-"):
        return left("an extension: compose does not use it either")
    return SERVICE_KEYS.get(key) or left("there is no setting for it", FLAG)
