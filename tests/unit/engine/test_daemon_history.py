"""The daemon records what it publishes, over restarts and after a cluster has left the fleet."""

import asyncio

from support.engine import INTERVAL, Plant, a_playbook
from support.virtual_time import in_virtual_time

from healthd.collect.memory import MemorySource
from healthd.config.fleet import Fleet
from healthd.config.reload import compare
from healthd.engine.clock import Clock
from healthd.engine.daemon import HealthDaemon, Parts
from healthd.engine.journal import StoreThread
from healthd.execute.memory import MemoryElector, MemoryExecutor
from healthd.store.memory import MemoryStore

NOON = 1_767_268_800.0


class Closing(StoreThread):
    """A store without a thread: virtual time does its work at once."""

    def close(self) -> None:
        self.store.close()


def now() -> float:
    return asyncio.get_running_loop().time()


def a_daemon(store: MemoryStore, plant: Plant) -> HealthDaemon:
    fleet = Fleet(clusters=(plant.config(),))
    return HealthDaemon(
        fleet,
        Parts(
            store=Closing(store),
            executor=MemoryExecutor({}),
            elector_of=lambda _config: MemoryElector(),
            source_of=lambda _config, known: MemorySource(
                plant.cluster, interval_seconds=INTERVAL, known=known, clock=now
            ),
            playbooks=a_playbook,
            reload=lambda old: compare(old, Fleet(clusters=())),
            interval_seconds=INTERVAL,
            deadline_seconds=4.0,
            shutdown_timeout_seconds=30,
            instance="here",
            holder="healthd here",
            clock=Clock(monotonic=now, wall=lambda: NOON + now()),
        ),
    )


async def look(daemon: HealthDaemon, many: int) -> None:
    """So many collections, an interval apart."""
    loop = daemon._loops["payments"]
    for _ in range(many):
        await loop.collect_now()
        await asyncio.sleep(INTERVAL)


async def stories(daemon: HealthDaemon) -> list[tuple[str, float]]:
    found = await daemon.history.rows("payments", since=NOON, until=NOON + 1e6, limit=100)
    return [(row.story.health_class, row.until - row.at) for row in found.rows]


@in_virtual_time
async def test_a_broker_that_was_down_is_in_the_history_also_after_a_restart() -> None:
    store, plant = MemoryStore(), Plant()
    first = a_daemon(store, plant)
    await first._add_at_start(plant.config(), None)
    await look(first, 3)
    plant.cluster.kill(3)
    await look(first, 3)
    plant.cluster.start(3)
    await look(first, 3)
    before = await stories(first)
    classes = [health_class for health_class, _ in before]
    assert (classes[0], classes[-1]) == ("OK", "OK")
    assert {"WARN", "CRIT"} & set(classes)
    await first.stop()
    second = a_daemon(store, plant)
    await second.history.load(["payments"])
    assert await stories(second) == before
    changes = await second.history.changes("payments", since=NOON, until=NOON + now())
    assert [change.text for change in changes.story if change.text == "BROKER_DOWN ended"]
    await second.stop()


@in_virtual_time
async def test_a_cluster_that_a_reload_removes_keeps_its_history() -> None:
    store, plant = MemoryStore(), Plant()
    daemon = a_daemon(store, plant)
    await daemon._add_at_start(plant.config(), None)
    await look(daemon, 3)
    worked, _ = await daemon.reload(by="ann")
    assert worked
    assert "payments" in await daemon.history.clusters()
    await daemon.stop()
    assert store.timeline.clusters() == ("payments",)
    assert store.timeline.running() == ()
