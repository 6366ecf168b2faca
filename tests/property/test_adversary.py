"""Somebody who tries to break a wave: section 6 of restart-safety.md as a state machine.

The same model, reducer and journal as `healthd rehearse`: at every step anything of the contract
may fail, the daemon may die at its next journal writes, and a person may order what she likes. In
the end all is healthy again and somebody looks after the wave: then it has to end.
"""

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.adversary import CHANGES_THE_CLUSTER, at_last, harm, now
from support.rehearsing import rehearsal_of
from support.schedules import KINDS, LONGEST_FAULT, fault, schedule

from healthd.rehearsal.daemon import Daemon
from healthd.rehearsal.striking import Schedule
from healthd.rehearsal.world import World
from healthd.waves.events import Ordered, OverrideAsked, Verb
from healthd.waves.orders import refusal_of
from healthd.waves.overrides import is_open_to_override
from healthd.waves.state import NodeStatus

CALM = LONGEST_FAULT + 10
PATIENCE = 20_000.0
HELP_EVERY = 60.0

orders = st.sampled_from([Verb.PAUSE, Verb.RESUME, Verb.RETRY, Verb.SKIP])
"""Nobody aborts here: an aborted wave shows little."""


class Adversary(RuleBasedStateMachine):
    """A wave over a cluster, and everything that can go wrong with both."""

    @initialize(seed=st.integers(0, 100_000))
    def a_wave_begins(self, seed: int) -> None:
        self.document = {**schedule(seed), "faults": []}
        self.document["wave"]["policy"].pop("windows", None)
        rehearsal = rehearsal_of(self.document)
        self.world = World.of(rehearsal.snapshot, timing=rehearsal.model, seed=rehearsal.seed)
        self.daemon = Daemon(self.world, rehearsal.wave())
        self.rows: list[dict[str, Any]] = []
        self.kills: dict[int, float] = {}
        self.daemon.keeping.after_write = self._die_when_due
        self.helped = 0
        self.daemon.begin()

    def _die_when_due(self, write: int) -> None:
        down_for = self.kills.pop(write, None)
        if down_for is not None:
            self.daemon.kill(down_for)

    @rule(seconds=st.sampled_from([0.5, 2, 5, 10, 30, 120]))
    def time_passes(self, seconds: float) -> None:
        self.world.agenda.run_until(self.world.agenda.now + seconds)

    @rule(kind=st.sampled_from(sorted(set(KINDS) - {"abort"})), salt=st.integers(0, 1000))
    def something_fails(self, kind: str, salt: int) -> None:
        rows = list(fault(Random(salt), self.document["snapshot"], kind))
        for row in rows[:1]:
            if "at" in row:
                row["at"] = self.world.agenda.now
            self.rows.append(row)
            struck = rehearsal_of({**self.document, "faults": [row]}).faults
            Schedule(self.world, self.daemon, struck)
        self.world.agenda.run_until(self.world.agenda.now)

    @rule(after=st.integers(1, 4), down_for=st.sampled_from([1.0, 5.0, 70.0]))
    def the_daemon_will_die_at_a_write(self, after: int, down_for: float) -> None:
        self.kills[self.daemon.keeping.writes + after] = down_for

    @rule(verb=orders, which=st.integers(0, 30))
    def a_person_orders(self, verb: Verb, which: int) -> None:
        runs = self.daemon.state.nodes
        node = runs[which % len(runs)].node if verb in {Verb.RETRY, Verb.SKIP} else None
        self.daemon.order(verb, node)

    @rule(which=st.integers(0, 5), seconds=st.sampled_from([30.0, 600.0]))
    def a_second_person_overrides(self, which: int, seconds: float) -> None:
        state = self.daemon.state
        held = [
            hold.reason
            for hold in state.holds
            if is_open_to_override(hold.reason.code, hold.reason.object)
        ]
        if not held or not self.daemon.is_driving:
            return
        reason = held[which % len(held)]
        order = Ordered(
            at=self.daemon.wave_clock,
            verb=Verb.OVERRIDE,
            by="a second person",
            reason="as tried",
            override=OverrideAsked(code=reason.code, object=reason.object, seconds=seconds),
        )
        assert refusal_of(state, order) is None
        self.daemon.handle(order)

    @invariant()
    @precondition(lambda self: hasattr(self, "daemon"))
    def nothing_is_broken(self) -> None:
        assert now(self.daemon) == [], self._told()
        if not {row["fault"] for row in self.rows} & CHANGES_THE_CLUSTER:
            assert harm(self.document, self.world) == [], self._told()

    def teardown(self) -> None:
        if not hasattr(self, "daemon"):
            return
        agenda = self.world.agenda
        agenda.run_until(agenda.now + CALM)
        self._help()
        agenda.run_until(agenda.now + PATIENCE, is_over=lambda: self.daemon.state.status.has_ended)
        agenda.run_until(agenda.now + CALM)
        self.nothing_is_broken()
        assert at_last(self.daemon, self.rows) == [], self._told()

    def _help(self) -> None:
        """Put right what a person has to, every minute until the wave has ended."""
        state = self.daemon.state
        if state.status.has_ended:
            return
        for run in state.nodes:
            if run.status is NodeStatus.FAILED or run.is_overdue:
                self.daemon.order(Verb.RETRY, run.node)
        if self.daemon.state.is_paused:
            self.daemon.order(Verb.RESUME)
        self.world.agenda.after(HELP_EVERY, self._help)

    def _told(self) -> str:
        rows = [
            f"{row['t']:>8} {row['event']} {row['broker']} {row['state']} {row.get('fault', '')}"
            for row in self.world.story.events[-40:]
        ]
        return "\n".join([*rows, str(self.document["wave"]), str(self.rows)])


def _settings(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_whatever_fails_no_promise_of_restart_safety_is_broken() -> None:
    run_state_machine_as_test(Adversary, settings=_settings(40, 25))


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_a_thousand_waves_under_attack_break_no_promise() -> None:
    run_state_machine_as_test(Adversary, settings=_settings(1000, 50))
