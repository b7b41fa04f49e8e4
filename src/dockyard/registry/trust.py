"""TLS: whom to take for a registry, and as whom to appear there."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Trust(NamedTuple):
    """Whom to take for a server, and as whom to appear."""

    is_verified: bool = True
    directories: tuple[Path, ...] = ()
    """As in `certs.d`: `*.crt` are authorities, `*.cert` with `*.key` are certificates of this client."""
    has_client_certificate: bool = True


class CertificateFileError(OSError):
    """A file with a certificate or a key is not what it should be."""


def build_context(trust: Trust) -> ssl.SSLContext:
    """Return how to speak TLS. Raises CertificateFileError."""
    if trust.is_verified:
        context = ssl.create_default_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as the engines: older private authorities are accepted
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for directory in trust.directories:
        for path in sorted(directory.glob("*.crt")):
            _load_file(path, context.load_verify_locations)
        for path in sorted(directory.glob("*.cert")) if trust.has_client_certificate else ():
            _load_file(path, lambda certificate: context.load_cert_chain(certificate, certificate.with_suffix(".key")))
    return context


def _load_file(path: Path, load: Callable[[Path], object]) -> None:
    try:
        load(path)
    except OSError as error:
        raise CertificateFileError(f"{path}, or its key, cannot be used: {error.strerror or error.args[-1]}") from None
