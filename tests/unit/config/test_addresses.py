"""Addresses as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthd.config.addresses import AddressError, join_address, parse_address, parse_host


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("127.44.1.1:9092", "127.44.1.1:9092"),
        ("kafka_1.example.net:1", "kafka_1.example.net:1"),
        ("b1:65535", "b1:65535"),
        ("[::1]:9092", "[::1]:9092"),
        ("[2001:DB8:0::1]:9092", "[2001:db8::1]:9092"),
    ],
)
def test_a_good_address_is_kept_in_its_canonical_form(text: str, canonical: str) -> None:
    assert parse_address(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no port"),
        ("b1", "no port"),
        ("b1:", "no port from 1"),
        ("b1:0", "no port from 1"),
        ("b1:65536", "no port from 1"),
        ("b1:9o92", "no port from 1"),
        ("b1:+1", "no port from 1"),
        ("b1:٣", "no port from 1"),
        (":9092", "not a host name"),
        ("::1:9092", "IPv6 without brackets"),
        ("[::1]", "no port"),
        ("[::g]:1", "no IPv6 address"),
        ("[]:1", "not a host name"),
        ("300.1.1.1:9092", "not an IPv4 address"),
        ("1.2.3:9092", "not an IPv4 address"),
        ("-b:9092", "not a host name"),
        ("b..c:9092", "not a host name"),
        ("b 1:9092", "not a host name"),
        ("PLAINTEXT://b1:9092", "scheme"),
        ("user:pw@b1:9092", "user or password"),
        ("b1:9092,b2:9092", "more than one"),
        ("b1:9092\n", "no port"),
    ],
)
def test_a_bad_address_says_why_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert message in caught.value.message
    assert caught.value.action


def test_a_host_has_no_port() -> None:
    assert parse_host("[::1]") == "::1"
    with pytest.raises(AddressError, match="is not a host"):
        parse_host("b1:22")


@given(st.text(max_size=30))
def test_any_text_is_an_address_that_reads_back_or_an_address_error(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(address) == address


@given(st.ip_addresses(), st.integers(min_value=1, max_value=65535))
def test_every_ip_address_with_a_port_is_understood(ip: object, port: int) -> None:
    assert parse_address(join_address(str(ip), port)) == join_address(str(ip), port)
