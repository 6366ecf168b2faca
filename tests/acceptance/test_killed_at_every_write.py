"""Kill -9 of the real daemon at every write of a real wave, right before and right after it.

Every broker is restarted exactly once, counted in its own log, and none is left stopped.
"""

from __future__ import annotations

import itertools
import random
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.dying_daemon import DyingDaemon, Moment
from support.waves_on_fleet import (
    process_starts,
    wait_until_ended,
    wait_until_gate_clear,
    wave_request,
)

from healthd.demo.fleet import DemoFleet

PLAIN_BROKER, CONTROLLER = 2, 5
POLICY: Final = {"soakSeconds": 1, "cleanSnapshots": 2, "cleanSeconds": 1}
WRITES_OF_ONE: Final = 10
"""So many writes a wave over one broker has: two, and eight for each broker."""
SHARES: Final = 4
"""The steps through a wave are shared out, so that `make prove PART=i/n` can divide them."""
SAMPLE: Final = random.Random(6).sample(  # Which of them is no secret.
    list(itertools.product((Moment.BEFORE, Moment.AFTER), range(2, WRITES_OF_ONE + 1))), 2
)
DEATH_SECONDS: Final = 180


@pytest.fixture
def daemon(fleet: DemoFleet, tmp_path: Path) -> Iterator[DyingDaemon]:
    """A daemon that is not yet started."""
    file = fleet.write_fleet_file(tmp_path / "fleet.yaml")
    with DyingDaemon(
        file, tmp_path, interval_seconds=1, collect_deadline_seconds=8, kafka_timeout_seconds=2
    ) as dying:
        yield dying


class Stepper:
    """Steps through waves over the same brokers, one kill each."""

    def __init__(self, fleet: DemoFleet, daemon: DyingDaemon, brokers: list[int]) -> None:
        self.fleet = fleet
        self.daemon = daemon
        self.brokers = brokers
        self.starts = self.count_starts()

    def count_starts(self) -> dict[int, int]:
        """How often each broker's process has been started, by its own log."""
        return {node.id: process_starts(self.fleet, node.id) for node in self.fleet.nodes}

    def begin(self, moment: Moment, write: int) -> None:
        """Start a daemon that is to die there, and have it see the whole fleet."""
        self.daemon.dies(moment, write)
        self.daemon.start()
        wait_until_gate_clear(self.daemon, self.fleet.cluster)

    def wave(self) -> str | None:
        """The id of a new wave; None when the daemon died before it answered."""
        try:
            request = wave_request(self.fleet.cluster, self.brokers, **POLICY)
            return str(self.daemon.post("/api/v1/waves", request)["wave"])
        except urllib.error.HTTPError:
            raise
        except OSError:
            return None

    def lives_to_the_end(self, wave: str | None) -> bool:
        """Wait until the daemon has died; true when the wave has ended before."""
        return self.daemon.lives_through(wave, seconds=DEATH_SECONDS)

    def take_up(self, wave: str | None, moment: Moment, write: int) -> None:
        """A daemon that dies at the next step finishes this wave; nobody was restarted twice."""
        self.begin(moment, write)
        known = [str(each["wave"]) for each in self.daemon.get("/api/v1/waves")["waves"]]
        found = known[0] if wave is None and known else wave
        if found is not None:
            ended = wait_until_ended(self.daemon, found)
            assert ended["status"] == "succeeded", ended
        self.check(was_done=found is not None)

    def check(self, *, was_done: bool) -> None:
        """Each broker was started once since the last look, and all of them run."""
        more = {broker: int(was_done and broker in self.brokers) for broker in self.starts}
        now = self.count_starts()
        assert now == {broker: count + more[broker] for broker, count in self.starts.items()}
        assert [each.id for each in self.fleet.nodes if not self.fleet.process_id(each.id)] == []
        self.starts = now


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("moment", "write"), SAMPLE)
def test_a_daemon_killed_at_a_write_of_a_wave_restarts_the_broker_exactly_once(
    fleet: DemoFleet, daemon: DyingDaemon, moment: Moment, write: int
) -> None:
    steps = Stepper(fleet, daemon, [PLAIN_BROKER])
    steps.begin(moment, write)
    wave = steps.wave()
    assert not steps.lives_to_the_end(wave)
    steps.take_up(wave, Moment.NEVER, 0)


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_a_daemon_killed_at_every_write_of_a_wave_restarts_every_broker_exactly_once(
    fleet: DemoFleet, daemon: DyingDaemon, moment: Moment, share: int
) -> None:
    steps = Stepper(fleet, daemon, [PLAIN_BROKER, CONTROLLER])
    write = share + 1
    steps.begin(moment, write)
    while not steps.lives_to_the_end(wave := steps.wave()):
        write += SHARES
        steps.take_up(wave, moment, write)
    steps.check(was_done=True)
    assert write > WRITES_OF_ONE, "a wave has more writes than that"
