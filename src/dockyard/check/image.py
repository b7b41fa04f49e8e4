"""Checks of images that are there: what they show without being run."""

from collections.abc import Iterator

from dockyard.check.point import Found, Severity
from dockyard.check.registry import check
from dockyard.check.secrets import is_secret
from dockyard.check.subject import Subject
from dockyard.dockerfile import assignments


@check("image-secret", Severity.ERROR, "A secret in an image", cis="4.10")
def image_secret(subject: Subject) -> Iterator[Found]:
    """Whoever has the image has it, and each registry that it was pushed to."""
    every = subject.dockerfile.instructions if subject.dockerfile else ()
    told = {name for one in every if one.name in {"ENV", "ARG"} for name, _ in assignments(one)}
    for variable in subject.image.environment if subject.image else ():
        name, _, value = variable.partition("=")
        if name not in told and is_secret(name, value):
            yield Found(f"the image's `{name}` holds a secret", hint="build it anew without, and change the secret")


@check("image-ssh", Severity.WARNING, "An image that offers SSH", cis="5.7")
def image_ssh(subject: Subject) -> Iterator[Found]:
    """It is one more way in, with keys and passwords of its own to look after; `d enter` needs none."""
    if not subject.dockerfile and subject.image and "22/tcp" in subject.image.exposed:
        yield Found("the image exposes port 22", hint="leave sshd out")
