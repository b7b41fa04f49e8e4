"""What tests make settings and facts from, as programs do, but from texts."""

from collections.abc import Container, Mapping
from pathlib import Path

from dockyard.engine.dialect import DOCKER, Dialect
from dockyard.engine.models import Image, Network
from dockyard.errors import Problem, SettingsError
from dockyard.plan.facts import Facts, HostFacts, PathFact
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.settings.key import Scope
from dockyard.settings.keys import IMAGE, NAME
from dockyard.settings.load import Flags, environment_layer, flag_layer, read_file
from dockyard.settings.resolve import Settings, Value, resolve
from dockyard.settings.values import Mode

IMAGE_ID = "1" * 64
GOLDEN = Path(__file__).parents[1] / "golden"


def settings_of(  # noqa: PLR0913
    text: str = "",
    mode: Mode = Mode.PROD,
    *,
    service: str = "web",
    environ: Mapping[str, str] | None = None,
    host: str = "",
    flags: Flags | None = None,
) -> Settings:
    """Return the settings of a service, each layer given as text."""
    layers = [
        flag_layer(flags or {}),
        read_file(text, "settings.yaml", Scope.SERVICE),
        environment_layer(environ or {}),
        read_file(host, "host.yaml", Scope.HOST),
    ]
    named = Value(service, "the directory's name")
    return resolve(layers, mode, {NAME.name: named, IMAGE.name: named})


def plan_of(
    settings: Settings,
    *,
    service: str = "web",
    dialect: Dialect = DOCKER,
    options: LaunchOptions | None = None,
    existing: Container[str] = (),
) -> LaunchPlan:
    """Return the launch on a host that has the image, the network, and the paths that are `existing`."""
    chosen = options or LaunchOptions()
    asked = questions(service, settings, chosen, dialect, "harbour")
    facts = Facts(
        dialect=dialect,
        host=HostFacts("harbour", "Europe/Vienna"),
        images={asked.images[0]: Image(IMAGE_ID)},
        network=Network(asked.network, "bridge") if asked.network else None,
        paths={path: PathFact("directory", 33, 33, 0o750, path) for path in asked.paths if path in existing},
    )
    return plan_launch(service, settings, facts, chosen)


def problems_of(text: str, scope: Scope = Scope.SERVICE) -> list[Problem]:
    """Return what is wrong with the text of a settings file."""
    try:
        read_file(text, "settings.yaml", scope)
    except SettingsError as error:
        return error.problems
    return []
