"""The real five-broker fleet as fixtures; tests that use it run in one xdist worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from healthd.demo.fleet import DemoFleet


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Who asks for the fleet gets its marks: a test that forgot one would start a second fleet.
    for item in items:
        if "shared_fleet" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.fleet)
            item.add_marker(pytest.mark.xdist_group("fleet"))


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
