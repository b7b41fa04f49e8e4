"""Building and promoting: which command, which tags, and what may not be done."""

from collections.abc import Mapping
from typing import NamedTuple

from dockyard.engine.dialect import Dialect
from dockyard.engine.models import Image
from dockyard.errors import DockyardError, NoSuchNameError
from dockyard.plan.values import Command, Secret
from dockyard.settings.keys import BUILD_APK_CACHE, BUILD_PARAMS, BUILD_REPO, BUILD_SECRETS, IMAGE, REPO1, REPO2
from dockyard.settings.resolve import Settings

LATEST, LIVE, PREVIOUS = "latest", "live", "prev"
UNTRIMMED = "untrimmed"
"""The tag of the image from which a trimmed one was made: with other settings it can be trimmed again."""
EARLIER = "earlier"
"""The tag of what a forced build may turn out to equal, until that is known: a containerd image store removes an image
with its last tag."""
VERSION = "version-"
"""How the tags begin of images that were live: with such a tag an image can be live again, however many came since."""
APK_CACHE = "/var/cache/apk"
_PULLS_NOTHING_NEW = frozenset({"0", "f", "false", "missing", "never"})
_SECRET_VARIABLE = "DOCKYARD_BUILD_SECRET"  # noqa: S105 - how variables begin


class ImageName(NamedTuple):
    """Where the images of a service are kept: `repo/name`, or `name` alone."""

    repository: str
    name: str

    @property
    def untagged(self) -> str:
        """The reference, as far as all tags have it."""
        return f"{self.repository}/{self.name}" if self.repository else self.name

    def tagged(self, tag: str) -> str:
        """Return the full reference of a tag."""
        return f"{self.untagged}:{tag}"

    @property
    def in_registry(self) -> bool:
        """Whether what is built and promoted is pushed: the repository names a host and port."""
        return ":" in self.repository


def image_name(service: str, settings: Settings, *, name: str = "", repository: str = "") -> ImageName:
    """Return the name to build for; a full reference in `image` names a foreign image, not the one built here."""
    configured = settings[IMAGE]
    own = service if "/" in configured or ":" in configured else configured
    return ImageName(repository or settings[BUILD_REPO] or settings[REPO1] or "", name or own)


def is_own_image(reference: str, settings: Settings) -> bool:
    """Return whether an image is in a repository of images that are built here."""
    repositories = {settings[REPO1], settings[REPO2], image_name("", settings).repository}
    short = reference.removeprefix("localhost/").removeprefix("docker.io/")
    return any(name and short.startswith(f"{name}/") for name in repositories)


def build_command(  # noqa: PLR0913, PLR0917 - what a build consists of
    context: str, tag: str, id_file: str, parameters: tuple[str, ...], settings: Settings, dockerfile: str = ""
) -> Command:
    """Return the engine's build of a context directory; the image's id goes into a file, if one is named.

    `dockerfile` is built instead of the context's own.

    The values of secrets reach the engine's client through its environment.

    Never a device: docker's client removes what is there, and writes a file of its own.
    """
    written = (*(("--iidfile", id_file) if id_file else ()), *(("--file", dockerfile) if dockerfile else ()))
    declared = settings[BUILD_SECRETS]
    secrets = {
        secret.id: Secret(f"{_SECRET_VARIABLE}_{number}", f"secret:{secret.name}")
        for number, secret in enumerate(declared, start=1)
    }
    named = (word for id_, one in secrets.items() for word in ("--secret", f"id={id_},env={one.variable}"))
    return Command(("build", "--tag", tag, *written, *named, *parameters, context), tuple(secrets.values()))


def secret_names(settings: Settings) -> tuple[str, ...]:
    """Return the part of a build's secrets that counts as source: ids and names, as values must not be stored."""
    return tuple(f"secret {secret.id}={secret.name}" for secret in settings[BUILD_SECRETS])


