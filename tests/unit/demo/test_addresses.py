from __future__ import annotations

import random
import socket

import pytest

from healthd.demo import addresses
from healthd.demo.addresses import NoFreeAddressError, Ports, find_free_block


def test_hosts_of_a_block_are_counted_from_one() -> None:
    block = find_free_block(5, random.Random(1))
    assert block.host(5) == f"{block.prefix}.5"
    assert block.prefix.startswith("127.")


def test_a_block_with_a_port_in_use_is_left_alone() -> None:
    taken = find_free_block(5, random.Random(7))
    with socket.socket() as somebody:
        somebody.bind((taken.host(3), taken.ports.exporter))
        somebody.listen()
        assert find_free_block(5, random.Random(7)).prefix != taken.prefix


def test_other_ports_are_tried_when_somebody_has_a_port_on_every_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standard = Ports()
    monkeypatch.setattr(addresses, "_is_free", lambda block, _hosts: block.ports != standard)
    block = find_free_block(5, random.Random(1))
    assert block.ports.kafka - standard.kafka == block.ports.ssh - standard.ssh > 0
    assert max(block.ports.all()) < 32_768, "below the ports that outgoing connections get"


def test_no_free_block_is_an_error_that_names_the_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_is_free", lambda _block, _hosts: False)
    with pytest.raises(NoFreeAddressError, match="9092"):
        find_free_block(5, random.Random(1))
