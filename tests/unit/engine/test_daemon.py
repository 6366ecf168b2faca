"""The daemon as a whole: start, what HTTP sees, reload of the fleet file, and the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from support.engine import INTERVAL, Plant, a_playbook, request

from healthd.collect.memory import MemorySource
from healthd.collect.protocol import ClusterSource
from healthd.config.fleet import ClusterConfig, Fleet
from healthd.config.problems import Problem
from healthd.config.reload import ReloadResult, compare
from healthd.engine.daemon import HealthDaemon, Parts
from healthd.engine.journal import StoreThread
from healthd.engine.view import OrderRefused, Refusal
from healthd.execute.memory import MemoryElector, MemoryExecutor
from healthd.model.render import render_snapshot
from healthd.model.snapshot import ClusterSnapshot
from healthd.store.errors import StoreFull, StoreLocked
from healthd.store.records import StoredSnapshot

FULL = StoreFull("the disk is full", where="/state", todo="make room")


class Bench:
    """A daemon over plants in memory, in real time; its fleet file is a value."""

    def __init__(self, *names: str, deadline: float = 5.0) -> None:
        self.plants = {name: Plant(name=name) for name in names}
        self.store = next(iter(self.plants.values())).store
        self.sources: dict[str, MemorySource] = {}
        self.built_with: dict[str, ClusterSnapshot | None] = {}
        self.refuses_to_build: set[str] = set()
        self.executor = MemoryExecutor({})
        self.file: Fleet | tuple[Problem, ...] = Fleet(
            clusters=tuple(plant.config() for plant in self.plants.values())
        )
        assert isinstance(self.file, Fleet)
        self.daemon = HealthDaemon(
            self.file,
            Parts(
                store=StoreThread(self.store),
                executor=self.executor,
                elector_of=lambda _config: MemoryElector(),
                source_of=self._source,
                playbooks=a_playbook,
                reload=self._reload,
                interval_seconds=INTERVAL,
                deadline_seconds=deadline,
                shutdown_timeout_seconds=30,
                instance="here",
                holder="healthd here",
            ),
        )

    def _source(self, config: ClusterConfig, known: ClusterSnapshot | None) -> ClusterSource:
        if config.name in self.refuses_to_build:
            raise FileNotFoundError("the password file is gone")
        plant = self.plants.setdefault(config.name, Plant(name=config.name))
        source = MemorySource(plant.cluster, interval_seconds=INTERVAL, known=known)
        self.sources[config.name] = source
        self.built_with[config.name] = known
        return source

    def _reload(self, old: Fleet) -> ReloadResult:
        if isinstance(self.file, Fleet):
            return compare(old, self.file)
        return ReloadResult(fleet=old, problems=self.file)

    async def until(self, is_it: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not is_it():  # noqa: ASYNC110  # What is waited for has no event.
                await asyncio.sleep(0.005)

    async def start(self) -> HealthDaemon:
        await self.daemon.start()
        await self.until(lambda: self.daemon.is_ready)
        return self.daemon


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench("payments", "orders")
    yield made
    await made.daemon.stop()


def fleet_of(*configs: ClusterConfig) -> Fleet:
    return Fleet(clusters=configs)


async def test_it_is_ready_once_every_cluster_was_looked_at_well_or_badly(bench: Bench) -> None:
    hanging = asyncio.Event()

    async def hang(*, read_configs: bool = False) -> Any:
        await hanging.wait()
        raise OSError("it broke")

    assert not bench.daemon.is_ready
    await bench.daemon.start()
    bench.sources["orders"].collect = hang  # type: ignore[method-assign]
    await bench.until(lambda: bench.daemon.clusters()["payments"].report is not None)
    assert not bench.daemon.is_ready
    hanging.set()
    await bench.until(lambda: bench.daemon.is_ready)
    assert bench.daemon.clusters()["orders"].report is None
    assert bench.daemon.clusters()["orders"].failures[0]["reason"] == "internal"


async def test_it_is_not_ready_any_more_once_it_has_stopped() -> None:
    bench = Bench("payments")
    daemon = await bench.start()
    assert await daemon.stop()
    assert not daemon.is_ready
    assert bench.sources["payments"].is_closed


async def test_last_values_are_saved_and_restored_as_old_as_they_are() -> None:
    bench = Bench("payments")
    await bench.start()
    await bench.daemon.stop()
    (stored,) = bench.store.load_snapshots()
    again = Bench("payments")
    again.store.save_snapshot(replace(stored, at=stored.at - 100))
    again.store.save_snapshot(StoredSnapshot(cluster="gone", at=0, body="{"))
    await again.daemon.start()
    known = again.built_with["payments"]
    assert known is not None
    age = known.effective_ages[next(iter(known.effective_ages))]
    assert age >= 100
    await again.daemon.stop()


async def test_last_values_that_cannot_be_read_are_logged_and_the_daemon_starts(
    logged: list[MutableMapping[str, Any]],
) -> None:
    bench = Bench("payments")

    def locked() -> Any:
        raise StoreLocked("locked", where="/state", todo="wait")

    bench.store.load_snapshots = locked  # type: ignore[method-assign]
    await bench.start()
    assert "last_values_unreadable" in [entry["event"] for entry in logged]
    await bench.daemon.stop()


async def test_a_cluster_whose_source_cannot_be_built_keeps_no_other_from_starting(
    logged: list[MutableMapping[str, Any]],
) -> None:
    bench = Bench("payments", "orders")
    bench.refuses_to_build.add("orders")
    daemon = await bench.start()
    assert daemon.clusters()["payments"].report is not None
    assert "the password file is gone" in daemon.clusters()["orders"].failures[0]["detail"]
    await daemon.stop()


async def test_a_bad_fleet_file_keeps_the_old_fleet_and_says_what_is_wrong(bench: Bench) -> None:
    daemon = await bench.start()
    fleet = daemon.fleet
    problem = Problem(file="fleet.yaml", line=3, column=1, message="unknown key", action="fix it")
    bench.file = (problem,)
    worked, message = await daemon.reload(by="SIGHUP")
    assert not worked
    assert "unknown key" in message
    assert daemon.last_reload[0] is False
    assert daemon.last_reload[2] == message
    assert daemon.fleet is fleet
    assert set(daemon.clusters()) == {"payments", "orders"}
    bench.file = fleet
    assert await daemon.reload(by="SIGHUP") == (True, "2 clusters")
    assert bool(daemon.last_reload[0])
    assert (await daemon.audit(1))[0]["what"] == "fleet_reload"


async def test_a_removed_cluster_loses_its_loop_its_series_and_its_last_values(
    bench: Bench,
) -> None:
    daemon = await bench.start()
    await bench.until(lambda: len(bench.store.load_snapshots()) == 2)
    bench.file = fleet_of(bench.plants["payments"].config())
    assert await daemon.reload(by="ada") == (True, "1 clusters")
    assert set(daemon.clusters()) == {"payments"}
    assert bench.sources["orders"].is_closed
    assert "orders" not in daemon.counters.collections
    assert "collect:orders" not in daemon.counters.loop_ticks
    assert [each.cluster for each in bench.store.load_snapshots()] == ["payments"]
    assert not bench.sources["payments"].is_closed


async def test_a_cluster_that_is_removed_in_its_collection_does_not_come_back(
    bench: Bench,
) -> None:
    daemon = await bench.start()
    began, go_on = asyncio.Event(), asyncio.Event()
    real = bench.sources["orders"].collect

    async def slow(*, read_configs: bool = False) -> Any:
        began.set()
        await go_on.wait()
        return await real(read_configs=read_configs)

    bench.sources["orders"].collect = slow  # type: ignore[method-assign]
    sweep = asyncio.create_task(daemon._loops["orders"].sweep())
    await began.wait()
    bench.file = fleet_of(bench.plants["payments"].config())
    assert (await daemon.reload(by="ada"))[0]
    go_on.set()
    await sweep
    assert "orders" not in daemon.counters.collections
    assert "orders" not in daemon.counters.failures
    assert "orders" not in daemon.clusters()


async def test_an_added_cluster_is_collected_at_once(bench: Bench) -> None:
    daemon = await bench.start()
    added = Plant(name="stock")
    bench.plants["stock"] = added
    old = [bench.plants[name].config() for name in ("payments", "orders")]
    bench.file = fleet_of(*old, added.config())
    assert (await daemon.reload(by="ada"))[0]
    await bench.until(lambda: daemon.clusters()["stock"].report is not None)
    assert daemon.is_ready


async def test_a_changed_cluster_is_read_anew_and_what_was_known_stays_shown(
    bench: Bench,
) -> None:
    daemon = await bench.start()
    before = bench.sources["orders"]
    report = daemon.clusters()["orders"].report
    changed = bench.plants["orders"].config(labels={"env": "prod"})
    bench.file = fleet_of(bench.plants["payments"].config(), changed)
    assert (await daemon.reload(by="ada"))[0]
    view = daemon.clusters()["orders"]
    assert view.config.labels == {"env": "prod"}
    assert view.report is not None
    assert report is not None
    assert before.is_closed
    assert not bench.sources["orders"].is_closed
    assert bench.built_with["orders"] is not None


async def test_a_change_to_a_cluster_with_a_wave_is_refused_by_the_name_of_the_wave(
    bench: Bench,
) -> None:
    daemon = await bench.start()
    view = await daemon.start_wave(request(cleanSeconds=1000), by="ada")
    wave = view.state.wave
    changed = bench.plants["payments"].config(labels={"env": "prod"})
    for file in (fleet_of(changed, bench.plants["orders"].config()),
                 fleet_of(bench.plants["orders"].config())):  # fmt: skip
        bench.file = file
        worked, message = await daemon.reload(by="ada")
        assert not worked
        assert wave in message
        assert "payments" in message
    assert set(daemon.clusters()) == {"payments", "orders"}
    assert daemon.clusters()["payments"].config.labels == {}
    # The other cluster may change.
    other = bench.plants["orders"].config(labels={"env": "prod"})
    bench.file = fleet_of(bench.plants["payments"].config(), other)
    assert (await daemon.reload(by="ada"))[0]


async def test_a_source_that_cannot_be_built_refuses_the_whole_reload(bench: Bench) -> None:
    daemon = await bench.start()
    bench.refuses_to_build.add("stock")
    bench.file = fleet_of(bench.plants["payments"].config(), Plant(name="stock").config())
    worked, message = await daemon.reload(by="ada")
    assert not worked
    assert "the password file is gone" in message
    assert set(daemon.clusters()) == {"payments", "orders"}
    assert not bench.sources["orders"].is_closed


async def test_two_reloads_at_a_time_come_one_after_the_other(bench: Bench) -> None:
    daemon = await bench.start()
    bench.file = fleet_of(bench.plants["payments"].config())
    answers = await asyncio.gather(daemon.reload(by="SIGHUP"), daemon.reload(by="ada"))
    assert list(answers) == [(True, "1 clusters")] * 2


async def test_a_reload_that_cannot_be_audited_still_counts(
    bench: Bench, logged: list[MutableMapping[str, Any]]
) -> None:
    daemon = await bench.start()
    bench.store.fail_writes_with = FULL
    assert (await daemon.reload(by="ada"))[0]
    assert "audit_not_written" in [entry["event"] for entry in logged]
    bench.store.fail_writes_with = None


async def test_audit_records_that_cannot_be_read_are_refused_in_words(bench: Bench) -> None:
    def broken(**_: Any) -> Any:
        raise FULL

    bench.store.audit_records = broken  # type: ignore[method-assign]
    with pytest.raises(OrderRefused, match="the disk is full") as refused:
        await bench.daemon.audit(1)
    assert refused.value.refusal is Refusal.STORE


async def test_the_emergency_stop_pauses_every_wave(bench: Bench) -> None:
    daemon = await bench.start()
    for cluster in ("payments", "orders"):
        await daemon.start_wave(request(cluster=cluster, cleanSeconds=1000), by="ada")
    views = await daemon.pause_all(by="bob", reason="emergency")
    assert len(views) == 2
    assert all(view.state.status.value == "paused" for view in daemon.waves())


async def test_the_end_closes_every_part_though_one_of_them_breaks(
    logged: list[MutableMapping[str, Any]],
) -> None:
    bench = Bench("payments", "orders")
    daemon = await bench.start()
    closed: list[str] = []

    async def breaks() -> None:
        raise OSError("a defect")

    bench.sources["payments"].aclose = breaks  # type: ignore[method-assign]
    bench.store.close = lambda: closed.append("store")  # type: ignore[method-assign]
    assert await daemon.stop()
    assert bench.sources["orders"].is_closed
    assert closed == ["store"]
    assert "part_not_closed" in [entry["event"] for entry in logged]


async def test_before_the_loops_are_made_every_cluster_of_the_fleet_is_known_and_unseen(
    bench: Bench,
) -> None:
    views = bench.daemon.clusters()
    assert list(views) == ["payments", "orders"]
    assert [view.snapshot for view in views.values()] == [None, None]
    assert not bench.daemon.is_ready


async def test_a_snapshot_is_saved_as_the_contract_writes_it(bench: Bench) -> None:
    daemon = await bench.start()
    await bench.until(lambda: len(bench.store.load_snapshots()) == 2)
    snapshot = daemon.clusters()["payments"].snapshot
    assert snapshot is not None
    stored = next(e for e in bench.store.load_snapshots() if e.cluster == "payments")
    body = json.loads(stored.body)
    assert set(body["extra"].pop("history")) >= {"since", "underMinIsr", "saturatedSeconds"}
    assert body | {"extra": body["extra"] or None} == {"extra": None} | render_snapshot(snapshot)
