"""One host's dockyard: its settings, its engine, its services.

Reading settings and talking to the engine are imported when they are first asked for: `d help` needs neither.
"""

import os
from functools import cached_property
from typing import TYPE_CHECKING

from dockyard.directives import UNDER_TEST, directive
from dockyard.errors import Problem, SettingsError
from dockyard.service import Service, service_at, services_in

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Row
    from dockyard.settings.load import Flags, HostLayers
    from dockyard.settings.resolve import Settings
    from dockyard.settings.values import Mode
    from dockyard.writers import Neighbours


class Yard:
    """What all commands share. Each part is read when it is first asked for.

    `wait` is how many seconds a command waits for another run that has a container's lock.
    """

    def __init__(self, wait: float = 0) -> None:
        self.wait = wait

    @cached_property
    def host(self) -> "HostLayers":
        """The environment and the host file."""
        from dockyard.settings.load import read_host

        return read_host(os.environ)

    @cached_property
    def settings(self) -> "Settings":
        """What the host alone says."""
        return self.host.settings()

    @cached_property
    def engine(self) -> "Engine":
        """The engine's client. That of a user's own podman is asked from within its user namespace."""
        from dockyard.engine.engine import find_engine
        from dockyard.privilege import enter_namespace
        from dockyard.settings.keys import ENGINE

        engine = find_engine(self.settings[ENGINE])
        enter_namespace(engine)
        return engine

    @cached_property
    def neighbours(self) -> "Neighbours":
        """The containers that run on this host, of all engines."""
        from dockyard.writers import Neighbours

        return Neighbours(self.engine)

    @cached_property
    def rows(self) -> "list[Row]":
        """All containers in short, stopped ones too, as they were when this was first asked for."""
        return self.engine.rows()

    def forget_rows(self) -> None:
        """Discard the list of containers, so that the engine is asked again."""
        self.__dict__.pop("rows", None)

    def with_engine(self, engine: "Engine") -> "Yard":
        """Return the same yard, with another client of its engine."""
        other = Yard(self.wait)
        other.__dict__.update(self.__dict__, engine=engine)
        return other

    @property
    def source_directories(self) -> list[str | None]:
        """D_SRC_DIR and D_SRC_DIR2."""
        from dockyard.settings.keys import SRC_DIR, SRC_DIR2

        return [self.settings[SRC_DIR], self.settings[SRC_DIR2]]

    @cached_property
    def services(self) -> list[Service]:
        """All services of the host, by name."""
        return services_in(self.source_directories)

    def service(self, place: str = "") -> Service:
        """Return the service of a directory or name; an empty place is where we are."""
        return service_at(place, self.source_directories)

    def named(self, name: str) -> Service:
        """Return the service of a name that `services` has: never one that merely lies where we are."""
        return next(service for service in self.services if service.name == name)

    def load(
        self, service: Service, mode: "Mode | None" = None, *, flags: "Flags | None" = None, file: str = ""
    ) -> "Settings":
        """Return a service's settings in a mode, production's by default; in test mode with the image under test."""
        from dockyard.settings.keys import IMAGE
        from dockyard.settings.load import load
        from dockyard.settings.values import Mode

        mode = mode or Mode.PROD
        pinned = {IMAGE.name: image} if mode is Mode.TEST and (image := image_under_test(service)) else {}
        return load(service, mode, self.host, flags={**pinned, **(flags or {})}, file=file)

    def load_all(self) -> "tuple[dict[str, Settings], list[Problem]]":
        """Return production's settings of every service by name, and what is wrong with those that are missing."""
        found: dict[str, Settings] = {}
        problems: list[Problem] = []
        for service in self.services:
            try:
                found[service.name] = self.load(service)
            except SettingsError as error:
                problems += error.problems
        return found, problems


def image_under_test(service: Service) -> str:
    """Return the id of the image that a Test of this service must launch; empty if none was requested."""
    name, _, image = directive(UNDER_TEST).partition("=")
    return image if name == service.name else ""
