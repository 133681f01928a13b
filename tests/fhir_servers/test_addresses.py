"""No request makes this service connect to where it should not: judged before any connection."""

import ipaddress

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.fhir_servers.addresses import (
    FHIRServerError,
    address_of,
    base_url,
    public,
    same_server,
)

HOSTILE_URLS = [
    "file:///etc/passwd",
    "gopher://ehr.example/",
    "ftp://ehr.example/fhir",
    "http://ehr.example/fhir",
    "https://",
    "https:///fhir",
    "//ehr.example/fhir",
    "ehr.example/fhir",
    "",
    "https://user@ehr.example/fhir",
    "https://user:secret@ehr.example/fhir",
    "https://ehr.example@evil.example/fhir",
    "https://ehr.example\\@evil.example/fhir",
    "https://ehr.example/fhir?x=1",
    "https://ehr.example/fhir#x",
    "https://ehr.example/fhir?",
    "https://ehr.example/fhir#",
    "https://ehr.example/../admin",
    "https://ehr.example:0/fhir",
    "https://ehr.example:99999/fhir",
    "https://ehr.example:http/fhir",
    "https://ehr.example/fhir\r\nHost: evil.example",
    "https://ehr.example /fhir",
    "https://\u0435hr.example/fhir",
    "https://ehr%2eexample/fhir",
    "https://[::1/fhir",
    "http://localhost/fhir",
    "http://127.0.0.2/fhir",
    "http://[::ffff:127.0.0.1]/fhir",
    "http://169.254.169.254/latest/meta-data",
    "javascript:alert(1)",
]

HOSTILE_ADDRESSES = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "ff02::1",
    "2001:db8::1",
]


def address(found: list[str], *vouched: str, url: str = "https://ehr.example/fhir") -> str:
    async def resolve(host: str, port: int) -> list[str]:
        return found

    return anyio.run(address_of, base_url(url), vouched, resolve)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_what_is_no_plain_https_url_is_no_server(url: str) -> None:
    with pytest.raises(FHIRServerError) as refused:
        base_url(url)
    assert not url or url not in str(refused.value)


@pytest.mark.parametrize("hostile", HOSTILE_ADDRESSES)
def test_no_address_inside_is_connected_to(hostile: str) -> None:
    with pytest.raises(FHIRServerError):
        address([hostile])


@pytest.mark.parametrize("hostile", HOSTILE_ADDRESSES)
def test_one_address_inside_among_public_ones_is_enough(hostile: str) -> None:
    with pytest.raises(FHIRServerError):
        address(["8.8.8.8", hostile])


@pytest.mark.parametrize("written", ["2130706433", "0x7f000001", "017700000001", "127.1"])
def test_an_address_in_disguise_is_judged_by_what_it_resolves_to(written: str) -> None:
    with pytest.raises(FHIRServerError):
        anyio.run(address_of, base_url(f"https://{written}/fhir"))


def test_a_public_address_is_connected_to() -> None:
    assert address(["8.8.8.8", "2001:4860:4860::8888"]) == "8.8.8.8"


def test_the_operator_may_vouch_for_a_private_address_and_for_that_one_alone() -> None:
    assert address(["10.1.2.3"], "10.1.2.3") == "10.1.2.3"
    with pytest.raises(FHIRServerError):
        address(["10.1.2.3", "10.1.2.4"], "10.1.2.3")


def test_a_name_without_address_is_refused() -> None:
    with pytest.raises(FHIRServerError, match="no address"):
        address([])


def test_a_name_is_looked_up_once_so_that_it_cannot_answer_differently_the_second_time() -> None:
    answers = [["8.8.8.8"], ["127.0.0.1"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    assert anyio.run(address_of, base_url("https://ehr.example/fhir"), (), rebinding) == "8.8.8.8"
    assert answers == [["127.0.0.1"]]


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_alike_however_ipv6_writes_it(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    mapped = ipaddress.IPv6Address(f"::ffff:{plain}")
    translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) | number)
    assert public(mapped) == public(translated) == public(plain)


def test_a_last_slash_and_the_scheme_s_own_port_make_no_other_server() -> None:
    assert same_server("https://ehr.example/fhir", "https://EHR.example:443/fhir/")
    assert not same_server("https://ehr.example/fhir", "https://ehr.example/fhir2")
    assert not same_server("https://ehr.example/fhir", "https://ehr.example:8443/fhir")
    assert not same_server("https://ehr.example/fhir", "https://ehr.example.evil.example/fhir")
