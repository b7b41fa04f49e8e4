"""Pinning the images that services are built on: which digests, from where, and the files that name them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dockyard.base_images import known_digests
from dockyard.dockerfile import build_arguments
from dockyard.dockerfile_places import image_places
from dockyard.engine.dialect import Dialect
from dockyard.engine.engine import Engine
from dockyard.engine.models import Image
from dockyard.errors import DockyardError, RegistryError
from dockyard.fleet.order import plain_names
from dockyard.plan.build import build_parameters, is_own_image
from dockyard.plan.order import plain_reference
from dockyard.service import Service
from dockyard.settings.keys import IMAGE
from dockyard.settings.load import settings_path
from dockyard.settings.resolve import Settings
from dockyard.updates.choices import Choices, load_choices
from dockyard.updates.pins import Edit, change_image, is_pinned, pin_text, with_digest
from dockyard.updates.text_file import read_text, replace_text
from dockyard.yard import Yard

ENGINE, REGISTRY = "engine", "registry"


class Source(NamedTuple):
    """A file of a service that names images: its Dockerfile, or its settings.yaml if `arguments` is None."""

    service: str
    path: Path
    text: str
    references: tuple[str, ...]
    arguments: Mapping[str, str] | None = None

    def pin(self, digests: Mapping[str, str]) -> Edit:
        """Return the file's text with digests."""
        if self.arguments is not None:
            return pin_text(self.text, digests, self.arguments)
        (reference,) = self.references
        if reference not in digests:
            return Edit(self.text)
        return change_image(self.text, reference, with_digest(reference, digests[reference]))


class Digest(NamedTuple):
    """The digest of an image, and who reports it: the engine or the registry; or why there is none."""

    digest: str = ""
    origin: str = ""
    error: str = ""


class Pinning(NamedTuple):
    """A file, what pinning makes of it, and the digests that it takes; `error` says why it could not be written."""

    source: Source
    edit: Edit
    digests: Mapping[str, Digest]
    error: str = ""

    def carry_out(self) -> "Pinning":
        """Write the file, if anything changes, and return what became of it."""
        if self.edit.text == self.source.text:
            return self
        try:
            replace_text(self.source.path, self.source.text, self.edit.text)
        except DockyardError as error:
            return self._replace(error=str(error))
        return self


def plan_pins(yard: Yard, services: Sequence[Service], *, refresh: bool) -> tuple[Pinning, ...]:
    """Return what pinning makes of the files of services; `refresh` asks registries even if the engine has an image."""
    own = plain_names(yard.load_all()[0])
    engine = yard.engine  # a missing engine is not a fault of a service
    sources: list[Source] = []
    failed: list[Pinning] = []
    for service in services:
        try:
            sources += _sources(yard.load(service), service, engine.dialect, own)
        except DockyardError as error:
            unread = Source(service.name, service.directory, "", ())
            failed.append(Pinning(unread, Edit(""), {}, error.lines()[0]))
    digests = find_digests(engine, (name for source in sources for name in source.references), refresh=refresh)
    choices = {} if refresh else load_choices()
    found = [_pinning(source, digests, choices.get(source.service, {})) for source in sources]
    return tuple(sorted([*found, *failed], key=lambda pinning: pinning.source.service))


def _pinning(source: Source, digests: Mapping[str, Digest], chosen: Choices) -> Pinning:
    """Return what becomes of a file: what a service builds on is pinned, also if its tag names an older version."""
    own = {name: Digest(reference.rpartition("@")[2], ENGINE) for name, reference in chosen.items()}
    taken = {name: own.get(name, digests[name]) for name in source.references}
    return Pinning(source, source.pin({name: one.digest for name, one in taken.items() if one.digest}), taken)


def find_digests(engine: Engine, references: Iterable[str], *, refresh: bool) -> dict[str, Digest]:
    """Return the digest of each reference: the engine's, if it has the image from a registry, else the registry's."""
    wanted = list(dict.fromkeys(references))
    images = {} if refresh else engine.images(wanted)
    found = {name: Digest(digest, ENGINE) for name in wanted if (digest := _pulled_digest(name, images.get(name)))}
    missing = [name for name in wanted if name not in found]
    return {**found, **(_ask_registries(engine.dialect.name, missing) if missing else {})}


def _pulled_digest(reference: str, image: Image | None) -> str:
    """Return the digest by which an image was pulled under a name; empty if it was not, or by several."""
    candidates = known_digests(image, reference) if image else ()
    return candidates[0] if len(candidates) == 1 else ""


def _ask_registries(program: str, references: Sequence[str]) -> dict[str, Digest]:
    from dockyard.registry.asking import ask_all
    from dockyard.registry.client import Registries

    with Registries(program) as registries:
        names = {name: registries.references_of(name)[0] for name in references}
        tasks = {names[name]: (lambda asked=names[name]: registries.resolve(asked)) for name in references}
        answers = ask_all(tasks)
    found: dict[str, Digest] = {}
    for name in references:
        answer = answers[names[name]]
        if isinstance(answer, RegistryError):
            found[name] = Digest(error=str(answer))
        else:
            found[name] = Digest(answer.digest, REGISTRY)
    return found


def _sources(settings: Settings, service: Service, dialect: Dialect, own: frozenset[str]) -> list[Source]:
    """Return the files of a service that name images of others; `own` are names of images that are built here."""

    def may_pin(reference: str) -> bool:
        is_own = plain_reference(reference) in own or is_own_image(reference, settings)
        return not is_pinned(reference) and not is_own

    found = [*_dockerfile(settings, service, dialect), *_settings(settings, service)]
    usable = (source._replace(references=tuple(filter(may_pin, source.references))) for source in found)
    return [source for source in usable if source.references]


def _dockerfile(settings: Settings, service: Service, dialect: Dialect) -> list[Source]:
    path = service.file("Dockerfile")
    if not path:
        return []
    text = read_text(path)
    arguments = build_arguments(build_parameters(settings, dialect))
    names = dict.fromkeys(place.reference for place in image_places(text, arguments))
    return [Source(service.name, path, text, tuple(names), arguments)]


def _settings(settings: Settings, service: Service) -> list[Source]:
    """Return the settings.yaml of a service if it says in full which image is launched."""
    path, value = settings_path(service), settings.value(IMAGE)
    is_full = "/" in value.value or ":" in value.value
    if not path or value.spelling != IMAGE.name or not is_full:
        return []
    return [Source(service.name, path, read_text(path), (value.value,))]
