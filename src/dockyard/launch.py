"""Launching: gathers what a plan asks for, and carries the plan out."""

from dockyard import host, secrets
from dockyard.engine.engine import Engine
from dockyard.errors import EngineError
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.plan.values import Command, EmptyTestArea, Facts, MakeDirectory, MakeFile, Questions, Step
from dockyard.service import Service
from dockyard.settings.resolve import Settings


def gather(engine: Engine, service: Service, asked: Questions) -> Facts:
    """Answer a plan's questions, each kind with one question to the engine or the host."""
    users, groups = host.users_of(service.directory / "files")
    matches = host.matches_of(asked.patterns)
    return Facts(
        dialect=engine.dialect,
        host=host.host_facts(),
        images=engine.images(asked.images),
        container=next(iter(engine.containers([asked.container])), None) if asked.container else None,
        network=engine.network(asked.network) if asked.network else None,
        addresses=host.addresses_of(asked.lookups),
        paths=host.path_facts([*asked.paths, *(path for paths in matches.values() for path in paths)]),
        matches=matches,
        users=users,
        groups=groups,
    )


def plan(
    engine: Engine, service: Service, settings: Settings, options: LaunchOptions, *, replacing: bool = False
) -> LaunchPlan:
    """Plan the launch of an instance as the world is now; `replacing` one of its name that makes way first."""
    asked = questions(service.name, settings, options, engine.dialect, host.host_facts().name)
    facts = gather(engine, service, asked._replace(container="") if replacing else asked)
    return plan_launch(service.name, settings, facts, options)


def carry_out(engine: Engine, launch: LaunchPlan) -> int:
    """Do what a plan says. Returns the exit code of an instance in the foreground, 0 for a detached one.

    Raises DockyardError; a detached container that could be made but not started is not left behind.
    """
    values = secrets.values_of(launch.secrets, launch.settings)
    for step in launch.steps[:-1]:
        do(engine, step)
    command = launch.steps[-1]
    assert isinstance(command, Command)  # noqa: S101 - the last step of every launch
    if launch.foreground:
        return engine.attach(*command.argv, secrets=values)
    try:
        engine.call(*command.argv, secrets=values)
    except EngineError:
        remove_never_started(engine, launch)
        raise
    return 0


def remove_never_started(engine: Engine, launch: LaunchPlan) -> None:
    """Remove the container of a launch that the engine created and then could not start."""
    for container in engine.containers([launch.name]):
        if container.service == launch.service and container.status == "created":
            engine.call("rm", container.id)


def do(engine: Engine, step: Step) -> None:
    """Carry out one step of a plan."""
    match step:
        case Command():
            engine.call(*step.argv)
        case MakeDirectory():
            host.make_directory(step)
        case MakeFile():
            host.make_file(step)
        case EmptyTestArea():
            host.empty_test_area(step)
