"""Proxies: which host is asked through one, and which directly."""

import pytest

from dockyard.registry.proxies import Proxies, Proxy, is_direct, is_in_networks, read_proxies


@pytest.mark.parametrize(
    ("exceptions", "host", "is_exception"),
    [
        ("", "example.com", False),
        ("", "localhost", True),
        ("", "127.0.0.1", True),
        ("", "::1", True),
        ("*", "example.com", True),
        ("example.com", "example.com", True),
        ("example.com", "a.example.com", True),
        ("example.com", "notexample.com", False),
        (".example.com", "a.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "a.example.com", True),
        ("a.b, EXAMPLE.com", "example.COM", True),
        ("example.com:5000", "example.com", True),
        ("example.com:5001", "example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[2001:db8::1]:5000", "2001:db8::1", True),
        ("2001:db8::1", "2001:db8::1", True),
        (" , ,", "example.com", False),
        ("nonsense/99", "example.com", False),
    ],
)
def test_exceptions_are_read_as_engines_read_them(exceptions: str, host: str, is_exception: bool):
    assert is_direct(host, 5000, exceptions) == is_exception


def test_the_scheme_chooses_the_proxy():
    proxies = Proxies("http://plain:3128", "http://ann:p%40ss@secure")
    assert proxies.proxy_for("http", "example.com", 80) == Proxy("plain", 3128)
    assert proxies.proxy_for("https", "example.com", 443) == Proxy("secure", 80, "ann", "p@ss")
    assert Proxies().proxy_for("http", "example.com", 80) is None
    assert Proxies("plain:1").proxy_for("http", "example.com", 80) == Proxy("plain", 1)


def test_a_proxy_is_printed_without_its_password():
    assert str(Proxies("", "http://ann:secret@secure").proxy_for("https", "x.y", 443)) == "secure:80"


@pytest.mark.parametrize("url", ["socks5://x:1", "https://x:1", "http://", "http://x:notaport"])
def test_a_proxy_of_another_kind_is_refused(url: str):
    with pytest.raises(ValueError, match=r"."):
        Proxies(url).proxy_for("http", "example.com", 80)


def test_the_environment_comes_before_daemon_json():
    configured = {"http-proxy": "http://a", "https-proxy": "http://b", "no-proxy": "c"}
    assert read_proxies({}, configured) == Proxies("http://a", "http://b", "c")
    environment = {"HTTP_PROXY": "http://upper", "http_proxy": "http://lower", "NO_PROXY": "d"}
    assert read_proxies(environment, configured) == Proxies("http://lower", "http://b", "d")


def test_names_are_in_no_network():
    assert not is_in_networks(["example.com"], ["0.0.0.0/0"])
    assert is_in_networks(["example.com", "1.2.3.4"], ["0.0.0.0/0"])
    assert not is_in_networks(["::1"], ["0.0.0.0/0"])
