"""The real five-broker fleet as fixtures; tests that use it run in one xdist worker."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from healthd.demo.fleet import DemoFleet


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None]:
    # Who asks for the fleet gets its marks: a test that forgot one would start a second fleet.
    for item in items:
        if "shared_fleet" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.fleet)
            item.add_marker(pytest.mark.xdist_group("fleet"))
    yield
    if getattr(config.option, "loadgroup", False):
        for item in items:
            _tell_xdist_the_group(item)


def _tell_xdist_the_group(item: pytest.Item) -> None:
    # xdist 3.8 hands the group over in the node id, but writes it where pytest 9.2 does not look
    # (pytest-dev/pytest-xdist#1386): without this the groups are silently ignored.
    mark = item.get_closest_marker("xdist_group")
    identity = getattr(item, "_id", None)
    if mark is not None and identity is not None and "@" not in item.nodeid.rpartition("]")[2]:
        item._id = type(identity).parse(f"{item.nodeid}@{mark.args[0]}")


@pytest.fixture(scope="session")
def shared_fleet() -> Iterator[DemoFleet]:
    """Five brokers with topics, for the whole session; ask for ``fleet`` instead."""
    with DemoFleet.launch() as fleet:
        fleet.create_topics()
        yield fleet


@pytest.fixture
def fleet(shared_fleet: DemoFleet) -> Iterator[DemoFleet]:
    """The shared fleet, healthy; whatever the test did to it is healed afterwards."""
    yield shared_fleet
    shared_fleet.heal()
