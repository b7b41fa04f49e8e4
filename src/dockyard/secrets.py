"""Secrets, which must not appear on a screen, in a log or in a process list: resolved at launch."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from dockyard import masking, process
from dockyard.engine.models import DIGESTS_LABEL, Container
from dockyard.errors import DockyardError, UsageError
from dockyard.plan.values import Secret
from dockyard.privilege import is_hosts_root
from dockyard.settings.keys import PUID, SECRET_COMMAND
from dockyard.settings.resolve import Settings

HOST_SECRET = "host-secret"  # noqa: S105 - a file's name


def state_directory() -> Path:
    """Return where this user's dockyard keeps what is its own."""
    if is_hosts_root():
        return Path("/var/lib/dockyard")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "dockyard"


def values_of(secrets: tuple[Secret, ...], settings: Settings) -> dict[str, str]:
    """Return each secret's value by its variable, masked from now on. Raises DockyardError if one cannot be had."""
    values = {secret.variable: reveal(secret.reference, settings) for secret in secrets}
    masking.known.learn(values.values())
    return values


def reveal(reference: str, settings: Settings) -> str:
    """Return the value of `puid:CONTAINER`, `secret:NAME` or `setting:puid`. Raises UsageError, DockyardError."""
    kind, _, name = reference.partition(":")
    if kind == "puid":
        import hmac

        return hmac.new(_host_secret(), name.encode(), "sha256").hexdigest()[:32]
    if kind == "secret":
        return _from_command(name, settings)
    if reference == "setting:puid":
        return settings[PUID] or ""
    raise UsageError(f"there is no secret `{reference}`", hint="write puid:CONTAINER, secret:NAME or setting:puid")


def digests_of(values: Mapping[str, str], secrets: Iterable[Secret]) -> dict[str, str]:
    """Return a digest of each value that a `secret_command` gave, by its variable: whether it is still the same.

    It is keyed with the host's secret, and so tells nothing of the value. Raises DockyardError.
    """
    import hmac

    names = [secret.variable for secret in secrets if secret.reference.startswith("secret:")]
    text = {name: f"secret {name}={values[name]}".encode("utf-8", "surrogateescape") for name in names}
    return {name: hmac.new(_host_secret(), text[name], "sha256").hexdigest()[:16] for name in names}


def with_digests(argv: tuple[str, ...], values: Mapping[str, str], secrets: Iterable[Secret]) -> tuple[str, ...]:
    """Return an engine's command that creates a container, with a label for the digests of its secrets."""
    digests = digests_of(values, secrets)
    if not digests:
        return argv
    text = " ".join(f"{name}={digest}" for name, digest in digests.items())
    return (argv[0], "--label", f"{DIGESTS_LABEL}={text}", *argv[1:])


def rotated_secrets(container: Container, secrets: tuple[Secret, ...], settings: Settings) -> list[str]:
    """Return the variables whose secrets have other values than a container was launched with.

    Raises DockyardError if a value cannot be had. What has no digest is not known to have changed.
    """
    then = dict(word.partition("=")[::2] for word in container.labels.get(DIGESTS_LABEL, "").split())
    wanted = tuple(secret for secret in secrets if secret.variable in then)
    now = digests_of(values_of(wanted, settings), wanted) if wanted else {}
    return [name for name, digest in now.items() if then[name] != digest]


def _host_secret() -> bytes:
    """Return the secret of this host, made on first use and readable by its owner alone."""
    path = state_directory() / HOST_SECRET
    try:
        with suppress(FileNotFoundError):
            return _checked(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write_once(path, os.urandom(32))
        return _checked(path)
    except OSError as error:
        raise DockyardError(f"{path}: {error.strerror}", hint='`puid` needs it; set `puid: ""` to do without') from None


def _write_once(path: Path, secret: bytes) -> None:
    """Write a file that appears whole or not at all; of several writers the first wins."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _checked(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & 0o077:
            raise DockyardError(f"{path}: other users can read it", hint=f"chmod 600 {path}")
        return file.read()


def _from_command(name: str, settings: Settings) -> str:
    command = settings[SECRET_COMMAND]
    if not command:
        raise DockyardError(
            f"secret `{name}`: secret_command is not set",
            hint="set it in the host file, such as `secret_command: pass show {name}`",
        )
    argv = tuple(word.replace("{name}", name) for word in command)
    try:
        done = process.capture(argv)
    except OSError as error:
        raise DockyardError(f"secret_command: {argv[0]}: {error.strerror}") from None
    if done.exit_code:
        raise DockyardError(
            f"secret `{name}`: secret_command ended with exit code {done.exit_code}", hint=done.stderr.strip()
        )
    if "\0" in done.stdout:
        raise DockyardError(f"secret `{name}`: secret_command wrote a NUL, which an environment variable cannot hold")
    return done.stdout.removesuffix("\n")
