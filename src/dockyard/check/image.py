"""Checks of images that exist: what they show without being run."""

from collections.abc import Iterator

from dockyard.check.point import Found, Severity
from dockyard.check.registry import check
from dockyard.check.secrets import is_secret
from dockyard.check.subject import Subject
from dockyard.dockerfile import assignments


@check("image-secret", Severity.ERROR, "A secret in an image", cis="4.10")
def image_secret(subject: Subject) -> Iterator[Found]:
    """Anyone who has the image has the secret, and so does each registry that it was pushed to."""
    every = subject.dockerfile.instructions if subject.dockerfile else ()
    told = {name for one in every if one.name in {"ENV", "ARG"} for name, _ in assignments(one)}
    for variable in subject.image.environment if subject.image else ():
        name, _, value = variable.partition("=")
        if name not in told and is_secret(name, value):
            yield Found(
                f"the image's variable `{name}` contains a secret", hint="rebuild it without, and change the secret"
            )


@check("image-ssh", Severity.WARNING, "An image that offers SSH", cis="5.7")
def image_ssh(subject: Subject) -> Iterator[Found]:
    """It is one more entry point with its own keys and passwords to manage; `d enter` needs none."""
    if not subject.dockerfile and subject.image and "22/tcp" in subject.image.exposed:
        yield Found("the image exposes port 22", hint="remove sshd from it")
