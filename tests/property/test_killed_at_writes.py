"""A daemon that dies at any write of its journal: nobody restarted twice, nobody left stopped."""

from random import Random
from typing import Any

import pytest
from support.rehearsing import judged
from support.schedules import UNTIL, cluster, racked_cluster, with_help
from support.shrinking import Case

RACKS = racked_cluster(racks=3, each=2)
POLICY = {
    "soakSeconds": 5,
    "cleanSnapshots": 2,
    "cleanSeconds": 5,
    "stopTimeoutSeconds": 60,
    "startTimeoutSeconds": 120,
    "allowRfOne": ["single"],
    "allowRfLeMinIsr": ["tight"],
}
MODEL = {"stopSeconds": 3, "startSeconds": 6, "catchUpSeconds": 10, "collectSeconds": 5}
MORE_WRITES_THAN_A_WAVE_HAS = 70


def killed(snapshot: dict[str, Any], concurrency: int | str, write: int, seconds: float) -> Case:
    document = {
        "apiVersion": "healthd/v1",
        "kind": "Rehearsal",
        "seed": 1,
        "snapshot": snapshot,
        "wave": {
            "playbook": "rolling-restart",
            "brokers": "all",
            "concurrency": concurrency,
            "policy": POLICY,
        },
        "model": MODEL,
        "faults": [],
        "until": UNTIL,
    }
    return Case(document=with_help(document), kills={write: seconds})


@pytest.mark.parametrize("write", range(2, 42, 3))
def test_killed_at_a_write_of_a_wave_that_takes_racks(write: int) -> None:
    assert judged(killed(RACKS, "safe", write, 1.0)) == []


@pytest.mark.prove
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("concurrency", [1, 2, "safe"])
@pytest.mark.parametrize("seed", range(8))
def test_killed_at_every_write_of_any_wave(seed: int, concurrency: int | str) -> None:
    snapshot = cluster(Random(seed))
    for write in range(1, MORE_WRITES_THAN_A_WAVE_HAS):
        for seconds in (1.0, 70.0):
            assert judged(killed(snapshot, concurrency, write, seconds)) == [], (write, seconds)
