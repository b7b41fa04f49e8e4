"""apk's list of packages: paragraphs of lines `P:NAME`, `V:VERSION`, `A:ARCHITECTURE`, see apk(5). Pure."""

from dockyard.packages.package import DamagedError, Package, checked_package

_KEYS = (b"P", b"V", b"A")


def parse_installed(data: bytes) -> list[Package]:
    """Return the packages of a file `installed`. Raises DamagedError."""
    found = []
    for paragraph in data.split(b"\n\n"):
        lines = (line.partition(b":") for line in paragraph.split(b"\n"))
        words = {key: value.strip().decode("utf-8", "replace") for key, _, value in lines if key in _KEYS}
        if b"P" in words and b"V" in words:
            found.append(checked_package(words[b"P"], words[b"V"], words.get(b"A", "")))
    if not found and data.strip():
        raise DamagedError("it lists no package")
    return found
