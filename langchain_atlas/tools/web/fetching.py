"""Fetching from the public network without access to private ones.

A name is resolved once, all its addresses are checked, and the connection goes to one of them. So neither a name that
resolves to a private address, nor one that changes between the check and the connection (DNS rebinding), nor a redirect
leads inside. Proxies from the environment are not used, because they would resolve names again.

The time of a fetch, and the bytes that it reads and decompresses, are limited, whatever the peer does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpcore
import httpx

from langchain_atlas.tools.deadlines import within
from langchain_atlas.tools.web.addresses import AddressGuard, FetchError
from langchain_atlas.tools.web.connections import Allowance, AsyncBoundedTransport, BoundedTransport
from langchain_atlas.tools.web.unpacking import ACCEPTED, Unpacker

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class FetchLimits:
    """Limits of a fetch."""

    timeout_s: float = 10.0
    """Seconds for the whole fetch."""
    max_bytes: int = 2_000_000
    """Maximum size of the decompressed body, in bytes."""
    redirects: int = 3
    """Maximum number of redirects."""

    @property
    def bytes_read(self) -> int:
        """How many bytes may come over the network: the body, with room for its framing, and for headers."""
        return 2 * self.max_bytes + _HEADERS


_HEADERS = 256 * 1024


@dataclass(frozen=True)
class Page:
    """A fetched page."""

    url: str
    """The final URL, after redirects."""
    status: int
    """The HTTP status."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The headers, by lower-case name."""
    body: bytes = b""
    """The decompressed body."""


