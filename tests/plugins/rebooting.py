"""Hosts that can be booted anew as fixtures: small ones, and a cluster of three on such hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.small_hosts import SmallHost, small_hosts

from healthd.demo.netns import why_not
from healthd.demo.netns_fleet import RebootingFleet
from healthd.demo.nodes import THREE


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Who asks for the cluster runs where it is: another worker would start a second one.
    for item in items:
        if "shared_rebooting_fleet" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.fleet)
            item.add_marker(pytest.mark.xdist_group("rebooting-fleet"))


def _need_root() -> None:
    # Not skipped: a suite that leaves this out has not shown what it is there to show.
    if (problem := why_not()) is not None:
        pytest.fail(f"{problem}; run the tests as root, or leave these out by name")


@pytest.fixture(scope="session")
def shared_small_host() -> Iterator[SmallHost]:
    """One small host for the whole session; ask for ``small_host`` instead."""
    _need_root()
    with small_hosts(1) as (host,):
        yield host


@pytest.fixture
def small_host(shared_small_host: SmallHost) -> SmallHost:
    """A host that is on and reachable, with its service up, whatever a test did to it before."""
    host = shared_small_host
    host.machine.starts_at_boot("broker", does=True)
    host.node.start_fails_flag.unlink(missing_ok=True)
    host.machine.heal()
    host.wait_until_up()
    host.service.start()
    host.wait_until_serving()
    return host


@pytest.fixture(scope="session")
def shared_rebooting_fleet() -> Iterator[RebootingFleet]:
    """Three brokers on hosts of their own, for the session; ask for ``rebooting_fleet``."""
    _need_root()
    with RebootingFleet.launch("payments", shape=THREE) as fleet:
        fleet.create_topics()
        yield fleet


@pytest.fixture
def rebooting_fleet(shared_rebooting_fleet: RebootingFleet) -> Iterator[RebootingFleet]:
    """The shared cluster on hosts that reboot, healthy; healed afterwards."""
    yield shared_rebooting_fleet
    shared_rebooting_fleet.heal()
