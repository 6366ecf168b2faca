"""60 plain brokers in 3 racks, controllers apart, RF 3, min ISR 2: one at a time, and `safe`.

In virtual time, by `healthd rehearse`'s own model, planner, gate, reducer and journal.
"""

from __future__ import annotations

import time

import pytest
from support.rehearsing import rehearsal_of
from support.schedules import racked_cluster

from healthd.rehearsal.running import Result, rehearse

BROKERS = 60
AT_LEAST = 10


def rehearsed(concurrency: int | str) -> tuple[Result, float]:
    began = time.process_time()
    result = rehearse(
        rehearsal_of(
            {
                "apiVersion": "healthd/v1",
                "kind": "Rehearsal",
                "seed": 1,
                "snapshot": racked_cluster(racks=3, each=BROKERS // 3, interval=15),
                "wave": {
                    "playbook": "rolling-restart",
                    "brokers": list(range(1, BROKERS + 1)),
                    "concurrency": concurrency,
                },
            }
        )
    )
    return result, time.process_time() - began


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_makespan() -> None:
    one, one_cpu = rehearsed(1)
    safe, safe_cpu = rehearsed("safe")
    ratio = one.makespan_seconds / safe.makespan_seconds
    print(
        f"\nmakespan, {BROKERS} brokers in 3 racks:"
        f" one at a time {one.makespan_seconds / 60:.0f} min,"
        f" safe {safe.makespan_seconds / 60:.1f} min ({ratio:.1f} times faster),"
        f" {safe.max_in_flight} at most in flight;"
        f" under min ISR {safe.caused_under_min_isr_seconds:g} partition-seconds"
        f" (rehearsed in {one_cpu:.1f} s and {safe_cpu:.1f} s of CPU)"
    )
    for result in (one, safe):
        assert result.outcome == "succeeded"
        assert not result.violations
        assert result.caused_under_min_isr_seconds == result.caused_offline_seconds == 0
        assert set(result.restarts.values()) == {1}
    assert ratio >= AT_LEAST
