"""Mutes as the daemon keeps them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.daemon import broker_down, cluster_view, snapshot_of_cluster
from support.virtual_time import in_virtual_time

from healthd.engine.clock import Clock
from healthd.engine.journal import StoreThread
from healthd.engine.muting import Muter
from healthd.engine.view import ClusterView, OrderRefused, Refusal
from healthd.health.index import evaluate
from healthd.store.errors import StoreFull
from healthd.store.ledger import LedgerWrite
from healthd.store.memory import MemoryStore

ILL = cluster_view("payments", snapshot_of_cluster(**broker_down(3)))
WELL = cluster_view("payments")
REQUEST: Mapping[str, Any] = {
    "cluster": "payments", "check": "BROKER_DOWN", "seconds": 600, "reason": "a disk",
}  # fmt: skip


@dataclass
class Watched:
    """A muter in virtual time."""

    store: MemoryStore = field(default_factory=MemoryStore)
    muter: Muter = field(init=False)

    def __post_init__(self) -> None:
        now = asyncio.get_running_loop().time
        self.muter = Muter(StoreThread(self.store), Clock(monotonic=now, wall=now))

    async def judged(self, view: ClusterView) -> None:
        assert view.report is not None
        self.muter.judged("payments", view.report)
        await self.muter.close()


@in_virtual_time
async def test_a_mute_is_on_disk_in_the_audit_log_and_ends_with_its_time() -> None:
    watched = Watched()
    mute = await watched.muter.add(REQUEST, ILL, by="ann")
    assert (mute.owner, mute.count) == ("ann", 1)
    assert watched.muter.of("payments") == (mute,)
    assert watched.muter.of("other") == ()
    (record,) = watched.store.audit_records()
    assert (record.who, record.what, record.why) == ("ann", "mute", "a disk")
    again = Watched(store=watched.store)
    await again.muter.load()
    assert again.muter.of("payments") == (mute,)
    await asyncio.sleep(600)
    assert again.muter.all() == ()
    await again.judged(ILL)
    assert watched.store.ledger.documents("mute") == {}
    newest = watched.store.ledger.events(kind="unmute")[0]
    assert newest.body["reason"] == "its time is over"


@in_virtual_time
async def test_a_mute_lifts_itself_when_more_is_concerned() -> None:
    watched = Watched()
    await watched.muter.add(REQUEST, ILL, by="ann")
    await watched.judged(ILL)
    assert len(watched.muter.all()) == 1
    worse = snapshot_of_cluster(
        brokers=[{"id": n, "alive": n == 1} for n in (1, 2, 3)],
    )
    watched.muter.judged("payments", evaluate(worse))
    watched.muter.judged("payments", evaluate(worse))
    await watched.muter.close()
    assert watched.muter.all() == ()
    assert len(watched.store.ledger.events(kind="unmute")) == 1


@in_virtual_time
async def test_what_is_not_raised_is_not_muted_unless_asked_for() -> None:
    watched = Watched()
    with pytest.raises(OrderRefused, match="is not raised") as refused:
        await watched.muter.add(REQUEST, WELL, by="ann")
    assert refused.value.refusal is Refusal.CONFLICT
    mute = await watched.muter.add({**REQUEST, "evenIfNotRaised": True}, WELL, by="ann")
    assert mute.count is None
    await watched.judged(ILL)
    assert watched.muter.all() == (mute,)


@in_virtual_time
async def test_objects_that_a_check_does_not_concern_are_named() -> None:
    watched = Watched()
    with pytest.raises(OrderRefused, match="does not concern broker:9; it names broker:3"):
        await watched.muter.add({**REQUEST, "objects": ["broker:9"]}, ILL, by="ann")
    mute = await watched.muter.add({**REQUEST, "objects": ["broker:3"]}, ILL, by="ann")
    assert mute.objects == ("broker:3",)


@in_virtual_time
async def test_a_mute_that_is_lifted_is_gone_and_an_unknown_one_is_named() -> None:
    watched = Watched()
    mute = await watched.muter.add(REQUEST, ILL, by="ann")
    await watched.muter.lift(mute.id, by="bob", reason="disk arrived")
    assert watched.muter.all() == ()
    with pytest.raises(OrderRefused, match="there is no mute") as refused:
        await watched.muter.lift(mute.id, by="bob", reason="again")
    assert refused.value.refusal is Refusal.UNKNOWN


@in_virtual_time
async def test_a_mute_that_cannot_be_written_silences_nothing() -> None:
    watched = Watched()
    watched.store.fail_writes_with = StoreFull("the disk is full", where="/s", todo="make room")
    with pytest.raises(OrderRefused, match="nothing was changed"):
        await watched.muter.add(REQUEST, ILL, by="ann")
    assert watched.muter.all() == ()


@in_virtual_time
async def test_a_mute_of_a_cluster_that_left_is_lifted() -> None:
    watched = Watched()
    await watched.muter.add(REQUEST, ILL, by="ann")
    watched.muter.forget(lambda name: name == "other")
    await watched.muter.close()
    assert watched.muter.all() == ()


@in_virtual_time
async def test_a_mute_of_another_version_silences_nothing() -> None:
    watched = Watched()
    mute = await watched.muter.add(REQUEST, ILL, by="ann")
    body = watched.store.ledger.documents("mute")[mute.id]
    for change in ({"check": "NO_SUCH_CHECK"}, {"until": "soon"}):
        again = Watched()
        again.store.ledger.write(LedgerWrite(kind="mute", documents={mute.id: body | change}))
        await again.muter.load()
        assert again.muter.all() == ()
