"""Which hosts may be contacted: public ones, and those that are allowed by name."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from langchain_atlas.errors import ExecutionError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; one cloud's metadata is there
        "168.63.129.16/32",  # one cloud's metadata, at a public address
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "fec0::/10",
    )
)
"""Networks that are not public, although Python considers some of them public."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchError(ExecutionError):
    """A URL could not be fetched, or must not be fetched."""


class AddressGuard:
    """Decides which hosts may be contacted: public ones, and those that are allowed by name.

    Args:
        allowed_hosts: names or addresses of hosts that may be private, such as ``localhost``.

    Raises:
        SettingError: an entry is not a host name.
    """

    def __init__(self, allowed_hosts: Iterable[str] = ()) -> None:
        if isinstance(allowed_hosts, str):
            raise SettingError(f"allowed_hosts is {allowed_hosts!r}; give a list of names of hosts.")
        self.allowed = frozenset(_plain(host) for host in allowed_hosts)
        for host in self.allowed:
            if not host or "/" in host:
                raise SettingError(f"allowed_hosts has {host!r}; give names of hosts without scheme or path.")

    def check(self, url: str) -> None:
        """Make sure that a URL may be fetched; the host's addresses are checked when connecting.

        Raises:
            FetchError: it is not HTTP, has no host, or carries a password.
        """
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise FetchError(f"{url[:200]!r} is not a URL: {error}.") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FetchError(f"{url[:200]!r} is not a URL to fetch; it must begin with http:// or https://.")
        if parts.username is not None or parts.password is not None:
            raise FetchError(f"The URL for {parts.hostname!r} carries a user's name or password; leave that out.")

    def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a host that may be connected to.

        Raises:
            FetchError: the name is unknown, or one of its addresses is private.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise FetchError(f"The host {host!r} can't be found: {error}.") from error
        return self._permitted(host, found)

    async def aresolve(self, host: str, port: int) -> tuple[str, ...]:
        """Async version of `resolve`."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise FetchError(f"The host {host!r} can't be found: {error}.") from error
        return self._permitted(host, found)

    def _permitted(self, host: str, found: Sequence[Any]) -> tuple[str, ...]:
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses:
            raise FetchError(f"The host {host!r} has no address.")
        if _plain(host) not in self.allowed:
            for address in addresses:
                if not is_public(address):
                    raise FetchError(
                        f"The host {host!r} is at {address}, which is not a public address; nothing is fetched from "
                        f"there unless allowed_hosts names {_plain(host)!r}."
                    )
        return addresses


def is_public(address: str) -> bool:
    """Whether an address belongs to the public network.

    Private, loopback, link-local, shared, reserved and multicast ones do not, nor those under which clouds offer
    metadata, nor IPv6 addresses that embed such an IPv4 address.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _embedded(parsed)
    if inner is not None:
        return is_public(str(inner))
    special = any(parsed in network for network in _SPECIAL if network.version == parsed.version)
    return parsed.is_global and not special and not parsed.is_multicast and not parsed.is_reserved


def _embedded(address: Address) -> Address | None:
    """Return the IPv4 address that is embedded in an IPv6 address, or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _plain(host: str) -> str:
    return host.strip().strip("[]").rstrip(".").lower()
