"""From the freeze of a broker until the gate is closed, and from its thaw until it is open again.

On the real fleet, with the demo's interval. The baseline is the cluster's own metadata in the same
run: when a client sees that the broker is missing from an ISR, and when every ISR is whole again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.waves_on_fleet import wait_until_gate_clear

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet

ROUNDS = 10
INTERVAL_SECONDS = 2
LIMIT_SECONDS = 120
PLAIN_BROKERS = (2, 4)


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_freeze_and_thaw(fleet: DemoFleet, tmp_path: Path) -> None:
    fleet_file = fleet.write_fleet_file(tmp_path / "fleet.yaml")
    figures: dict[str, list[float]] = {}
    with DaemonProcess(
        fleet_file, tmp_path, interval_seconds=INTERVAL_SECONDS, collect_deadline_seconds=8
    ) as daemon:
        daemon.start()
        wait_until_gate_clear(daemon, fleet.cluster)
        for number in range(ROUNDS):
            broker = PLAIN_BROKERS[number % len(PLAIN_BROKERS)]
            fleet.freeze(broker)
            watch_both(fleet, daemon, "freeze", figures, is_whole=False)
            fleet.thaw(broker)
            watch_both(fleet, daemon, "thaw", figures, is_whole=True)
    tell(figures)


def watch_both(
    fleet: DemoFleet,
    daemon: DaemonProcess,
    what: str,
    figures: dict[str, list[float]],
    *,
    is_whole: bool,
) -> None:
    """Seconds until the gate and until the metadata are as expected, each noted."""
    began = time.monotonic()

    def gate_is() -> bool:
        return bool(daemon.get(f"/api/v1/clusters/{fleet.cluster}")["gate"]["clear"]) is is_whole

    def metadata_is() -> bool:
        view = fleet.look()
        return view is not None and (not view.out_of_sync) is is_whole

    waiting: dict[str, Callable[[], bool]] = {"gate": gate_is, "metadata": metadata_is}
    while waiting:
        assert time.monotonic() - began < LIMIT_SECONDS, f"{what}: {sorted(waiting)}"
        for name, is_so in tuple(waiting.items()):
            if is_so():
                figures.setdefault(f"{what} {name}", []).append(time.monotonic() - began)
                del waiting[name]
        time.sleep(0.05)


def tell(figures: dict[str, list[float]]) -> None:
    """Print p50 and p99 (with few rounds: the largest), and the ratio to the cluster's own word."""
    print()
    for what, end in (("freeze", "closed"), ("thaw", "open")):
        gate, own = sorted(figures[f"{what} gate"]), sorted(figures[f"{what} metadata"])
        p50, own_p50 = statistics.median(gate), statistics.median(own)
        print(
            f"{what} until the gate is {end}: p50 {p50:.1f} s, p99 {gate[-1]:.1f} s "
            f"({len(gate)} rounds, interval {INTERVAL_SECONDS} s); the cluster's own metadata: "
            f"p50 {own_p50:.1f} s, p99 {own[-1]:.1f} s; ratio of p50 {p50 / own_p50:.2f}"
        )
