"""rolling-restart with a fault at each of its steps, on hosts that can lose power and network.

A broker is never left stopped by our doing, and never started more often than once, by its own log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support.service_faults import Fault, ServiceFaults
from support.waves_on_fleet import (
    ENDED,
    process_starts,
    start_wave,
    status_of,
    wait_for_wave,
    wait_until_ended,
    wait_until_gate_clear,
)

from healthd.demo.daemon import DaemonProcess
from healthd.demo.netns_fleet import RebootingFleet
from healthd.demo.service import wait_until

ONE: Final = 2
pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]


class Bench:
    """One broker, restarted by waves again and again."""

    def __init__(self, fleet: RebootingFleet, daemon: DaemonProcess) -> None:
        self.fleet = fleet
        self.daemon = daemon
        self.machine = fleet.machine(ONE)
        self.faults = ServiceFaults(fleet.node(ONE))
        self._starts = process_starts(fleet, ONE)

    def begin(self, **policy: Any) -> str:
        """The id of a wave over it."""
        return start_wave(self.daemon, self.fleet.cluster, [ONE], **policy)

    @property
    def restarts(self) -> int:
        """How often its process was started since this began."""
        return process_starts(self.fleet, ONE) - self._starts

    @property
    def is_running(self) -> bool:
        """Whether it has a process."""
        return self.fleet.process_id(ONE) is not None

    def succeeds(self, wave: str) -> None:
        """The wave ends well, with one restart."""
        ended = wait_until_ended(self.daemon, wave)
        assert ended["status"] == "succeeded", ended
        assert (self.restarts, self.is_running) == (1, True), self.faults.orders

    def fails(self, wave: str, *, seconds: float = 120) -> None:
        """The broker has failed."""
        over = {"paused", *ENDED}
        found = wait_for_wave(self.daemon, wave, lambda it: it["status"] in over, seconds=seconds)
        assert status_of(found, ONE) == "failed", found


@pytest.fixture
def bench(rebooting_fleet: RebootingFleet, tmp_path: Path) -> Iterator[Bench]:
    """A daemon that has seen the whole fleet, and nothing spoiled."""
    daemon = DaemonProcess(
        rebooting_fleet.write_fleet_file(tmp_path / "fleet.yaml"),
        tmp_path,
        interval_seconds=1,
        collect_deadline_seconds=8,
        kafka_timeout_seconds=2,
    )
    with daemon:
        daemon.start()
        wait_until_gate_clear(daemon, rebooting_fleet.cluster)
        found = Bench(rebooting_fleet, daemon)
        yield found
        found.faults.forget()
        found.machine.shell("pkill -f '^sleep 3600' || true")


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.NOTHING, Fault.HANGS])
def test_a_stop_that_is_none_leaves_the_broker_running(bench: Bench, fault: Fault) -> None:
    bench.faults.spoil("stop", fault)
    bench.fails(bench.begin(stopTimeoutSeconds=15))
    assert (bench.restarts, bench.is_running) == (0, True)


@pytest.mark.parametrize("word", ["stop", "start"])
def test_an_answer_that_is_lost_is_asked_for_and_nothing_is_done_twice(
    bench: Bench, word: str
) -> None:
    bench.faults.spoil(word, Fault.CUT)
    bench.succeeds(bench.begin())
    assert [order.split()[0] for order in bench.faults.orders].count("stop") == 1


@pytest.mark.parametrize("fault", [Fault.FAILS, Fault.NOTHING, Fault.HANGS])
def test_a_start_that_is_none_is_done_again(bench: Bench, fault: Fault) -> None:
    bench.faults.spoil("start", fault)
    bench.succeeds(bench.begin(startTimeoutSeconds=60))


@pytest.mark.parametrize("word", ["stop", "start"])
def test_a_host_that_is_away_for_a_while_is_waited_for(bench: Bench, word: str) -> None:
    bench.faults.spoil(word, Fault.WAITS)
    wave = bench.begin()
    wait_until(lambda: bench.faults.has_begun, f"{word} has begun", 120)
    bench.machine.unplug()
    bench.faults.go_on()
    bench.machine.shell("sleep 6")
    bench.machine.plug()
    bench.succeeds(wave)


@pytest.mark.parametrize("word", ["stop", "start"])
@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_host_that_loses_power_in_mid_command_ends_with_a_running_broker(
    bench: Bench, word: str, *, is_enabled: bool
) -> None:
    bench.machine.starts_at_boot("broker", does=is_enabled)
    bench.faults.spoil(word, Fault.WAITS)
    wave = bench.begin()
    wait_until(lambda: bench.faults.has_begun, f"{word} has begun", 120)
    bench.machine.cut_power()
    bench.machine.power_on()
    ended = wait_until_ended(bench.daemon, wave)
    assert ended["status"] == "succeeded", ended
    assert (bench.restarts, bench.is_running) == (1, True), bench.faults.orders