class GuardedTransport(httpx.BaseTransport):
    """Connects only to addresses that the guard has checked.

    Args:
        guard: decides which hosts may be contacted.
        inner: the transport that makes the connections.
        allowance: limits the time of a name lookup; without one it is unlimited.
    """

    def __init__(self, guard: AddressGuard, inner: httpx.BaseTransport, allowance: Allowance | None = None) -> None:
        self._guard = guard
        self._inner = inner
        self._allowance = allowance

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Resolve, check, connect."""
        self._guard.check(str(request.url))
        addresses = self._resolve(_host(request.url), _port(request.url))
        for address in addresses[:-1]:
            try:
                return self._inner.handle_request(_pinned(request, address))
            except httpx.ConnectError:
                continue
        return self._inner.handle_request(_pinned(request, addresses[-1]))

    def _resolve(self, host: str, port: int) -> tuple[str, ...]:
        if self._allowance is None:
            return self._guard.resolve(host, port)
        try:  # the system's resolver can't be interrupted
            return within(self._allowance.left(), lambda: self._guard.resolve(host, port))
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"the name {host!r} was not looked up in time") from error

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class AsyncGuardedTransport(httpx.AsyncBaseTransport):
    """Async version of `GuardedTransport`."""

    def __init__(self, guard: AddressGuard, inner: httpx.AsyncBaseTransport) -> None:
        self._guard = guard
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Resolve, check, connect."""
        self._guard.check(str(request.url))
        addresses = await self._guard.aresolve(_host(request.url), _port(request.url))
        for address in addresses[:-1]:
            try:
                return await self._inner.handle_async_request(_pinned(request, address))
            except httpx.ConnectError:
                continue
        return await self._inner.handle_async_request(_pinned(request, addresses[-1]))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def _host(url: httpx.URL) -> str:
    """Return the host as it goes over the wire, so that what is resolved is what TLS checks the certificate for."""
    return url.raw_host.decode("ascii")


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """Return the request addressed to an address; its Host header, and the name in TLS, stay the host's."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": _host(request.url)},
    )


class _Journey:
    """One fetch: from request to redirect to body, within the limits."""

    def __init__(self, limits: FetchLimits) -> None:
        self.allowance = Allowance(limits.timeout_s, limits.bytes_read)
        self._limits = limits
        self._left = limits.redirects

    def turn(self, response: httpx.Response) -> httpx.Request | None:
        """Return where a response redirects to, or None for one to read."""
        if response.next_request is None or not self._limits.redirects:
            return None
        if not self._left:
            raise FetchError(f"The host {response.url.host!r} redirects more than {self._limits.redirects} times.")
        self._left -= 1
        return response.next_request

    def unpacker(self, response: httpx.Response) -> Unpacker:
        """Return what takes the body."""
        return Unpacker(response.headers.get("content-encoding", ""), self._limits.max_bytes)


def _page(response: httpx.Response, unpacker: Unpacker) -> Page:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Page(str(response.url), response.status_code, headers, unpacker.body())


def fetch(
    url: str,
    *,
    guard: AddressGuard,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    limits: FetchLimits | None = None,
) -> Page:
    """Fetch a page with GET, whatever its status.

    Args:
        url: an http or https URL.
        guard: decides which hosts may be contacted; every redirect is checked too.
        params: replaces the URL's query.
        headers: sent with every request, including redirects: allow no redirects if they hold a key.
        limits: the limits of the fetch.

    Raises:
        FetchError: it must not be fetched, can't be reached, takes too long or is too large.
    """
    guard.check(url)
    limits = limits or FetchLimits()
    journey = _Journey(limits)
    transport = GuardedTransport(guard, BoundedTransport(journey.allowance), journey.allowance)
    try:
        with httpx.Client(transport=transport, timeout=limits.timeout_s) as client:
            request: httpx.Request | None = client.build_request("GET", url, params=params, headers=_asking(headers))
            while request is not None:
                response = client.send(request, stream=True)
                try:
                    request = journey.turn(response)
                    if request is None:
                        unpacker = journey.unpacker(response)
                        for piece in response.iter_raw():  # unpacked by httpx, a piece would have no bound
                            journey.allowance.left()
                            unpacker.take(piece)
                finally:
                    response.close()
            return _page(response, unpacker)
    except (httpx.HTTPError, httpx.InvalidURL, httpcore.TimeoutException) as error:
        raise _explained(error, url, limits) from error


async def afetch(
    url: str,
    *,
    guard: AddressGuard,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    limits: FetchLimits | None = None,
) -> Page:
    """Async version of `fetch`."""
    guard.check(url)
    limits = limits or FetchLimits()
    journey = _Journey(limits)
    transport = AsyncGuardedTransport(guard, AsyncBoundedTransport(journey.allowance))
    try:
        async with (
            asyncio.timeout(limits.timeout_s),
            httpx.AsyncClient(transport=transport, timeout=limits.timeout_s) as client,
        ):
            request: httpx.Request | None = client.build_request("GET", url, params=params, headers=_asking(headers))
            while request is not None:
                response = await client.send(request, stream=True)
                try:
                    request = journey.turn(response)
                    if request is None:
                        unpacker = journey.unpacker(response)
                        async for piece in response.aiter_raw():
                            journey.allowance.left()
                            unpacker.take(piece)
                finally:
                    await response.aclose()
            return _page(response, unpacker)
    except TimeoutError as error:
        raise slow(limits.timeout_s) from error
    except (httpx.HTTPError, httpx.InvalidURL, httpcore.TimeoutException) as error:
        raise _explained(error, url, limits) from error


def _asking(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {"accept-encoding": ACCEPTED, **(headers or {})}


def slow(seconds: float) -> FetchError:
    """Return the error of a fetch that took too long."""
    return FetchError(f"There was no full answer within {seconds:g} s.")


def _explained(error: Exception, url: str, limits: FetchLimits) -> FetchError:
    """Return an error that explains the failure without the URL's query, which may hold private data."""
    if isinstance(error, httpx.TimeoutException | httpcore.TimeoutException):
        return slow(limits.timeout_s)
    return FetchError(f"The host {urlsplit(url).hostname!r} can't be reached: {type(error).__name__}: {error}")
