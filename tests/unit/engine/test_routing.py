"""The router: from judged snapshots to what profiles resolve to, kept over restarts."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from support.snapshots import a_broker, a_snapshot, topic_of_states
from support.virtual_time import in_virtual_time

from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.profiles import ProfileConfig
from healthd.engine.clock import Clock
from healthd.engine.collecting import Published
from healthd.engine.journal import StoreThread
from healthd.engine.routing import Router
from healthd.health.history import NO_HISTORY
from healthd.health.index import evaluate
from healthd.model.codes import CheckCode
from healthd.model.snapshot import ClusterSnapshot
from healthd.routing.verdict import Forced, RoutingState, Verdict
from healthd.store.errors import StoreFull
from healthd.store.memory import MemoryStore

FULL = StoreFull("the disk is full", where="/state", todo="make room")
WELL = a_snapshot()
BAD = a_snapshot(topic_of_states(offline=3, ok=7))
DARK = a_snapshot(ages={})
NAMES = tuple(f"c{n}" for n in range(12))
FLEET = Fleet(
    clusters=tuple(
        ClusterConfig(name=name, bootstrap_servers=(f"{name}:9092",), labels={"env": "prod"})
        for name in NAMES
    ),
    profiles=(
        ProfileConfig(name="pair", members=("c0", "c1")),
        ProfileConfig(name="all", match={"env": "prod"}, order="equal"),
    ),
)


def published(snapshot: ClusterSnapshot, *, is_news: bool = True) -> Published:
    return Published(
        snapshot=snapshot,
        previous=None,
        report=evaluate(snapshot),
        history=NO_HISTORY,
        began=0.0,
        is_news=is_news,
    )


@dataclass
class Watched:
    """A router in virtual time."""

    store: MemoryStore = field(default_factory=MemoryStore)
    fleet: Fleet = FLEET
    router: Router = field(init=False)

    def __post_init__(self) -> None:
        clock = Clock(monotonic=asyncio.get_running_loop().time, wall=lambda: 1000.0)
        self.router = Router(self.fleet, StoreThread(self.store), clock, interval_seconds=15.0)

    async def read(
        self, many: int, bad: Iterable[str] = (), snapshot: ClusterSnapshot = BAD
    ) -> None:
        """So many rounds, 15 seconds apart, in which some clusters are not well."""
        judged = published(snapshot)
        well, ill = published(WELL), frozenset(bad)
        for _ in range(many):
            for name in NAMES:
                self.router.read(name, judged if name in ill else well)
            await asyncio.sleep(15.0)

    def members(self, profile: str = "pair") -> list[str]:
        return [m.endpoint.cluster for m in self.router.answers[profile].route.members]


@in_virtual_time
async def test_a_bad_cluster_leaves_its_profiles_and_comes_back_by_weights() -> None:
    watched = Watched()
    await watched.read(1)
    assert watched.members() == ["c0", "c1"]
    await watched.read(2, ["c0"])
    assert watched.members() == ["c1"]
    assert "c0" not in watched.members("all")
    weights: list[float] = []
    for _ in range(36):
        await watched.read(1)
        weights += [
            m.weight_percent
            for m in watched.router.answers["pair"].route.members
            if m.endpoint.cluster == "c0"
        ]
    assert sorted(set(weights)) == [10, 50, 100]
    assert watched.router.fleet.routing("c0").state is RoutingState.IN
    assert watched.router.transitions == {("c0", "OUT"): 1, ("c0", "PROBATION"): 1, ("c0", "IN"): 1}


@in_virtual_time
async def test_transitions_are_events_that_tell_why() -> None:
    watched = Watched()
    await watched.read(1)
    await watched.read(2, ["c0"])
    await watched.router.close()
    (event,) = watched.store.ledger.events(kind="verdict")
    assert event.subject == "c0"
    assert event.body["to"] == "OUT"
    assert event.body["bindingCap"] == CheckCode.PARTITION_OFFLINE.value
    assert event.body["dwellSeconds"] == 60.0


@in_virtual_time
async def test_verdict_dwell_and_an_operators_word_outlive_the_daemon() -> None:
    watched = Watched()
    await watched.read(1)
    await watched.read(2, ["c0"])
    await watched.read(10)
    forced = Forced(state=RoutingState.OUT, by="ann", reason="drill", seconds_left=600)
    await watched.router.force("c5", forced, by="ann", reason="drill")
    await watched.router.close()
    before = watched.router.fleet
    again = Watched(store=watched.store)
    await again.router.load()
    for name in ("c0", "c5"):
        kept = again.router.fleet.routing(name)
        assert kept.out_seconds == before.routing(name).out_seconds
        assert kept.effective is RoutingState.OUT
    assert again.members() == ["c1"]
    assert again.router.fleet.routing("c0").verdict is Verdict.HOLD
    assert [r.what for r in watched.store.audit_records()] == ["route_force"]


@in_virtual_time
async def test_what_is_unknown_holds_and_old_values_are_no_evidence() -> None:
    watched = Watched()
    await watched.read(1)
    await watched.read(50, ["c0"], DARK)
    assert watched.router.fleet.routing("c0").verdict is Verdict.HOLD
    assert watched.members() == ["c0", "c1"]
    for _ in range(10):
        watched.router.read("c1", published(BAD, is_news=False))
    assert watched.members() == ["c0", "c1"]


@in_virtual_time
async def test_a_store_that_is_full_costs_the_record_and_never_the_route() -> None:
    watched = Watched()
    await watched.read(1)
    watched.store.fail_writes_with = FULL
    await watched.read(3, ["c0"])
    assert watched.members() == ["c1"]
    assert watched.store.ledger.events() == ()
    watched.store.fail_writes_with = None
    await watched.read(3)
    await watched.router.close()
    assert [event.body["to"] for event in watched.store.ledger.events(kind="verdict")] == ["OUT"]
    assert watched.router.lost_events == 0


@in_virtual_time
async def test_a_dry_run_shows_verdicts_and_takes_nobody_out() -> None:
    watched = Watched(fleet=replace(FLEET, is_routing_dry_run=True))
    await watched.read(1)
    await watched.read(3, ["c0"])
    assert watched.router.fleet.routing("c0").verdict is Verdict.OUT
    assert watched.members() == ["c0", "c1"]
    await watched.router.close()
    (event,) = watched.store.ledger.events(kind="verdict")
    assert event.body["dryRun"] is True


@in_virtual_time
async def test_the_last_of_a_pair_stays_and_says_panic() -> None:
    watched = Watched()
    await watched.read(1)
    await watched.read(5, ["c0", "c1"])
    assert watched.members() == ["c1"]
    (finding,) = watched.router.findings("c1")
    assert finding.code is CheckCode.FLEET_PANIC
    assert finding.detail == "pair"
    assert list(watched.router.findings("c0")) == []


@in_virtual_time
async def test_many_dark_at_once_put_the_monitor_in_doubt() -> None:
    watched = Watched()
    await watched.read(1)
    await watched.read(1, NAMES[:4], DARK)
    assert {f.code for f in watched.router.findings("c0")} == {CheckCode.MONITOR_SUSPECT}
    assert list(watched.router.findings("c9")) == []


@in_virtual_time
async def test_a_member_that_leaves_the_fleet_while_it_is_out_is_forgotten() -> None:
    watched = Watched()
    await watched.read(1)
    await watched.read(2, ["c0"])
    smaller = replace(
        FLEET, clusters=FLEET.clusters[1:], profiles=(ProfileConfig(name="pair", members=("c1",)),)
    )
    watched.router.reload(smaller)
    assert watched.members() == ["c1"]
    assert "all" not in watched.router.answers
    watched.router.reload(FLEET)
    assert watched.members() == ["c0", "c1"]
    await watched.router.close()
    assert "c0" in watched.store.ledger.documents("routing")


@in_virtual_time
async def test_waiting_ends_with_a_move_with_its_time_or_with_the_profile() -> None:
    watched = Watched()
    await watched.read(1)
    router = watched.router
    etag = router.answers["pair"].etag
    answer = await router.wait("pair", etag, 30.0)
    assert answer is not None
    assert answer.etag == etag
    waiting = asyncio.create_task(router.wait("pair", etag, 30.0))
    gone = asyncio.create_task(router.wait("all", router.answers["all"].etag, 30.0))
    await asyncio.sleep(1)
    router.reload(replace(FLEET, profiles=FLEET.profiles[:1]))
    assert await gone is None
    assert not waiting.done()
    await watched.read(2, ["c0"])
    moved = await waiting
    assert moved is not None
    assert moved.etag != etag


@in_virtual_time
async def test_an_unreachable_cluster_is_known_to_be() -> None:
    watched = Watched()
    await watched.read(1)
    gone = a_snapshot(
        brokers=tuple(a_broker(n, alive=False) for n in (1, 2, 3)), unreachable=True, ages={}
    )
    await watched.read(2, ["c0"], gone)
    assert watched.members() == ["c1"]


@in_virtual_time
async def test_a_wall_clock_that_jumps_an_hour_back_and_forth_releases_nothing() -> None:
    watched = Watched()
    wall = 1_000_000.0
    watched.router._clock = Clock(monotonic=asyncio.get_running_loop().time, wall=lambda: wall)
    await watched.read(1)
    await watched.read(2, ["c0"])
    forced = Forced(state=RoutingState.OUT, by="ann", reason="drill", seconds_left=600)
    await watched.router.force("c5", forced, by="ann", reason="drill")
    for jump in (3600.0, -7200.0, 3600.0):
        wall += jump
        await watched.read(2)
    routing = watched.router.fleet.routing("c0")
    assert (routing.state, routing.out_seconds) == (RoutingState.OUT, 90.0)
    held = watched.router.fleet.routing("c5").forced
    assert held is not None
    assert held.seconds_left == 600 - 90
