"""Which hosts are this machine, and through which proxy a request to any other host goes.

Of the variables that a shell may hold, only HTTPS_PROXY and NO_PROXY count, in either case; the lower one comes first.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

PROXY, DIRECT = "HTTPS_PROXY", "NO_PROXY"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TO_PROXY = ("http", "https")  # the schemes of a proxy that can be used


def is_loopback(host: str) -> bool:
    """Return True if a host name or an IP address is this machine itself."""
    if host.lower() == LOOPBACK[0]:
        return True
    with suppress(ValueError):
        address = ip_address(host.strip("[]"))
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return False


def proxy() -> str:
    """Return the proxy's address, or an empty text if the environment names none."""
    named = _variable(PROXY)
    return named if not named or "://" in named else f"http://{named}"


def unusable_proxy() -> str:
    """Return what is wrong with the proxy's address, without its password; an empty text if nothing is."""
    if not (address := proxy()):
        return ""
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme in _TO_PROXY and parts.hostname and (parts.port or 1) > 0:
            return ""
        return f"it is a {parts.scheme[:20]} address, and only an http or https proxy can be used"
    return "it is not an address"


def proxy_for(scheme: str, host: str, port: int | None = None) -> str:
    """Return the address of the proxy through which a request goes, or an empty text if it goes directly."""
    if scheme != "https" or is_loopback(host) or _is_exempt(host.lower(), port or 443):
        return ""
    return proxy()


def network_words(addresses: Iterable[str]) -> str:
    """Return which of these addresses are reached through the proxy; an empty text if none is.

    `addresses`: URLs; of a proxy's password, nothing is shown.
    """
    hosts = [(urlsplit(address).scheme.replace("libsql", "https"), urlsplit(address).hostname) for address in addresses]
    through = [host for scheme, host in hosts if host and proxy_for(scheme, host)]
    directly = [host for scheme, host in hosts if host and not proxy_for(scheme, host)]
    if not through:
        return ""
    parts = urlsplit(proxy())
    here = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    rest = f"; directly: {', '.join(dict.fromkeys(directly))}" if directly else ""
    return f"through {here} ({PROXY}): {', '.join(dict.fromkeys(through))}{rest}"


def direct_loopback() -> dict[str, str]:
    """Return the environment that keeps a child process from reaching this machine through a proxy."""
    exempt = _variable(DIRECT)
    if "*" in exempt:
        return {}
    joined = ",".join(filter(None, [exempt, *LOOPBACK]))
    return {DIRECT: joined, DIRECT.lower(): joined}


def _is_exempt(host: str, port: int) -> bool:
    return any(_matches(each.strip().lower(), host, port) for each in _variable(DIRECT).split(",") if each.strip())


def _matches(rule: str, host: str, port: int) -> bool:
    """Return True if one entry of NO_PROXY names a host: itself, its domain, its network, or its port."""
    if rule == "*":
        return True
    with suppress(ValueError):
        return ip_address(host.strip("[]")) in ip_network(rule.strip("[]"), strict=False)
    name, colon, number = rule.partition(":")
    if colon and number.isdecimal() and int(number) != port:
        return False
    domain = name.removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _variable(name: str) -> str:
    return os.environ.get(name.lower(), os.environ.get(name, "")).strip()