def build_parameters(settings: Settings, dialect: Dialect) -> tuple[str, ...]:
    """Return the flags that every build gets: the host's and service's own, and the shared package cache."""
    cache = settings[BUILD_APK_CACHE]
    shared = cache if cache and cache.startswith("/") else "/var/cache/dockyard/apk" if cache == "1" else ""
    volume = ("--volume", f"{shared}:{APK_CACHE}") if shared and dialect.has_shared_package_cache else ()
    given = (word for word in settings[BUILD_PARAMS] if not is_pull_flag(word))
    return (*dialect.build_flags, *volume, *given)


def is_pull_flag(word: str) -> bool:
    """Return whether a flag has a build pull newer base images, past what `updates` allows: such a one is left out."""
    name, _, value = word.partition("=")
    return name == "--pull-always" or (name == "--pull" and value.lower() not in _PULLS_NOTHING_NEW)


def loading_flags(parameters: tuple[str, ...], builder: str, dialect: Dialect) -> tuple[str, ...]:
    """Return what has a builder of its own, such as one in a container, hand its image over to the engine.

    `builder` is $BUILDX_BUILDER. Without a builder by name, or where the parameters say what becomes of the image,
    there is nothing to add.
    """
    flags = {word.partition("=")[0] for word in parameters}
    is_named = bool(builder) or "--builder" in flags
    return dialect.load_flag if is_named and not flags & {"--load", "--push", "--output", "-o"} else ()


class Promotion(NamedTuple):
    """Tags to set, in this order: each names an image id, so that a concurrent re-tag has no effect."""

    commands: tuple[Command, ...]
    live: str
    previous: str


def plan_promotion(name: ImageName, images: Mapping[str, Image], tested: Image | None) -> Promotion:
    """Plan `:live` → `:prev`, `:latest` → `:live`; nothing if the latest is live already.

    `images` are those of latest, live and prev that exist, by reference; `tested` is the image that passed its
    tests, None if it is promoted untested. `:prev` only ever gets an image that was live and has another content.
    Raises NoSuchNameError if nothing is built, DockyardError if the latest is not what was tested.
    """
    latest, live, previous = (images.get(name.tagged(tag)) for tag in (LATEST, LIVE, PREVIOUS))
    if not latest:
        raise NoSuchNameError(f"image {name.tagged(LATEST)} does not exist", hint="build it first with d-build")
    if tested and not latest.equals(tested):
        raise DockyardError(
            f"{name.tagged(LATEST)} is {latest.id[:12]}, but {tested.id[:12]} was tested: not promoted",
            hint="another build ran in the meantime; build and test again",
        )
    if live and live.equals(latest):
        return Promotion((), live.id, previous.id if previous else "")
    keep = _retaining_commands(name, live) if live else ()
    return Promotion((*keep, _tag(latest.id, name.tagged(LIVE))), latest.id, live.id if live else "")


def plan_rollback(name: ImageName, images: Mapping[str, Image], wanted: Image | None = None) -> Promotion:
    """Plan `:prev`, or the image that is wanted, → `:live`, and what was live → `:prev`: so it can be undone.

    Raises NoSuchNameError if there is nothing to roll back to.
    """
    live, previous = images.get(name.tagged(LIVE)), wanted or images.get(name.tagged(PREVIOUS))
    if not previous:
        raise NoSuchNameError(
            f"image {name.tagged(PREVIOUS)} does not exist",
            hint="there is no previous image until a second one is promoted",
        )
    swap = _retaining_commands(name, live) if live else ()
    return Promotion((_tag(previous.id, name.tagged(LIVE)), *swap), previous.id, live.id if live else "")


def references(name: ImageName) -> tuple[str, ...]:
    """Return the references that promoting and rolling back need to know of."""
    return tuple(name.tagged(tag) for tag in (LATEST, LIVE, PREVIOUS))


def version_tag(image_id: str) -> str:
    """Return the tag by which an image that was live is retained."""
    return f"{VERSION}{image_id[:12]}"


def _retaining_commands(name: ImageName, live: Image) -> tuple[Command, ...]:
    """Return what has an image that was live be the previous one, and retains it for longer than that."""
    return (_tag(live.id, name.tagged(PREVIOUS)), _tag(live.id, name.tagged(version_tag(live.id))))


def _tag(image_id: str, reference: str) -> Command:
    return Command(("tag", image_id, reference))
