"""Which proxy a request goes through: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, read as the engines read them."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class Proxy(NamedTuple):
    """A proxy, and the user who may use it; never printed with the password."""

    host: str
    port: int
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        """Return it without its user."""
        return f"{self.host}:{self.port}"


class Proxies(NamedTuple):
    """URLs of proxies, and for which hosts none is used."""

    http: str = ""
    https: str = ""
    exceptions: str = ""

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for an address; None if it is asked directly. Raises ValueError for an unusable one."""
        url = self.https if scheme == "https" else self.http
        return _parse_proxy(url) if url and not is_direct(host, port, self.exceptions) else None


def read_proxies(environment: Mapping[str, str], configured: Mapping[str, object]) -> Proxies:
    """Return the proxies that environment variables name, else those of `proxies` in daemon.json."""

    def find(variable: str, key: str) -> str:
        found = environment.get(variable.lower()) or environment.get(variable)
        return found or str(configured.get(key) or "")

    return Proxies(find("HTTP_PROXY", "http-proxy"), find("HTTPS_PROXY", "https-proxy"), find("NO_PROXY", "no-proxy"))


def _parse_proxy(url: str) -> Proxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("the proxy's URL does not begin with `http://`")
    return Proxy(parts.hostname, parts.port or 80, unquote(parts.username or ""), unquote(parts.password or ""))


def is_direct(host: str, port: int, exceptions: str) -> bool:
    """Return whether a host is asked without a proxy: this host always, others as NO_PROXY lists them."""
    address = _address(host)
    if host == "localhost" or (address and ip_address(address).is_loopback):
        return True
    return any(_matches(word.strip().lower(), host.lower(), port) for word in exceptions.split(",") if word.strip())


def _matches(word: str, host: str, port: int) -> bool:
    if word == "*":
        return True
    if "/" in word:
        return is_in_networks([host], [word])
    name, colon, number = word.rpartition(":")
    if colon and number.isdecimal() and (":" not in name or name.endswith("]")):
        if int(number) != port:
            return False
        word = name
    word = word.removeprefix("*").strip("[]")
    return host == word or host.endswith(f".{word.removeprefix('.')}")


def is_in_networks(addresses: Iterable[str], networks: Iterable[str]) -> bool:
    """Return whether one of the addresses is in one of the networks, such as `10.0.0.0/8`; names are in none."""
    found = [ip_address(address) for text in addresses if (address := _address(text))]
    for text in networks:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue
        if any(address in network for address in found):
            return True
    return False


def _address(text: str) -> str:
    """Return an IP address as it is compared; nothing for a name."""
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        return ""
