"""Which requests a proxy gets: those to remote hosts over https that NO_PROXY does not exempt."""

import pytest

from steps.support.core.addresses import direct_loopback, is_loopback, network_words, proxy_for, unusable_proxy

PROXY = "http://user:pa%40ss@proxy.example:3128"


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("scheme", "host", "exempt", "through"),
    [
        ("https", "api.vercel.com", "", PROXY),
        ("http", "api.vercel.com", "", ""),
        ("https", "127.0.0.1", "", ""),
        ("https", "127.9.9.9", "", ""),
        ("https", "::1", "", ""),
        ("https", "::ffff:127.0.0.1", "", ""),
        ("https", "localhost", "", ""),
        ("https", "localhost.example", "", PROXY),
        ("https", "api.vercel.com", "vercel.com", ""),
        ("https", "api.vercel.com", ".vercel.com", ""),
        ("https", "api.vercel.com", "*.vercel.com", ""),
        ("https", "vercel.com", ".vercel.com", ""),
        ("https", "notvercel.com", "vercel.com", PROXY),
        ("https", "API.Vercel.com", "example.org, api.VERCEL.com", ""),
        ("https", "api.vercel.com", "*", ""),
        ("https", "api.vercel.com", "api.vercel.com:443", ""),
        ("https", "api.vercel.com", "api.vercel.com:8443", PROXY),
        ("https", "10.1.2.3", "10.0.0.0/8", ""),
        ("https", "11.1.2.3", "10.0.0.0/8", PROXY),
        ("https", "fd00::1", "fd00::/8", ""),
    ],
)
def test_only_remote_hosts_are_reached_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, scheme: str, host: str, exempt: str, through: str
) -> None:
    """Loopback and what NO_PROXY names are reached directly, and so is every plain http address."""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exempt)
    assert proxy_for(scheme, host) == through


def test_other_variables_name_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY and ALL_PROXY change nothing, and an empty https_proxy switches HTTPS_PROXY off."""
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.example")
    assert proxy_for("https", "api.vercel.com") == ""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    assert proxy_for("https", "api.vercel.com") == "http://proxy.example:3128"
    monkeypatch.setenv("https_proxy", "")
    assert proxy_for("https", "api.vercel.com") == ""


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("", ""),
        (PROXY, ""),
        ("proxy.example:3128", ""),
        ("socks5://proxy.example", "it is a socks5 address, and only an http or https proxy can be used"),
        ("http://proxy.example:none", "it is not an address"),
    ],
)
def test_unusable_proxy_is_named(monkeypatch: pytest.MonkeyPatch, address: str, wrong: str) -> None:
    """A proxy that cannot be used is a mistake with its cause, and is found before anything is asked."""
    monkeypatch.setenv("HTTPS_PROXY", address)
    assert unusable_proxy() == wrong


def test_network_is_put_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words name the proxy without its password, the hosts behind it, and those that are reached directly."""
    hosts = ["https://api.vercel.com", "https://liveone.example", "libsql://db.turso.io", "http://127.0.0.1:8080"]
    assert network_words(hosts) == ""
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "turso.io")
    through = "through http://proxy.example:3128 (HTTPS_PROXY): api.vercel.com, liveone.example"
    assert network_words(hosts) == f"{through}; directly: db.turso.io, 127.0.0.1"
    monkeypatch.setenv("NO_PROXY", "*")
    assert network_words(hosts) == ""


def test_children_reach_loopback_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child gets the hosts that are exempt already, and this machine."""
    monkeypatch.setenv("NO_PROXY", "turso.io")
    assert direct_loopback()["no_proxy"] == direct_loopback()["NO_PROXY"] == "turso.io,localhost,127.0.0.1,::1"
    monkeypatch.setenv("no_proxy", "*")
    assert direct_loopback() == {}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.2", "[::1]"])
def test_loopback_is_recognized(host: str) -> None:
    """Each name of this machine itself is known."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.1", "10.0.0.1", "a.localhost.b", "localhost.example", "fe80::1", ""])
def test_other_hosts_are_not_loopback(host: str) -> None:
    """A packet to any of these may leave this machine."""
    assert not is_loopback(host)
