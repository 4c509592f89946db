"""Nothing is fetched from private addresses: by name, by number, after a redirect, or after a name changed."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websites import Answer, Website

from langchain_atlas.errors import SettingError
from langchain_atlas.tools.web.addresses import AddressGuard, FetchError, is_public
from langchain_atlas.tools.web.fetching import AsyncGuardedTransport, FetchLimits, GuardedTransport, Page, afetch, fetch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRIVATE = [
    "0.0.0.0",  # noqa: S104  # nothing is bound to it
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_wrapped_in_ipv6_is_judged_as_itself(address: Any) -> None:
    for wrapped in (f"::ffff:{address}", f"64:ff9b::{int(address) >> 16:x}:{int(address) & 0xFFFF:x}"):
        assert is_public(wrapped) == is_public(str(address))


@pytest.fixture(params=["sync", "async"])
def get(request: pytest.FixtureRequest) -> Callable[..., Page]:
    if request.param == "sync":
        return fetch
    return lambda url, **options: asyncio.run(afetch(url, **options))


LOCAL = AddressGuard(["127.0.0.1"])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "LOCALHOST."])
def test_this_machine_is_refused_however_it_is_written(get: Callable[..., Page], host: str) -> None:
    with Website(Answer(b"secret")) as site:
        with pytest.raises(FetchError, match=r"not a public address|can't be found"):
            get(f"http://{host}:{site.port}/", guard=AddressGuard())
        assert site.asked == []


def test_an_allowed_host_is_fetched_from(get: Callable[..., Page]) -> None:
    with Website(Answer(b"hello")) as site:
        page = get(f"{site.url}/a", guard=LOCAL, params={"q": "x y"}, headers={"x-key": "k"})
    assert (page.status, page.body) == (200, b"hello")
    assert (site.asked[0].path, site.asked[0].query) == ("/a", {"q": "x y"})
    assert site.asked[0].headers["x-key"] == "k"
    assert site.asked[0].headers["host"] == f"127.0.0.1:{site.port}"


def test_a_redirect_to_a_private_host_is_refused(get: Callable[..., Page]) -> None:
    with Website(Answer(b"secret")) as inside:
        target = f"http://localhost:{inside.port}/"
        with Website(Answer(status=302, headers={"location": target})) as outside:
            with pytest.raises(FetchError, match=r"'localhost' is at .* not a public address"):
                get(outside.url, guard=LOCAL)
            assert inside.asked == []


@pytest.mark.parametrize("target", ["file:///etc/passwd", "gopher://127.0.0.1/", "http://u:p@127.0.0.1/"])
def test_a_redirect_to_something_else_is_refused(get: Callable[..., Page], target: str) -> None:
    site = Website(Answer(status=302, headers={"location": target}))
    with site, pytest.raises(FetchError):
        get(site.url, guard=LOCAL)


def test_redirects_are_followed_so_far(get: Callable[..., Page]) -> None:
    with Website(Answer(b"there")) as there:
        with Website(Answer(status=301, headers={"location": f"{there.url}/x"})) as here:
            assert get(here.url, guard=LOCAL).body == b"there"
            assert get(here.url, guard=LOCAL, limits=FetchLimits(redirects=0)).status == 301
        with Website(Answer(status=302, headers={"location": "/again"})) as circle:
            with pytest.raises(FetchError, match="redirects more than 2 times"):
                get(circle.url, guard=LOCAL, limits=FetchLimits(redirects=2))
            assert len(circle.asked) == 3


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("file:///etc/passwd", "must begin with http"),
        ("ftp://example.org/", "must begin with http"),
        ("//example.org/", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://user:word@example.org/", "user's name or password"),
        ("http://example.org:99999/", "not a URL"),
        ("http://[::1", "not a URL"),
    ],
)
def test_other_urls_are_refused(get: Callable[..., Page], url: str, problem: str) -> None:
    with pytest.raises(FetchError, match=problem) as caught:
        get(url, guard=AddressGuard())
    assert "word" not in str(caught.value).replace("password", "")


def resolver(*answers: list[str]) -> Callable[..., list[Any]]:
    """Resolve names to these addresses, the next ones each time."""
    left = list(answers)

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        addresses = left.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return getaddrinfo


def test_the_address_that_was_seen_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the name resolved again to connect, it would be at 127.0.0.1 by then."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver(["93.184.215.14"], ["127.0.0.1"]))
    seen: list[httpx.Request] = []

    def inner(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    guarded = GuardedTransport(AddressGuard(), httpx.MockTransport(inner))
    guarded.handle_request(httpx.Request("GET", "https://rebinding.example/path?q=1"))
    assert str(seen[0].url) == "https://93.184.215.14/path?q=1"
    assert seen[0].headers["host"] == "rebinding.example"
    assert seen[0].extensions["sni_hostname"] == "rebinding.example"
    with pytest.raises(FetchError, match=r"127\.0\.0\.1, which is not a public"):
        guarded.handle_request(httpx.Request("GET", "https://rebinding.example/"))


def test_a_name_that_is_unknown_is_told(get: Callable[..., Page], monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(FetchError, match=r"'nowhere\.example' can't be found: .*not known"):
        get("https://nowhere.example/", guard=AddressGuard())


def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(["93.184.215.14", "10.0.0.7"]))
    with pytest.raises(FetchError, match=r"10\.0\.0\.7"):
        AddressGuard().resolve("mixed.example", 443)


@pytest.mark.parametrize("form", ["sync", "async"])
def test_the_next_address_is_tried_when_one_does_not_answer(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(["93.184.215.14", "93.184.215.15"]))

    def inner(request: httpx.Request) -> httpx.Response:
        if request.url.host.endswith(".14"):
            raise httpx.ConnectError("no route")
        return httpx.Response(200, text=request.url.host)

    request = httpx.Request("GET", "http://two.example/")
    transport = httpx.MockTransport(inner)
    if form == "sync":
        answer = GuardedTransport(AddressGuard(), transport).handle_request(request)
    else:
        answer = asyncio.run(AsyncGuardedTransport(AddressGuard(), transport).handle_async_request(request))
    assert answer.text == "93.184.215.15"


def test_names_of_other_scripts_and_ipv6_addresses_go_over_the_wire_as_they_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700::1111", port, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    seen: list[httpx.Request] = []

    def inner(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    guarded = GuardedTransport(AddressGuard(), httpx.MockTransport(inner))
    guarded.handle_request(httpx.Request("GET", "https://bücher.example:8443/"))
    assert asked == ["xn--bcher-kva.example"]
    assert str(seen[0].url) == "https://[2606:4700::1111]:8443/"
    assert seen[0].headers["host"] == "xn--bcher-kva.example:8443"
    assert seen[0].extensions["sni_hostname"] == "xn--bcher-kva.example"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a certificate for ``localhost`` that is trusted while the test runs."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the program openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    key.write_bytes(key.read_bytes() + certificate.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return key


def test_certificates_are_checked_against_the_name_not_the_address(get: Callable[..., Page], certificate: Path) -> None:
    guard = AddressGuard(["localhost", "127.0.0.1"])
    with Website(Answer(b"hello"), certificate) as site:
        assert get(f"https://localhost:{site.port}/", guard=guard).body == b"hello"
        with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
            get(f"https://127.0.0.1:{site.port}/", guard=guard)


def test_a_slow_answer_is_cut_off(get: Callable[..., Page]) -> None:
    with Website(Answer(b"." * 200, delay_s=0.05)) as site:
        start = time.monotonic()
        with pytest.raises(FetchError, match=r"within 0\.3 s"):
            get(site.url, guard=LOCAL, limits=FetchLimits(timeout_s=0.3))
        assert time.monotonic() - start < 3


def test_a_long_answer_is_cut_off_also_when_it_came_packed(get: Callable[..., Page]) -> None:
    packed = Answer(gzip.compress(b"0" * 500_000), headers={"content-encoding": "gzip"})
    with Website(packed) as site, pytest.raises(FetchError, match="longer than 100000 bytes"):
        get(site.url, guard=LOCAL, limits=FetchLimits(max_bytes=100_000))


def test_a_server_that_is_not_there_is_named(get: Callable[..., Page]) -> None:
    with Website(Answer()) as site:
        url = site.url
    with pytest.raises(FetchError, match=r"host '127\.0\.0\.1' can't be reached") as caught:
        get(f"{url}/?token=secret", guard=LOCAL)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("hosts", ["localhost", [""], ["http://localhost/"]])
def test_allowed_hosts_are_names_of_hosts(hosts: Any) -> None:
    with pytest.raises(SettingError, match="allowed_hosts"):
        AddressGuard(hosts)
