"""What every test folder shares."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["plugins.fleet", "plugins.rebooting"]

# Other work shares the machine: an example that is slow is no failure.
settings.register_profile(
    "shared_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "mutants",  # The same few examples for every mutant, so that a score can be repeated.
    settings.get_profile("shared_machine"),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HEALTHD_HYPOTHESIS_PROFILE", "shared_machine"))

PART_VARIABLE = "HEALTHD_PROVE_PART"


def pytest_configure() -> None:
    """Ctrl-C counts, also where a shell runs all this in the background.

    There it is ignored, and what is ignored stays so in every program that a test starts: one that
    is to end by it never would.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """No test is left with what a command, run in the same process, told the logs to be."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With HEALTHD_PROVE_PART=i/n, only every n-th of the long proofs; by name, so it is stable."""
    part = os.environ.get(PART_VARIABLE, "")
    if not part:
        return
    number, _, parts = part.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise pytest.UsageError(f"{PART_VARIABLE} must look like 1/4, not {part!r}")
    others = [
        item
        for item in items
        if item.get_closest_marker("prove")
        and zlib.crc32(item.nodeid.partition("@")[0].encode()) % int(parts) != int(number) - 1
    ]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
