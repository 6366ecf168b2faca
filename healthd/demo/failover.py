"""The demo's second part: clients follow a profile from one cluster to another, and back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from healthd.demo.daemon import DaemonProcess
from healthd.demo.fleet import DemoFleet
from healthd.demo.profile_clients import CLIENT_IDS, ClientsResult, ProfileClients
from healthd.demo.service import DemoTimeoutError
from healthd.demo.telling import Clock, Say, health, index_words, show

PROFILE = "payments"
"""The only name that the clients know."""
TOPIC = "payments"
VICTIMS = (2, 4)
"""No controllers: metadata stays fresh, so the index falls on evidence and not on silence."""
STEADY_SECONDS = 4.0
"""How long everything is left alone before the next act."""
MOVE_SECONDS = 120.0
BACK_SECONDS = 180.0
LOOK_SECONDS = 0.25


@dataclass(slots=True, kw_only=True)
class _Watch:
    """Tells every change of the first cluster's verdict, and of where the clients are."""

    say: Say
    clock: Clock
    daemon: DaemonProcess
    home: str
    clients: ProfileClients
    verdicts: list[str] = field(default_factory=list)
    crowds: list[int] = field(default_factory=list)
    """How many clients were on the first cluster, whenever that changed."""
    out_at: float | None = None
    _class: str = ""
    _verdict: tuple[str, float] | None = None
    _where: Counter[str] | None = None

    def look(self) -> None:
        """Say what has changed since the last look."""
        routes = self.daemon.get("/api/v1/routes")
        row = next(row for row in routes["verdicts"] if row["cluster"] == self.home)
        verdict = str(row["verdict"]), float(row["weight"])
        found = health(self.daemon, self.home)
        if verdict != self._verdict:
            self._verdict = verdict
            self._tell_verdict(*verdict, index_words(found))
        elif found["class"] != self._class:
            self.say(self.clock.line(f"{self.home}: index {index_words(found)}"))
        self._class = found["class"]
        where = self.clients.where()
        if where != self._where:
            self._where = where
            self.crowds.append(where[self.home])
            words = ", ".join(f"{many} on {name}" for name, many in sorted(where.items()))
            self.say(self.clock.line(f"  clients: {words}"))

    def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Look again and again until the condition holds.

        Raises:
            DemoTimeoutError: It did not within the time.
        """
        deadline = time.monotonic() + seconds
        self.look()
        while not condition():
            if time.monotonic() > deadline:
                raise DemoTimeoutError(f"waited {seconds:g} s in vain until {what}")
            time.sleep(LOOK_SECONDS)
            self.look()

    def rest(self, seconds: float) -> None:
        """Look for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(LOOK_SECONDS)

    def _tell_verdict(self, verdict: str, weight: float, index: str) -> None:
        self.verdicts.append(f"{verdict} {weight:g}%")
        if verdict == "OUT" and self.out_at is None:
            self.out_at = time.monotonic()
        self.say(
            self.clock.line(f"{self.home}: VERDICT {verdict}, weight {weight:g} %; index {index}")
        )


def follow_profile(
    say: Say, clock: Clock, daemon: DaemonProcess, east: DemoFleet, west: DemoFleet
) -> list[str]:
    """Clients move to the second cluster and back; everything that is not as it should be."""
    with ProfileClients(daemon.url, PROFILE, TOPIC) as clients:
        say(
            clock.line(
                f"{len(CLIENT_IDS)} producers know one name only, the profile {PROFILE}: "
                f"{east.cluster} first, else {west.cluster}."
            )
        )
        watch = _Watch(say=say, clock=clock, daemon=daemon, home=east.cluster, clients=clients)
        everybody = len(CLIENT_IDS)
        watch.until(
            lambda: clients.acknowledged_by(east.cluster) > 0, "the clients produce", MOVE_SECONDS
        )
        watch.rest(STEADY_SECONDS)
        killed_at = time.monotonic()
        _kill(say, clock, east)
        watch.until(
            lambda: (
                clients.where()[west.cluster] == everybody
                and clients.first_acknowledgement(west.cluster) is not None
            ),
            f"all clients are on {west.cluster}",
            MOVE_SECONDS,
        )
        _tell_times(watch, west.cluster, killed_at)
        watch.rest(STEADY_SECONDS)
        show(say, daemon, "route")
        for broker in VICTIMS:
            east.start(broker)
        say(clock.line(f"STARTED brokers {_listed(VICTIMS)} again; nobody tells the clients."))
        watch.until(
            lambda: watch.verdicts[-1] == "IN 100%" and clients.where()[east.cluster] == everybody,
            f"all clients are back on {east.cluster}",
            BACK_SECONDS,
        )
        watch.rest(STEADY_SECONDS)
        result = clients.result({fleet.cluster: fleet.bootstrap for fleet in (east, west)})
    _tell_result(say, result)
    return problems_of(watch.verdicts, watch.crowds, result, west.cluster)


def _kill(say: Say, clock: Clock, east: DemoFleet) -> None:
    for broker in VICTIMS:
        east.kill(broker)
    say(
        clock.line(
            f"KILLED brokers {_listed(VICTIMS)} of {east.cluster} (kill -9): "
            "most partitions can no longer be written to."
        )
    )


def _tell_times(watch: _Watch, west: str, killed_at: float) -> None:
    first = watch.clients.first_acknowledgement(west)
    assert watch.out_at is not None, "nobody moves before the verdict"
    assert first is not None, "the caller waits for it"
    watch.say(
        watch.clock.line(
            f"Since the kill: verdict after {watch.out_at - killed_at:.1f} s (Kafka itself waits "
            f"9 s for a silent broker), first message\n{'':11}in {west} after "
            f"{first - killed_at:.1f} s, all clients there after "
            f"{time.monotonic() - killed_at:.1f} s."
        )
    )


def _tell_result(say: Say, result: ClientsResult) -> None:
    counts = ", ".join(f"{many} by {name}" for name, many in result.acknowledged.items())
    say(
        f"Messages by profile: {sum(result.acknowledged.values())} acknowledged ({counts}),\n"
        f"{result.lost} lost, {result.refused} refused, {result.duplicates} there twice; longest "
        f"pause without any acknowledgement {result.longest_pause_seconds:.1f} s."
    )
    if result.duplicates:
        say(
            "Twice is what was on its way when the brokers died: written, but never acknowledged, "
            "and so sent again\nto the other cluster."
        )


def problems_of(
    verdicts: Sequence[str], crowds: Sequence[int], result: ClientsResult, west: str
) -> list[str]:
    """Everything that is not as it should be.

    Args:
        verdicts: Every verdict of the first cluster with its weight, such as `PROBATION 10%`.
        crowds: How many clients were on the first cluster, whenever that changed.
        result: What became of their messages.
        west: The second cluster.
    """
    states = [verdict.split()[0] for verdict in verdicts]
    way = [state for state, _ in groupby(state for state in states if state != "HOLD")]
    back = crowds[crowds.index(0) :] if 0 in crowds else []
    found = {
        f"the verdict went {', '.join(verdicts)}": way != ["IN", "OUT", "PROBATION", "IN"],
        f"the clients did not come back step by step: {list(crowds)}": not any(
            0 < many < len(CLIENT_IDS) for many in back
        ),
        f"{result.lost} messages lost by the profile's clients": result.lost > 0,
        f"{result.refused} of their messages refused": result.refused > 0,
        f"nothing was written to {west}": result.acknowledged[west] == 0,
    }
    return [text for text, is_wrong in found.items() if is_wrong]


def _listed(numbers: tuple[int, ...]) -> str:
    return " and ".join(map(str, numbers))
